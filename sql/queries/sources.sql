-- name: ensure_source
-- The id of a source, made on first sight.
INSERT INTO rag.source (name, connector) VALUES (%(name)s, %(connector)s)
ON CONFLICT (name) DO UPDATE SET connector = EXCLUDED.connector
RETURNING source_id, cursor, listed_at;

-- name: describe_source
-- What is needed of a source when it is no longer configured, or its configuration is not at hand.
UPDATE rag.source SET tenant = %(tenant)s, grace = %(grace)s, masked_by = %(masked_by)s
WHERE source_id = %(source_id)s
  AND (tenant, grace, masked_by) IS DISTINCT FROM (%(tenant)s, %(grace)s::interval, %(masked_by)s::text);

-- name: source_by_name
SELECT source_id, name, connector, cursor, listed_at, settled_at, lease_owner, lease_at, policy FROM rag.source WHERE name = %(name)s;

-- name: listed_at
-- When each source was last listed completely.
SELECT name, listed_at FROM rag.source WHERE name = ANY(%(names)s);

-- name: try_lock
-- A session-level advisory lock: held as long as the holder's connection lives, gone with a killed process.
SELECT pg_try_advisory_lock(hashtextextended(%(key)s, 0)) AS locked;

-- name: unlock
SELECT pg_advisory_unlock(hashtextextended(%(key)s, 0));

-- name: try_lock_shared
SELECT pg_try_advisory_lock_shared(hashtextextended(%(key)s, 0)) AS locked;

-- name: unlock_shared
SELECT pg_advisory_unlock_shared(hashtextextended(%(key)s, 0));

-- name: take_source_lease
UPDATE rag.source SET lease_token = %(token)s, lease_owner = %(owner)s, lease_at = now()
WHERE source_id = %(source_id)s RETURNING lease_at;

-- name: hold_source_lease
-- Inside a writing transaction: one row while the lease is ours; nobody can take it before we commit.
SELECT 1 FROM rag.source WHERE source_id = %(source_id)s AND lease_token = %(token)s FOR SHARE;

-- name: forgotten_ids
-- Which of these documents were purged since the lease was taken: this run stores nothing of them.
SELECT id FROM unnest(%(ids)s::text[]) AS id
JOIN rag.forgotten f ON f.source_id = %(source_id)s AND f.digest = sha256(convert_to(id, 'UTF8'))
 AND f.forgotten_at >= %(since)s;

-- name: purged_beside
-- Whether blobs were removed since the lease was taken; who is doing so right now is waited for.
WITH newest AS MATERIALIZED (SELECT forgotten_at FROM rag.forgotten WHERE digest = '' FOR KEY SHARE)
SELECT 1 FROM newest WHERE forgotten_at >= %(since)s;

-- name: share_source
-- Inside a transaction: a purge of a document of the source waits for it.
SELECT 1 FROM rag.source WHERE source_id = %(source_id)s FOR SHARE;

-- name: save_cursor
UPDATE rag.source
SET cursor = coalesce(%(cursor)s, cursor), policy = %(policy)s,
    listed_at = coalesce(%(listed_at)s, listed_at),
    settled_at = CASE WHEN %(listed_at)s::timestamptz IS NULL THEN settled_at ELSE clock_timestamp() END
WHERE source_id = %(source_id)s;

-- name: begin_run
INSERT INTO rag.run (source_id) VALUES (%(source_id)s) RETURNING run_id, started_at;

-- name: newest_run
SELECT run_id, outcome, report FROM rag.run WHERE source_id = %(source_id)s ORDER BY run_id DESC LIMIT 1;

-- name: end_abandoned_runs
-- Runs that never ended, for whoever holds the source's lock: their processes are gone.
UPDATE rag.run SET finished_at = now(), outcome = 'failed'
WHERE source_id = %(source_id)s AND finished_at IS NULL;

-- name: end_run
UPDATE rag.run SET finished_at = now(), outcome = %(outcome)s, report = %(report)s WHERE run_id = %(run_id)s;

-- name: source_status
-- One row a source: counts by state, lag and the last run. Documents that the source no longer names are `parked`
-- until somebody decides on their deletion, and `kept` where it was rejected.
SELECT s.source_id, s.name, s.connector, s.listed_at,
       extract(epoch FROM now() - s.listed_at) AS listed_age_s,
       count(d.*) FILTER (WHERE d.state <> 'tombstoned') AS documents,
       count(d.*) FILTER (WHERE d.state = 'tombstoned') AS tombstoned,
       count(d.*) FILTER (WHERE d.state = 'missing' AND x.state IS DISTINCT FROM 'rejected') AS parked,
       count(d.*) FILTER (WHERE d.state = 'missing' AND x.state = 'rejected') AS kept,
       count(d.*) FILTER (WHERE d.state <> 'tombstoned' AND d.status = 'pending') AS pending,
       max(d.modified_at) FILTER (WHERE d.state <> 'tombstoned') AS newest_change,
       coalesce(sum(d.raw_bytes) FILTER (WHERE d.state <> 'tombstoned'), 0)::bigint AS bytes,
       (SELECT count(*) FROM rag.quarantine q WHERE q.source_id = s.source_id) AS quarantined,
       count(d.*) FILTER (WHERE d.state <> 'tombstoned' AND d.unread_since IS NOT NULL) AS last_texts,
       (SELECT min(q.first_at) FROM rag.quarantine q WHERE q.source_id = s.source_id) AS oldest_quarantine,
       r.run_id, r.started_at, r.finished_at, r.outcome, r.report
FROM rag.source s
LEFT JOIN rag.document d USING (source_id)
LEFT JOIN rag.deletion x ON x.deletion_id = d.deletion_id
LEFT JOIN LATERAL (
    SELECT * FROM rag.run WHERE run.source_id = s.source_id ORDER BY run_id DESC LIMIT 1
) r ON true
WHERE s.name = ANY(%(names)s)
GROUP BY s.source_id, r.run_id, r.started_at, r.finished_at, r.outcome, r.report
ORDER BY s.name;

-- name: sources_of_tenant
SELECT name FROM rag.source WHERE tenant = %(tenant)s ORDER BY name;
