-- name: known_documents
-- What is stored of the listed ids.
SELECT document_id, external_id, state, token, attributes_key, access_id, raw_sha256, name, path, own_access
FROM rag.document WHERE source_id = %(source_id)s AND external_id = ANY(%(ids)s);

-- name: differing_documents
-- Of listed documents those that are not stored as they are listed, with what is stored of them, if anything is.
SELECT l.external_id, d.document_id, d.state, d.token, d.attributes_key, d.access_id, d.raw_sha256, d.name, d.path, d.own_access
FROM jsonb_to_recordset(%(listed)s) AS l (external_id text, token text, attributes_key uuid, access_id int)
LEFT JOIN rag.document d ON d.source_id = %(source_id)s AND d.external_id = l.external_id
WHERE %(full)s OR d.document_id IS NULL OR d.state = 'tombstoned' OR d.token <> l.token
   OR d.attributes_key <> l.attributes_key OR d.access_id <> l.access_id;

-- name: listing_open_ends
-- Whether a source has failures of listings, and whether the content of any document is in doubt.
SELECT EXISTS (SELECT FROM rag.quarantine WHERE source_id = %(source_id)s AND stage IN ('list', 'fetch', 'access'))
    OR EXISTS (SELECT FROM rag.document_content WHERE doubted) AS any;

-- name: ensure_access_rule
-- A rule that a collection has marked is wanted again.
WITH wanted AS (
    DELETE FROM rag.unreferenced WHERE kind = 'access rule' AND key = %(digest)s::text
)
INSERT INTO rag.access_rule (digest, clauses, deny) VALUES (%(digest)s, %(clauses)s, %(deny)s)
ON CONFLICT (digest) DO UPDATE SET digest = EXCLUDED.digest
RETURNING access_id;

-- name: put_document
-- Insert or update one document with new content; its chunks follow when it has been processed. Until then its text
-- is of the content it had, and `text_of` is when that was modified or, where the source does not say, stored.
INSERT INTO rag.document (
    source_id, external_id, tenant, token, name, path, hint, url, given_title, author, declared_type,
    metadata, masked_by, attributes_key, access_id, raw_sha256, raw_bytes, modified_at
) VALUES (
    %(source_id)s, %(external_id)s, %(tenant)s, %(token)s, %(name)s, %(path)s, %(hint)s, %(url)s,
    %(given_title)s, %(author)s, %(declared_type)s, %(metadata)s, %(masked_by)s, %(attributes_key)s, %(access_id)s,
    %(raw_sha256)s, %(raw_bytes)s, %(modified_at)s
)
ON CONFLICT (source_id, external_id) DO UPDATE SET
    tenant = EXCLUDED.tenant, token = EXCLUDED.token, name = EXCLUDED.name, path = EXCLUDED.path,
    hint = EXCLUDED.hint, url = EXCLUDED.url, given_title = EXCLUDED.given_title, author = EXCLUDED.author,
    declared_type = EXCLUDED.declared_type, metadata = EXCLUDED.metadata, masked_by = EXCLUDED.masked_by,
    attributes_key = EXCLUDED.attributes_key, access_id = EXCLUDED.access_id,
    raw_sha256 = EXCLUDED.raw_sha256, raw_bytes = EXCLUDED.raw_bytes, modified_at = EXCLUDED.modified_at,
    status = CASE WHEN document.raw_sha256 = EXCLUDED.raw_sha256 THEN document.status ELSE 'pending' END,
    text_of = CASE WHEN document.raw_sha256 = EXCLUDED.raw_sha256 OR document.status <> 'ok' THEN document.text_of
                   ELSE coalesce(document.modified_at, document.updated_at) END,
    changed_xid = CASE WHEN document.state = 'present'
                            AND (document.tenant, document.path, document.masked_by)
                                IS NOT DISTINCT FROM (EXCLUDED.tenant, EXCLUDED.path, EXCLUDED.masked_by)
                       THEN document.changed_xid ELSE pg_current_xact_id() END,
    state = 'present', deleted_at = NULL, deletion_id = NULL, updated_at = clock_timestamp();

