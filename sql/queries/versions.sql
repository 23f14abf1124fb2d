-- name: begin_version
INSERT INTO rag.index_version (
    index_name, fingerprint, kind, base_version, storage, chunker_id, model_id, params, required_gates,
    watermark, lease_token, lease_owner
) VALUES (
    %(index_name)s, %(fingerprint)s, %(kind)s, %(base_version)s,
    coalesce(%(storage)s::int, nextval('rag.index_storage')::int), %(chunker_id)s, %(model_id)s, %(params)s,
    %(required_gates)s, pg_snapshot_xmin(pg_current_snapshot()), %(lease_token)s, %(lease_owner)s
)
RETURNING *, watermark::text AS watermark;

-- name: hold_version_lease
-- Inside a writing transaction: one row while this build is ours; nobody can take it before we commit. Shared by the
-- sessions of a build.
SELECT 1 FROM rag.index_version
WHERE version_id = %(version_id)s AND lease_token = %(lease_token)s AND state = 'building' FOR SHARE;

-- name: abandoned_builds
-- Builds whose holder is gone: whoever holds the index's lock now may fail them.
SELECT version_id, kind, storage FROM rag.index_version WHERE index_name = %(index_name)s AND state = 'building';

-- name: fail_version
UPDATE rag.index_version SET state = 'failed', error = %(error)s, lease_token = gen_random_uuid()
WHERE version_id = %(version_id)s AND state IN ('building', 'built', 'validated');

-- name: version_by_id
SELECT *, watermark::text AS watermark FROM rag.index_version WHERE version_id = %(version_id)s;

-- name: versions
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE (%(index_name)s::text IS NULL OR index_name = %(index_name)s)
ORDER BY index_name, version_id DESC
LIMIT %(limit)s;

-- name: live_version
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE index_name = %(index_name)s AND state = 'live';

-- name: candidate_version
-- The newest version that was built and not promoted yet; one older than the live version is overtaken.
SELECT *, watermark::text AS watermark FROM rag.index_version v
WHERE index_name = %(index_name)s AND state IN ('built', 'validated')
  AND NOT EXISTS (SELECT FROM rag.index_version l WHERE l.index_name = v.index_name AND l.state = 'live'
                  AND l.version_id > v.version_id)
ORDER BY version_id DESC LIMIT 1;

-- name: catch_up_base
-- The copy of a version with the same fingerprint, or the newest retired one.
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE index_name = %(index_name)s AND state IN ('spare', 'retired') AND fingerprint = %(fingerprint)s
ORDER BY state = 'spare' DESC, version_id DESC LIMIT 1;

-- name: rollback_target
-- The retired version that was live last.
SELECT *, watermark::text AS watermark FROM rag.index_version
WHERE index_name = %(index_name)s AND state = 'retired' AND (%(version_id)s::int IS NULL OR version_id = %(version_id)s)
ORDER BY retired_at DESC, version_id DESC LIMIT 1;

-- name: forget_other_server
-- After a dump was restored into another server: numbers that this server's transactions have not reached say
-- nothing about order. The documents count as changed now, and no version is caught up from.
WITH documents AS (
    UPDATE rag.document SET changed_xid = pg_current_xact_id()
    WHERE changed_xid > pg_snapshot_xmax(pg_current_snapshot())
), departed AS (
    UPDATE rag.departed_document SET departed_xid = pg_current_xact_id()
    WHERE departed_xid > pg_snapshot_xmax(pg_current_snapshot())
), worked_off AS (
    DELETE FROM rag.worked_off WHERE upto > pg_snapshot_xmax(pg_current_snapshot())
)
UPDATE rag.index_version SET watermark = '0'
WHERE index_name = %(index_name)s AND watermark > pg_snapshot_xmax(pg_current_snapshot());

-- name: changed_since
-- How many documents an index would have to take over since a watermark: all of them where that is of another server.
SELECT count(*) AS changed FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.changed_xid >= (
    SELECT CASE WHEN %(watermark)s::text::xid8 > pg_snapshot_xmax(pg_current_snapshot())
                THEN '0'::xid8 ELSE %(watermark)s::text::xid8 END);

-- name: newest_change
-- The newest change to a document of the sources; NULL where they hold none.
SELECT max(d.changed_xid)::text AS newest FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s);

-- name: snapshot
-- What this transaction sees, and the oldest transaction that is open.
SELECT pg_current_snapshot()::text AS snapshot, pg_snapshot_xmin(pg_current_snapshot())::text AS watermark;

-- name: finish_build
UPDATE rag.index_version SET
    state = 'built', built_at = now(), watermark = %(watermark)s::text::xid8, row_count = %(row_count)s,
    document_count = %(document_count)s, statistics = %(statistics)s, params = params || %(params)s,
    as_of = %(as_of)s
WHERE version_id = %(version_id)s;

-- name: note_gone
-- Rows of documents that were taken out of a version at rest.
UPDATE rag.index_version SET
    rows_gone = rows_gone + %(rows)s, documents_gone = documents_gone + %(documents)s
WHERE storage = %(storage)s AND state IN ('built', 'validated', 'live', 'retired', 'spare');

