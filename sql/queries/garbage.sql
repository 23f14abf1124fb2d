-- What nothing refers to any more, taken away beside running runs and builds (docs/explanation/erasure.md). A row is
-- locked first and looked at again by a statement of its own: what was referred to before the lock is seen, and
-- nobody can refer to it after.

-- name: share_catalogue
-- Runs and builds hold this together, so that a collection of the release before, which needs it alone, stays away.
SELECT pg_advisory_lock_shared(hashtextextended('rag.catalogue', 0));

-- name: unshare_catalogue
SELECT pg_advisory_unlock_shared(hashtextextended('rag.catalogue', 0));

-- name: take_storages
-- Inside a transaction: until it has ended no other removes documents from versions, begins or ends a build, or drops
-- a version.
SELECT pg_advisory_xact_lock(hashtextextended('rag.storages', 0));

-- name: oldest_lease
-- Since when the oldest of the living runs, shards and builds works, NULL without any; builds that began after `began` count
-- even if they have ended. A lease is living while a session holds its lock.
WITH held AS MATERIALIZED (
    SELECT classid::bigint << 32 | objid::bigint AS key FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT least(
    (SELECT min(coalesce(s.lease_at, 'epoch')) FROM rag.source s
     JOIN held ON held.key = hashtextextended('rag.source:' || s.name, 0)),
    (SELECT min(l.lease_at) FROM rag.shard_lease l
     JOIN held ON held.key = hashtextextended('rag.shard:' || l.token, 0)),
    (SELECT min(v.created_at) FROM rag.index_version v
     WHERE v.created_at >= %(began)s
        OR (v.state = 'building'
            AND EXISTS (SELECT FROM held WHERE held.key = hashtextextended('rag.index:' || v.index_name, 0))))
) AS since;

-- name: builds_under_way
-- Versions that a living build works on, with the number of their tables.
SELECT v.version_id, v.index_name, v.storage FROM rag.index_version v
WHERE v.state = 'building' AND EXISTS (
    SELECT FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('rag.index:' || v.index_name, 0))
ORDER BY v.version_id;

-- name: expired_tombstones
-- Documents that were deleted longer ago than their source's grace: as configured now, or, of a source that
-- is no longer configured, as it was when it last ran. Their rows are locked: a run cannot bring them back meanwhile.
-- With the digests of the bytes and the blocks that they have and had.
SELECT d.document_id, d.external_id, s.name AS source,
       ARRAY(SELECT encode(d.raw_sha256, 'hex')
             UNION SELECT encode(raw_sha256, 'hex') FROM rag.document_former f WHERE f.document_id = d.document_id) AS raw,
       ARRAY(SELECT encode(blocks_sha256, 'hex') FROM rag.parse p
             WHERE p.blocks_sha256 IS NOT NULL
               AND (p.raw_sha256 = d.raw_sha256 OR p.raw_sha256 IN (
                    SELECT raw_sha256 FROM rag.document_former f WHERE f.document_id = d.document_id))
             UNION SELECT encode(blocks_sha256, 'hex') FROM rag.document_content c JOIN rag.chunk_set USING (chunk_set_id)
             WHERE c.document_id = d.document_id) AS blocks
FROM rag.document d JOIN rag.source s USING (source_id)
LEFT JOIN unnest(%(sources)s::text[], %(graces)s::interval[]) AS g (name, grace) ON g.name = s.name
WHERE d.state = 'tombstoned' AND d.deleted_at < now() - coalesce(g.grace, s.grace) AND rag.hold_of(d) IS NULL
ORDER BY d.document_id LIMIT %(limit)s
FOR UPDATE OF d SKIP LOCKED;

-- name: held_tombstones
-- How many documents stay because they are held, although their grace is over.
SELECT count(*) AS held FROM rag.document d JOIN rag.source s USING (source_id)
LEFT JOIN unnest(%(sources)s::text[], %(graces)s::interval[]) AS g (name, grace) ON g.name = s.name
WHERE d.state = 'tombstoned' AND d.deleted_at < now() - coalesce(g.grace, s.grace) AND rag.hold_of(d) IS NOT NULL;

-- name: purge_documents
DELETE FROM rag.document WHERE document_id = ANY(%(ids)s);

-- name: version_storages
-- The numbers of all physical tables, also those of failed and abandoned builds.
SELECT substring(tablename FROM '[0-9]+$')::int AS storage FROM pg_tables
WHERE schemaname = 'rag' AND tablename ~ '^vectors_[0-9]+$' ORDER BY 1;

-- name: begin_purge
-- The documents whose rows leave every version; the name is the one that `forget_rows` and its kin read.
CREATE TEMPORARY TABLE changed ON COMMIT DROP AS SELECT unnest(%(ids)s::bigint[]) AS document_id;

-- name: ensure_removal
-- The row with an empty digest says when blobs were last removed; it is there before the first removal.
INSERT INTO rag.forgotten (source_id, digest, forgotten_at)
SELECT min(source_id), '', 'epoch' FROM rag.source
WHERE NOT EXISTS (SELECT FROM rag.forgotten WHERE digest = '') HAVING min(source_id) IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: begin_removal
-- Inside a transaction that removes blobs: runs that look after what they have just named wait for it.
SELECT 1 FROM rag.forgotten WHERE digest = '' ORDER BY source_id FOR UPDATE;

-- name: end_removal
UPDATE rag.forgotten SET forgotten_at = clock_timestamp() WHERE digest = '';

-- name: drop_sources
-- Sources that are not configured any more, hold no document and are not being run; their runs, plans and the like go
-- with them.
WITH unused AS MATERIALIZED (
    SELECT source_id, name FROM rag.source s
    WHERE s.name <> ALL(%(sources)s) AND NOT EXISTS (SELECT FROM rag.document d WHERE d.source_id = s.source_id)
)
DELETE FROM rag.source s USING unused u
WHERE s.source_id = u.source_id AND pg_try_advisory_xact_lock(hashtextextended('rag.source:' || u.name, 0));

-- name: drop_forgotten
-- Purged documents of which every run that is living began later.
DELETE FROM rag.forgotten WHERE forgotten_at < %(before)s AND digest <> '';

-- name: newest_released
SELECT coalesce(max(released_id), 0) AS upto FROM rag.released;

-- name: take_released
-- Notes of one kind, up to those that were there when the look began.
DELETE FROM rag.released WHERE released_id IN (
    SELECT released_id FROM rag.released
    WHERE kind = %(kind)s AND released_id > %(after)s AND released_id <= %(upto)s
    ORDER BY released_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING released_id, key;

-- name: note_released
INSERT INTO rag.released (kind, key) SELECT %(kind)s, unnest(%(keys)s::text[]);

-- name: last_whole_collection
-- Whether one ended within this time.
SELECT ended_at > now() - %(every)s::interval AS recent FROM rag.whole_collection;

-- name: note_whole_collection
WITH earlier AS (DELETE FROM rag.whole_collection)
INSERT INTO rag.whole_collection SELECT clock_timestamp();

-- name: begin_idle
-- What a look at all content of one kind finds unreferenced.
CREATE TEMPORARY TABLE IF NOT EXISTS idle (key text PRIMARY KEY);
TRUNCATE idle;

-- name: drop_idle
DROP TABLE IF EXISTS idle;

-- name: add_idle_sets
-- Those that no document has; versions may show them.
INSERT INTO idle SELECT chunk_set_id::text FROM rag.chunk_set s
WHERE NOT EXISTS (SELECT FROM rag.document_chunks dc WHERE dc.chunk_set_id = s.chunk_set_id);

-- name: unmapped_sets
SELECT id AS chunk_set_id FROM unnest(%(ids)s::bigint[]) AS id
WHERE NOT EXISTS (SELECT FROM rag.document_chunks dc WHERE dc.chunk_set_id = id);

-- name: stored_sets
SELECT chunk_set_id FROM rag.chunk_set WHERE chunk_set_id = ANY(%(ids)s);

-- name: sets_in_version
-- Which of these chunk sets a version shows, of documents that have or had them.
SELECT DISTINCT c.chunk_set_id FROM rag.document_content c
WHERE c.chunk_set_id = ANY(%(ids)s) AND EXISTS (
    SELECT FROM {vectors} v WHERE v.document_id = c.document_id AND v.chunk_set_id = c.chunk_set_id);

-- name: add_idle_vectors
INSERT INTO idle SELECT DISTINCT input_key::text FROM rag.embedding e
WHERE NOT EXISTS (
    SELECT FROM rag.chunk c
    WHERE c.input_key = e.input_key AND NOT EXISTS (
        SELECT FROM rag.unreferenced u WHERE u.kind = 'chunk set' AND u.key = c.chunk_set_id::text));

-- name: mark_vectors
-- Those that no chunk has but of chunk sets that are unreferenced themselves.
INSERT INTO rag.unreferenced (kind, key)
SELECT DISTINCT 'vector', input_key::text FROM rag.embedding e
WHERE e.model_id IN (SELECT profile_id FROM rag.profile WHERE kind = 'model') AND e.input_key = ANY(%(keys)s::uuid[])
  AND NOT EXISTS (
    SELECT FROM rag.chunk c
    WHERE c.input_key = e.input_key AND NOT EXISTS (
        SELECT FROM rag.unreferenced u WHERE u.kind = 'chunk set' AND u.key = c.chunk_set_id::text))
ON CONFLICT DO NOTHING;

-- name: stored_vectors
SELECT DISTINCT input_key FROM rag.embedding e
WHERE e.model_id IN (SELECT profile_id FROM rag.profile WHERE kind = 'model') AND e.input_key = ANY(%(keys)s::uuid[]);

-- name: add_idle_rules
INSERT INTO idle SELECT digest::text FROM rag.access_rule a
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.access_id = a.access_id)
  AND NOT EXISTS (SELECT FROM rag.wanted w WHERE w.access_id = a.access_id)
  AND NOT EXISTS (SELECT FROM rag.document_content c WHERE c.access_id = a.access_id);

-- name: mark_rules
INSERT INTO rag.unreferenced (kind, key)
SELECT 'access rule', digest::text FROM rag.access_rule a
WHERE a.digest = ANY(%(keys)s::uuid[])
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.access_id = a.access_id)
  AND NOT EXISTS (SELECT FROM rag.document_content c WHERE c.access_id = a.access_id)
