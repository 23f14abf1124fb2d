-- name: share_catalogue
-- Runs and builds hold this together; a collection of garbage waits for none of them and excludes all.
SELECT pg_advisory_lock_shared(hashtextextended('rag.catalogue', 0));

-- name: unshare_catalogue
SELECT pg_advisory_unlock_shared(hashtextextended('rag.catalogue', 0));

-- name: expired_tombstones
-- Documents that were deleted longer ago than their source's grace: as configured now, or, of a source that
-- is no longer configured, as it was when it last ran.
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

-- name: unfinished
-- What is said to run: sources whose newest sync has not ended, and indexes with a build.
SELECT ARRAY(
           SELECT name FROM rag.source s
           WHERE (SELECT r.finished_at IS NULL FROM rag.run r WHERE r.source_id = s.source_id ORDER BY run_id DESC LIMIT 1)
           ORDER BY name) AS sources,
       ARRAY(SELECT index_name FROM rag.index_version WHERE state = 'building' ORDER BY index_name) AS indexes;
