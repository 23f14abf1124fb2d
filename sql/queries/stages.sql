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

-- name: put_parse
INSERT INTO rag.parse (raw_sha256, hint, profile_id, status, message, media_type, blocks_sha256, title, language,
                       pages, characters, blocks, counters, metadata, warnings)
VALUES (%(raw_sha256)s, %(hint)s, %(profile_id)s, %(status)s, %(message)s, %(media_type)s, %(blocks_sha256)s,
        %(title)s, %(language)s, %(pages)s, %(characters)s, %(blocks)s, %(counters)s, %(metadata)s, %(warnings)s)
ON CONFLICT (raw_sha256, hint, profile_id) DO UPDATE SET status = EXCLUDED.status, message = EXCLUDED.message
RETURNING parse_id;

-- name: put_chunk_set
-- Returns a row only if the set is new; a concurrent writer of the same set waits here for us.
INSERT INTO rag.chunk_set (key, blocks_sha256, title, profile_id, chunks, tokens)
VALUES (%(key)s, %(blocks_sha256)s, %(title)s, %(profile_id)s, %(chunks)s, %(tokens)s)
ON CONFLICT (key) DO NOTHING
RETURNING chunk_set_id;

-- name: set_document_parse
UPDATE rag.document SET parse_id = %(parse_id)s, status = %(status)s, updated_at = clock_timestamp()
WHERE document_id = %(document_id)s AND raw_sha256 = %(raw_sha256)s;

-- name: set_document_status
UPDATE rag.document SET status = %(status)s, updated_at = clock_timestamp() WHERE document_id = %(document_id)s;

-- name: map_chunks
INSERT INTO rag.document_chunks (document_id, profile_id, chunk_set_id)
VALUES (%(document_id)s, %(profile_id)s, %(chunk_set_id)s)
ON CONFLICT (document_id, profile_id) DO UPDATE SET chunk_set_id = EXCLUDED.chunk_set_id;

-- name: unmap_chunks
-- The document has no text any more.
DELETE FROM rag.document_chunks WHERE document_id = %(document_id)s;

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

-- name: mark_embedded
INSERT INTO rag.chunk_set_embedded (chunk_set_id, model_id, missing)
VALUES (%(chunk_set_id)s, %(model_id)s, %(missing)s)
ON CONFLICT (chunk_set_id, model_id) DO UPDATE SET missing = EXCLUDED.missing;

-- name: documents_of_sets
-- The documents of a source that show these chunk sets.
SELECT dc.chunk_set_id, d.document_id, d.external_id, encode(d.raw_sha256, 'hex') AS sha256
FROM rag.document_chunks dc JOIN rag.document d USING (document_id)
WHERE d.source_id = %(source_id)s AND dc.chunk_set_id = ANY(%(sets)s) AND d.state <> 'tombstoned';

-- name: parse_of_document
SELECT d.document_id, d.name, p.parse_id, p.status, p.message, p.media_type, p.blocks_sha256, p.title, p.pages
FROM rag.document d LEFT JOIN rag.parse p USING (parse_id)
WHERE d.source_id = %(source_id)s AND d.external_id = %(external_id)s;
