-- Personal data and secrets: screening documents, restricting them, and what is known of both
-- (rag_pipelines/privacy, docs/how-to/personal-data.md). No value is stored.

-- name: clear_parsers
-- Parser profiles with the code of `parsers`, whatever screened their results.
SELECT profile_id FROM rag.profile
WHERE kind = 'parser' AND (fingerprint = ANY(%(parsers)s) OR params ->> 'parser' = ANY(%(parsers)s));

-- name: unmasked_attributes
-- Documents whose title and metadata were not masked by the profile of now, in order; with `labelled` only those that
-- were masked by one.
SELECT document_id, name, given_title, author, metadata FROM rag.document
WHERE source_id = %(source_id)s AND masked_by IS DISTINCT FROM %(masked_by)s AND document_id > %(after)s
  AND (masked_by IS NOT NULL OR NOT %(labelled)s)
  AND (%(buckets)s::smallint[] IS NULL OR bucket = ANY(%(buckets)s))
ORDER BY document_id LIMIT %(limit)s;

-- name: mask_attributes
UPDATE rag.document d SET
    name = r.name, given_title = r.given_title, author = r.author, metadata = r.metadata,
    masked_by = %(masked_by)s, updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
FROM jsonb_to_recordset(%(rows)s) AS r (document_id bigint, name text, given_title text, author text, metadata jsonb)
WHERE d.document_id = r.document_id;

-- name: release_clear_parses
-- Other parses of the same bytes as these documents, which are masked and may not use them.
INSERT INTO rag.released (kind, key)
SELECT DISTINCT 'parse', p.parse_id::text
FROM rag.document d JOIN rag.parse p USING (raw_sha256, hint)
WHERE d.document_id = ANY(%(ids)s) AND p.parse_id IS DISTINCT FROM d.parse_id
  AND p.status = 'ok' AND p.privacy IS DISTINCT FROM %(masked_by)s;

-- name: usable_parse
-- Whether a document could take up the parse `p`: one that is masked only what was masked as it is now.
EXISTS (
    SELECT FROM rag.document d JOIN rag.source s USING (source_id)
    WHERE d.raw_sha256 = p.raw_sha256 AND d.hint = p.hint
      AND (coalesce(s.masked_by, d.masked_by) IS NULL OR p.status <> 'ok' OR p.privacy = coalesce(s.masked_by, d.masked_by)))

-- name: drop_clear_texts
-- Documents that are masked and go on with the text of bytes that were never masked so: they have none.
WITH clear AS (
    DELETE FROM rag.document_chunks dc USING rag.document d, rag.chunk_set cs
    WHERE d.source_id = %(source_id)s AND d.status NOT IN ('ok', 'pending') AND d.masked_by = %(masked_by)s
      AND (%(buckets)s::smallint[] IS NULL OR d.bucket = ANY(%(buckets)s))
      AND dc.document_id = d.document_id AND cs.chunk_set_id = dc.chunk_set_id
      AND NOT EXISTS (SELECT FROM rag.parse p WHERE p.blocks_sha256 = cs.blocks_sha256 AND p.privacy = %(masked_by)s)
    RETURNING d.document_id
)
UPDATE rag.document d SET
    text_of = NULL, unread_since = NULL, updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE d.document_id IN (SELECT document_id FROM clear);

-- name: access_of_documents
-- The rules of documents as they stand, and the sources' own rules where these are restricted.
SELECT d.document_id, d.own_access, a.clauses, a.deny
FROM rag.document d JOIN rag.access_rule a USING (access_id)
WHERE d.document_id = ANY(%(ids)s)
ORDER BY d.document_id FOR NO KEY UPDATE OF d;

-- name: set_own_access
-- `own_access` is the source's own rule where `access_id` is that rule restricted, else NULL.
UPDATE rag.document SET access_id = %(access_id)s, own_access = %(own_access)s, updated_at = clock_timestamp()
WHERE document_id = %(document_id)s;

-- name: clear_passages
-- Rows of a version that a source must not have: their blocks were never masked under `masked_by` of the source or,
-- where that is NULL, of the document.
SELECT s.name AS source, count(*) AS passages, count(DISTINCT v.document_id) AS documents
FROM {vectors} v
JOIN rag.document d USING (document_id)
JOIN rag.source s USING (source_id)
JOIN rag.chunk_set cs USING (chunk_set_id)
JOIN unnest(%(sources)s::text[], %(masked_by)s::text[]) AS m (name, masked_by) ON m.name = s.name
WHERE coalesce(m.masked_by, d.masked_by) IS NOT NULL
  AND NOT EXISTS (SELECT FROM rag.parse p
                  WHERE p.blocks_sha256 = cs.blocks_sha256 AND p.privacy = coalesce(m.masked_by, d.masked_by))
GROUP BY s.name ORDER BY s.name;

-- name: clear_attributes
-- Documents of sources that mask whose title and metadata were not masked under `masked_by`.
SELECT s.name AS source, count(*) AS documents
FROM rag.document d
JOIN rag.source s USING (source_id)
JOIN unnest(%(sources)s::text[], %(masked_by)s::text[]) AS m (name, masked_by) ON m.name = s.name
WHERE m.masked_by IS NOT NULL AND d.state <> 'tombstoned' AND d.masked_by IS DISTINCT FROM m.masked_by
GROUP BY s.name ORDER BY s.name;

-- name: masking_sources
-- Those that masked when they last ran, and by what; NULL where only some documents are masked, by their label.
SELECT s.name, s.masked_by FROM rag.source s
WHERE s.name = ANY(%(sources)s)
  AND (s.masked_by IS NOT NULL
       OR EXISTS (SELECT FROM rag.document d WHERE d.source_id = s.source_id AND d.masked_by IS NOT NULL))
ORDER BY s.name;

-- name: findings_by_source
-- What was found in the documents of each source, by kind: how many documents, and how many places.
SELECT s.name AS source, k.key AS kind, count(*) AS documents, sum(k.value::bigint)::bigint AS places
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.parse p ON p.parse_id = d.parse_id AND p.status = 'ok'
CROSS JOIN LATERAL jsonb_each_text(p.found) AS k
WHERE d.state <> 'tombstoned' AND s.name = ANY(%(sources)s)
GROUP BY 1, 2 ORDER BY 1, 2;

-- name: documents_with_findings
SELECT s.name AS source, d.external_id, p.found, p.places, d.own_access IS NOT NULL AS restricted
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.parse p ON p.parse_id = d.parse_id AND p.status = 'ok'
WHERE d.state <> 'tombstoned' AND p.found <> '{}' AND s.name = ANY(%(sources)s)
ORDER BY (SELECT sum(value::bigint) FROM jsonb_each_text(p.found)) DESC, s.name, d.external_id
LIMIT %(limit)s;

-- name: screened_documents
-- Of each source: documents that were screened, those that hold something, and those that are in quarantine because of what they hold.
SELECT s.name AS source,
       count(*) FILTER (WHERE p.privacy IS NOT NULL) AS screened,
       count(*) FILTER (WHERE p.found <> '{}') AS finding,
       count(*) FILTER (WHERE d.status = 'sensitive') AS blocked,
       count(*) FILTER (WHERE d.own_access IS NOT NULL) AS restricted
FROM rag.source s JOIN rag.document d USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
WHERE d.state <> 'tombstoned' AND s.name = ANY(%(sources)s)
GROUP BY 1 ORDER BY 1;
