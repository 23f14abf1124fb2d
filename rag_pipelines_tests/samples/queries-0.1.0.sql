-- name: group_listing
-- Before groups are listed: when that was last done completely, how many are known, and the server's clock.
SELECT s.groups_at, clock_timestamp() AS now,
       (SELECT count(*) FROM rag.principal_group g WHERE g.source_id = s.source_id) AS groups
FROM rag.source s WHERE s.source_id = %(source_id)s;

-- name: put_groups
INSERT INTO rag.principal_group (source_id, principal, name, observed_at)
SELECT %(source_id)s, principal, name, %(observed_at)s
FROM unnest(%(principals)s::text[], %(names)s::text[]) AS g (principal, name)
ON CONFLICT (source_id, principal) DO UPDATE SET name = EXCLUDED.name, observed_at = EXCLUDED.observed_at;

-- name: drop_former_members
-- Members of the given groups that are not among the pairs of group and member.
DELETE FROM rag.membership m
WHERE m.source_id = %(source_id)s AND m.principal = ANY(%(principals)s)
  AND NOT EXISTS (SELECT FROM unnest(%(groups)s::text[], %(members)s::text[]) AS p (principal, member)
                  WHERE p.principal = m.principal AND p.member = m.member);

-- name: put_members
-- A membership that is known keeps its time: it is when the member was first seen in the group.
INSERT INTO rag.membership (source_id, principal, member, observed_at)
SELECT %(source_id)s, principal, member, %(observed_at)s
FROM unnest(%(groups)s::text[], %(members)s::text[]) AS p (principal, member)
ON CONFLICT DO NOTHING;

-- name: count_groups
-- How many groups a listing read, and how many it neither read nor failed to read.
SELECT count(*) FILTER (WHERE observed_at >= %(observed_at)s) AS listed,
       count(*) FILTER (WHERE observed_at < %(observed_at)s AND principal <> ALL(%(failed)s)) AS stale
FROM rag.principal_group WHERE source_id = %(source_id)s;

-- name: drop_stale_groups
DELETE FROM rag.principal_group
WHERE source_id = %(source_id)s AND observed_at < %(observed_at)s AND principal <> ALL(%(failed)s);

-- name: save_groups_at
UPDATE rag.source SET groups_at = %(observed_at)s WHERE source_id = %(source_id)s;

-- name: resolve_group_failures
-- Failures of listing groups that did not come again in the listing that began at `before`.
DELETE FROM rag.quarantine WHERE source_id = %(source_id)s AND stage = 'groups' AND last_at < %(before)s;

-- name: set_access
-- Who may see a document whose content is to be loaded: it does not wait for the content, which may fail. Until
-- then it is not known whether the text that we hold is still the document's, so its rule of before holds too.
WITH doubted AS (
    UPDATE rag.document_content c SET access_id = d.access_id, tenant = d.tenant, doubted = true
    FROM rag.document d
    WHERE d.document_id = %(document_id)s AND c.document_id = d.document_id AND c.access_id IS NULL
      AND (d.tenant, d.access_id) IS DISTINCT FROM (%(tenant)s, %(access_id)s)
)
UPDATE rag.document SET tenant = %(tenant)s, access_id = %(access_id)s, updated_at = clock_timestamp(),
    changed_xid = CASE WHEN tenant = %(tenant)s THEN changed_xid ELSE pg_current_xact_id() END
WHERE document_id = %(document_id)s AND (tenant, access_id) IS DISTINCT FROM (%(tenant)s, %(access_id)s);

-- name: trust_content
-- These documents have the content that we hold: their rule of now holds for it.
UPDATE rag.document_content c SET access_id = NULL, tenant = NULL, doubted = false
FROM rag.document d
WHERE d.source_id = %(source_id)s AND d.external_id = ANY(%(ids)s) AND c.document_id = d.document_id AND c.doubted;

-- name: resolve_access
-- These rules fit again.
DELETE FROM rag.quarantine WHERE source_id = %(source_id)s AND stage = 'access' AND entity = ANY(%(entities)s);

-- name: memberships_of
-- Every membership that leads from the given principals to a group, through any number of groups.
SELECT m.principal AS group, g.name, m.member, s.name AS source, m.observed_at AS since, g.observed_at
FROM rag.membership m
JOIN rag.principal_group g USING (source_id, principal)
JOIN rag.source s USING (source_id)
WHERE s.tenant = %(tenant)s AND m.member = ANY(rag.principals_of(%(tenant)s, %(principals)s))
ORDER BY m.principal, m.member, s.name;

-- name: group_names
SELECT DISTINCT ON (g.principal) g.principal, g.name
FROM rag.principal_group g JOIN rag.source s USING (source_id)
WHERE s.tenant = %(tenant)s AND g.principal = ANY(%(principals)s) AND g.name <> ''
ORDER BY g.principal, g.observed_at DESC;

-- name: list_groups
-- The groups of one source or of all, with their members counted and the age of what is known of them.
SELECT s.name AS source, g.principal, g.name, g.observed_at, count(m.member) AS members,
       extract(epoch FROM now() - g.observed_at)::float8 AS age_s
FROM rag.principal_group g
JOIN rag.source s USING (source_id)
LEFT JOIN rag.membership m USING (source_id, principal)
WHERE %(source)s::text IS NULL OR s.name = %(source)s
GROUP BY s.name, g.source_id, g.principal
ORDER BY s.name, g.principal
LIMIT %(limit)s;

-- name: document_access
-- One document with its rule, and how old what is known of its access is.
SELECT d.document_id, d.external_id, d.tenant, d.state, d.status, a.clauses, a.deny, s.name AS source,
       s.listed_at, s.groups_at
FROM rag.document d JOIN rag.access_rule a USING (access_id) JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND d.external_id = %(external_id)s;

-- name: chunk_access
-- The documents that have or had a passage, each as `document_access` gives it, with the rule of text that is former.
SELECT d.document_id, d.external_id, d.tenant, d.state, d.status, a.clauses, a.deny, s.name AS source,
       s.listed_at, s.groups_at, c.tenant AS former_tenant, c.doubted, f.clauses AS former_clauses, f.deny AS former_deny,
       p.chunk_set_id, p.ordinal, p.heading_path
FROM rag.chunk_set cs
JOIN rag.chunk p ON p.chunk_set_id = cs.chunk_set_id AND p.ordinal = %(ordinal)s
JOIN rag.document_content c ON c.chunk_set_id = cs.chunk_set_id
JOIN rag.document d USING (document_id)
JOIN rag.access_rule a ON a.access_id = d.access_id
JOIN rag.source s USING (source_id)
LEFT JOIN rag.access_rule f ON f.access_id = c.access_id
WHERE cs.key = %(key)s::uuid
ORDER BY s.name, d.external_id;

-- name: open_failure
-- Why a document is not held, where we know.
SELECT q.stage, q.error_class, q.message FROM rag.quarantine q JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND q.external_id = %(external_id)s ORDER BY q.last_at DESC LIMIT 1;

-- name: live_storages
SELECT index_name, version_id, storage FROM rag.index_version WHERE state = 'live' ORDER BY index_name;

-- name: passages_in_version
-- Of a document, or one of them.
SELECT count(*) AS passages FROM {vectors}
WHERE document_id = %(document_id)s
  AND (%(chunk_set_id)s::bigint IS NULL OR (chunk_set_id = %(chunk_set_id)s AND ordinal = %(ordinal)s));

-- name: role
-- Whether a role is there, and whether policies would not hold for it.
SELECT r.rolsuper OR r.rolbypassrls
       OR EXISTS (SELECT FROM pg_tables t WHERE t.schemaname = 'rag' AND t.tableowner = r.rolname) AS escapes
FROM pg_roles r WHERE r.rolname = %(role)s;

-- name: create_reader
CREATE ROLE {role} LOGIN;

-- name: remember_reader
INSERT INTO rag.reader (role) VALUES (%(role)s) ON CONFLICT DO NOTHING;

-- name: grant_reader
-- Exactly what a search reads. Of parses not what the file says about itself, of sources not their cursors.
REVOKE ALL ON ALL TABLES IN SCHEMA rag FROM {role};
GRANT USAGE ON SCHEMA rag TO {role};
GRANT SELECT ON rag.document, rag.document_content, rag.chunk_set, rag.chunk, rag.access_rule, rag.index_version,
    rag.principal_group, rag.membership TO {role};
GRANT SELECT (parse_id, blocks_sha256, media_type, title, language, pages) ON rag.parse TO {role};
GRANT SELECT (source_id, name, tenant, listed_at, settled_at, groups_at) ON rag.source TO {role};

-- name: index_operators
-- Under a policy Postgres asks an index only about operators that are marked as not telling what they see: words, and
-- equality of metadata.
SELECT bool_and(proleakproof) AS leakproof, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser
FROM pg_proc
WHERE oid IN ('pg_catalog.ts_match_vq(tsvector, tsquery)'::regprocedure, 'pg_catalog.jsonb_contains(jsonb, jsonb)'::regprocedure);

-- name: trust_index_operators
-- Neither `tsvector @@ tsquery` nor `jsonb @> jsonb` raises an error that depends on the row: the second goes no deeper
-- than the question is nested, which the service writes.
ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF;
ALTER FUNCTION pg_catalog.jsonb_contains(jsonb, jsonb) LEAKPROOF;

-- name: read_as
SELECT rag.read_as(%(tenant)s, %(principals)s);

-- name: own_role
SELECT current_user AS role, EXISTS (
    SELECT FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER') AND (r.rolsuper OR r.rolbypassrls
        OR EXISTS (SELECT FROM pg_tables t WHERE t.schemaname = 'rag' AND t.tableowner = r.rolname))) AS escapes;

-- name: readable_relations
-- What the login may read or write in the schema, and whether policies stand before it.
SELECT c.relname AS name, c.relkind::text AS kind, row_security_active(c.oid) AS active,
       EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
       has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS writable