ON CONFLICT DO NOTHING;

-- name: add_idle_parses
INSERT INTO idle SELECT parse_id::text FROM rag.parse p
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.parse_id = p.parse_id)
  AND NOT {usable};

-- name: add_idle_blobs
INSERT INTO idle SELECT unnest(%(keys)s::text[]) ON CONFLICT DO NOTHING;

-- name: idle_page
SELECT key FROM idle WHERE key > %(after)s ORDER BY key LIMIT %(limit)s;

-- name: unmark_others
-- What is referred to again, or gone, is not unreferenced.
DELETE FROM rag.unreferenced u WHERE u.kind = %(kind)s AND NOT EXISTS (SELECT FROM idle i WHERE i.key = u.key);

-- name: mark
INSERT INTO rag.unreferenced (kind, key) SELECT %(kind)s, unnest(%(keys)s::text[]) ON CONFLICT DO NOTHING;

-- name: mark_sets
-- Of chunk sets that are locked, those that no document has; with a note of what they alone may refer to.
WITH marked AS (
    INSERT INTO rag.unreferenced (kind, key) SELECT 'chunk set', id::text FROM unnest(%(ids)s::bigint[]) AS id
    ON CONFLICT DO NOTHING RETURNING key::bigint AS chunk_set_id
)
INSERT INTO rag.released (kind, key)
SELECT DISTINCT 'vector', c.input_key::text FROM marked JOIN rag.chunk c USING (chunk_set_id)
UNION SELECT 'blocks', encode(s.blocks_sha256, 'hex') FROM marked JOIN rag.chunk_set s USING (chunk_set_id);

