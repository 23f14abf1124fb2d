-- name: put_quarantine_document
-- One open row per document: a repeated failure of the same content under the same code counts attempts up, new
-- content or code starts again. A document that was purged since the run began is not named any more. `delay` (seconds, NULL for never) doubles with each attempt after the first
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
WHERE NOT EXISTS (SELECT FROM rag.forgotten f
                  WHERE f.source_id = %(source_id)s AND f.digest = sha256(convert_to(%(external_id)s, 'UTF8'))
                    AND f.forgotten_at >= %(since)s)
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

-- name: rename_quarantined
-- A document that moved takes its failure along, with its attempts, unless its new place has one already.
UPDATE rag.quarantine q SET external_id = %(external_id)s
WHERE q.source_id = %(source_id)s AND q.external_id = %(old_id)s
  AND NOT EXISTS (SELECT FROM rag.quarantine taken
                  WHERE taken.source_id = q.source_id AND taken.external_id = %(external_id)s);

-- name: resolve_processing_failures
-- These documents were parsed, chunked and embedded; what could not be listed or loaded of them still waits.
DELETE FROM rag.quarantine
WHERE source_id = %(source_id)s AND stage IN ('parse', 'embed') AND external_id = ANY(%(ids)s);

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
WHERE q.source_id = %(source_id)s AND q.stage = 'embed'
  AND (%(buckets)s::smallint[] IS NULL OR (hashtextextended(q.external_id, 0) & 63) = ANY(%(buckets)s::smallint[]))
  AND NOT EXISTS (
    SELECT FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    JOIN rag.chunk_set_embedded e USING (chunk_set_id)
    WHERE d.source_id = q.source_id AND d.external_id = q.external_id AND e.missing > 0
      AND e.model_id = ANY(%(models)s));

-- name: list_quarantine
-- `text_of` is set where the document goes on with an earlier text: when the content was modified that it is of.
SELECT q.quarantine_id, s.name AS source, q.external_id, q.entity, q.stage, q.status, q.error_class, q.message,
       q.attempts, q.next_try_at, q.first_at, q.last_at, q.content, q.code_version,
       CASE WHEN d.unread_since IS NOT NULL THEN d.text_of WHEN q.stage = 'fetch' AND d.status = 'ok' THEN d.modified_at END
           AS text_of
FROM rag.quarantine q JOIN rag.source s USING (source_id)
LEFT JOIN rag.document d
  ON d.source_id = q.source_id AND d.external_id = q.external_id AND d.state <> 'tombstoned'
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
    UPDATE rag.document d SET parse_id = NULL, status = 'pending', changed_xid = pg_current_xact_id()
    FROM chosen c, rag.parse p
    WHERE d.source_id = c.source_id AND d.external_id = c.external_id
      AND p.parse_id = d.parse_id AND p.status <> 'ok'
    RETURNING d.document_id, p.parse_id
), parses AS (
    DELETE FROM rag.parse p USING documents WHERE p.parse_id = documents.parse_id AND p.status <> 'ok'
), unembedded AS (
    DELETE FROM rag.chunk_set_embedded e
    USING chosen c, rag.document d, rag.document_chunks dc
    WHERE d.source_id = c.source_id AND d.external_id = c.external_id AND dc.document_id = d.document_id
      AND e.chunk_set_id = dc.chunk_set_id AND e.missing > 0
    RETURNING e.chunk_set_id
), touched AS (
    UPDATE rag.document d SET changed_xid = pg_current_xact_id()
    FROM unembedded u JOIN rag.document_chunks dc USING (chunk_set_id)
    WHERE d.document_id = dc.document_id AND d.document_id NOT IN (SELECT document_id FROM documents)
)
UPDATE rag.quarantine q SET attempts = 0, next_try_at = now()
FROM chosen c WHERE q.quarantine_id = c.quarantine_id;
