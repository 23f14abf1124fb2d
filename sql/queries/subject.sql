-- A person in what is stored (rag_pipelines/retention/subject.py and erasure.py). `words` are in lower case; a value that
-- holds one may name the person, and the caller looks closer.

-- name: subject_documents
-- Values of documents, with what they are: of the catalogue, of what was read from them, now or before.
WITH words AS MATERIALIZED (SELECT unnest(%(words)s::text[]) AS word),
sets AS MATERIALIZED (
    SELECT c.chunk_set_id, to_jsonb(ARRAY[c.text, c.context, c.prefix, array_to_string(c.heading_path, ' / '),
                                          array_to_string(c.links, ' ')]) AS value
    FROM rag.chunk c
    WHERE EXISTS (SELECT FROM words WHERE strpos(lower(concat_ws(' ', c.text, c.context, c.prefix,
                                          array_to_string(c.heading_path, ' '), array_to_string(c.links, ' '))), word) > 0)
    UNION ALL
    SELECT s.chunk_set_id, to_jsonb(s.title) FROM rag.chunk_set s
    WHERE EXISTS (SELECT FROM words WHERE strpos(lower(s.title), word) > 0)
)
SELECT d.document_id, one.place, one.value
FROM rag.document d CROSS JOIN LATERAL (VALUES
    ('author', to_jsonb(d.author)), ('title', to_jsonb(d.given_title)), ('metadata', d.metadata),
    ('path', to_jsonb(ARRAY[d.external_id, d.path, d.name, d.url]))) AS one (place, value)
WHERE EXISTS (SELECT FROM words WHERE strpos(lower(one.value::text), word) > 0)
UNION ALL
SELECT d.document_id, 'what the file says of itself', to_jsonb(ARRAY[p.title, p.message]) || jsonb_build_array(p.metadata, p.warnings)
FROM rag.parse p JOIN rag.document d ON d.parse_id = p.parse_id
WHERE EXISTS (SELECT FROM words WHERE strpos(lower(concat_ws(' ', p.title, p.message, p.metadata::text, p.warnings::text)), word) > 0)
UNION ALL
SELECT d.document_id, 'what was sent', i.item - 'access' FROM rag.inbox i
JOIN rag.source s ON s.name = i.source JOIN rag.document d ON d.source_id = s.source_id AND d.external_id = i.external_id
WHERE EXISTS (SELECT FROM words WHERE strpos(lower((i.item - 'access')::text), word) > 0)
UNION ALL
SELECT m.document_id, 'text', s.value FROM sets s JOIN rag.document_content m USING (chunk_set_id);

-- name: subject_names
SELECT d.document_id, s.name AS source, d.external_id, d.state, rag.hold_of(d) AS hold
FROM rag.document d JOIN rag.source s USING (source_id) WHERE d.document_id = ANY(%(ids)s);

-- name: subject_wanted
SELECT s.name AS source, w.external_id, w.item FROM rag.wanted w JOIN rag.source s USING (source_id)
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower(w.external_id || w.item::text), word) > 0)
UNION ALL SELECT i.source, i.external_id, i.item - 'access' FROM rag.inbox i
WHERE NOT EXISTS (SELECT FROM rag.document d JOIN rag.source s USING (source_id)
                  WHERE s.name = i.source AND d.external_id = i.external_id)
  AND EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word
              WHERE strpos(lower(i.external_id || coalesce(i.item - 'access', '{}')::text), word) > 0);

-- name: subject_sent
-- What was sent and a run has not stored yet, of these bytes.
SELECT i.source, i.external_id FROM rag.inbox i WHERE i.raw_sha256 = ANY(%(digests)s::bytea[])
  AND NOT EXISTS (SELECT FROM rag.document d JOIN rag.source s USING (source_id)
                  WHERE s.name = i.source AND d.external_id = i.external_id);

-- name: subject_owners_raw
-- Documents that have or had these bytes, or that were sent with them.
SELECT document_id FROM rag.document WHERE raw_sha256 = ANY(%(digests)s::bytea[])
UNION SELECT document_id FROM rag.document_former WHERE raw_sha256 = ANY(%(digests)s::bytea[])
UNION SELECT d.document_id FROM rag.inbox i JOIN rag.source s ON s.name = i.source
JOIN rag.document d ON d.source_id = s.source_id AND d.external_id = i.external_id
WHERE i.raw_sha256 = ANY(%(digests)s::bytea[]);

