-- Leases of some buckets of a source (rag_pipelines/store/shards.py). Their locks are advisory ones, as a source's.

-- name: begin_shard_lease
-- Inside a transaction: a purge that removes a document of the source is waited for.
SELECT source_id FROM rag.source WHERE source_id = %(source_id)s FOR SHARE;

-- name: end_shard_leases
-- Those of these buckets, whose holders are gone: what one of them is still writing is waited for.
DELETE FROM rag.shard_lease WHERE source_id = %(source_id)s AND buckets && %(buckets)s::smallint[];

-- name: take_shard_lease
INSERT INTO rag.shard_lease (token, source_id, shard, shards, buckets, lease_owner, lease_at)
VALUES (%(token)s, %(source_id)s, %(shard)s, %(shards)s, %(buckets)s::smallint[], %(lease_owner)s, clock_timestamp())
RETURNING lease_at;

-- name: hold_shard_lease
-- Inside a writing transaction: one row while the lease is ours; nobody can take it before we commit.
SELECT 1 FROM rag.shard_lease WHERE source_id = %(source_id)s AND token = %(token)s FOR SHARE;

-- name: drop_shard_lease
DELETE FROM rag.shard_lease WHERE token = %(token)s;

-- name: living_shards
-- Shards at work on these sources.
SELECT s.name, l.shard, l.shards, l.lease_owner, l.lease_at
FROM rag.shard_lease l JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(names)s) AND EXISTS (
    SELECT FROM pg_locks k
    WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
      AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (k.classid::bigint << 32 | k.objid::bigint) = hashtextextended('rag.shard:' || l.token, 0))
ORDER BY s.name, l.shards, l.shard;

-- name: newest_report
-- Inside a transaction: the report of a source's newest run, which nobody else adds to before it ends.
SELECT run_id, report FROM rag.run WHERE source_id = %(source_id)s ORDER BY run_id DESC LIMIT 1 FOR UPDATE;

-- name: report_of_run
SELECT report FROM rag.run WHERE run_id = %(run_id)s FOR UPDATE;

-- name: put_report
UPDATE rag.run SET report = %(report)s WHERE run_id = %(run_id)s;
