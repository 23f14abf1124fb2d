-- name: switches
SELECT rag.switches(%(index_name)s) AS switches;

-- name: switches_in_force
SELECT kind, target, reason, started_at, started_by, until FROM rag.switch_in_force
WHERE %(kind)s::text IS NULL OR kind = %(kind)s ORDER BY started_at, kind, target;

-- name: switch_history
SELECT kind, target, reason, started_at, started_by, until,
       coalesce(ended_at, CASE WHEN until <= now() THEN until END) AS ended_at, ended_by
FROM rag.switch ORDER BY switch_id;

-- name: end_switch
-- What had run out counts as ended then, by nobody.
UPDATE rag.switch SET ended_at = least(now(), until), ended_by = CASE WHEN until <= now() THEN NULL ELSE %(actor)s END
WHERE kind = %(kind)s AND target = %(target)s AND ended_at IS NULL
RETURNING ended_by IS NOT NULL AS was_on, reason;

-- name: put_switch
INSERT INTO rag.switch (kind, target, reason, started_by, until)
VALUES (%(kind)s, %(target)s, %(reason)s, %(actor)s, now() + %(duration)s::interval)
RETURNING kind, target, reason, started_at, started_by, until;

-- name: metric_switches
SELECT kind, target, extract(epoch FROM now() - started_at)::float8 AS age FROM rag.switch_in_force;