FROM pg_class c
WHERE c.relnamespace = 'rag'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (has_any_column_privilege(c.oid, 'SELECT') OR has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
ORDER BY c.relname;

-- name: sees_any_row
SELECT EXISTS (SELECT FROM {table}) AS found;
-- The access gate (rag_pipelines/index/access_gate.py): facts for its oracle, and the ways in which a caller reads.

-- name: proof_memberships
SELECT s.tenant, m.principal, m.member FROM rag.membership m JOIN rag.source s USING (source_id);

-- name: proof_sample
-- Every chunk set of some documents of a version.
SELECT DISTINCT v.document_id, v.chunk_set_id
FROM {vectors} v JOIN (
    SELECT document_id FROM (SELECT DISTINCT document_id FROM {vectors}) one
    ORDER BY hashint8extended(document_id, 7) LIMIT %(sample)s
) chosen USING (document_id);

-- name: proof_facts
-- The rules as they are stored, without judging them.
SELECT asked.document_id, asked.chunk_set_id, d.tenant, d.state = 'tombstoned' AS deleted, a.clauses, a.deny,
       c.tenant AS former_tenant, f.clauses AS former_clauses, f.deny AS former_deny
FROM unnest(%(documents)s::bigint[], %(sets)s::bigint[]) AS asked (document_id, chunk_set_id)
JOIN rag.document d USING (document_id)
JOIN rag.access_rule a USING (access_id)
LEFT JOIN rag.document_content c USING (document_id, chunk_set_id)
LEFT JOIN rag.access_rule f ON f.access_id = c.access_id;

-- name: proof_questions
-- Stored passages as questions, the same ones each time; of the words those that are read as they are stored.
SELECT v.embedding::text AS vector, asked.text, asked.words
FROM (SELECT document_id, chunk_set_id, ordinal, embedding FROM {vectors}
      ORDER BY hashint8extended(document_id * 1000003 + chunk_set_id * 1009 + ordinal, 7) LIMIT %(sample)s) v
JOIN {lexical} l USING (document_id, chunk_set_id, ordinal)
CROSS JOIN LATERAL (
    SELECT coalesce(string_agg(lexeme, ' '), '') AS text, coalesce(string_agg(quote_literal(lexeme), ' | '), '') AS words
    FROM (SELECT lexeme FROM unnest(l.words)
          WHERE rag.words({language}::regconfig, lexeme) = to_tsvector('pg_catalog.simple', lexeme)
          ORDER BY length(lexeme) DESC, lexeme LIMIT 5) AS longest
) asked;

-- name: proof_nearness
-- How near sampled documents are to a question, and whether they have one of its words; whoever may read them.
SELECT v.document_id, v.chunk_set_id, max(-(v.embedding <#> %(vector)s::text::{type})) AS nearness,
       coalesce(bool_or(l.words @@ %(words)s::tsquery), false) AS matches
FROM {vectors} v LEFT JOIN {lexical} l USING (document_id, chunk_set_id, ordinal)
WHERE v.document_id = ANY(%(documents)s)
GROUP BY 1, 2;

-- name: proof_caller
-- What the predicate of a search reads, as `search` makes it.
WITH {caller}

-- name: proof_by_id
-- Documents that are asked for by id, through the search's own predicate.
{caller}
SELECT DISTINCT v.document_id, v.chunk_set_id
FROM {table} v JOIN rag.document d USING (document_id)
WHERE d.document_id = ANY(%(documents)s) AND {visible};

-- name: proof_sharing
-- Every document that has or had these texts.
SELECT document_id, chunk_set_id FROM rag.document_content WHERE chunk_set_id = ANY(%(sets)s);

-- name: proof_rows
-- Rows of a version without a predicate, by a login that only the policies hold for.
SELECT DISTINCT document_id, chunk_set_id FROM {table} WHERE document_id = ANY(%(documents)s);

-- name: proof_documents
-- The same of the catalogue.
SELECT document_id FROM rag.document WHERE document_id = ANY(%(documents)s);

-- name: proof_texts
-- The same of texts.
SELECT DISTINCT chunk_set_id FROM {table} WHERE chunk_set_id = ANY(%(sets)s);

-- name: proof_reader
-- A reader's role that this login may take on.
SELECT r.role FROM rag.reader r JOIN pg_roles p ON p.rolname = r.role
WHERE pg_has_role(current_user, p.oid, 'MEMBER') ORDER BY r.made_at DESC LIMIT 1;
-- name: candidate_vectors
-- The vectors of chunks in the version that the caller reads, in the binary form of the type vector.
SELECT v.document_id, cs.key, v.ordinal, vector_send(v.embedding::vector) AS embedding
FROM unnest(%(documents)s::bigint[], %(keys)s::uuid[], %(ordinals)s::int[]) AS asked(document_id, key, ordinal)
JOIN rag.chunk_set cs USING (key)
JOIN {vectors} v ON v.document_id = asked.document_id AND v.chunk_set_id = cs.chunk_set_id
    AND v.ordinal = asked.ordinal;

-- name: neighbours
-- The chunks around some chunks, theirs included: parts of documents that the search has just let the caller see.
-- A document that was deleted meanwhile gives none.
SELECT asked.document_id, cs.key, asked.ordinal AS of_ordinal, c.ordinal, c.start_at, c.end_at, c.page_first,
       c.page_last, c.tokens, c.heading_path, c.context, c.text
FROM unnest(%(documents)s::bigint[], %(keys)s::uuid[], %(ordinals)s::int[]) AS asked(document_id, key, ordinal)
JOIN rag.chunk_set cs USING (key)
JOIN rag.document d ON d.document_id = asked.document_id AND d.state <> 'tombstoned'
JOIN rag.chunk c ON c.chunk_set_id = cs.chunk_set_id
    AND c.ordinal BETWEEN asked.ordinal - %(reach)s AND asked.ordinal + %(reach)s
ORDER BY asked.document_id, cs.key, asked.ordinal, c.ordinal;

-- name: vocabulary
-- The words of a tenant's passages in a version as they are written, with the number of passages that have them and
-- whether everybody may read one of these: of at most so many passages that documents have now, in an order that
-- has nothing to do with their content.
SELECT lexeme AS word, count(*) AS passages, bool_or(open) AS open
FROM (
    SELECT chunk_set_id, l.ordinal,
           d.access_id IN (SELECT unnest(rag.rules_of(%(tenant)s, ARRAY['everyone']))) AS open
    FROM {lexical} l
    JOIN rag.document d USING (document_id)
    JOIN rag.document_content c USING (document_id, chunk_set_id)
    WHERE d.tenant = %(tenant)s AND d.state <> 'tombstoned' AND c.access_id IS NULL
    ORDER BY hashint8(chunk_set_id * 1000 + l.ordinal)
    LIMIT %(passages)s
) AS sample
JOIN rag.chunk c USING (chunk_set_id, ordinal), unnest(to_tsvector('pg_catalog.simple', left(c.prefix || c.text, 20000)))
WHERE length(lexeme) BETWEEN %(shortest)s AND 40 AND lexeme ~ '^[[:alpha:]]+$'
GROUP BY 1 HAVING count(*) >= %(least)s
ORDER BY 2 DESC, 1 LIMIT %(words)s;

-- name: words_found
-- Which of some words, read in any of the index's languages, a passage has that the caller may see and that its
-- document has now; stop words count as found.
WITH allowed AS MATERIALIZED (
    SELECT unnest(rag.rules_of(%(tenant)s, %(principals)s)) AS access_id
)
SELECT DISTINCT word
FROM unnest(%(words)s::text[]) AS word, unnest({configurations}::regconfig[]) AS language,
     plainto_tsquery(language, word) AS wanted
WHERE numnode(wanted) = 0 OR EXISTS (
    SELECT FROM {lexical} l
    JOIN rag.document d USING (document_id)
    JOIN rag.document_content c USING (document_id, chunk_set_id)
    WHERE l.words @@ wanted AND d.tenant = %(tenant)s AND d.state <> 'tombstoned' AND c.access_id IS NULL
      AND d.access_id IN (SELECT access_id FROM allowed)
);
-- name: search_state
SELECT version_id, changes FROM rag.search_state(%(index_name)s, %(tenant)s);
-- name: is_known
SELECT rag.is_known(%(tenant)s, %(principals)s) AS known;
-- name: put_canary
WITH started AS (
    INSERT INTO rag.canary (index_name, version_id, live_id, mode, share, tenants, bounds, started_by, reason)
    VALUES (%(index_name)s, %(version_id)s, %(live_id)s, %(mode)s, %(share)s, %(tenants)s, %(bounds)s, %(actor)s,
            %(reason)s)
    RETURNING *
), sides AS (
    INSERT INTO rag.canary_side (canary_id, side) SELECT canary_id, side FROM started, unnest(ARRAY['candidate', 'live']) side
)
SELECT * FROM started;

-- name: running_canaries
SELECT * FROM rag.canary
WHERE state = 'running' AND (%(index_name)s::text IS NULL OR index_name = %(index_name)s);

-- name: canary_by_id
SELECT * FROM rag.canary WHERE canary_id = %(canary_id)s;

-- name: latest_canaries
-- The newest canary of each index, or of one.
SELECT DISTINCT ON (index_name) * FROM rag.canary
WHERE %(index_name)s::text IS NULL OR index_name = %(index_name)s
ORDER BY index_name, canary_id DESC;

-- name: breached_canary
-- The canary that a version broke off, if it did.
SELECT * FROM rag.canary WHERE version_id = %(version_id)s AND state = 'breached' ORDER BY canary_id DESC LIMIT 1;

-- name: end_canary
UPDATE rag.canary SET state = %(state)s, ended_at = now(), ended_by = %(actor)s, verdict = %(verdict)s
WHERE canary_id = %(canary_id)s AND state = 'running'
RETURNING *;

-- name: require_gate
-- One more gate that this version must pass before it may go live.
UPDATE rag.index_version SET required_gates = array_append(required_gates, %(gate)s)
WHERE version_id = %(version_id)s AND NOT %(gate)s = ANY(required_gates);

-- name: add_canary_pairs
UPDATE rag.canary SET
    compared = compared + %(compared)s, failed = failed + %(failed)s, lost = lost + %(lost)s,
    slow = slow + %(slow)s, distance = distance + %(distance)s, skipped = skipped + %(skipped)s
WHERE canary_id = %(canary_id)s
RETURNING *;

-- name: add_canary_side
UPDATE rag.canary_side SET
    searches = searches + %(searches)s, empties = empties + %(empties)s, errors = errors + %(errors)s,
    milliseconds = ARRAY(
        SELECT coalesce(before, 0) + coalesce(more, 0)
        FROM unnest(milliseconds, %(milliseconds)s::bigint[]) WITH ORDINALITY AS class (before, more, nth) ORDER BY nth)
WHERE canary_id = %(canary_id)s AND side = %(side)s;

-- name: canary_sides
SELECT side, searches, empties, errors, milliseconds FROM rag.canary_side WHERE canary_id = %(canary_id)s;

-- name: canary_votes
-- Votes on answers of both versions since the canary began, and until it ended.
SELECT CASE f.version_id WHEN c.version_id THEN 'candidate' ELSE 'live' END AS side,
       count(*) FILTER (WHERE f.verdict = 'up') AS up, count(*) FILTER (WHERE f.verdict = 'down') AS down
FROM rag.canary c JOIN rag.feedback f ON f.version_id IN (c.version_id, c.live_id)
WHERE c.canary_id = %(canary_id)s AND f.at >= c.started_at AND f.at <= coalesce(c.ended_at, 'infinity')
GROUP BY 1;

-- name: put_feedback
-- One vote for an answer; the last one counts.
INSERT INTO rag.feedback (answer, index_name, version_id, verdict, reason)
VALUES (%(answer)s, %(index_name)s, %(version_id)s, %(verdict)s, %(reason)s)
ON CONFLICT (answer) DO UPDATE SET verdict = EXCLUDED.verdict, reason = EXCLUDED.reason, at = now();

-- name: receipt_key
SELECT key FROM rag.receipt_key;
-- name: calibration_of
SELECT rag.calibration_of(%(version_id)s, %(mode)s) AS learned;

-- name: put_calibration
INSERT INTO rag.calibration (index_name, fingerprint, mode, learned)
VALUES (%(index_name)s, %(fingerprint)s, %(mode)s, %(learned)s)
ON CONFLICT (index_name, fingerprint, mode) DO UPDATE SET learned = EXCLUDED.learned, learned_at = now();
-- name: settle_deletions
-- Parked deletions with no document left to decide on: applied by a run that was allowed to, or all listed again.
UPDATE rag.deletion x SET decided_at = now(), decided_by = %(actor)s,
    state = CASE WHEN EXISTS (SELECT FROM rag.document d WHERE d.deletion_id = x.deletion_id)
                 THEN 'approved' ELSE 'withdrawn' END
WHERE x.source_id = %(source_id)s AND x.state = 'parked'
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.deletion_id = x.deletion_id AND d.state = 'missing');

-- name: list_deletions
-- Decisions about deletions, the newest first, with how many documents still wait under each.
SELECT x.deletion_id, s.name AS source, x.cause, x.state, x.documents, x.known, x.parked_at, x.decided_at,
       x.decided_by, x.reason,
       (SELECT count(*) FROM rag.document d WHERE d.deletion_id = x.deletion_id AND d.state = 'missing') AS waiting,
       (SELECT count(*) FROM rag.document d WHERE d.deletion_id = x.deletion_id AND d.state = 'tombstoned') AS hidden
FROM rag.deletion x JOIN rag.source s USING (source_id)
WHERE (%(sources)s::text[] IS NULL OR s.name = ANY(%(sources)s))
  AND (%(ids)s::bigint[] IS NULL OR x.deletion_id = ANY(%(ids)s))
  AND (%(states)s::text[] IS NULL OR x.state = ANY(%(states)s))
ORDER BY x.deletion_id DESC;

-- name: deletion_documents
-- The documents that wait under a decision.
SELECT external_id, path, coalesce(given_title, name) AS title, url, raw_bytes, modified_at
FROM rag.document WHERE deletion_id = %(deletion_id)s AND state = 'missing' ORDER BY external_id LIMIT %(limit)s;

-- name: tombstone_parked
UPDATE rag.document SET
    state = 'tombstoned', deleted_at = now(), updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE deletion_id = %(deletion_id)s AND state = 'missing';

-- name: restore_approved
-- Taken back within the grace: served again, in the live version at once where it still holds them.
UPDATE rag.document SET
    state = 'missing', deleted_at = NULL, updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE deletion_id = %(deletion_id)s AND state = 'tombstoned';

-- name: decide_deletion
UPDATE rag.deletion SET state = %(state)s, decided_at = now(), decided_by = %(actor)s, reason = %(reason)s
WHERE deletion_id = %(deletion_id)s;

-- name: unconfigured_sources
-- Sources that the configuration no longer names and that still hold documents nobody has decided on.
SELECT s.source_id, s.name, s.connector, count(*) AS documents
FROM rag.source s JOIN rag.document d USING (source_id)
WHERE s.name <> ALL(%(configured)s) AND d.state = 'present'
GROUP BY s.source_id ORDER BY s.name;

-- name: served_without_source
-- Sources that the configuration no longer names and whose documents are served until somebody decides.
SELECT DISTINCT s.name FROM rag.source s JOIN rag.deletion x USING (source_id) JOIN rag.document d USING (deletion_id)
WHERE s.name <> ALL(%(configured)s) AND x.cause = 'source_removed' AND d.state = 'missing' ORDER BY 1;

-- name: park_source
WITH parked AS (
    INSERT INTO rag.deletion (source_id, cause, documents, known)
    VALUES (%(source_id)s, 'source_removed', %(documents)s, %(documents)s) RETURNING deletion_id
)
UPDATE rag.document d SET state = 'missing', deletion_id = parked.deletion_id, updated_at = clock_timestamp()
FROM parked WHERE d.source_id = %(source_id)s AND d.state = 'present';
-- name: known_documents
-- What is stored of the listed ids.
SELECT document_id, external_id, state, token, attributes_key, access_id, raw_sha256, name, path
FROM rag.document WHERE source_id = %(source_id)s AND external_id = ANY(%(ids)s);

-- name: ensure_access_rule
INSERT INTO rag.access_rule (digest, clauses, deny) VALUES (%(digest)s, %(clauses)s, %(deny)s)
ON CONFLICT (digest) DO UPDATE SET digest = EXCLUDED.digest
RETURNING access_id;

-- name: put_document
-- Insert or update one document with new content; its chunks follow when it has been processed.
INSERT INTO rag.document (
    source_id, external_id, tenant, token, name, path, hint, url, given_title, author, declared_type,
    metadata, attributes_key, access_id, raw_sha256, raw_bytes, modified_at
) VALUES (
    %(source_id)s, %(external_id)s, %(tenant)s, %(token)s, %(name)s, %(path)s, %(hint)s, %(url)s,
    %(given_title)s, %(author)s, %(declared_type)s, %(metadata)s, %(attributes_key)s, %(access_id)s,
    %(raw_sha256)s, %(raw_bytes)s, %(modified_at)s
)
ON CONFLICT (source_id, external_id) DO UPDATE SET
    tenant = EXCLUDED.tenant, token = EXCLUDED.token, name = EXCLUDED.name, path = EXCLUDED.path,
    hint = EXCLUDED.hint, url = EXCLUDED.url, given_title = EXCLUDED.given_title, author = EXCLUDED.author,
    declared_type = EXCLUDED.declared_type, metadata = EXCLUDED.metadata,
    attributes_key = EXCLUDED.attributes_key, access_id = EXCLUDED.access_id,
    raw_sha256 = EXCLUDED.raw_sha256, raw_bytes = EXCLUDED.raw_bytes, modified_at = EXCLUDED.modified_at,
    status = CASE WHEN document.raw_sha256 = EXCLUDED.raw_sha256 THEN document.status ELSE 'pending' END,
    changed_xid = CASE WHEN document.state = 'present' AND document.tenant = EXCLUDED.tenant THEN document.changed_xid
                       ELSE pg_current_xact_id() END,
    state = 'present', deleted_at = NULL, deletion_id = NULL, updated_at = clock_timestamp();

-- name: set_attributes
-- A change of metadata, access or token alone: no content, no chunk and no vector is touched. Versions count words by
-- tenant, so that a document of another tenant has changed for them.
UPDATE rag.document SET
    tenant = %(tenant)s, token = %(token)s, name = %(name)s, path = %(path)s, hint = %(hint)s, url = %(url)s,
    given_title = %(given_title)s, author = %(author)s, declared_type = %(declared_type)s,
    metadata = %(metadata)s, attributes_key = %(attributes_key)s, access_id = %(access_id)s,
    modified_at = %(modified_at)s, state = 'present', deleted_at = NULL, deletion_id = NULL, updated_at = clock_timestamp(),
    changed_xid = CASE WHEN state = 'present' AND tenant = %(tenant)s THEN changed_xid ELSE pg_current_xact_id() END
WHERE document_id = %(document_id)s;

-- name: rename_document
-- The connector says that this document moved: same row, new id.
UPDATE rag.document SET external_id = %(external_id)s, updated_at = clock_timestamp()
WHERE document_id = %(document_id)s;

-- name: make_seen
CREATE TEMPORARY TABLE IF NOT EXISTS seen (external_id text PRIMARY KEY, failed boolean NOT NULL) ON COMMIT PRESERVE ROWS;

-- name: clear_seen
TRUNCATE seen;

-- name: add_seen
INSERT INTO seen (external_id, failed)
SELECT external_id, failed FROM unnest(%(ids)s::text[], %(failed)s::boolean[]) AS t (external_id, failed)
ON CONFLICT (external_id) DO NOTHING;

-- name: count_vanished
-- How many documents the listing named, how many were stored before it, and how many of those it did not name:
-- `gone` all of them, `vanished` those whose deletion nobody has decided on (`parked`: or is being allowed now).
SELECT (SELECT count(*) FROM seen) AS seen,
       count(*) FILTER (WHERE d.created_at <= %(before)s) AS known,
       count(*) FILTER (WHERE s.external_id IS NULL) AS gone,
       count(*) FILTER (WHERE s.external_id IS NULL AND (d.state = 'present' OR (%(parked)s AND x.state = 'parked')))
           AS vanished
FROM rag.document d LEFT JOIN seen s USING (external_id) LEFT JOIN rag.deletion x USING (deletion_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned';

-- name: vanished_documents
-- The ids of what `count_vanished` counts, in order.
SELECT d.external_id
FROM rag.document d LEFT JOIN seen s USING (external_id) LEFT JOIN rag.deletion x USING (deletion_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND s.external_id IS NULL
  AND (d.state = 'present' OR (%(parked)s AND x.state = 'parked')) AND d.external_id > %(after)s
ORDER BY d.external_id LIMIT %(limit)s;

-- name: merge_moves
-- A vanished document and a new one with the same bytes are one document that moved: the old row takes the
-- new row's place (id, path, attributes), so that its chunks, its vectors and every index version stay as
-- they are. Pairs are made one to one, by name first. Empty documents have no content to recognise them by.
WITH gone AS (
    SELECT d.document_id, d.raw_sha256, d.name, d.external_id
    FROM rag.document d LEFT JOIN seen s USING (external_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND s.external_id IS NULL AND d.raw_bytes > 0
), fresh AS (
    SELECT d.document_id, d.raw_sha256, d.name, d.external_id
    FROM rag.document d JOIN seen s USING (external_id)
    WHERE d.source_id = %(source_id)s AND d.state = 'present' AND d.created_at > %(since)s
), named AS (
    SELECT DISTINCT ON (f.document_id) g.document_id AS old_id, f.document_id AS new_id
    FROM (SELECT *, row_number() OVER (PARTITION BY raw_sha256, name ORDER BY external_id) AS n FROM gone) g
    JOIN (SELECT *, row_number() OVER (PARTITION BY raw_sha256, name ORDER BY external_id) AS n FROM fresh) f
      USING (raw_sha256, name, n)
), other AS (
    SELECT g.document_id AS old_id, f.document_id AS new_id
    FROM (SELECT *, row_number() OVER (PARTITION BY raw_sha256 ORDER BY external_id) AS n FROM gone
          WHERE document_id NOT IN (SELECT old_id FROM named)) g
    JOIN (SELECT *, row_number() OVER (PARTITION BY raw_sha256 ORDER BY external_id) AS n FROM fresh
          WHERE document_id NOT IN (SELECT new_id FROM named)) f
      USING (raw_sha256, n)
), pairs AS (
    SELECT * FROM named UNION ALL SELECT * FROM other
), taken AS (
    DELETE FROM rag.document d USING pairs WHERE d.document_id = pairs.new_id
    RETURNING pairs.old_id, d.*
)
SELECT * FROM taken;

-- name: apply_move
UPDATE rag.document SET
    external_id = %(external_id)s, tenant = %(tenant)s, token = %(token)s, name = %(name)s, path = %(path)s,
    hint = %(hint)s, url = %(url)s, given_title = %(given_title)s, author = %(author)s,
    declared_type = %(declared_type)s, metadata = %(metadata)s, attributes_key = %(attributes_key)s,
    access_id = %(access_id)s, modified_at = %(modified_at)s, updated_at = clock_timestamp(),
    state = 'present', deleted_at = NULL, deletion_id = NULL
WHERE document_id = %(old_id)s;

-- name: tombstone_vanished
-- Hide every document that a complete listing did not name, in every version at once.
UPDATE rag.document d SET
    state = 'tombstoned', deleted_at = now(), updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE d.source_id = %(source_id)s
  AND (d.state = 'present' OR (%(parked)s AND d.state = 'missing' AND EXISTS (
       SELECT FROM rag.deletion x WHERE x.deletion_id = d.deletion_id AND x.state = 'parked')))
  AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = d.external_id);

-- name: park_vanished
-- Above the delete guard: marked missing, still served, until a person decides.
WITH parked AS (
    INSERT INTO rag.deletion (source_id, cause, documents, known)
    VALUES (%(source_id)s, %(cause)s, %(documents)s, %(known)s) RETURNING deletion_id
)
UPDATE rag.document d SET state = 'missing', deletion_id = parked.deletion_id, updated_at = clock_timestamp()
FROM parked
WHERE d.source_id = %(source_id)s AND d.state = 'present'
  AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = d.external_id);

-- name: unpark_seen
-- Documents that were missing and are listed again.
UPDATE rag.document d SET state = 'present', deletion_id = NULL, updated_at = clock_timestamp()
FROM seen s WHERE d.source_id = %(source_id)s AND d.state = 'missing' AND d.external_id = s.external_id;

-- name: tombstone_ids
UPDATE rag.document SET
    state = 'tombstoned', deleted_at = now(), updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE source_id = %(source_id)s AND external_id = ANY(%(ids)s) AND state <> 'tombstoned';

-- name: close_resolved
-- Quarantine rows of documents that are fine now or gone.
DELETE FROM rag.quarantine q
WHERE q.source_id = %(source_id)s AND q.external_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.source_id = q.source_id AND d.external_id = q.external_id
                  AND d.state <> 'tombstoned')
  AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = q.external_id);

-- name: park_ids
-- Above the delete guard, from a change feed: marked missing, still served.
WITH parked AS (
    INSERT INTO rag.deletion (source_id, cause, documents, known)
    VALUES (%(source_id)s, %(cause)s, %(documents)s, %(known)s) RETURNING deletion_id
)
UPDATE rag.document d SET state = 'missing', deletion_id = parked.deletion_id, updated_at = clock_timestamp()
FROM parked WHERE d.source_id = %(source_id)s AND d.external_id = ANY(%(ids)s) AND d.state = 'present';
-- name: evaluation_documents
-- The documents of some sources that a golden set names, by whatever name.
SELECT d.document_id, s.name AS source, d.external_id, d.path, d.url, p.language
FROM rag.document d JOIN rag.source s USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned'
  AND (d.external_id = ANY(%(names)s) OR d.path = ANY(%(names)s) OR d.url = ANY(%(names)s));

-- name: evaluation_passages
-- The text of some documents in the pieces of one chunker, with their offsets.
SELECT dc.document_id, c.start_at, c.text
FROM rag.document_chunks dc JOIN rag.chunk c USING (chunk_set_id)
WHERE dc.profile_id = %(chunker_id)s AND dc.document_id = ANY(%(documents)s)
ORDER BY dc.document_id, c.ordinal;

-- name: evaluation_names
-- What documents are called, for a report.
SELECT d.document_id, s.name AS source, d.external_id
FROM rag.document d JOIN rag.source s USING (source_id) WHERE d.document_id = ANY(%(documents)s);

-- name: put_evaluation
INSERT INTO rag.evaluation_run (index_name, version_id, golden, golden_key, label, setting, summary, notes, started_at)
VALUES (%(index_name)s, %(version_id)s, %(golden)s, %(golden_key)s, %(label)s, %(setting)s, %(summary)s, %(notes)s,
        %(started_at)s)
RETURNING run_id;

-- name: put_evaluation_answers
INSERT INTO rag.evaluation_answer (run_id, position, question_id, query, slices, answerable, confidence, figures, violations,
                                   hits, embed_ms, search_ms)
SELECT %(run_id)s, a.position, a.id, a.query, a.slices, a.answerable, a.confidence, a.figures, a.violations, a.hits, a.embed_ms,
       a.search_ms
FROM json_to_recordset(%(answers)s) AS a(position integer, id text, query text, slices text[], answerable boolean,
     confidence double precision, figures json, violations jsonb, hits jsonb, embed_ms double precision,
     search_ms double precision);

-- name: evaluation
SELECT run_id, index_name, version_id, golden, golden_key, label, setting, summary, notes, started_at
FROM rag.evaluation_run WHERE run_id = %(run_id)s;

-- name: evaluation_answers
SELECT question_id AS id, query, slices, answerable, confidence, figures, violations, hits, embed_ms, search_ms
FROM rag.evaluation_answer WHERE run_id = %(run_id)s ORDER BY position;

-- name: evaluations
-- Runs, newest first.
SELECT r.run_id, r.index_name, r.version_id, v.state, r.golden, r.label, r.setting, r.summary, r.started_at
FROM rag.evaluation_run r JOIN rag.index_version v USING (version_id)
WHERE %(index_name)s::text IS NULL OR r.index_name = %(index_name)s
ORDER BY r.run_id DESC LIMIT %(limit)s;

-- name: version_scores
-- The newest run of each of an index's newest versions by mode, and whether it asked this golden set as it is now.
SELECT DISTINCT ON (r.version_id, r.setting ->> 'mode') r.version_id, v.state, r.setting ->> 'mode' AS mode, r.golden,
       r.golden_key = %(golden_key)s AS same_questions, r.summary, r.started_at
FROM rag.evaluation_run r JOIN rag.index_version v USING (version_id)
WHERE r.index_name = %(index_name)s AND r.golden = %(golden)s
ORDER BY r.version_id DESC, mode, r.run_id DESC
LIMIT %(limit)s;

-- name: label_documents
-- What questions can be made of: the documents of some sources, with who may read them.
SELECT d.document_id, s.name AS source, d.external_id, d.path, d.url, d.tenant, d.raw_sha256, p.blocks_sha256, p.media_type,
       p.language, coalesce(d.given_title, p.title) AS title, a.clauses, a.deny
FROM rag.document d JOIN rag.source s USING (source_id) JOIN rag.parse p USING (parse_id)
JOIN rag.access_rule a USING (access_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned' AND p.status = 'ok'
ORDER BY s.name, d.external_id;
-- The conditions of a filter, each a predicate on a document `d`, for query/filter_predicate.py; one that is not known to hold
-- may be NULL. The placeholders are parameters, or a test on what the fragment names.

-- name: filter_source
d.source_id = ANY (ARRAY(SELECT s.source_id FROM rag.source s WHERE {test}))

-- name: filter_between
-- A prefix as an interval of code points: starts_with has an index only for a text that is known when it is planned,
-- and one generic plan serves every search.
({subject} ~>=~ {first} AND {subject} ~<~ {after})

-- name: filter_from
{subject} ~>=~ {first}

-- name: filter_parse
-- EXISTS lets the planner choose between one look at all parses and one at each document's.
EXISTS (SELECT FROM rag.parse p WHERE p.parse_id = d.parse_id AND {test})

-- name: filter_language
-- "en" holds for "en-US" too.
(lower(p.language) = ANY({values}) OR split_part(lower(p.language), '-', 1) = ANY({values}))

-- name: filter_contains
-- What the index on metadata answers; a value and the same value in a list are two things that may be contained.
d.metadata @> ANY({values}::jsonb[])

-- name: filter_metadata
EXISTS (SELECT FROM rag.values_of({content}) AS value WHERE {test})

-- name: filter_number
-- CASE, because the type has to be known before the cast.
CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric {operator} {bound} END

-- name: filter_moment
CASE WHEN jsonb_typeof(value) = 'string' THEN rag.moment(value #>> '{{}}') {operator} {bound} END

-- name: filter_prefix
jsonb_typeof(value) = 'string' AND starts_with(value #>> '{{}}', {prefix})

-- name: filter_filled
jsonb_typeof(value) <> 'null'
-- name: share_catalogue
-- Runs and builds hold this together; a collection of garbage waits for none of them and excludes all.
SELECT pg_advisory_lock_shared(hashtextextended('rag.catalogue', 0));

-- name: unshare_catalogue
SELECT pg_advisory_unlock_shared(hashtextextended('rag.catalogue', 0));

-- name: expired_tombstones
-- Documents that were deleted longer ago than their source's grace: as configured now, or, of a source that
-- is not configured any more, as it was when it last ran.
SELECT d.document_id, d.external_id, s.name AS source, encode(d.raw_sha256, 'hex') AS raw
FROM rag.document d JOIN rag.source s USING (source_id)
LEFT JOIN unnest(%(sources)s::text[], %(graces)s::interval[]) AS g (name, grace) ON g.name = s.name
WHERE d.state = 'tombstoned' AND d.deleted_at < now() - coalesce(g.grace, s.grace)
ORDER BY d.document_id LIMIT %(limit)s;

-- name: purge_documents
DELETE FROM rag.document WHERE document_id = ANY(%(ids)s);

-- name: version_storages
-- The numbers of all physical tables, also those of failed and abandoned builds.
SELECT substring(tablename FROM '[0-9]+$')::int AS storage FROM pg_tables
WHERE schemaname = 'rag' AND tablename ~ '^vectors_[0-9]+$' ORDER BY 1;

-- name: begin_purge
-- The documents whose rows leave every version; the name is the one that `forget_rows` and its kin read.
CREATE TEMPORARY TABLE changed ON COMMIT DROP AS SELECT unnest(%(ids)s::bigint[]) AS document_id;

-- name: drop_sources
-- Sources that are not configured any more and hold no document; their runs, plans and the like go with them.
DELETE FROM rag.source s
WHERE s.name <> ALL(%(sources)s) AND NOT EXISTS (SELECT FROM rag.document d WHERE d.source_id = s.source_id);

-- name: begin_references
CREATE TEMPORARY TABLE referenced (chunk_set_id bigint PRIMARY KEY) ON COMMIT DROP;

-- name: add_catalogue_references
INSERT INTO referenced SELECT DISTINCT chunk_set_id FROM rag.document_chunks ON CONFLICT DO NOTHING;

-- name: add_version_references
INSERT INTO referenced SELECT DISTINCT chunk_set_id FROM {vectors} ON CONFLICT DO NOTHING;

-- name: drop_chunk_sets
DELETE FROM rag.chunk_set s WHERE NOT EXISTS (SELECT FROM referenced r WHERE r.chunk_set_id = s.chunk_set_id);

-- name: drop_chunks
DELETE FROM rag.chunk c WHERE NOT EXISTS (SELECT FROM rag.chunk_set s WHERE s.chunk_set_id = c.chunk_set_id);

-- name: drop_vectors
DELETE FROM rag.embedding e WHERE NOT EXISTS (SELECT FROM rag.chunk c WHERE c.input_key = e.input_key);

-- name: drop_parses
DELETE FROM rag.parse p
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.parse_id = p.parse_id)
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.raw_sha256 = p.raw_sha256 AND d.hint = p.hint);

-- name: drop_access_rules
DELETE FROM rag.access_rule a
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.access_id = a.access_id)
  AND NOT EXISTS (SELECT FROM rag.document_content c WHERE c.access_id = a.access_id);

-- name: known_raw
SELECT DISTINCT raw_sha256 AS digest FROM rag.document WHERE raw_sha256 = ANY(%(digests)s);

-- name: known_blocks
SELECT blocks_sha256 AS digest FROM rag.parse WHERE blocks_sha256 = ANY(%(digests)s)
UNION SELECT blocks_sha256 FROM rag.chunk_set WHERE blocks_sha256 = ANY(%(digests)s);
-- name: gate_orphans
-- Vector rows without a chunk or a document, and rows that only one of the two tables has.
SELECT
    (SELECT count(*) FROM {vectors} v
     WHERE NOT EXISTS (SELECT FROM rag.chunk c WHERE (c.chunk_set_id, c.ordinal) = (v.chunk_set_id, v.ordinal)))
        AS without_chunk,
    (SELECT count(*) FROM {vectors} v LEFT JOIN rag.document d USING (document_id)
     LEFT JOIN rag.source s USING (source_id) WHERE s.name IS NULL OR s.name <> ALL(%(sources)s))
        AS without_document,
    (SELECT count(*) FROM {vectors} v FULL JOIN {lexical} l USING (document_id, chunk_set_id, ordinal)
     WHERE v.embedding IS NULL OR l.words IS NULL) AS in_one_table_only;

-- name: gate_norms
SELECT count(*) FILTER (WHERE vector_dims(embedding) <> %(dimensions)s) AS wrong_dimensions,
       count(*) FILTER (WHERE NOT abs(sqrt(-(embedding <#> embedding)) - 1) <= %(tolerance)s) AS wrong_norm,
       min(sqrt(-(embedding <#> embedding))) AS smallest, max(sqrt(-(embedding <#> embedding))) AS largest
FROM {vectors};

-- name: gate_indexes
-- Whether the vector index and the word index of a version are there and usable.
SELECT a.amname AS method, i.indisvalid AND i.indisready AS valid
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid IN (%(vectors)s::regclass, %(lexical)s::regclass) AND a.amname IN ('hnsw', 'gin');

-- name: recall_sample
-- Stored vectors as queries; the same ones each time, spread over the version.
SELECT embedding::text AS embedding FROM {vectors}
ORDER BY hashint8extended(document_id * 1000003 + chunk_set_id * 1009 + ordinal, 0) LIMIT %(sample)s;

-- name: nearest_exact
-- The best scores by exact search; the sum hides the order from the vector index.
SELECT -(embedding <#> %(query)s::text::{type}) AS score FROM {vectors}
ORDER BY (embedding <#> %(query)s::text::{type}) + 0 LIMIT %(k)s;

-- name: nearest_approximate
SELECT -(embedding <#> %(query)s::text::{type}) AS score FROM {vectors}
ORDER BY embedding <#> %(query)s::text::{type} LIMIT %(k)s;
-- name: unembedded_inputs
-- The distinct inputs of a source's chunks that have no vector under a model yet, and their tokens.
SELECT count(*) AS inputs, coalesce(sum(tokens), 0)::bigint AS tokens
FROM (
    SELECT DISTINCT ON (c.input_key) c.tokens
    FROM rag.document d
    JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
    JOIN rag.chunk c USING (chunk_set_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
      AND NOT EXISTS (SELECT FROM rag.chunk_set_embedded e
                      WHERE e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s)
      AND NOT EXISTS (SELECT FROM rag.embedding v
                      WHERE v.model_id = %(model_id)s AND v.input_key = c.input_key)
) pending;

-- name: embedding_rate
-- Tokens a second of the last runs that embedded anything, those of the source first.
SELECT sum(tokens) / nullif(sum(seconds), 0) AS tokens_per_s
FROM (
    SELECT (report ->> 'tokens')::float8 AS tokens, (report -> 'seconds' ->> 'embed')::float8 AS seconds
    FROM rag.run WHERE (report ->> 'tokens')::bigint > 0
    ORDER BY source_id <> %(source_id)s, run_id DESC LIMIT 5
) AS recent;

-- name: put_plan
-- A new plan of a source takes the place of those that still wait.
WITH superseded AS (
    UPDATE rag.plan SET state = 'superseded' WHERE source_id = %(source_id)s AND state IN ('open', 'parked')
)
INSERT INTO rag.plan (source_id, state, arguments, settings, summary, made_by)
VALUES (%(source_id)s, %(state)s, %(arguments)s, %(settings)s, %(summary)s, %(made_by)s) RETURNING plan_id;

-- name: make_decided
CREATE TEMPORARY TABLE decided (
    n bigint GENERATED ALWAYS AS IDENTITY, external_id text, change text, fingerprint text) ON COMMIT DROP;

-- name: put_plan_changes
-- The last decision on a document is the one that counts.
INSERT INTO rag.plan_change (plan_id, external_id, change, fingerprint)
SELECT DISTINCT ON (external_id) %(plan_id)s, external_id, change, fingerprint
FROM decided ORDER BY external_id, n DESC;

-- name: plan_drift
-- Documents of which something else is decided now than was planned; NULL stands for no change.
SELECT external_id, planned.change AS planned, found.change AS found, count(*) OVER () AS documents
FROM (SELECT external_id, change, fingerprint FROM rag.plan_change WHERE plan_id = %(plan_id)s) planned
FULL JOIN (SELECT DISTINCT ON (external_id) external_id, change, fingerprint
           FROM decided ORDER BY external_id, n DESC) found USING (external_id)
WHERE planned.fingerprint IS DISTINCT FROM found.fingerprint
ORDER BY external_id LIMIT %(limit)s;

-- name: plan_by_id
SELECT p.plan_id, s.name AS source, p.state, p.arguments, p.settings, p.summary, p.made_at, p.made_by,
       p.applied_at, p.applied_by
FROM rag.plan p JOIN rag.source s USING (source_id) WHERE p.plan_id = %(plan_id)s;

-- name: waiting_plans
SELECT p.plan_id, s.name AS source, p.state, p.summary, p.made_at, p.made_by
FROM rag.plan p JOIN rag.source s USING (source_id) WHERE p.state IN ('open', 'parked') ORDER BY p.plan_id DESC;

-- name: plan_applied
UPDATE rag.plan SET state = 'applied', applied_at = now(), applied_by = %(actor)s WHERE plan_id = %(plan_id)s;
-- Purging one document and looking for what is left of it (rag_pipelines/index/purge.py and proof.py).

-- name: purge_document
SELECT d.document_id, d.state, d.path, d.url, d.raw_sha256, p.blocks_sha256
FROM rag.source s JOIN rag.document d USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
WHERE s.name = %(source)s AND d.external_id = %(external_id)s;

-- name: source_number
SELECT source_id FROM rag.source WHERE name = %(source)s;

-- name: purge_trail
-- What the audit says of earlier purges of a document, the newest first.
SELECT at, actor, detail FROM rag.audit WHERE action = 'purge' AND subject = %(subject)s ORDER BY audit_id DESC;

-- name: mapped_sets
-- The chunk sets of a document as it is, and as it was.
SELECT chunk_set_id FROM rag.document_chunks WHERE document_id = %(document_id)s
UNION SELECT chunk_set_id FROM rag.document_content WHERE document_id = %(document_id)s;

-- name: version_evidence
-- The chunk sets that a version shows of a document, and the digests of its vectors there.
SELECT DISTINCT chunk_set_id, encode(sha256(vector_send(embedding::vector)), 'hex') AS vector
FROM {vectors} WHERE document_id = %(document_id)s;

-- name: set_evidence
-- Blocks of chunk sets, and the bytes that were parsed into them.
SELECT DISTINCT encode(cs.blocks_sha256, 'hex') AS blocks, encode(p.raw_sha256, 'hex') AS raw
FROM rag.chunk_set cs LEFT JOIN rag.parse p USING (blocks_sha256) WHERE cs.chunk_set_id = ANY(%(sets)s);

-- name: chunk_evidence
SELECT c.input_key::text AS input, encode(sha256(convert_to(c.text, 'UTF8')), 'hex') AS passage, c.text
FROM rag.chunk c WHERE c.chunk_set_id = ANY(%(sets)s) ORDER BY c.chunk_set_id, c.ordinal;

-- name: cache_evidence
SELECT encode(sha256(vector_send(embedding)), 'hex') AS vector FROM rag.embedding WHERE input_key = ANY(%(inputs)s::uuid[]);

-- name: traces_of_id
-- The catalogue's rows under the document's own number or id.
SELECT 'rag.document' AS place FROM rag.document d JOIN rag.source s USING (source_id)
WHERE d.document_id = %(document_id)s OR (s.name = %(source)s AND d.external_id = %(external_id)s)
UNION ALL SELECT 'rag.document_chunks' FROM rag.document_chunks WHERE document_id = %(document_id)s
UNION ALL SELECT 'rag.document_content' FROM rag.document_content WHERE document_id = %(document_id)s;

-- name: traces_in_version
-- A version's rows under the document's number: vectors, then words.
SELECT (SELECT count(*) FROM {vectors} WHERE document_id = %(document_id)s) AS vectors,
       (SELECT count(*) FROM {lexical} WHERE document_id = %(document_id)s) AS lexical;

-- name: vector_traces
-- Rows of a version with one of the document's vectors, by document.
SELECT document_id, count(*) AS found FROM {vectors}
WHERE encode(sha256(vector_send(embedding::vector)), 'hex') = ANY(%(vectors)s) GROUP BY 1;

-- name: content_traces
-- Parses, chunk sets, chunks and cached vectors that hold what the document held, each with the chunk set or
-- the bytes by which its owner is known.
SELECT 'rag.parse' AS place, 'its bytes or blocks' AS what, NULL::bigint AS chunk_set_id, p.raw_sha256
FROM rag.parse p WHERE encode(p.raw_sha256, 'hex') = ANY(%(raw)s) OR encode(p.blocks_sha256, 'hex') = ANY(%(blocks)s)
UNION ALL
SELECT 'rag.chunk_set', 'its blocks', cs.chunk_set_id, NULL
FROM rag.chunk_set cs WHERE encode(cs.blocks_sha256, 'hex') = ANY(%(blocks)s)
UNION ALL
SELECT 'rag.chunk', 'its text', c.chunk_set_id, NULL
FROM rag.chunk c
WHERE c.input_key = ANY(%(inputs)s::uuid[]) OR encode(sha256(convert_to(c.text, 'UTF8')), 'hex') = ANY(%(passages)s)
UNION ALL
SELECT 'rag.embedding', 'its cached vector', c.chunk_set_id, NULL
FROM rag.embedding e LEFT JOIN rag.chunk c USING (input_key)
WHERE e.input_key = ANY(%(inputs)s::uuid[]) OR encode(sha256(vector_send(e.embedding)), 'hex') = ANY(%(vectors)s);

-- name: quote_traces
-- Rows that hold a passage word for word, in whatever column, with what tells their owner.
SELECT quote, 'rag.chunk' AS place, c.chunk_set_id, NULL::bytea AS raw_sha256, NULL::bigint AS document_id
FROM rag.chunk c, unnest(%(quotes)s::text[]) AS quote
WHERE strpos(c.prefix || c.text, quote) > 0 OR strpos(c.context, quote) > 0
UNION ALL
SELECT quote, 'rag.chunk_set', cs.chunk_set_id, NULL, NULL
FROM rag.chunk_set cs, unnest(%(quotes)s::text[]) AS quote WHERE strpos(cs.title, quote) > 0
UNION ALL
SELECT quote, 'rag.parse', NULL, p.raw_sha256, NULL
FROM rag.parse p, unnest(%(quotes)s::text[]) AS quote WHERE strpos(to_jsonb(p)::text, quote) > 0
UNION ALL
SELECT quote, 'rag.document', NULL, NULL, d.document_id
FROM rag.document d, unnest(%(quotes)s::text[]) AS quote WHERE strpos(to_jsonb(d)::text, quote) > 0;

-- name: owners_of_sets
SELECT chunk_set_id, document_id FROM rag.document_chunks WHERE chunk_set_id = ANY(%(sets)s)
UNION SELECT chunk_set_id, document_id FROM rag.document_content WHERE chunk_set_id = ANY(%(sets)s);

-- name: owners_in_version
SELECT DISTINCT chunk_set_id, document_id FROM {vectors} WHERE chunk_set_id = ANY(%(sets)s);

-- name: owners_of_bytes
SELECT DISTINCT encode(p.raw_sha256, 'hex') AS raw, d.document_id
FROM rag.parse p JOIN rag.document d ON d.parse_id = p.parse_id OR d.raw_sha256 = p.raw_sha256
WHERE p.raw_sha256 = ANY(%(digests)s)
UNION SELECT encode(raw_sha256, 'hex'), document_id FROM rag.document WHERE raw_sha256 = ANY(%(digests)s);

-- name: owners_of_blocks
-- Chunk sets and documents that blocks belong to.
SELECT encode(cs.blocks_sha256, 'hex') AS blocks, cs.chunk_set_id, NULL::bigint AS document_id
FROM rag.chunk_set cs WHERE cs.blocks_sha256 = ANY(%(digests)s)
UNION
SELECT encode(p.blocks_sha256, 'hex'), NULL, d.document_id
FROM rag.parse p JOIN rag.document d ON d.parse_id = p.parse_id OR (d.raw_sha256 = p.raw_sha256 AND d.hint = p.hint)
WHERE p.blocks_sha256 = ANY(%(digests)s);

-- name: names_of_documents
SELECT d.document_id, s.name || ':' || d.external_id AS name FROM rag.document d JOIN rag.source s USING (source_id)
WHERE d.document_id = ANY(%(ids)s);

-- name: record_columns
-- The columns with free text of every table that records what runs and people did, whatever tables there are;
-- what holds content is looked into by its own queries.
SELECT c.table_name, c.column_name, c.data_type IN ('json', 'jsonb') AS is_json,
       EXISTS (SELECT FROM information_schema.columns s WHERE s.table_schema = 'rag' AND s.table_name = c.table_name
               AND s.column_name = 'source_id') AS of_source
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'rag' AND t.table_type = 'BASE TABLE'
  AND (c.data_type IN ('text', 'json', 'jsonb') OR c.udt_name = '_text')
  AND c.table_name <> ALL('{document,document_chunks,document_content,parse,chunk_set,chunk,access_rule,principal_group,membership,profile,migration,source}')
  AND c.table_name !~ '^(vectors|lexical|terms|postings)_[0-9]+$'
  AND c.column_name <> ALL('{state,outcome,cause,stage,status,kind,action,change,gate,suite,expectation,index_name,error_class,fingerprint,settings,code_version,content,lease_owner,required_gates}')
ORDER BY c.table_name, c.ordinal_position;

-- name: record_values
-- Values of a column that may mention one of some words; the caller looks closer.
SELECT ctid::text AS place, {column} AS value FROM {table}
WHERE {scope} AND EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos({column}::text, word) > 0)
FOR UPDATE;

-- name: replace_value
UPDATE {table} SET {column} = %(value)s WHERE ctid = %(place)s::tid;

-- name: delete_record
DELETE FROM {table} WHERE ctid = %(place)s::tid;

-- name: statistics_traces
-- Values that the planner's statistics quote from columns.
SELECT tablename, attname FROM pg_stats, unnest(%(words)s::text[]) AS word
WHERE schemaname = 'rag' AND (strpos(most_common_vals::text, word) > 0 OR strpos(histogram_bounds::text, word) > 0);

-- name: dead_rows
-- Deleted rows that a vacuum did not remove, because a transaction that is still open may look at them.
SELECT relname AS table_name, n_dead_tup AS rows FROM pg_stat_all_tables
WHERE schemaname = 'rag' AND relname = ANY(%(tables)s) AND n_dead_tup > 0;

-- name: flush_counters
-- What this session has counted is known to the server at once, so that it is not added after the vacuum.
SELECT pg_stat_force_next_flush();

-- name: vacuum_table
-- Index entries too, which a vacuum by itself leaves alone where they are few: the graph holds vectors.
VACUUM (ANALYZE, INDEX_CLEANUP ON) {table};

-- name: rewrite_table
VACUUM (FULL, ANALYZE) {table};

-- name: vacuum_statistics
VACUUM pg_catalog.pg_statistic;
-- The rows that the quality suites look at, one query a suite; rag_pipelines/quality/suites.py says what
-- must hold of their columns. Each names the row (external_id, chunk_id), so that a broken one can be found.

-- name: quality_documents
-- Documents of a source and how reading each of them ended, with what stands in quarantine even where no
-- document was stored. Those that the latest listing deleted or missed are there to be counted.
SELECT coalesce(d.external_id, q.external_id, 'entity ' || q.entity) AS external_id, d.state,
       octet_length(d.raw_sha256) AS digest_bytes, d.raw_bytes <= %(max_bytes)s AS within_limit,
       coalesce(d.state, '') = 'tombstoned' OR coalesce(p.status, q.status) IS NOT NULL AS answered,
       coalesce(p.status, q.status) AS status,
       CASE WHEN p.status = 'ok' THEN p.characters END AS characters,
       q.quarantine_id IS NOT NULL AS quarantined,
       CASE WHEN q.quarantine_id IS NOT NULL THEN rank() OVER (ORDER BY q.first_at, q.quarantine_id) END AS quarantine_place,
       (extract(epoch FROM now() - q.first_at) / 86400)::float8 AS quarantine_days,
       CASE WHEN (p.blocks ->> 'table')::int > 0 THEN coalesce((p.counters ->> 'tables_with_header')::int, 0) > 0 END
           AS table_header
FROM (
    SELECT d.* FROM rag.document d JOIN rag.source s USING (source_id)
    WHERE source_id = %(source_id)s AND (d.state <> 'tombstoned' OR d.deleted_at >= s.listed_at)
) d
LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.raw_sha256 = d.raw_sha256
FULL JOIN (SELECT * FROM rag.quarantine WHERE source_id = %(source_id)s) q USING (source_id, external_id);

-- name: quality_chunks
-- The chunks of a source's documents under the chunkers in use. Characters and pages are those of the
-- document's parse, where the chunks were cut from it (a document that failed since keeps its old chunks).
SELECT shown.external_id, cs.chunk_set_id || '/' || coalesce(c.ordinal, -1) AS chunk_id,
       c.tokens, shown.max_tokens, c.start_at, c.end_at, c.end_at - c.start_at AS span, length(c.text) AS text_length,
       shown.characters, cs.chunks AS chunks_expected, count(c.ordinal) OVER (PARTITION BY cs.chunk_set_id) AS chunks_stored,
       CASE WHEN shown.pages IS NULL THEN 1 ELSE c.page_first END AS page,
       coalesce(shown.pages, c.page_last, 1) AS pages, coalesce(c.page_last, 1) AS page_last
FROM (
    SELECT dc.chunk_set_id, min(d.external_id) AS external_id, max(t.max_tokens) AS max_tokens,
           max(p.characters) AS characters, max(p.pages) AS pages
    FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    JOIN unnest(%(chunkers)s::int[], %(max_tokens)s::int[]) AS t (profile_id, max_tokens) USING (profile_id)
    JOIN rag.chunk_set cs USING (chunk_set_id)
    LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.blocks_sha256 = cs.blocks_sha256
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
    GROUP BY dc.chunk_set_id
) shown
JOIN rag.chunk_set cs USING (chunk_set_id)
LEFT JOIN rag.chunk c USING (chunk_set_id)
WHERE cs.chunks > 0;

-- name: quality_vectors
-- The vector of every chunk under every model in use; without those that a model refused, which are in quarantine.
SELECT shown.external_id, c.chunk_set_id || '/' || c.ordinal AS chunk_id, shown.dimensions AS dimensions_expected,
       vector_dims(v.embedding) AS dimensions, vector_norm(v.embedding) AS norm
FROM (
    SELECT dc.chunk_set_id, t.model_id, min(d.external_id) AS external_id, max(t.dimensions) AS dimensions
    FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    JOIN unnest(%(model_chunkers)s::int[], %(models)s::int[], %(dimensions)s::int[]) AS t (profile_id, model_id, dimensions)
      USING (profile_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
    GROUP BY dc.chunk_set_id, t.model_id
) shown
JOIN rag.chunk c USING (chunk_set_id)
LEFT JOIN rag.embedding v ON v.model_id = shown.model_id AND v.input_key = c.input_key
LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = c.chunk_set_id AND e.model_id = shown.model_id
WHERE v.embedding IS NOT NULL OR coalesce(e.missing, 0) = 0;

-- name: forget_quality
DELETE FROM rag.quality_result WHERE source_id = %(source_id)s AND suite = %(suite)s;

-- name: put_quality
INSERT INTO rag.quality_result
    (source_id, suite, expectation, passed, blocking, rows_checked, unexpected, samples, error)
VALUES (%(source_id)s, %(suite)s, %(expectation)s, %(passed)s, %(blocking)s, %(rows_checked)s, %(unexpected)s,
        %(samples)s, %(error)s);

-- name: quality_failures
-- Blocking expectations that failed when they were last run, of these sources.
SELECT s.name AS source, r.suite, r.expectation, r.unexpected, r.rows_checked, r.error, r.checked_at
FROM rag.quality_result r JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND r.blocking AND NOT r.passed
ORDER BY s.name, r.suite, r.expectation;
-- name: put_quarantine_document
-- One open row per document: a repeated failure of the same content under the same code counts attempts up, new
-- content or code starts again. `delay` (seconds, NULL for never) doubles with each attempt after the first
-- `free` ones, up to a day.
WITH counted AS (
    SELECT 1 + coalesce((
        SELECT q.attempts FROM rag.quarantine q
        WHERE q.source_id = %(source_id)s AND q.external_id = %(external_id)s AND q.stage = %(stage)s
          AND q.content IS NOT DISTINCT FROM %(content)s AND q.code_version IS NOT DISTINCT FROM %(code_version)s
    ), 0) AS attempts
)
INSERT INTO rag.quarantine (source_id, external_id, stage, status, error_class, message, content, code_version,
                            attempts, next_try_at)
SELECT %(source_id)s, %(external_id)s, %(stage)s, %(status)s, %(error_class)s, %(message)s, %(content)s,
       %(code_version)s, attempts,
       now() + CASE WHEN %(delay)s::float8 IS NULL THEN NULL
                    WHEN attempts <= %(free)s THEN '0'
                    ELSE least('1 day', make_interval(secs => %(delay)s::float8 * 2 ^ least(attempts - %(free)s - 1, 20)))
               END
FROM counted
ON CONFLICT (source_id, external_id) WHERE external_id IS NOT NULL DO UPDATE SET
    stage = EXCLUDED.stage, status = EXCLUDED.status, error_class = EXCLUDED.error_class, message = EXCLUDED.message,
    content = EXCLUDED.content, code_version = EXCLUDED.code_version, attempts = EXCLUDED.attempts,
    next_try_at = EXCLUDED.next_try_at, last_at = clock_timestamp();

-- name: put_quarantine_entity
-- An entity (a folder, a range, a directory) is tried again whenever it is listed, unless it asked for a pause.
INSERT INTO rag.quarantine (source_id, entity, stage, status, error_class, message, content, code_version, next_try_at)
VALUES (%(source_id)s, %(entity)s, %(stage)s, %(status)s, %(error_class)s, %(message)s, %(content)s, %(code_version)s,
        now() + make_interval(secs => %(delay)s))
ON CONFLICT (source_id, entity) WHERE entity IS NOT NULL DO UPDATE SET
    attempts = quarantine.attempts + 1, stage = EXCLUDED.stage, status = EXCLUDED.status,
    error_class = EXCLUDED.error_class, message = EXCLUDED.message, content = EXCLUDED.content,
    code_version = EXCLUDED.code_version, next_try_at = EXCLUDED.next_try_at, last_at = clock_timestamp();

-- name: documents_not_due
-- Which of these listed documents could not be loaded before, with the same token by the same code, and are not
-- due: their time has not come, or they were tried often enough. What may pass by itself is tried for ever.
SELECT q.external_id
FROM rag.quarantine q
JOIN unnest(%(ids)s::text[], %(tokens)s::text[]) AS listed (external_id, token)
  ON q.external_id = listed.external_id AND q.content = listed.token
WHERE q.source_id = %(source_id)s AND q.stage = 'fetch' AND q.code_version IS NOT DISTINCT FROM %(code_version)s
  AND (q.next_try_at > now() OR (q.attempts >= %(max_attempts)s AND q.error_class <> ALL(%(passing)s)));

-- name: retry_is_due
SELECT EXISTS (
    SELECT FROM rag.quarantine
    WHERE source_id = %(source_id)s AND external_id IS NOT NULL AND stage IN ('list', 'fetch') AND next_try_at <= now()
      AND (attempts < %(max_attempts)s OR error_class = ANY(%(passing)s))
) AS due;

-- name: resolve_quarantine
DELETE FROM rag.quarantine WHERE source_id = %(source_id)s AND external_id = ANY(%(ids)s);

-- name: resolve_listing_failures
-- These documents were listed, and their content is held: earlier failures of listing or loading are mended.
DELETE FROM rag.quarantine
WHERE source_id = %(source_id)s AND stage IN ('list', 'fetch') AND external_id = ANY(%(ids)s);

-- name: resolve_entities
-- Entities (folders, sidecars, ranges, access rules) that failed before and did not fail in the listing that
-- began at `before`; those of listing groups are settled there.
DELETE FROM rag.quarantine
WHERE source_id = %(source_id)s AND stage <> 'groups' AND entity IS NOT NULL AND last_at < %(before)s;

-- name: resolve_refused
-- Documents of which no model in use refuses a chunk any more.
DELETE FROM rag.quarantine q
WHERE q.source_id = %(source_id)s AND q.stage = 'embed' AND NOT EXISTS (
    SELECT FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    JOIN rag.chunk_set_embedded e USING (chunk_set_id)
    WHERE d.source_id = q.source_id AND d.external_id = q.external_id AND e.missing > 0
      AND e.model_id = ANY(%(models)s));

-- name: list_quarantine
SELECT q.quarantine_id, s.name AS source, q.external_id, q.entity, q.stage, q.status, q.error_class, q.message,
       q.attempts, q.next_try_at, q.first_at, q.last_at, q.content, q.code_version
FROM rag.quarantine q JOIN rag.source s USING (source_id)
WHERE (%(source)s::text IS NULL OR s.name = %(source)s)
  AND (%(stage)s::text IS NULL OR q.stage = %(stage)s)
  AND (%(status)s::text IS NULL OR q.status = %(status)s)
  AND (%(error_class)s::text IS NULL OR q.error_class = %(error_class)s)
  AND (%(older_than)s::interval IS NULL OR q.first_at <= now() - %(older_than)s::interval)
  AND (%(ids)s::bigint[] IS NULL OR q.quarantine_id = ANY(%(ids)s))
ORDER BY s.name, q.last_at DESC, q.quarantine_id
LIMIT %(limit)s;

-- name: retry_quarantine
-- Forget the failed parses and refused chunks of these documents, and let the next run try them again at once.
WITH chosen AS (
    SELECT quarantine_id, source_id, external_id FROM rag.quarantine WHERE quarantine_id = ANY(%(ids)s)
), documents AS (
    UPDATE rag.document d SET parse_id = NULL, status = 'pending'
    FROM chosen c, rag.parse p
    WHERE d.source_id = c.source_id AND d.external_id = c.external_id
      AND p.parse_id = d.parse_id AND p.status <> 'ok'
    RETURNING p.parse_id
), parses AS (
    DELETE FROM rag.parse p USING documents WHERE p.parse_id = documents.parse_id AND p.status <> 'ok'
), unembedded AS (
    DELETE FROM rag.chunk_set_embedded e
    USING chosen c, rag.document d, rag.document_chunks dc
    WHERE d.source_id = c.source_id AND d.external_id = c.external_id AND dc.document_id = d.document_id
      AND e.chunk_set_id = dc.chunk_set_id AND e.missing > 0
)
UPDATE rag.quarantine q SET attempts = 0, next_try_at = now()
FROM chosen c WHERE q.quarantine_id = c.quarantine_id;
-- Figures and sample rows for people: what Dagster shows with each materialization.

-- name: stage_totals
-- How much is stored of a source after each stage.
SELECT count(DISTINCT d.document_id) AS documents, coalesce(sum(d.raw_bytes), 0)::bigint AS bytes,
       count(DISTINCT d.document_id) FILTER (WHERE d.parse_id IS NOT NULL) AS parsed,
       coalesce(sum(m.chunks), 0)::bigint AS chunks, coalesce(sum(m.tokens), 0)::bigint AS tokens,
       coalesce(sum(m.vectors), 0)::bigint AS vectors
FROM rag.document d
LEFT JOIN LATERAL (
    SELECT sum(cs.chunks) AS chunks, sum(cs.tokens) AS tokens,
           sum((SELECT sum(cs.chunks - e.missing) FROM rag.chunk_set_embedded e
                WHERE e.chunk_set_id = cs.chunk_set_id)) AS vectors
    FROM rag.document_chunks dc JOIN rag.chunk_set cs USING (chunk_set_id)
    WHERE dc.document_id = d.document_id
) m ON true
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned';

-- name: sample_documents
-- The documents that changed last.
SELECT external_id, tenant, status, raw_bytes AS bytes, modified_at, updated_at
FROM rag.document WHERE source_id = %(source_id)s AND state <> 'tombstoned'
ORDER BY updated_at DESC, document_id DESC LIMIT %(limit)s;

-- name: sample_parses
SELECT d.external_id, p.status, p.media_type, p.pages, p.characters, p.title
FROM rag.document d JOIN rag.parse p USING (parse_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
ORDER BY p.parse_id DESC LIMIT %(limit)s;

-- name: sample_chunks
SELECT d.external_id, c.ordinal, c.tokens, c.page_first AS page, array_to_string(c.heading_path, ' > ') AS headings,
       left(c.text, 200) AS text
FROM rag.chunk c
JOIN rag.document_chunks dc USING (chunk_set_id)
JOIN rag.document d USING (document_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
ORDER BY c.chunk_set_id DESC, c.ordinal LIMIT %(limit)s;

-- name: token_histogram
-- Chunks by their tokens, in ten bands up to the longest.
SELECT band, min(tokens) AS least, max(tokens) AS most, count(*) AS chunks
FROM (
    SELECT c.tokens, width_bucket(c.tokens, 0, max(c.tokens) OVER () + 1, 10) AS band
    FROM rag.chunk c
    JOIN rag.document_chunks dc USING (chunk_set_id)
    JOIN rag.document d USING (document_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
) banded
GROUP BY band ORDER BY band;
-- name: visible_document
-- What a caller may see of the documents `d`, on their state of now: tenant, deletion, access, the caller's filters.
d.tenant = %(tenant)s AND d.state <> 'tombstoned' AND d.access_id IN (SELECT access_id FROM allowed) AND {filters}

-- name: current_text
-- Whether a version's rows `v` hold text that the document still has, or that the caller might have read then.
((v.document_id, v.chunk_set_id) IN (SELECT document_id, chunk_set_id FROM withheld)) IS NOT TRUE

-- name: visible
-- Both, for a version's rows `v` of the documents `d`: every search decides by these two and by nothing else.
{document} AND {text}

-- name: caller
-- For whom a statement reads: the rules that let the caller in, and text that was taken out of documents while
-- they had a rule that does not.
allowed AS MATERIALIZED (
    SELECT unnest(rag.rules_of(%(tenant)s, %(principals)s)) AS access_id
), withheld AS MATERIALIZED (
    SELECT document_id, chunk_set_id FROM rag.document_content
    WHERE access_id IS NOT NULL AND (tenant = %(tenant)s AND access_id IN (SELECT access_id FROM allowed)) IS NOT TRUE
)

-- name: few_by_access
-- Documents of the caller's rules, rule by rule: the inner limit keeps this a walk along the index, which ends as
-- soon as there are too many.
SELECT found.document_id FROM allowed a CROSS JOIN LATERAL (
    SELECT d.document_id FROM rag.document d
    WHERE d.access_id = a.access_id AND d.tenant = %(tenant)s AND d.state <> 'tombstoned'
    LIMIT {few_documents} + 1
) found LIMIT {few_documents} + 1

-- name: few_by_filter
SELECT d.document_id FROM rag.document d WHERE {document} LIMIT {few_documents} + 1

-- name: few_by_phrase
-- Documents with a row that holds every quoted phrase.
SELECT DISTINCT d.document_id FROM {lexical} l JOIN rag.document d USING (document_id)
WHERE l.tenant = %(tenant)s AND l.words @@ %(phrases)s::text::tsquery AND {document}

-- name: holds_phrases
-- Whether a version's row `v` does.
(SELECT l.words @@ %(phrases)s::text::tsquery FROM {lexical} l
 WHERE l.document_id = v.document_id AND l.chunk_set_id = v.chunk_set_id AND l.ordinal = v.ordinal)

-- name: phrases_asked
-- What the quoted phrases of a question ask of a row's words.
SELECT rag.phrases_query({configurations}::regconfig[], %(phrases)s::text[])::text AS phrases;

-- name: words_asked
-- The words of a question that a tenant's rows have: each with its idf (Robertson and Sparck Jones 1976, as Lucene has
-- it) and its postings. Rarest first; once their postings are many, those of commoner words are left out: candidates
-- come from the rare ones, and the score counts all.
SELECT w.term, w.documents, w.idf, p.entries
FROM (
    SELECT t.term, t.documents, ln(1 + (n.documents - t.documents + 0.5) / (t.documents + 0.5))::float8 AS idf,
           sum(t.documents) OVER (ORDER BY t.documents, t.term) - t.documents AS read_before
    FROM (SELECT DISTINCT rag.term_id(lexeme) AS term FROM unnest(rag.question_words({configurations}::regconfig[], %(text)s))) q
    JOIN {terms} t ON t.tenant = %(tenant)s AND t.term = q.term
    JOIN {terms} n ON n.tenant = %(tenant)s AND n.term = 0
) w LEFT JOIN {postings} p ON p.tenant = %(tenant)s AND p.term = w.term AND w.read_before < %(postings)s
ORDER BY w.term;

-- name: search
-- Candidates from each side with both scores, fused; then the best with their texts. Reads the tables of the version
-- that the caller knows, and says in the same snapshot which version is live: one row without a hit means that
-- nothing matched, or that another version is live now and the caller asks again.
--
-- Routed by how many documents the caller's rules and filters leave: few are compared one by one, which is exact;
-- else the vector index is walked, and the rows that have the question's words (`matches`, best first) are looked up.
-- That is known when the statement runs, so the planner has no say in it; and each row that comes is looked up
-- (a scalar sub-select), because a join would be planned with all documents first.
WITH live AS (
    SELECT version_id FROM rag.index_version
    WHERE CASE WHEN %(fixed)s THEN version_id = %(version_id)s ELSE index_name = %(index_name)s AND state = 'live' END
), {caller}, few AS MATERIALIZED (
    {few}
), route AS MATERIALIZED (
    -- Neither when another version is live: then nothing is read.
    SELECT CASE WHEN (SELECT version_id FROM live) = %(version_id)s
                THEN (SELECT count(*) FROM few) <= {few_documents} END AS exact
), asked AS MATERIALIZED (
    SELECT %(vector)s::text::{type} AS vector, %(weights)s::text::sparsevec AS weights
), near AS MATERIALIZED (
    SELECT v.document_id, v.chunk_set_id, v.ordinal, -(v.embedding <#> (SELECT vector FROM asked)) AS dense_score,
           -(v.weights <#> (SELECT weights FROM asked)) AS lexical_score
    FROM few, LATERAL (SELECT * FROM {vectors} v WHERE v.document_id = few.document_id OFFSET 0) v
    WHERE (SELECT exact FROM route) AND {text} AND {quoted}
), candidates AS (
    (SELECT * FROM near WHERE %(dense)s ORDER BY dense_score DESC LIMIT {candidates})
    UNION
    (SELECT * FROM near WHERE lexical_score > 0 ORDER BY lexical_score DESC LIMIT {candidates})
    UNION
    (SELECT v.document_id, v.chunk_set_id, v.ordinal, -(v.embedding <#> (SELECT vector FROM asked)),
            -(v.weights <#> (SELECT weights FROM asked))
     FROM {vectors} v
     WHERE %(dense)s AND NOT (SELECT exact FROM route)
       AND (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id AND d.state <> 'tombstoned')
     ORDER BY v.embedding <#> (SELECT vector FROM asked)
     LIMIT {candidates})
    UNION
    (SELECT v.document_id, v.chunk_set_id, v.ordinal, -(v.embedding <#> (SELECT vector FROM asked)),
            -(v.weights <#> (SELECT weights FROM asked))
     FROM unnest(%(matches)s::text::int[]) AS match,
          LATERAL (SELECT * FROM {vectors} v WHERE v.slot = match OFFSET 0) v
     WHERE NOT (SELECT exact FROM route)
       AND (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id AND d.state <> 'tombstoned')
     LIMIT {candidates})
), ranked AS (
    SELECT *,
           rank() OVER (ORDER BY dense_score DESC NULLS LAST) AS dense_rank,
           rank() OVER (ORDER BY lexical_score DESC NULLS LAST) AS lexical_rank,
           coalesce((dense_score - min(dense_score) OVER ())
                    / nullif(max(dense_score) OVER () - min(dense_score) OVER (), 0), 1) AS dense_share,
           coalesce(lexical_score / nullif(max(lexical_score) OVER (), 0), 0) AS lexical_share
    FROM candidates
), fused AS (
    SELECT *, (CASE
        WHEN NOT %(lexical)s THEN dense_score
        WHEN NOT %(dense)s THEN lexical_score
        WHEN %(rrf_k)s::int IS NULL THEN
            %(dense_weight)s * dense_share + (1 - %(dense_weight)s) * lexical_share
        ELSE %(dense_weight)s / (%(rrf_k)s::int + dense_rank)
           + CASE WHEN lexical_score > 0 THEN (1 - %(dense_weight)s) / (%(rrf_k)s::int + lexical_rank) ELSE 0 END
    END)::float8 AS score
    FROM ranked
)
SELECT live.version_id, (SELECT exact FROM route) AS exact,
       (SELECT count(*) FROM candidates WHERE lexical_score > 0) AS with_words, hit.*
FROM live LEFT JOIN LATERAL (
    SELECT f.score, f.dense_score, f.lexical_score, f.dense_rank, f.lexical_rank,
           cs.key AS chunk_set_key, f.ordinal, f.document_id, c.text, c.context, c.heading_path, c.start_at, c.end_at,
           c.page_first, c.page_last, c.tokens,
           coalesce(d.given_title, cs.title, p.title, d.name) AS title, d.url, d.path, d.external_id, d.author,
           d.metadata, d.modified_at, p.media_type, s.name AS source, s.listed_at AS as_of
    FROM (SELECT * FROM fused ORDER BY score DESC, document_id, chunk_set_id, ordinal LIMIT %(k)s) f
    JOIN rag.chunk_set cs USING (chunk_set_id)
    JOIN rag.chunk c USING (chunk_set_id, ordinal)
    JOIN rag.document d USING (document_id)
    JOIN rag.source s USING (source_id)
    LEFT JOIN rag.parse p USING (parse_id)
) hit ON live.version_id = %(version_id)s
ORDER BY hit.score DESC, hit.document_id, hit.ordinal;

-- name: tenants
-- The tenants of an index's documents; for a message that names the valid ones.
SELECT DISTINCT d.tenant FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned' ORDER BY 1 LIMIT 50;
-- name: ensure_source
-- The id of a source, made on first sight.
INSERT INTO rag.source (name, connector) VALUES (%(name)s, %(connector)s)
ON CONFLICT (name) DO UPDATE SET connector = EXCLUDED.connector
RETURNING source_id, cursor, listed_at;

-- name: describe_source
-- What is needed of a source when it is no longer configured, or its configuration is not at hand.
UPDATE rag.source SET tenant = %(tenant)s, grace = %(grace)s
WHERE source_id = %(source_id)s AND (tenant, grace) IS DISTINCT FROM (%(tenant)s, %(grace)s::interval);

-- name: source_by_name
SELECT source_id, name, connector, cursor, listed_at, settled_at, lease_owner, lease_at FROM rag.source WHERE name = %(name)s;

-- name: listed_at
-- When each source was last listed completely.
SELECT name, listed_at FROM rag.source WHERE name = ANY(%(names)s);

-- name: try_lock
-- A session-level advisory lock: held as long as the holder's connection lives, gone with a killed process.
SELECT pg_try_advisory_lock(hashtextextended(%(key)s, 0)) AS locked;

-- name: unlock
SELECT pg_advisory_unlock(hashtextextended(%(key)s, 0));

-- name: take_source_lease
UPDATE rag.source SET lease_token = %(token)s, lease_owner = %(owner)s, lease_at = now()
WHERE source_id = %(source_id)s;

-- name: hold_source_lease
-- Inside a writing transaction: one row while the lease is ours; nobody can take it before we commit.
SELECT 1 FROM rag.source WHERE source_id = %(source_id)s AND lease_token = %(token)s FOR SHARE;

-- name: save_cursor
UPDATE rag.source
SET cursor = coalesce(%(cursor)s, cursor),
    listed_at = coalesce(%(listed_at)s, listed_at),
    settled_at = CASE WHEN %(listed_at)s::timestamptz IS NULL THEN settled_at ELSE clock_timestamp() END
WHERE source_id = %(source_id)s;

-- name: begin_run
INSERT INTO rag.run (source_id) VALUES (%(source_id)s) RETURNING run_id, started_at;

-- name: newest_run
SELECT run_id, outcome, report FROM rag.run WHERE source_id = %(source_id)s ORDER BY run_id DESC LIMIT 1;

-- name: end_abandoned_runs
-- Runs that never ended, for whoever holds the source's lock: their processes are gone.
UPDATE rag.run SET finished_at = now(), outcome = 'failed'
WHERE source_id = %(source_id)s AND finished_at IS NULL;

-- name: end_run
UPDATE rag.run SET finished_at = now(), outcome = %(outcome)s, report = %(report)s WHERE run_id = %(run_id)s;

-- name: source_status
-- One row a source: counts by state, lag and the last run.
SELECT s.source_id, s.name, s.connector, s.listed_at,
       extract(epoch FROM now() - s.listed_at) AS listed_age_s,
       count(d.*) FILTER (WHERE d.state <> 'tombstoned') AS documents,
       count(d.*) FILTER (WHERE d.state = 'tombstoned') AS tombstoned,
       count(d.*) FILTER (WHERE d.state = 'missing') AS missing,
       count(d.*) FILTER (WHERE d.state <> 'tombstoned' AND d.status = 'pending') AS pending,
       max(d.modified_at) FILTER (WHERE d.state <> 'tombstoned') AS newest_change,
       coalesce(sum(d.raw_bytes) FILTER (WHERE d.state <> 'tombstoned'), 0)::bigint AS bytes,
       (SELECT count(*) FROM rag.quarantine q WHERE q.source_id = s.source_id) AS quarantined,
       (SELECT min(q.first_at) FROM rag.quarantine q WHERE q.source_id = s.source_id) AS oldest_quarantine,
       r.run_id, r.started_at, r.finished_at, r.outcome, r.report
FROM rag.source s
LEFT JOIN rag.document d USING (source_id)
LEFT JOIN LATERAL (
    SELECT * FROM rag.run WHERE run.source_id = s.source_id ORDER BY run_id DESC LIMIT 1
) r ON true
WHERE s.name = ANY(%(names)s)
GROUP BY s.source_id, r.run_id, r.started_at, r.finished_at, r.outcome, r.report
ORDER BY s.name;
-- name: find_profiles
SELECT fingerprint, profile_id FROM rag.profile WHERE kind = %(kind)s AND fingerprint = ANY(%(fingerprints)s);

-- name: ensure_profile
INSERT INTO rag.profile (kind, fingerprint, params) VALUES (%(kind)s, %(fingerprint)s, %(params)s)
ON CONFLICT (kind, fingerprint) DO UPDATE SET params = EXCLUDED.params
RETURNING profile_id;

-- name: pending_documents
-- Documents whose parse or chunks are not what their bytes and the current profiles call for, in order of
-- id after `after`. `memo` is a parse of the same bytes by the current parser, made for whatever document.
-- A document that killed or starved its worker is tried again only after its delay and up to a limit.
SELECT d.document_id, d.external_id, d.name, d.hint, d.declared_type, d.given_title, d.raw_sha256, d.raw_bytes,
       memo.parse_id, memo.status, memo.message, memo.media_type, memo.blocks_sha256, memo.title,
       coalesce(q.attempts, 0) AS attempts
FROM rag.document d
LEFT JOIN LATERAL (
    SELECT p.* FROM rag.parse p
    JOIN unnest(%(media_types)s::text[], %(parsers)s::int[]) AS current (media_type, profile_id)
      ON p.media_type = current.media_type AND p.profile_id = current.profile_id
    WHERE p.raw_sha256 = d.raw_sha256 AND p.hint = d.hint
    LIMIT 1
) memo ON true
LEFT JOIN rag.quarantine q
  ON q.source_id = d.source_id AND q.external_id = d.external_id AND q.stage = 'parse'
 AND q.content = encode(d.raw_sha256, 'hex') AND q.code_version = %(code_version)s
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND d.document_id > %(after)s
  AND (
    (memo.parse_id IS NULL
     AND (q.quarantine_id IS NULL OR (q.attempts < %(max_attempts)s AND q.next_try_at <= now())))
    OR memo.parse_id <> coalesce(d.parse_id, 0)
    OR (memo.status = 'ok' AND EXISTS (
        SELECT FROM unnest(%(chunkers)s::int[], %(titled)s::boolean[]) AS c (profile_id, titled)
        WHERE NOT EXISTS (
            SELECT FROM rag.document_chunks dc JOIN rag.chunk_set cs USING (chunk_set_id)
            WHERE dc.document_id = d.document_id AND dc.profile_id = c.profile_id
              AND cs.blocks_sha256 = memo.blocks_sha256
              AND cs.title IS NOT DISTINCT FROM
                  CASE WHEN c.titled THEN coalesce(d.given_title, memo.title) END)))
  )
ORDER BY d.document_id
LIMIT %(limit)s;

-- name: count_pending
-- How many documents `pending_documents` would give at the most; for progress bars.
SELECT count(*) AS pending FROM rag.document d LEFT JOIN rag.parse p USING (parse_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
  AND (p.parse_id IS NULL OR p.raw_sha256 <> d.raw_sha256 OR p.profile_id <> ALL(%(parsers)s::int[])
       OR d.status = 'pending');

-- name: find_chunk_sets
SELECT key, chunk_set_id, chunks FROM rag.chunk_set WHERE key = ANY(%(keys)s);

-- name: put_parses
-- The outcome of parsing some bytes, good or bad, for whoever meets the same bytes.
INSERT INTO rag.parse (raw_sha256, hint, profile_id, status, message, media_type, blocks_sha256, title, language,
                       pages, characters, blocks, counters, metadata, warnings)
SELECT decode(raw_sha256, 'hex'), hint, profile_id, status, message, media_type, decode(blocks_sha256, 'hex'), title,
       language, pages, coalesce(characters, 0), coalesce(blocks, '{}'), coalesce(counters, '{}'),
       coalesce(metadata, '{}'), coalesce(warnings, '{}')
FROM jsonb_to_recordset(%(rows)s) AS r (
    raw_sha256 text, hint text, profile_id int, status text, message text, media_type text, blocks_sha256 text,
    title text, language text, pages int, characters int, blocks jsonb, counters jsonb, metadata jsonb,
    warnings text[])
ON CONFLICT (raw_sha256, hint, profile_id) DO UPDATE SET status = EXCLUDED.status, message = EXCLUDED.message
RETURNING parse_id, encode(raw_sha256, 'hex') AS raw_sha256, hint;

-- name: put_chunk_sets
-- Returns the sets that are new; a concurrent writer of the same set waits here for us.
INSERT INTO rag.chunk_set (key, blocks_sha256, title, profile_id, chunks, tokens)
SELECT key, decode(blocks_sha256, 'hex'), title, profile_id, chunks, tokens
FROM jsonb_to_recordset(%(rows)s) AS r (
    key uuid, blocks_sha256 text, title text, profile_id int, chunks int, tokens bigint)
ON CONFLICT (key) DO NOTHING
RETURNING key, chunk_set_id;

-- name: finish_documents
-- What became of documents, unless their bytes have changed again meanwhile. `changed` says that what index
-- versions hold of them is out of date; `reload` that our copy of the bytes is gone, so that the next listing
-- takes the document for a changed one.
UPDATE rag.document d SET
    parse_id = r.parse_id, status = r.status, updated_at = clock_timestamp(),
    token = CASE WHEN r.reload THEN '' ELSE d.token END,
    changed_xid = CASE WHEN r.changed THEN pg_current_xact_id() ELSE d.changed_xid END
FROM jsonb_to_recordset(%(rows)s) AS r (
    document_id bigint, raw_sha256 text, parse_id bigint, status text, changed boolean, reload boolean)
WHERE d.document_id = r.document_id AND d.raw_sha256 = decode(r.raw_sha256, 'hex');

-- name: map_chunks
-- Unless the document has other bytes or another title by now: it would answer for text that it no longer has.
INSERT INTO rag.document_chunks (document_id, profile_id, chunk_set_id)
SELECT r.document_id, r.profile_id, r.chunk_set_id
FROM jsonb_to_recordset(%(rows)s) AS r (
    document_id bigint, raw_sha256 text, given_title text, profile_id int, chunk_set_id bigint)
JOIN rag.document d ON d.document_id = r.document_id AND d.raw_sha256 = decode(r.raw_sha256, 'hex')
 AND d.given_title IS NOT DISTINCT FROM r.given_title
ON CONFLICT (document_id, profile_id) DO UPDATE SET chunk_set_id = EXCLUDED.chunk_set_id;

-- name: unmap_chunks
-- These documents have no text any more.
DELETE FROM rag.document_chunks WHERE document_id = ANY(%(ids)s);

-- name: mark_embedded
INSERT INTO rag.chunk_set_embedded (chunk_set_id, model_id, missing)
SELECT chunk_set_id, model_id, missing
FROM jsonb_to_recordset(%(rows)s) AS r (chunk_set_id bigint, model_id int, missing int)
ON CONFLICT (chunk_set_id, model_id) DO UPDATE SET missing = EXCLUDED.missing;

-- name: mark_changed
-- What index versions hold of these documents is out of date from this transaction on.
UPDATE rag.document SET changed_xid = pg_current_xact_id() WHERE document_id = ANY(%(ids)s);

-- name: missing_vectors
-- Which of these inputs have no vector yet.
SELECT k.key FROM unnest(%(keys)s::uuid[]) AS k (key)
WHERE NOT EXISTS (SELECT FROM rag.embedding e WHERE e.model_id = %(model_id)s AND e.input_key = k.key);

-- name: pending_chunk_sets
-- Chunk sets of a source's documents that are not embedded under a model, after `after`.
SELECT DISTINCT dc.chunk_set_id, cs.chunks
FROM rag.document d
JOIN rag.document_chunks dc USING (document_id)
JOIN rag.chunk_set cs USING (chunk_set_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND dc.profile_id = %(chunker_id)s
  AND dc.chunk_set_id > %(after)s
  AND NOT EXISTS (SELECT FROM rag.chunk_set_embedded e
                  WHERE e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s)
ORDER BY dc.chunk_set_id
LIMIT %(limit)s;

-- name: chunk_inputs
SELECT chunk_set_id, ordinal, input_key, prefix || text AS input FROM rag.chunk
WHERE chunk_set_id = ANY(%(sets)s) ORDER BY chunk_set_id, ordinal;

-- name: documents_of_sets
-- The documents of a source that show these chunk sets.
SELECT dc.chunk_set_id, d.document_id, d.external_id, encode(d.raw_sha256, 'hex') AS sha256
FROM rag.document_chunks dc JOIN rag.document d USING (document_id)
WHERE d.source_id = %(source_id)s AND dc.chunk_set_id = ANY(%(sets)s) AND d.state <> 'tombstoned';
-- name: create_storage
-- The physical tables of one version. Narrow: no text. PLAIN: a vector is never TOASTed. `slot` numbers the rows for
-- the postings; a term numbered 0 counts all rows of a tenant.
CREATE TABLE {vectors} (
    slot integer NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    document_id bigint NOT NULL, chunk_set_id bigint NOT NULL, ordinal integer NOT NULL,
    embedding {type} NOT NULL, weights sparsevec NOT NULL
);
ALTER TABLE {vectors} ALTER COLUMN embedding SET STORAGE PLAIN;
ALTER TABLE {vectors} SET (parallel_workers = {workers});
CREATE TABLE {terms} (tenant text COLLATE "C" NOT NULL, term integer NOT NULL, documents integer NOT NULL);
CREATE TABLE {postings} (
    tenant text COLLATE "C" NOT NULL, term integer NOT NULL, first integer NOT NULL, entries bytea NOT NULL
);
ALTER TABLE {postings} ALTER COLUMN entries SET STORAGE PLAIN;

-- name: protect_storage
-- Row-level security on a version's tables, and readers let in under it.
SELECT rag.protect_version(%(storage)s);

-- name: drop_storage
DROP TABLE IF EXISTS {vectors}, {lexical}, {terms}, {postings};

-- name: index_members
-- How much a build over these sources holds: documents and chunks with vectors, and documents left out because
-- their chunks are not embedded yet.
SELECT count(DISTINCT dc.document_id) FILTER (WHERE e.chunk_set_id IS NOT NULL) AS documents,
       coalesce(sum(cs.chunks - e.missing) FILTER (WHERE e.chunk_set_id IS NOT NULL), 0)::bigint AS expected_rows,
       count(*) FILTER (WHERE e.chunk_set_id IS NULL AND cs.chunks > 0) AS not_embedded,
       min(s.listed_at) AS as_of
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
JOIN rag.chunk_set cs USING (chunk_set_id)
LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = cs.chunk_set_id AND e.model_id = %(model_id)s
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned';

-- name: load_words
-- The indexed words of every chunk that has a vector: what the model sees is what the lexical index sees.
CREATE TABLE {lexical} AS
SELECT d.tenant COLLATE "C" AS tenant, d.document_id, c.chunk_set_id, c.ordinal,
       {chunk_words} AS words
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
JOIN rag.chunk_set_embedded e ON e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s
JOIN rag.chunk c ON c.chunk_set_id = dc.chunk_set_id
JOIN rag.embedding v ON v.model_id = %(model_id)s AND v.input_key = c.input_key
LEFT JOIN rag.parse p USING (parse_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned';

-- name: average_length
SELECT coalesce(nullif(avg(rag.text_length(words)), 0), 1)::float8 AS average_length FROM {lexical};

-- name: load_vectors
INSERT INTO {vectors} (document_id, chunk_set_id, ordinal, embedding, weights)
SELECT l.document_id, l.chunk_set_id, l.ordinal, v.embedding::{type},
       rag.bm25_weights(l.words, %(k1)s, %(k1)s * (1 - %(b)s + %(b)s * rag.text_length(l.words) / %(average_length)s))
FROM {lexical} l
JOIN rag.chunk c USING (chunk_set_id, ordinal)
JOIN rag.embedding v ON v.model_id = %(model_id)s AND v.input_key = c.input_key;

-- name: word_postings
-- Every word of the rows `v`, with the block of `postings` that it belongs to.
SELECT tenant, term, slot, impact, (row_number() OVER (PARTITION BY tenant, term ORDER BY slot) - 1) / 1600 AS block
FROM (
    SELECT l.tenant, rag.term_id(w.lexeme) AS term, v.slot,
           rag.impact(cardinality(w.positions), %(k1)s, l.saturation) AS impact
    FROM (SELECT *, %(k1)s * (1 - %(b)s + %(b)s * rag.text_length(words) / %(average_length)s) AS saturation
          FROM {lexical} OFFSET 0) l
    JOIN {rows} v USING (document_id, chunk_set_id, ordinal), unnest(l.words) AS w
) AS each

-- name: changed_rows
(SELECT * FROM {vectors} JOIN changed USING (document_id))

-- name: load_postings
INSERT INTO {postings} (tenant, term, first, entries)
SELECT tenant, term, min(slot), string_agg(rag.posting(slot, impact), '' ORDER BY slot)
FROM ({words}) AS word GROUP BY tenant, term, block;

-- name: load_terms
INSERT INTO {terms} (tenant, term, documents)
SELECT tenant, term, sum(length(entries) / 5) FROM {postings} GROUP BY 1, 2
UNION ALL SELECT tenant, 0, count(*) FROM {lexical} GROUP BY 1;

-- name: index_keys
ALTER TABLE {vectors} ADD PRIMARY KEY (document_id, chunk_set_id, ordinal), ADD UNIQUE (slot);
ALTER TABLE {lexical} ADD PRIMARY KEY (document_id, chunk_set_id, ordinal);
ALTER TABLE {terms} ADD PRIMARY KEY (tenant, term);
ALTER TABLE {postings} ADD PRIMARY KEY (tenant, term, first);

-- name: index_words
CREATE INDEX ON {lexical} USING gin (words) WITH (fastupdate = off);

-- name: index_vectors
CREATE INDEX ON {vectors} USING hnsw (embedding {opclass}) WITH (m = {m}, ef_construction = {ef_construction});

-- name: analyze_storage
ANALYZE {vectors}, {lexical}, {terms}, {postings};

-- name: prewarm
-- Reads the vectors once, so that the first query does not.
SELECT count(embedding) FROM {vectors};

-- name: collect_changed
-- Documents whose rows in a version may be out of date since its watermark.
CREATE TEMPORARY TABLE changed ON COMMIT DROP AS
SELECT d.document_id FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.changed_xid >= %(watermark)s::text::xid8;

-- name: add_departed
-- Documents that a version holds and the catalogue no longer has (purged, or merged into a moved one).
INSERT INTO changed
SELECT DISTINCT v.document_id FROM {vectors} v
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.document_id = v.document_id);

-- name: forget_words
-- What the versions' words say of the documents in `changed`: their postings, and how many rows have each word. A row's
-- block is the last one that does not begin after it.
WITH gone AS MATERIALIZED (
    SELECT l.tenant, w.term, v.slot
    FROM {lexical} l JOIN changed USING (document_id) JOIN {vectors} v USING (document_id, chunk_set_id, ordinal),
         LATERAL (SELECT rag.term_id(lexeme) AS term FROM unnest(l.words) UNION ALL SELECT 0) w
), counted AS (
    UPDATE {terms} t SET documents = t.documents - g.n
    FROM (SELECT tenant, term, count(*) AS n FROM gone GROUP BY 1, 2) g
    WHERE t.tenant = g.tenant AND t.term = g.term
)
UPDATE {postings} p SET entries = rag.postings_without(p.entries, block.rows)
FROM (
    SELECT g.tenant, g.term, holder.first, array_agg(g.slot) AS rows
    FROM gone g, LATERAL (SELECT first FROM {postings} p
                          WHERE p.tenant = g.tenant AND p.term = g.term AND p.first <= g.slot
                          ORDER BY first DESC LIMIT 1) AS holder
    GROUP BY 1, 2, 3
) AS block
WHERE p.tenant = block.tenant AND p.term = block.term AND p.first = block.first;

-- name: drop_forgotten_words
WITH emptied AS (DELETE FROM {postings} WHERE entries = '')
DELETE FROM {terms} WHERE documents <= 0;

-- name: forget_rows
DELETE FROM {lexical} USING changed WHERE {lexical}.document_id = changed.document_id;

-- name: forget_vectors
DELETE FROM {vectors} USING changed WHERE {vectors}.document_id = changed.document_id;

-- name: add_words
INSERT INTO {lexical} (tenant, document_id, chunk_set_id, ordinal, words)
SELECT d.tenant, d.document_id, c.chunk_set_id, c.ordinal,
       {chunk_words}
FROM changed
JOIN rag.document d USING (document_id)
JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
JOIN rag.chunk_set_embedded e ON e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s
JOIN rag.chunk c ON c.chunk_set_id = dc.chunk_set_id
JOIN rag.embedding v ON v.model_id = %(model_id)s AND v.input_key = c.input_key
LEFT JOIN rag.parse p USING (parse_id)
WHERE d.state <> 'tombstoned';

-- name: add_vectors
INSERT INTO {vectors} (document_id, chunk_set_id, ordinal, embedding, weights)
SELECT l.document_id, l.chunk_set_id, l.ordinal, v.embedding::{type},
       rag.bm25_weights(l.words, %(k1)s, %(k1)s * (1 - %(b)s + %(b)s * rag.text_length(l.words) / %(average_length)s))
FROM changed
JOIN {lexical} l USING (document_id)
JOIN rag.chunk c USING (chunk_set_id, ordinal)
JOIN rag.embedding v ON v.model_id = %(model_id)s AND v.input_key = c.input_key;

-- name: add_postings
-- New rows have the highest numbers, so that theirs are blocks after all others; a short last block takes them in.
WITH fresh AS MATERIALIZED (
    SELECT tenant, term, block, min(slot) AS first, string_agg(rag.posting(slot, impact), '' ORDER BY slot) AS entries
    FROM ({words}) AS word GROUP BY 1, 2, 3
), grown AS (
    UPDATE {postings} p SET entries = p.entries || f.entries
    FROM fresh f
    WHERE f.block = 0 AND p.tenant = f.tenant AND p.term = f.term AND length(p.entries) + length(f.entries) <= 8000
      AND p.first = (SELECT max(first) FROM {postings} o WHERE o.tenant = f.tenant AND o.term = f.term)
    RETURNING p.tenant, p.term
)
INSERT INTO {postings} (tenant, term, first, entries)
SELECT tenant, term, first, entries FROM fresh f
WHERE f.block > 0 OR NOT EXISTS (SELECT FROM grown g WHERE g.tenant = f.tenant AND g.term = f.term);

-- name: add_terms
INSERT INTO {terms} AS t (tenant, term, documents)
SELECT l.tenant, w.term, count(*)
FROM {lexical} l JOIN changed USING (document_id),
     LATERAL (SELECT rag.term_id(lexeme) AS term FROM unnest(l.words) UNION ALL SELECT 0) w
GROUP BY 1, 2
ON CONFLICT (tenant, term) DO UPDATE SET documents = t.documents + EXCLUDED.documents;

-- name: chunk_statistics
SELECT count(*) AS chunks, count(DISTINCT v.document_id) AS documents, avg(c.tokens)::float8 AS mean_tokens,
       coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY c.tokens), 0)::float8 AS p95_tokens
FROM {vectors} v JOIN rag.chunk c USING (chunk_set_id, ordinal);
-- Re-deriving the truth (rag_pipelines/sync/verify.py) and putting back to work what is damaged (reopen.py).
-- A query of drift gives rows of kind, documents and at most %(limit)s of their ids.

-- name: make_listed
CREATE TEMPORARY TABLE listed (external_id text PRIMARY KEY);

-- name: add_listed
INSERT INTO listed SELECT unnest(%(ids)s::text[]) ON CONFLICT DO NOTHING;

-- name: make_stored_blobs
CREATE TEMPORARY TABLE stored_blob (kind text NOT NULL, digest bytea NOT NULL, PRIMARY KEY (kind, digest));

-- name: add_stored_blobs
INSERT INTO stored_blob SELECT %(kind)s, unnest(%(digests)s::bytea[]) ON CONFLICT DO NOTHING;

-- name: analyze_temporary
ANALYZE stored_blob;

-- name: verify_counts
-- Documents of a source along the stages, and its chunks and vectors under the profiles in use.
SELECT (SELECT count(*) FROM listed) AS listed,
       count(*) AS stored,
       count(*) FILTER (WHERE d.state = 'missing') AS missing,
       count(*) FILTER (WHERE p.status IS NOT NULL) AS parsed,
       count(*) FILTER (WHERE p.status = 'ok') AS readable,
       count(*) FILTER (WHERE made.sets > 0) AS chunked,
       count(*) FILTER (WHERE made.sets > 0 AND made.sets = made.embedded) AS embedded,
       coalesce(sum(made.chunks), 0)::bigint AS chunks,
       coalesce(sum(made.vectors), 0)::bigint AS vectors,
       (SELECT count(*) FROM rag.quarantine q WHERE q.source_id = %(source_id)s) AS quarantined,
       (SELECT extract(epoch FROM now() - s.listed_at)::bigint FROM rag.source s WHERE s.source_id = %(source_id)s)
           AS listing_age_s,
       (SELECT extract(epoch FROM now() - s.groups_at)::bigint FROM rag.source s WHERE s.source_id = %(source_id)s)
           AS groups_age_s
FROM rag.document d
LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.raw_sha256 = d.raw_sha256
LEFT JOIN LATERAL (
    SELECT count(*) AS sets, count(e.chunk_set_id) AS embedded, sum(cs.chunks) AS chunks, sum(cs.chunks - e.missing) AS vectors
    FROM unnest(%(chunkers)s::int[], %(models)s::int[]) AS pair (chunker_id, model_id)
    JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = pair.chunker_id
    JOIN rag.chunk_set cs USING (chunk_set_id)
    LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = cs.chunk_set_id AND e.model_id = pair.model_id
) made ON true
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned';

-- name: verify_listing
-- What the source names and we do not hold (what failed is in quarantine and no drift), and the other way round.
SELECT kind, count(*) AS documents, (array_agg(external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM (
    SELECT 'not_stored' AS kind, l.external_id
    FROM listed l
    WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.source_id = %(source_id)s AND d.external_id = l.external_id
                      AND d.state <> 'tombstoned')
      AND NOT EXISTS (SELECT FROM rag.quarantine q WHERE q.source_id = %(source_id)s AND q.external_id = l.external_id)
    UNION ALL
    SELECT CASE WHEN d.state = 'present' THEN 'gone' ELSE 'parked' END, d.external_id
    FROM rag.document d LEFT JOIN rag.deletion x USING (deletion_id)
    WHERE d.source_id = %(source_id)s AND NOT EXISTS (SELECT FROM listed l WHERE l.external_id = d.external_id)
      AND (d.state = 'present' OR (d.state = 'missing' AND x.state IS DISTINCT FROM 'rejected'))
) drift GROUP BY kind;

-- name: verify_content
-- Chunks and vectors that the catalogue says it has and has not, and those that it knows to be missing.
SELECT kind, count(DISTINCT external_id) AS documents,
       (array_agg(DISTINCT external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM (
    SELECT d.external_id,
           CASE WHEN cs.chunks IS DISTINCT FROM stored.chunks THEN 'chunks_lost'
                WHEN e.chunk_set_id IS NULL THEN 'not_embedded'
                WHEN stored.chunks - stored.vectors > e.missing THEN 'vectors_lost' END AS kind
    FROM unnest(%(chunkers)s::int[], %(models)s::int[]) AS pair (chunker_id, model_id)
    JOIN rag.document_chunks dc ON dc.profile_id = pair.chunker_id
    JOIN rag.document d USING (document_id)
    LEFT JOIN rag.chunk_set cs USING (chunk_set_id)
    LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = dc.chunk_set_id AND e.model_id = pair.model_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS chunks, count(v.input_key) AS vectors
        FROM rag.chunk c LEFT JOIN rag.embedding v ON v.model_id = pair.model_id AND v.input_key = c.input_key
        WHERE c.chunk_set_id = dc.chunk_set_id
    ) stored
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
) drift WHERE kind IS NOT NULL GROUP BY kind;

-- name: verify_blobs
-- Documents whose bytes or blocks are not in the blob store.
SELECT kind, count(*) AS documents, (array_agg(external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM (
    SELECT 'bytes_lost' AS kind, d.external_id FROM rag.document d
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
      AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'raw' AND b.digest = d.raw_sha256)
    UNION ALL
    SELECT 'blocks_lost', d.external_id FROM rag.document d JOIN rag.parse p USING (parse_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND p.blocks_sha256 IS NOT NULL
      AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'blocks' AND b.digest = p.blocks_sha256)
) drift GROUP BY kind;

-- name: forget_stored_blob
DELETE FROM stored_blob WHERE kind = %(kind)s AND digest = %(digest)s;

-- name: source_blobs
-- The distinct objects of a source's documents that are stored, in order, after the given one.
SELECT kind, digest
FROM (
    SELECT 'raw' AS kind, d.raw_sha256 AS digest FROM rag.document d
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
    UNION
    SELECT 'blocks', p.blocks_sha256 FROM rag.document d JOIN rag.parse p USING (parse_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
) held
JOIN stored_blob USING (kind, digest)
WHERE (kind, digest) > (%(kind)s, %(digest)s) ORDER BY kind, digest LIMIT %(limit)s;

-- name: verify_version
-- Documents of a source in a version: those whose chunks are all there (kind NULL), and each kind of drift.
-- `behind` are those that changed since the version was built; of what did not change, any difference is a fault.
WITH expected AS (
    SELECT d.document_id, dc.chunk_set_id, cs.chunks - e.missing AS n
    FROM rag.document d
    JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
    JOIN rag.chunk_set cs USING (chunk_set_id)
    JOIN rag.chunk_set_embedded e ON e.chunk_set_id = cs.chunk_set_id AND e.model_id = %(model_id)s
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND cs.chunks > e.missing
), vectors AS (
    SELECT document_id, chunk_set_id, count(*) AS n FROM {vectors} GROUP BY 1, 2
), lexical AS (
    SELECT document_id, chunk_set_id, count(*) AS n FROM {lexical} GROUP BY 1, 2
), compared AS (
    SELECT d.external_id, coalesce(v.n, 0) AS rows,
           CASE WHEN v.n = e.n AND l.n = e.n THEN NULL
                WHEN NOT %(member)s OR d.changed_xid >= %(watermark)s::text::xid8 THEN 'behind'
                WHEN e.n IS NULL THEN 'surplus'
                WHEN v.n IS NULL THEN 'not_indexed'
                WHEN v.n <> e.n THEN 'vector_rows'
                ELSE 'word_rows' END AS kind
    FROM expected e
    FULL JOIN vectors v USING (document_id, chunk_set_id)
    FULL JOIN lexical l USING (document_id, chunk_set_id)
    JOIN rag.document d USING (document_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
)
SELECT kind, count(DISTINCT external_id) AS documents, sum(rows)::bigint AS rows,
       (array_agg(DISTINCT external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM compared GROUP BY kind;

-- name: verify_strays
-- Documents that a version shows and the catalogue does not know.
SELECT 'stray' AS kind, count(DISTINCT document_id) AS documents,
       (array_agg(DISTINCT 'document ' || document_id))[1:%(limit)s] AS samples
FROM (SELECT document_id FROM {vectors} UNION ALL SELECT document_id FROM {lexical}) v
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.document_id = v.document_id)
HAVING count(*) > 0;

-- name: put_certificate
INSERT INTO rag.certificate (source_id, version_id, complete, counts, drift)
VALUES (%(source_id)s, %(version_id)s, %(complete)s, %(counts)s, %(drift)s);

-- name: prune_certificates
-- The newest ones of a source stay.
DELETE FROM rag.certificate WHERE certificate_id IN (
    SELECT certificate_id FROM rag.certificate WHERE source_id = %(source_id)s
    ORDER BY certificate_id DESC OFFSET %(keep)s);

-- name: certificates
-- What the newest verification of a source certified, the catalogue first.
SELECT s.name AS source, v.index_name AS index, c.version_id AS version, c.counts, c.drift, c.made_at
FROM rag.certificate c JOIN rag.source s USING (source_id) LEFT JOIN rag.index_version v USING (version_id)
WHERE s.name = %(source)s
  AND c.made_at = (SELECT max(made_at) FROM rag.certificate n WHERE n.source_id = c.source_id)
ORDER BY v.index_name NULLS FIRST, c.certificate_id;

-- name: forget_cursor
-- The next run lists everything.
UPDATE rag.source SET cursor = NULL WHERE source_id = %(source_id)s;

-- name: reload_lost
-- Documents whose bytes are gone: their token fits nothing, so the next listing takes them for changed ones.
UPDATE rag.document d SET token = ''
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
  AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'raw' AND b.digest = d.raw_sha256);

-- name: reparse_lost
-- Parses whose blocks are gone: without them the documents are pending.
DELETE FROM rag.parse p USING rag.document d
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND d.parse_id = p.parse_id AND p.blocks_sha256 IS NOT NULL
  AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'blocks' AND b.digest = p.blocks_sha256);

-- name: rechunk_lost
-- Chunk sets with lost chunks are no longer found under their key, and documents no longer show them; versions
-- do until the next build.
WITH lost AS (
    SELECT DISTINCT dc.chunk_set_id
    FROM rag.document d JOIN rag.document_chunks dc USING (document_id) LEFT JOIN rag.chunk_set cs USING (chunk_set_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
      AND cs.chunks IS DISTINCT FROM (SELECT count(*) FROM rag.chunk c WHERE c.chunk_set_id = dc.chunk_set_id)
), hidden AS (
    UPDATE rag.chunk_set cs SET key = gen_random_uuid() FROM lost WHERE cs.chunk_set_id = lost.chunk_set_id
)
DELETE FROM rag.document_chunks dc USING lost WHERE dc.chunk_set_id = lost.chunk_set_id;

-- name: reembed_lost
-- Chunk sets of which more vectors are missing than their model refused are pending again.
DELETE FROM rag.chunk_set_embedded e USING rag.document_chunks dc, rag.document d
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND dc.document_id = d.document_id
  AND e.chunk_set_id = dc.chunk_set_id
  AND e.missing < (SELECT count(*) FROM rag.chunk c WHERE c.chunk_set_id = e.chunk_set_id
                   AND NOT EXISTS (SELECT FROM rag.embedding v WHERE v.model_id = e.model_id AND v.input_key = c.input_key));

-- name: version_age
-- How old the oldest listing is that a version was built from.
SELECT extract(epoch FROM now() - as_of)::bigint AS age_s FROM rag.index_version WHERE version_id = %(version_id)s;
-- name: begin_version
INSERT INTO rag.index_version (
    index_name, fingerprint, kind, base_version, storage, chunker_id, model_id, params, required_gates,
    watermark, lease_token, lease_owner
) VALUES (
    %(index_name)s, %(fingerprint)s, %(kind)s, %(base_version)s,
    coalesce(%(storage)s::int, nextval('rag.index_storage')::int), %(chunker_id)s, %(model_id)s, %(params)s,
    %(required_gates)s, pg_snapshot_xmin(pg_current_snapshot()), %(lease_token)s, %(lease_owner)s
)
RETURNING *, watermark::text AS watermark;

-- name: hold_version_lease
-- Inside a writing transaction: one row while this build is ours; nobody can take it before we commit.
SELECT 1 FROM rag.index_version
WHERE version_id = %(version_id)s AND lease_token = %(lease_token)s AND state = 'building' FOR UPDATE;

-- name: abandoned_builds
-- Builds whose holder is gone: whoever holds the index's lock now may fail them.
SELECT version_id, kind, storage FROM rag.index_version WHERE index_name = %(index_name)s AND state = 'building';

-- name: fail_version
UPDATE rag.index_version SET state = 'failed', error = %(error)s, lease_token = gen_random_uuid()
WHERE version_id = %(version_id)s AND state IN ('building', 'built', 'validated');

-- name: version_by_id
SELECT *, watermark::text AS watermark FROM rag.index_version WHERE version_id = %(version_id)s;

-- name: versions
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE (%(index_name)s::text IS NULL OR index_name = %(index_name)s)
ORDER BY index_name, version_id DESC
LIMIT %(limit)s;

-- name: live_version
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE index_name = %(index_name)s AND state = 'live';

-- name: candidate_version
-- The newest version that was built and not promoted yet; one older than the live version is overtaken.
SELECT *, watermark::text AS watermark FROM rag.index_version v
WHERE index_name = %(index_name)s AND state IN ('built', 'validated')
  AND NOT EXISTS (SELECT FROM rag.index_version l WHERE l.index_name = v.index_name AND l.state = 'live'
                  AND l.version_id > v.version_id)
ORDER BY version_id DESC LIMIT 1;

-- name: catch_up_base
-- The newest retired version with the same fingerprint.
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE index_name = %(index_name)s AND state = 'retired' AND fingerprint = %(fingerprint)s
ORDER BY version_id DESC LIMIT 1;

-- name: rollback_target
-- The retired version that was live last.
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE index_name = %(index_name)s AND state = 'retired' AND (%(version_id)s::int IS NULL OR version_id = %(version_id)s)
ORDER BY retired_at DESC, version_id DESC LIMIT 1;

-- name: changed_share
-- Documents an index would have to take over since a watermark, and how many it has.
SELECT count(*) FILTER (WHERE d.changed_xid >= %(watermark)s::text::xid8) AS changed, count(*) AS documents,
       max(d.changed_xid)::text AS newest
FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s);

-- name: snapshot_xmin
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS watermark;

-- name: finish_build
UPDATE rag.index_version SET
    state = 'built', built_at = now(), watermark = %(watermark)s::text::xid8, row_count = %(row_count)s,
    document_count = %(document_count)s, statistics = %(statistics)s, params = params || %(params)s,
    as_of = %(as_of)s
WHERE version_id = %(version_id)s;

-- name: consume_base
-- The storage of a retired version has become the storage of its catch-up build.
UPDATE rag.index_version SET state = 'dropped', dropped_at = now() WHERE version_id = %(version_id)s AND state = 'retired';

-- name: set_state
UPDATE rag.index_version SET
    state = %(state)s,
    promoted_at = CASE WHEN %(state)s = 'live' THEN now() ELSE promoted_at END,
    retired_at = CASE WHEN %(state)s = 'retired' THEN now() ELSE retired_at END,
    dropped_at = CASE WHEN %(state)s = 'dropped' THEN now() ELSE dropped_at END
WHERE version_id = %(version_id)s;

-- name: lock_versions
-- Serialises promotion, rollback and collection of one index; readers are not touched.
SELECT version_id, state FROM rag.index_version
WHERE index_name = %(index_name)s AND state IN ('building', 'built', 'validated', 'live', 'retired')
ORDER BY version_id FOR UPDATE;

-- name: put_gate
INSERT INTO rag.gate_result (version_id, gate, passed, observed, threshold, detail)
VALUES (%(version_id)s, %(gate)s, %(passed)s, %(observed)s, %(threshold)s, %(detail)s)
ON CONFLICT (version_id, gate) DO UPDATE SET
    passed = EXCLUDED.passed, observed = EXCLUDED.observed, threshold = EXCLUDED.threshold,
    detail = EXCLUDED.detail, checked_at = now();

-- name: gates
SELECT gate, passed, observed, threshold, detail, checked_at FROM rag.gate_result
WHERE version_id = %(version_id)s ORDER BY gate;

-- name: put_audit
INSERT INTO rag.audit (actor, action, subject, detail) VALUES (%(actor)s, %(action)s, %(subject)s, %(detail)s);

-- name: collectable_versions
-- Retired versions beyond the newest `keep` and older than `age`, failed builds, and candidates older than
-- the live version. A version whose storage another version uses now keeps its row and loses nothing.
SELECT v.version_id, v.state, v.storage, v.kind,
       NOT EXISTS (SELECT FROM rag.index_version o WHERE o.storage = v.storage AND o.version_id <> v.version_id
                   AND o.state IN ('building', 'built', 'validated', 'live', 'retired')) AS owns_storage
FROM (
    SELECT *, row_number() OVER (PARTITION BY state ORDER BY retired_at DESC NULLS LAST) AS nth
    FROM rag.index_version WHERE index_name = %(index_name)s
) v
WHERE (v.state = 'retired' AND v.nth > %(keep)s AND v.retired_at < now() - %(age)s::interval)
   OR (v.state = 'failed' AND v.dropped_at IS NULL)
   OR (v.state IN ('built', 'validated') AND EXISTS (
        SELECT FROM rag.index_version l WHERE l.index_name = v.index_name AND l.state = 'live'
        AND l.version_id > v.version_id))
ORDER BY v.version_id;

-- name: mark_collected
UPDATE rag.index_version SET state = CASE WHEN state = 'failed' THEN state ELSE 'dropped' END, dropped_at = now()
WHERE version_id = %(version_id)s;

-- name: build_progress
SELECT p.phase, p.tuples_done, p.tuples_total, p.blocks_done, p.blocks_total
FROM pg_stat_progress_create_index p WHERE p.pid = %(pid)s;
-- Fragments for the statements that fill and read a version's words; see sql/migrations/0010_words.sql.

-- name: chunk_words
-- The indexed words of a chunk `c` of the document `d` with the parse `p`: what the model sees is what the lexical index
-- sees. A language that the source names counts before the one that the file does.
rag.words(
    rag.language_of(coalesce(d.metadata ->> 'language', p.language), c.text, {language}::regconfig, {languages}::jsonb),
    c.prefix || c.text)
