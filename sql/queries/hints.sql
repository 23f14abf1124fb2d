-- name: put_hints
-- The same again is one hint, as new as its newest.
INSERT INTO rag.hint (source, key)
SELECT source, key FROM unnest(%(sources)s::text[]) AS s (source), unnest(%(keys)s::text[]) AS k (key)
ORDER BY 1, 2
ON CONFLICT (source, key) DO UPDATE SET received_at = greatest(hint.received_at, EXCLUDED.received_at);

-- name: pending_hints
-- The sources that have hints: how many, and since when.
SELECT source, count(*) AS hints, max(received_at) AS newest
FROM rag.hint WHERE source = ANY(%(sources)s) GROUP BY source;

-- name: hinted_names
-- What was received before the run began that holds the source's lease; those that name nothing first.
SELECT h.key FROM rag.hint h JOIN rag.source s ON s.name = h.source AND h.received_at <= s.lease_at
WHERE s.source_id = %(source_id)s ORDER BY h.key NULLS FIRST LIMIT %(limit)s;

-- name: forget_hints
-- What was received before the run began that holds the source's lease.
DELETE FROM rag.hint h USING rag.source s
WHERE s.source_id = %(source_id)s AND h.source = s.name AND h.received_at <= s.lease_at;

-- name: drop_hints
-- Those of sources that are not configured any more.
DELETE FROM rag.hint WHERE source <> ALL(%(sources)s);
