-- Legal holds (rag_pipelines/retention/holds.py; what they mean: sql/objects/12_holds.sql).

-- name: put_hold
INSERT INTO rag.hold (source, path, label, document, reason, placed_by, until)
VALUES (%(source)s, %(path)s, %(label)s, %(document)s, %(reason)s, %(placed_by)s, %(until)s) RETURNING hold_id;

-- name: list_holds
-- Holds with the documents that they keep, of which some are deleted at their source; the newest first.
SELECT h.hold_id, h.source, h.path, h.label, h.document, h.reason, h.placed_by, h.placed_at, h.until,
       h.released_at, h.released_by, h.release_reason,
       CASE WHEN h.released_at IS NOT NULL THEN 'released' WHEN h.until <= now() THEN 'over' ELSE 'in force' END AS state,
       count(d.*) AS documents, count(d.*) FILTER (WHERE d.state = 'tombstoned') AS deleted
FROM rag.hold h
LEFT JOIN rag.document d ON h.released_at IS NULL AND (h.until IS NULL OR h.until > now()) AND (
    rag.hold_matches(h, d) OR EXISTS (
        SELECT FROM rag.held_document p WHERE p.hold_id = h.hold_id AND p.document_id = d.document_id))
WHERE (%(hold_id)s::bigint IS NULL OR h.hold_id = %(hold_id)s)
  AND (%(every)s OR (h.released_at IS NULL AND (h.until IS NULL OR h.until > now())))
GROUP BY h.hold_id ORDER BY h.hold_id DESC;

-- name: release_hold
-- What documents had before is noted for a collection; it stays where another hold keeps the document.
WITH released AS (
    UPDATE rag.hold SET released_at = now(), released_by = %(released_by)s, release_reason = %(reason)s
    WHERE hold_id = %(hold_id)s AND released_at IS NULL RETURNING hold
)
INSERT INTO rag.released (kind, key)
SELECT DISTINCT 'raw', encode(f.raw_sha256, 'hex')
FROM released r JOIN rag.document d ON rag.hold_matches(r.hold, d) OR EXISTS (
    SELECT FROM rag.held_document p WHERE p.hold_id = (r.hold).hold_id AND p.document_id = d.document_id)
JOIN rag.document_former f USING (document_id);

-- name: hold_on_document
-- The hold that keeps a document, if one does.
SELECT h.hold_id, h.reason, h.placed_by, h.until FROM rag.source s JOIN rag.document d USING (source_id)
JOIN rag.hold h ON h.hold_id = rag.hold_of(d)
WHERE s.name = %(source)s AND d.external_id = %(external_id)s;

-- name: held_by_source
-- How many documents of each source are held, and of these are deleted there.
SELECT s.name, count(*) AS held, count(*) FILTER (WHERE d.state = 'tombstoned') AS deleted
FROM rag.source s JOIN rag.document d USING (source_id)
WHERE EXISTS (SELECT FROM rag.hold h WHERE h.released_at IS NULL) AND rag.hold_of(d) IS NOT NULL GROUP BY s.name;
