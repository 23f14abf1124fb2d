-- name: settle_deletions
-- Parked deletions with no document left to decide on: applied by a run that was allowed to, or all listed again.
UPDATE rag.deletion x SET decided_at = now(), decided_by = %(actor)s,
    state = CASE WHEN EXISTS (SELECT FROM rag.document d WHERE d.deletion_id = x.deletion_id)
                 THEN 'approved' ELSE 'withdrawn' END
WHERE x.source_id = %(source_id)s AND x.state = 'parked'
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.deletion_id = x.deletion_id AND d.state = 'missing');

-- name: list_deletions
-- Decisions about deletions, the newest first, with how many documents still wait under each.
SELECT x.deletion_id, s.name AS source, x.cause, x.state, x.documents, x.known, x.parked_at, x.decided_at,
       x.decided_by, x.reason,
       (SELECT count(*) FROM rag.document d WHERE d.deletion_id = x.deletion_id AND d.state = 'missing') AS waiting,
       (SELECT count(*) FROM rag.document d WHERE d.deletion_id = x.deletion_id AND d.state = 'tombstoned') AS hidden
FROM rag.deletion x JOIN rag.source s USING (source_id)
WHERE (%(sources)s::text[] IS NULL OR s.name = ANY(%(sources)s))
  AND (%(ids)s::bigint[] IS NULL OR x.deletion_id = ANY(%(ids)s))
  AND (%(states)s::text[] IS NULL OR x.state = ANY(%(states)s))
ORDER BY x.deletion_id DESC;

-- name: newest_deletion
SELECT coalesce(max(deletion_id), 0) AS deletion_id FROM rag.deletion;

-- name: deletion_documents
-- The documents that wait under a decision.
SELECT external_id, path, coalesce(given_title, name) AS title, url, raw_bytes, modified_at
FROM rag.document WHERE deletion_id = %(deletion_id)s AND state = 'missing' ORDER BY external_id LIMIT %(limit)s;

-- name: tombstone_parked
UPDATE rag.document SET
    state = 'tombstoned', deleted_at = now(), updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE deletion_id = %(deletion_id)s AND state = 'missing';

-- name: restore_approved
-- Taken back within the grace: served again, in the live version at once where it still holds them.
UPDATE rag.document SET
    state = 'missing', deleted_at = NULL, updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE deletion_id = %(deletion_id)s AND state = 'tombstoned';

-- name: decide_deletion
UPDATE rag.deletion SET state = %(state)s, decided_at = now(), decided_by = %(actor)s, reason = %(reason)s
WHERE deletion_id = %(deletion_id)s;

-- name: unconfigured_sources
-- Sources that the configuration no longer names and that still hold documents nobody has decided on.
SELECT s.source_id, s.name, s.connector, count(*) AS documents
FROM rag.source s JOIN rag.document d USING (source_id)
WHERE s.name <> ALL(%(configured)s) AND d.state = 'present'
GROUP BY s.source_id ORDER BY s.name;

-- name: served_without_source
-- Sources that the configuration no longer names and whose documents are served until somebody decides, whatever
-- their deletion waits for, and also before it is parked.
SELECT s.name FROM rag.source s
WHERE s.name <> ALL(%(configured)s)
  AND EXISTS (SELECT FROM rag.document d WHERE d.source_id = s.source_id AND d.state <> 'tombstoned')
ORDER BY 1;

-- name: park_source
WITH parked AS (
    INSERT INTO rag.deletion (source_id, cause, documents, known)
    VALUES (%(source_id)s, 'source_removed', %(documents)s, %(documents)s) RETURNING deletion_id
)
UPDATE rag.document d SET state = 'missing', deletion_id = parked.deletion_id, updated_at = clock_timestamp()
FROM parked WHERE d.source_id = %(source_id)s AND d.state = 'present';