-- name: unmark
-- Whoever is about to refer to this content: a collection that takes it away right now is waited for.
DELETE FROM rag.unreferenced WHERE kind = %(kind)s AND key = ANY(%(keys)s);

-- name: overdue
-- What was marked before `before` and nobody else works on; the marks are locked.
SELECT key FROM rag.unreferenced WHERE kind = %(kind)s AND key > %(after)s AND since < %(before)s
ORDER BY key LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: lock_idle_sets
SELECT chunk_set_id FROM rag.chunk_set WHERE chunk_set_id = ANY(%(ids)s)
ORDER BY chunk_set_id FOR UPDATE SKIP LOCKED;

-- name: drop_idle_sets
-- Of chunk sets that are locked with their marks, those that no document has.
DELETE FROM rag.chunk_set s
WHERE s.chunk_set_id = ANY(%(ids)s)
  AND NOT EXISTS (SELECT FROM rag.document_chunks dc WHERE dc.chunk_set_id = s.chunk_set_id)
RETURNING s.chunk_set_id;

-- name: drop_chunks
DELETE FROM rag.chunk WHERE chunk_set_id = ANY(%(ids)s);

-- name: lock_idle_vectors
SELECT e.input_key FROM rag.embedding e
WHERE e.model_id IN (SELECT profile_id FROM rag.profile WHERE kind = 'model') AND e.input_key = ANY(%(keys)s::uuid[])
ORDER BY e.model_id, e.input_key FOR UPDATE SKIP LOCKED;

