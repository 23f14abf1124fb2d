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
