-- The pace of logins that several processes use at once (rag_pipelines/store/pace.py).

-- name: take_pace
-- The next free moment of a login, `step` seconds after the last one that was taken: how long to wait for it, and for how
-- long the server wants no request at all, when no moment is taken. What was left unused for `burst` seconds may be used.
WITH now AS MATERIALIZED (SELECT clock_timestamp() AS at)
INSERT INTO rag.pace AS p (key, ready_at) SELECT %(key)s, at + make_interval(secs => %(step)s) FROM now
ON CONFLICT (key) DO UPDATE SET ready_at = CASE
    WHEN p.held_until > clock_timestamp() THEN p.ready_at
    ELSE greatest(p.ready_at, clock_timestamp() - make_interval(secs => %(burst)s)) + make_interval(secs => %(step)s) END
RETURNING greatest(extract(epoch FROM p.held_until - clock_timestamp())::float8, 0) AS held,
          greatest(extract(epoch FROM p.ready_at - clock_timestamp())::float8 - %(step)s, 0) AS wait;

-- name: hold_pace
-- No request before so many seconds have passed; never shortens what was asked before.
INSERT INTO rag.pace AS p (key, ready_at, held_until)
VALUES (%(key)s, clock_timestamp(), clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (key) DO UPDATE SET held_until = greatest(p.held_until, EXCLUDED.held_until);