-- name: drop_idle_vectors
-- Of vectors that are locked, those that no chunk has.
DELETE FROM rag.embedding e
WHERE e.model_id IN (SELECT profile_id FROM rag.profile WHERE kind = 'model') AND e.input_key = ANY(%(keys)s::uuid[])
  AND NOT EXISTS (SELECT FROM rag.chunk c WHERE c.input_key = e.input_key);

-- name: lock_idle_parses
SELECT parse_id FROM rag.parse WHERE parse_id = ANY(%(ids)s) ORDER BY parse_id FOR UPDATE SKIP LOCKED;

-- name: drop_idle_parses
-- Of parses that are locked, those that no document has or could take up.
DELETE FROM rag.parse p
WHERE p.parse_id = ANY(%(ids)s)
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.parse_id = p.parse_id)
  AND NOT {usable};

-- name: lock_idle_rules
SELECT access_id FROM rag.access_rule WHERE digest = ANY(%(keys)s::uuid[]) ORDER BY access_id FOR UPDATE SKIP LOCKED;

-- name: drop_idle_rules
DELETE FROM rag.access_rule a
WHERE a.access_id = ANY(%(ids)s)
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.access_id = a.access_id)
  AND NOT EXISTS (SELECT FROM rag.wanted w WHERE w.access_id = a.access_id)
  AND NOT EXISTS (SELECT FROM rag.document_content c WHERE c.access_id = a.access_id);

-- name: known_raw
-- Of a document that is held, also the bytes that it had; and what was sent.
SELECT raw_sha256 AS digest FROM rag.document WHERE raw_sha256 = ANY(%(digests)s)
UNION SELECT f.raw_sha256 FROM rag.document_former f JOIN rag.document d USING (document_id)
WHERE f.raw_sha256 = ANY(%(digests)s) AND rag.hold_of(d) IS NOT NULL
UNION SELECT raw_sha256 FROM rag.inbox WHERE raw_sha256 = ANY(%(digests)s);

-- name: known_blocks
SELECT blocks_sha256 AS digest FROM rag.parse WHERE blocks_sha256 = ANY(%(digests)s)
UNION SELECT blocks_sha256 FROM rag.chunk_set WHERE blocks_sha256 = ANY(%(digests)s);

-- name: wanted_blocks
-- The same without chunk sets that are unreferenced themselves.
SELECT blocks_sha256 AS digest FROM rag.parse WHERE blocks_sha256 = ANY(%(digests)s)
UNION SELECT blocks_sha256 FROM rag.chunk_set s WHERE blocks_sha256 = ANY(%(digests)s) AND NOT EXISTS (
    SELECT FROM rag.unreferenced u WHERE u.kind = 'chunk set' AND u.key = s.chunk_set_id::text);

-- name: drop_former_bytes
-- What documents held before, once it is collected.
DELETE FROM rag.document_former f USING unnest(%(digests)s::bytea[]) AS gone (digest) WHERE f.raw_sha256 = gone.digest;

-- name: drop_sketches
-- Of blocks that are collected.
DELETE FROM rag.sketch WHERE blocks_sha256 = ANY(%(digests)s);

-- name: unfinished
-- What is said to run: sources whose newest sync has not ended, and indexes with a build.
SELECT ARRAY(
           SELECT name FROM rag.source s
           WHERE (SELECT r.finished_at IS NULL FROM rag.run r WHERE r.source_id = s.source_id ORDER BY run_id DESC LIMIT 1)
           ORDER BY name) AS sources,
       ARRAY(SELECT index_name FROM rag.index_version WHERE state = 'building' ORDER BY index_name) AS indexes;
