-- name: oldest_change
-- How many documents of the sources changed since a watermark, and when the oldest of them was stored.
SELECT count(*) AS behind, min(d.updated_at) AS since
FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.changed_xid >= %(watermark)s::text::xid8;

-- name: last_listing
-- The newest run of a source that has ended and listed it, or failed to; one of a later stage alone lists nothing.
SELECT r.run_id, r.started_at, r.finished_at, r.outcome, r.report
FROM rag.run r JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND r.finished_at IS NOT NULL
  AND (r.outcome = 'failed' OR r.report -> 'seconds' ? 'list')
ORDER BY r.run_id DESC LIMIT 1;

-- name: last_run_of_others
-- The newest run of a source that stored something and was made by somebody whose name does not begin so.
SELECT r.run_id, r.source_id, r.started_at, r.finished_at, r.outcome, r.report
FROM rag.run r JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND r.finished_at IS NOT NULL AND r.outcome IN ('complete', 'partial')
  AND NOT starts_with(coalesce(r.report ->> 'actor', ''), %(actor)s)
ORDER BY r.run_id DESC LIMIT 1;