-- name: subject_owners_blocks
-- Documents that have or had these blocks.
SELECT d.document_id FROM rag.parse p JOIN rag.document d ON d.parse_id = p.parse_id OR d.raw_sha256 = p.raw_sha256
WHERE p.blocks_sha256 = ANY(%(digests)s::bytea[])
UNION SELECT f.document_id FROM rag.parse p JOIN rag.document_former f USING (raw_sha256)
WHERE p.blocks_sha256 = ANY(%(digests)s::bytea[])
UNION SELECT c.document_id FROM rag.chunk_set s JOIN rag.document_content c USING (chunk_set_id)
WHERE s.blocks_sha256 = ANY(%(digests)s::bytea[]);

-- name: subject_rules
SELECT access_id, clauses, deny FROM rag.access_rule
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower(clauses::text || deny::text), word) > 0)
ORDER BY access_id;

-- name: subject_own_rules
-- Rules of sources beside the ones by which documents are restricted for what was found in them.
SELECT document_id, own_access -> 'clauses' AS clauses, own_access -> 'deny' AS deny FROM rag.document
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower(own_access::text), word) > 0)
ORDER BY document_id;

-- name: subject_sent_rules
-- The rules with which documents were sent.
SELECT source, external_id, item #> '{access,clauses}' AS clauses, item #> '{access,deny}' AS deny FROM rag.inbox
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower((item -> 'access')::text), word) > 0)
ORDER BY source, external_id;

-- name: rewrite_sent_rule
UPDATE rag.inbox SET item = jsonb_set(item, '{access}', %(access)s)
WHERE source = %(source)s AND external_id = %(external_id)s;

-- name: rewrite_own_rule
UPDATE rag.document SET own_access = %(own_access)s WHERE document_id = %(document_id)s;

-- name: rewrite_rule
UPDATE rag.access_rule SET digest = %(digest)s, clauses = %(clauses)s, deny = %(deny)s WHERE access_id = %(access_id)s;

-- name: count_rewritten_rule
-- What searches keep of callers is asked anew.
SELECT rag.count_change(ARRAY(SELECT DISTINCT tenant FROM rag.document WHERE access_id = %(access_id)s));

-- name: subject_members
SELECT source_id, principal, member FROM rag.membership
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower(member), word) > 0);

-- name: drop_member
DELETE FROM rag.membership WHERE source_id = %(source_id)s AND principal = %(principal)s AND member = %(member)s;

-- name: subject_sessions
SELECT digest, concat_ws(' ', name, shown, array_to_string(principals, ' ')) AS about FROM rag.session
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word
              WHERE strpos(lower(concat_ws(' ', name, shown, array_to_string(principals, ' '))), word) > 0);

-- name: subject_groups
SELECT s.name AS source, g.principal, g.name FROM rag.principal_group g JOIN rag.source s USING (source_id)
WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower(concat_ws(' ', g.principal, g.name)), word) > 0);

-- name: subject_holds
-- What holds name, and whether they are in force: then it stays.
SELECT hold_id, path, label, document, released_at IS NULL AND (until IS NULL OR until > now()) AS in_force FROM rag.hold;

-- name: rewrite_hold
UPDATE rag.hold SET path = %(path)s, label = %(label)s, document = %(document)s WHERE hold_id = %(hold_id)s;

-- name: lease_owners
SELECT 'source' AS kind, source_id AS id, lease_owner FROM rag.source WHERE lease_owner IS NOT NULL
UNION ALL SELECT 'index_version', version_id, lease_owner FROM rag.index_version;

-- name: rewrite_lease_owner
UPDATE {table} SET lease_owner = %(owner)s WHERE {key} = %(id)s;

-- name: put_erasure
-- A new one takes the place of one that waits for the same person.
WITH superseded AS (
    UPDATE rag.erasure SET state = 'superseded' WHERE state = 'open' AND subjects = %(subjects)s
)
INSERT INTO rag.erasure (subjects, kept, found, documents, reason, made_by)
VALUES (%(subjects)s, %(kept)s, %(found)s, %(documents)s, %(reason)s, %(made_by)s) RETURNING erasure_id;

-- name: erasure_by_id
SELECT erasure_id, subjects, kept, found, documents, state, reason, made_at, made_by, applied_at, applied_by, receipt
FROM rag.erasure WHERE erasure_id = %(erasure_id)s;

-- name: erasure_applied
UPDATE rag.erasure SET state = 'applied', applied_at = now(), applied_by = %(actor)s, receipt = %(receipt)s
WHERE erasure_id = %(erasure_id)s;

-- name: current_transaction
SELECT pg_current_xact_id()::text AS number;