-- name: held_rows
-- What a version at rest holds, by its counters.
SELECT coalesce(document_count, 0) - documents_gone AS documents, coalesce(row_count, 0) - rows_gone AS rows
FROM rag.index_version WHERE version_id = %(version_id)s;

-- name: copy_gaps
-- What a version lacks, its copy lacks.
INSERT INTO rag.version_document (version_id, document_id, changed, lack, quarantined)
SELECT %(version_id)s, document_id, false, lack, quarantined FROM rag.version_document
WHERE version_id = %(live_id)s AND lack IS NOT NULL;

-- name: finish_spare
-- A copy is as old as its original; catching up from it applies what changed since.
UPDATE rag.index_version v SET
    state = 'spare', built_at = now(), watermark = l.watermark, as_of = l.as_of, params = l.params,
    row_count = %(row_count)s, document_count = %(document_count)s, statistics = %(statistics)s
FROM rag.index_version l WHERE v.version_id = %(version_id)s AND l.version_id = %(live_id)s;

-- name: consume_base
-- The storage of a retired version has become the storage of its catch-up build.
WITH forgotten AS (DELETE FROM rag.version_document WHERE version_id = %(version_id)s)
UPDATE rag.index_version SET state = 'dropped', dropped_at = now() WHERE version_id = %(version_id)s AND state IN ('spare', 'retired');

-- name: set_state
UPDATE rag.index_version SET
    state = %(state)s,
    promoted_at = CASE WHEN %(state)s = 'live' THEN now() ELSE promoted_at END,
    retired_at = CASE WHEN %(state)s = 'retired' THEN now() ELSE retired_at END,
    dropped_at = CASE WHEN %(state)s = 'dropped' THEN now() ELSE dropped_at END
WHERE version_id = %(version_id)s;

-- name: lock_versions
-- Serialises promotion, rollback and collection of one index; readers are not touched.
SELECT version_id, state FROM rag.index_version
WHERE index_name = %(index_name)s AND state IN ('building', 'built', 'validated', 'live', 'retired', 'spare')
ORDER BY version_id FOR UPDATE;

-- name: put_gate
INSERT INTO rag.gate_result (version_id, gate, passed, observed, threshold, detail)
VALUES (%(version_id)s, %(gate)s, %(passed)s, %(observed)s, %(threshold)s, %(detail)s)
ON CONFLICT (version_id, gate) DO UPDATE SET
    passed = EXCLUDED.passed, observed = EXCLUDED.observed, threshold = EXCLUDED.threshold,
    detail = EXCLUDED.detail, checked_at = now();

-- name: gates
SELECT gate, passed, observed, threshold, detail, checked_at FROM rag.gate_result
WHERE version_id = %(version_id)s ORDER BY gate;

-- name: shown_storages
-- The live and the retired versions of an index, with their sources.
SELECT version_id, state, storage, ARRAY(SELECT jsonb_array_elements_text(params -> 'sources')) AS sources
FROM rag.index_version WHERE index_name = %(index_name)s AND state IN ('live', 'retired') ORDER BY version_id;

-- name: collectable_versions
-- Retired versions beyond the newest `keep` and older than `age`, those in `clear`, failed builds, candidates older than the live version,
-- and copies of versions of another kind than the live one. A version whose storage another version uses now keeps its row and loses nothing.
SELECT v.version_id, v.state, v.storage, v.kind,
       NOT EXISTS (SELECT FROM rag.index_version o WHERE o.storage = v.storage AND o.version_id <> v.version_id
                   AND o.state IN ('building', 'built', 'validated', 'live', 'retired', 'spare')) AS owns_storage
FROM (
    SELECT *, row_number() OVER (PARTITION BY state ORDER BY retired_at DESC NULLS LAST) AS nth
    FROM rag.index_version WHERE index_name = %(index_name)s
) v
WHERE (v.state = 'retired' AND v.nth > %(keep)s AND v.retired_at < now() - %(age)s::interval)
   OR (v.state = 'retired' AND v.version_id = ANY(%(clear)s::int[]))
   OR (v.state = 'failed' AND v.dropped_at IS NULL)
   OR (v.state = 'spare' AND NOT EXISTS (
        SELECT FROM rag.index_version l WHERE l.index_name = v.index_name AND l.state = 'live'
        AND l.fingerprint = v.fingerprint))
   OR (v.state IN ('built', 'validated') AND EXISTS (
        SELECT FROM rag.index_version l WHERE l.index_name = v.index_name AND l.state = 'live'
        AND l.version_id > v.version_id))
ORDER BY v.version_id;

-- name: mark_collected
WITH forgotten AS (DELETE FROM rag.version_document WHERE version_id = %(version_id)s)
UPDATE rag.index_version SET state = CASE WHEN state = 'failed' THEN state ELSE 'dropped' END, dropped_at = now()
WHERE version_id = %(version_id)s;

-- name: forget_departed
-- Departures that every version knows that may still be caught up from.
DELETE FROM rag.departed_document WHERE departed_xid < ALL (
    SELECT watermark FROM rag.index_version WHERE state IN ('building', 'built', 'validated', 'live', 'retired', 'spare'));

-- name: build_progress
SELECT p.pid, p.tuples_done FROM pg_stat_progress_create_index p WHERE p.pid = ANY(%(pids)s);