-- name: set_attributes
-- A change of metadata, access or token alone: no content, no chunk and no vector is touched. Versions count words by
-- tenant and hold those of the place, so that a document of another tenant or place has changed for them.
UPDATE rag.document SET
    tenant = %(tenant)s, token = %(token)s, name = %(name)s, path = %(path)s, hint = %(hint)s, url = %(url)s,
    given_title = %(given_title)s, author = %(author)s, declared_type = %(declared_type)s,
    metadata = %(metadata)s, masked_by = %(masked_by)s, attributes_key = %(attributes_key)s, access_id = %(access_id)s,
    modified_at = %(modified_at)s, state = 'present', deleted_at = NULL, deletion_id = NULL, updated_at = clock_timestamp(),
    changed_xid = CASE WHEN state = 'present' AND (tenant, path, masked_by)
                            IS NOT DISTINCT FROM (%(tenant)s::text, %(path)s::text, %(masked_by)s::text)
                       THEN changed_xid ELSE pg_current_xact_id() END
WHERE document_id = %(document_id)s;

-- name: rename_document
-- The connector says that this document moved: same row, new id.
UPDATE rag.document SET external_id = %(external_id)s, updated_at = clock_timestamp()
WHERE document_id = %(document_id)s;

-- name: make_seen
CREATE TEMPORARY TABLE IF NOT EXISTS seen (external_id text PRIMARY KEY, failed boolean NOT NULL) ON COMMIT PRESERVE ROWS;

-- name: clear_seen
TRUNCATE seen;

-- name: add_seen
INSERT INTO seen (external_id, failed)
SELECT value, false FROM jsonb_array_elements_text(%(named)s)
UNION ALL SELECT value, true FROM jsonb_array_elements_text(%(failed)s)
ON CONFLICT (external_id) DO NOTHING;

-- name: count_vanished
-- How many documents the listing named, how many were stored before it, and how many of those it did not name:
-- `gone` all of them, `vanished` those whose deletion nobody has decided on (`parked`: or is being allowed now).
SELECT (SELECT count(*) FROM seen) AS seen,
       count(*) FILTER (WHERE d.created_at <= %(before)s) AS known,
       count(*) FILTER (WHERE s.external_id IS NULL) AS gone,
       count(*) FILTER (WHERE s.external_id IS NULL AND (d.state = 'present' OR (%(parked)s AND x.state = 'parked')))
           AS vanished
