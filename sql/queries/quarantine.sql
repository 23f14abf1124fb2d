-- name: put_quarantine_document
-- One open row per document: a repeated failure of the same content counts attempts up, new content starts again.
INSERT INTO rag.quarantine (source_id, external_id, stage, status, error_class, message, content, code_version, next_try_at)
VALUES (%(source_id)s, %(external_id)s, %(stage)s, %(status)s, %(error_class)s, %(message)s, %(content)s, %(code_version)s,
        now() + make_interval(secs => %(delay)s))
ON CONFLICT (source_id, external_id) WHERE external_id IS NOT NULL DO UPDATE SET
    attempts = CASE WHEN quarantine.content IS NOT DISTINCT FROM EXCLUDED.content
                     AND quarantine.code_version IS NOT DISTINCT FROM EXCLUDED.code_version
                     AND quarantine.stage = EXCLUDED.stage
                    THEN quarantine.attempts + 1 ELSE 1 END,
    stage = EXCLUDED.stage, status = EXCLUDED.status, error_class = EXCLUDED.error_class,
    message = EXCLUDED.message, content = EXCLUDED.content, code_version = EXCLUDED.code_version,
    next_try_at = EXCLUDED.next_try_at, last_at = clock_timestamp();

-- name: put_quarantine_entity
INSERT INTO rag.quarantine (source_id, entity, stage, status, error_class, message)
VALUES (%(source_id)s, %(entity)s, %(stage)s, %(status)s, %(error_class)s, %(message)s)
ON CONFLICT (source_id, entity) WHERE entity IS NOT NULL DO UPDATE SET
    attempts = quarantine.attempts + 1, status = EXCLUDED.status, error_class = EXCLUDED.error_class,
    message = EXCLUDED.message, last_at = clock_timestamp();

-- name: resolve_quarantine
DELETE FROM rag.quarantine WHERE source_id = %(source_id)s AND external_id = ANY(%(ids)s);

-- name: resolve_listing_failures
-- These documents were listed and loaded: earlier failures of listing or loading them are mended.
DELETE FROM rag.quarantine
WHERE source_id = %(source_id)s AND stage IN ('list', 'fetch') AND external_id = ANY(%(ids)s);

-- name: resolve_entities
-- Entities (folders, sidecars, ranges) that failed before and did not fail in the listing that began at `before`.
DELETE FROM rag.quarantine
WHERE source_id = %(source_id)s AND stage = 'list' AND entity IS NOT NULL AND last_at < %(before)s;

-- name: list_quarantine
SELECT q.quarantine_id, s.name AS source, q.external_id, q.entity, q.stage, q.status, q.error_class, q.message,
       q.attempts, q.next_try_at, q.first_at, q.last_at, q.content, q.code_version
FROM rag.quarantine q JOIN rag.source s USING (source_id)
WHERE (%(source)s::text IS NULL OR s.name = %(source)s)
  AND (%(stage)s::text IS NULL OR q.stage = %(stage)s)
  AND (%(status)s::text IS NULL OR q.status = %(status)s)
  AND (%(id)s::bigint IS NULL OR q.quarantine_id = %(id)s)
ORDER BY s.name, q.last_at DESC, q.quarantine_id
LIMIT %(limit)s;

-- name: retry_quarantine
-- Forget the failed parses of these documents and let the next run try them again at once.
WITH chosen AS (
    SELECT q.quarantine_id, q.source_id, q.external_id
    FROM rag.quarantine q JOIN rag.source s USING (source_id)
    WHERE (%(source)s::text IS NULL OR s.name = %(source)s)
      AND (%(stage)s::text IS NULL OR q.stage = %(stage)s)
      AND (%(status)s::text IS NULL OR q.status = %(status)s)
      AND (%(id)s::bigint IS NULL OR q.quarantine_id = %(id)s)
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
FROM chosen c WHERE q.quarantine_id = c.quarantine_id
RETURNING q.quarantine_id;