FROM rag.document d LEFT JOIN seen s USING (external_id) LEFT JOIN rag.deletion x USING (deletion_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned';

-- name: vanished_documents
-- The ids of what `count_vanished` counts, in order.
SELECT d.external_id
FROM rag.document d LEFT JOIN seen s USING (external_id) LEFT JOIN rag.deletion x USING (deletion_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND s.external_id IS NULL
  AND (d.state = 'present' OR (%(parked)s AND x.state = 'parked')) AND d.external_id > %(after)s
ORDER BY d.external_id LIMIT %(limit)s;

-- name: begin_moves
-- Inside a transaction: what goes in `merge_moves` is kept by the row that takes its place, also where it is held.
SELECT set_config('rag.moving', 'on', true);

-- name: merge_moves
-- A vanished document and a new one with the same bytes are one document that moved: the old row takes the
-- new row's place (id, path, attributes), so that its chunks, its vectors and every index version stay as
-- they are. Pairs are made one to one, by name first. Empty documents have no content to recognise them by.
WITH gone AS (
    SELECT d.document_id, d.raw_sha256, d.name, d.external_id
    FROM rag.document d LEFT JOIN seen s USING (external_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND s.external_id IS NULL AND d.raw_bytes > 0
), fresh AS (
    SELECT d.document_id, d.raw_sha256, d.name, d.external_id
    FROM rag.document d JOIN seen s USING (external_id)
    WHERE d.source_id = %(source_id)s AND d.state = 'present' AND d.created_at > %(since)s
), named AS (
    SELECT DISTINCT ON (f.document_id) g.document_id AS old_id, g.external_id AS old_external_id,
           f.document_id AS new_id
    FROM (SELECT *, row_number() OVER (PARTITION BY raw_sha256, name ORDER BY external_id) AS n FROM gone) g
    JOIN (SELECT *, row_number() OVER (PARTITION BY raw_sha256, name ORDER BY external_id) AS n FROM fresh) f
      USING (raw_sha256, name, n)
), other AS (
    SELECT g.document_id AS old_id, g.external_id AS old_external_id, f.document_id AS new_id
    FROM (SELECT *, row_number() OVER (PARTITION BY raw_sha256 ORDER BY external_id) AS n FROM gone
          WHERE document_id NOT IN (SELECT old_id FROM named)) g
    JOIN (SELECT *, row_number() OVER (PARTITION BY raw_sha256 ORDER BY external_id) AS n FROM fresh
          WHERE document_id NOT IN (SELECT new_id FROM named)) f
      USING (raw_sha256, n)
), pairs AS (
    SELECT * FROM named UNION ALL SELECT * FROM other
), taken AS (
    DELETE FROM rag.document d USING pairs WHERE d.document_id = pairs.new_id
    RETURNING pairs.old_id, pairs.old_external_id, d.*
)
SELECT * FROM taken;

-- name: apply_move
UPDATE rag.document SET
    external_id = %(external_id)s, tenant = %(tenant)s, token = %(token)s, name = %(name)s, path = %(path)s,
    hint = %(hint)s, url = %(url)s, given_title = %(given_title)s, author = %(author)s,
    declared_type = %(declared_type)s, metadata = %(metadata)s, masked_by = %(masked_by)s,
    attributes_key = %(attributes_key)s, access_id = %(access_id)s, own_access = NULL, modified_at = %(modified_at)s,
    updated_at = clock_timestamp(), state = 'present', deleted_at = NULL, deletion_id = NULL,
    changed_xid = pg_current_xact_id()
WHERE document_id = %(old_id)s;

-- name: tombstone_vanished
-- Hide every document that a complete listing did not name, in every version at once.
UPDATE rag.document d SET
    state = 'tombstoned', deleted_at = now(), updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE d.source_id = %(source_id)s
  AND (d.state = 'present' OR (%(parked)s AND d.state = 'missing' AND EXISTS (
       SELECT FROM rag.deletion x WHERE x.deletion_id = d.deletion_id AND x.state = 'parked')))
  AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = d.external_id);

-- name: park_vanished
-- Above the delete guard: marked missing, still served, until a person decides.
WITH parked AS (
    INSERT INTO rag.deletion (source_id, cause, documents, known)
    VALUES (%(source_id)s, %(cause)s, %(documents)s, %(known)s) RETURNING deletion_id
)
UPDATE rag.document d SET state = 'missing', deletion_id = parked.deletion_id, updated_at = clock_timestamp()
FROM parked
WHERE d.source_id = %(source_id)s AND d.state = 'present'
  AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = d.external_id);

-- name: unpark_seen
-- Documents that were missing and are listed again. Those past their retention were listed all the time.
UPDATE rag.document d SET state = 'present', deletion_id = NULL, updated_at = clock_timestamp()
FROM seen s, rag.deletion x
WHERE d.source_id = %(source_id)s AND d.state = 'missing' AND d.external_id = s.external_id
  AND x.deletion_id = d.deletion_id AND x.cause <> 'retention';

-- name: children_of
-- Documents below the given ones, which go with them, in order.
SELECT d.external_id FROM rag.document d
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
  AND EXISTS (SELECT FROM unnest(%(ids)s::text[]) AS p (id) WHERE starts_with(d.external_id, p.id || '/'))
ORDER BY d.external_id;

-- name: tombstone_ids
UPDATE rag.document SET
    state = 'tombstoned', deleted_at = now(), updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
WHERE source_id = %(source_id)s AND external_id = ANY(%(ids)s) AND state <> 'tombstoned';

-- name: close_resolved
-- Quarantine rows of documents that are fine now or gone.
DELETE FROM rag.quarantine q
WHERE q.source_id = %(source_id)s AND q.external_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.source_id = q.source_id AND d.external_id = q.external_id
                  AND d.state <> 'tombstoned')
  AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = q.external_id);

-- name: park_ids
-- Above the delete guard, from a change feed: marked missing, still served.
WITH parked AS (
    INSERT INTO rag.deletion (source_id, cause, documents, known)
    VALUES (%(source_id)s, %(cause)s, %(documents)s, %(known)s) RETURNING deletion_id
)
UPDATE rag.document d SET state = 'missing', deletion_id = parked.deletion_id, updated_at = clock_timestamp()
FROM parked WHERE d.source_id = %(source_id)s AND d.external_id = ANY(%(ids)s) AND d.state = 'present';
