-- name: find_profiles
SELECT fingerprint, profile_id FROM rag.profile WHERE kind = %(kind)s AND fingerprint = ANY(%(fingerprints)s);

-- name: ensure_profile
INSERT INTO rag.profile (kind, fingerprint, params) VALUES (%(kind)s, %(fingerprint)s, %(params)s)
ON CONFLICT (kind, fingerprint) DO UPDATE SET params = EXCLUDED.params
RETURNING profile_id;

-- name: worked_off
-- Up to where all of these buckets were worked off under `targets`, by numbers of this server; NULL where one was not.
SELECT min(upto)::text AS upto FROM rag.worked_off
WHERE source_id = %(source_id)s AND stage = %(stage)s AND targets = %(targets)s
  AND upto <= pg_snapshot_xmax(pg_current_snapshot())
  AND (%(buckets)s::smallint[] IS NULL OR bucket = ANY(%(buckets)s))
HAVING count(*) = coalesce(cardinality(%(buckets)s::smallint[]), 64);

-- name: oldest_change_unseen
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS upto;

-- name: note_worked_off
INSERT INTO rag.worked_off (source_id, stage, bucket, targets, upto)
SELECT %(source_id)s, %(stage)s, bucket, %(targets)s, %(upto)s::text::xid8
FROM unnest(coalesce(%(buckets)s::smallint[], ARRAY(SELECT generate_series(0, 63)))) AS bucket
ON CONFLICT (source_id, stage, bucket) DO UPDATE SET targets = EXCLUDED.targets, upto = EXCLUDED.upto;

-- name: forget_worked_off
DELETE FROM rag.worked_off WHERE source_id = %(source_id)s;

-- name: unfinished_documents
-- Those that may lack something where all were worked off before.
d.status <> 'ok'

-- name: recent_documents
-- Those whose chunks may have no vectors where all were embedded before; with those of which some were refused.
d.document_id IN (
    SELECT document_id FROM rag.document WHERE changed_xid >= %(since)s::text::xid8
    UNION SELECT r.document_id FROM rag.chunk_set_embedded f JOIN rag.document_chunks r USING (chunk_set_id)
    WHERE f.missing > 0)

-- name: pending_documents
-- Documents whose parse or chunks are not what their bytes and the current profiles call for, in order of
-- id after `after`; of one bucket, or of all. Those that their label masks (`labelled_by`) call for parsers of their own.
-- `memo` is a parse of the same bytes by the current parser, made for whatever document.
-- A document that killed or starved its worker is tried again only after its delay and up to a limit. One whose
-- bytes are known to be bad is pending until quarantine says so; blank files are not quarantined.
-- `earlier` is the document's own last parse; `again` says that it was of the same bytes, so by other code.
SELECT d.document_id, d.external_id, d.name, d.hint, d.declared_type, d.given_title, d.raw_sha256, d.raw_bytes,
       memo.parse_id, memo.status, memo.message, memo.media_type, memo.blocks_sha256, memo.title,
       coalesce(q.attempts, 0) AS attempts, earlier.media_type AS earlier_type,
       earlier.blocks_sha256 AS earlier_blocks, earlier.title AS earlier_title,
       coalesce(earlier.raw_sha256 = d.raw_sha256 AND earlier.hint = d.hint, false) AS again,
       earlier.profile_id AS earlier_profile, d.masked_by, d.own_access IS NOT NULL AS restricted, memo.found,
       coalesce(earlier.clear_sha256 IS NULL OR earlier.clear_sha256 = earlier.blocks_sha256, false) AS earlier_clear,
       CASE WHEN %(screens)s THEN earlier.counters END AS earlier_counters
FROM rag.document d
LEFT JOIN rag.parse earlier ON earlier.parse_id = d.parse_id
LEFT JOIN LATERAL (
    SELECT p.* FROM rag.parse p
    JOIN unnest(%(media_types)s::text[], %(parsers)s::int[], %(labelled)s::boolean[])
         AS current (media_type, profile_id, labelled)
      ON p.media_type = current.media_type AND p.profile_id = current.profile_id
     AND current.labelled = coalesce(d.masked_by = %(labelled_by)s, false)
    WHERE p.raw_sha256 = d.raw_sha256 AND p.hint = d.hint
    LIMIT 1
) memo ON true
LEFT JOIN rag.quarantine q
  ON q.source_id = d.source_id AND q.external_id = d.external_id AND q.stage = 'parse'
 AND q.content = encode(d.raw_sha256, 'hex')
 AND q.code_version = CASE WHEN d.masked_by = %(labelled_by)s THEN %(labelled_code)s ELSE %(code_version)s END
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND {documents} AND d.document_id > %(after)s
  AND (%(bucket)s::smallint IS NULL OR d.bucket = %(bucket)s)
  AND (
    (memo.parse_id IS NULL
     AND (q.quarantine_id IS NULL OR (q.attempts < %(max_attempts)s AND q.next_try_at <= now())))
    OR memo.parse_id <> coalesce(d.parse_id, 0)
    OR (memo.status <> 'ok' AND (memo.status <> 'empty' OR d.raw_bytes > 0)
        AND NOT EXISTS (SELECT FROM rag.quarantine any_stage
                        WHERE any_stage.source_id = d.source_id AND any_stage.external_id = d.external_id))
    OR (memo.status = 'ok' AND EXISTS (
        SELECT FROM unnest(%(chunkers)s::int[], %(titled)s::boolean[]) AS c (profile_id, titled)
        WHERE NOT EXISTS (
            SELECT FROM rag.document_chunks dc JOIN rag.chunk_set cs USING (chunk_set_id)
            WHERE dc.document_id = d.document_id AND dc.profile_id = c.profile_id
              AND cs.blocks_sha256 = memo.blocks_sha256
              AND cs.title IS NOT DISTINCT FROM
                  CASE WHEN c.titled THEN coalesce(d.given_title, memo.title) END)))
    OR (memo.status = 'ok' AND d.status = 'pending' AND cardinality(%(chunkers)s::int[]) > 0)
  )
ORDER BY d.document_id
LIMIT %(limit)s;

-- name: count_pending
-- How many documents `pending_documents` would give at the most; for progress bars.
SELECT count(*) AS pending FROM rag.document d LEFT JOIN rag.parse p USING (parse_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND {documents}
  AND (%(buckets)s::smallint[] IS NULL OR d.bucket = ANY(%(buckets)s))
  AND (p.parse_id IS NULL OR p.raw_sha256 <> d.raw_sha256
       OR CASE WHEN d.masked_by = %(labelled_by)s THEN p.profile_id <> ALL(%(labelled_parsers)s::int[])
               ELSE p.profile_id <> ALL(%(parsers)s::int[]) END
       OR d.status = 'pending');

-- name: outdated_parses
-- Documents of a source whose bytes were parsed by another parser than those of now, by media type.
SELECT p.media_type, count(*) AS documents
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.parse p ON p.parse_id = d.parse_id AND p.raw_sha256 = d.raw_sha256 AND p.hint = d.hint
JOIN rag.profile f USING (profile_id)
WHERE s.name = %(source)s AND d.state <> 'tombstoned' AND f.fingerprint <> ALL(%(fingerprints)s)
GROUP BY p.media_type;

-- name: find_chunk_sets
SELECT key, chunk_set_id, chunks FROM rag.chunk_set WHERE key = ANY(%(keys)s);

-- name: put_parses
-- The outcome of parsing some bytes, good or bad, for whoever meets the same bytes.
INSERT INTO rag.parse (raw_sha256, hint, profile_id, status, message, media_type, blocks_sha256, title, language,
                       pages, characters, blocks, counters, metadata, precedence, warnings, privacy, clear_sha256,
                       found, places)
SELECT decode(raw_sha256, 'hex'), hint, profile_id, status, message, media_type, decode(blocks_sha256, 'hex'), title,
       language, pages, coalesce(characters, 0), coalesce(blocks, '{}'), coalesce(counters, '{}'),
       coalesce(metadata, '{}'), coalesce(precedence, '{}'), coalesce(warnings, '{}'),
       privacy, decode(clear_sha256, 'hex'), coalesce(found, '{}'), coalesce(places, '[]')
FROM jsonb_to_recordset(%(rows)s) AS r (
    raw_sha256 text, hint text, profile_id int, status text, message text, media_type text, blocks_sha256 text,
    title text, language text, pages int, characters int, blocks jsonb, counters jsonb, metadata jsonb,
    precedence jsonb, warnings text[], privacy text, clear_sha256 text, found jsonb, places jsonb)
ORDER BY raw_sha256, hint, profile_id
ON CONFLICT (raw_sha256, hint, profile_id) DO UPDATE SET status = EXCLUDED.status, message = EXCLUDED.message
RETURNING parse_id, encode(raw_sha256, 'hex') AS raw_sha256, hint;

-- name: put_chunk_sets
-- Returns the sets that are new; a concurrent writer of the same set waits here for us.
INSERT INTO rag.chunk_set (key, blocks_sha256, title, profile_id, chunks, tokens)
SELECT key, decode(blocks_sha256, 'hex'), title, profile_id, chunks, tokens
FROM jsonb_to_recordset(%(rows)s) AS r (
    key uuid, blocks_sha256 text, title text, profile_id int, chunks int, tokens bigint)
ORDER BY key
ON CONFLICT (key) DO NOTHING
RETURNING key, chunk_set_id;

-- name: hold_documents
-- Which of these documents are there; they stay as they are until commit. What others have locked is left out: they
-- change it just now, or take it away.
SELECT document_id FROM rag.document WHERE document_id = ANY(%(ids)s)
ORDER BY document_id FOR NO KEY UPDATE SKIP LOCKED;

-- name: hold_sets
-- Which of these chunk sets are there; they stay so until commit.
SELECT chunk_set_id FROM rag.chunk_set WHERE chunk_set_id = ANY(%(ids)s) ORDER BY chunk_set_id FOR KEY SHARE;

-- name: hold_vectors
-- Which of these inputs have a vector; it stays so until commit.
SELECT input_key FROM rag.embedding WHERE model_id = %(model_id)s AND input_key = ANY(%(keys)s)
ORDER BY input_key FOR KEY SHARE;

-- name: finish_documents
-- What became of documents, unless their bytes have changed again meanwhile. `changed` says that what index
-- versions hold of them is out of date; `reload` that our copy of the bytes is gone, so that the next listing
-- takes the document for a changed one. A document that cannot be read goes on with the text of its earlier bytes.
UPDATE rag.document d SET
    parse_id = r.parse_id, status = r.status, updated_at = clock_timestamp(),
    text_of = CASE WHEN r.status NOT IN ('ok', 'empty', 'sensitive') THEN d.text_of END,
    unread_since = CASE WHEN r.status NOT IN ('ok', 'empty', 'sensitive', 'pending') AND d.text_of IS NOT NULL
                        THEN coalesce(d.unread_since, clock_timestamp()) END,
    token = CASE WHEN r.reload THEN '' ELSE d.token END,
    changed_xid = CASE WHEN r.changed THEN pg_current_xact_id() ELSE d.changed_xid END
FROM jsonb_to_recordset(%(rows)s) AS r (
    document_id bigint, raw_sha256 text, parse_id bigint, status text, changed boolean, reload boolean)
WHERE d.document_id = r.document_id AND d.raw_sha256 = decode(r.raw_sha256, 'hex');

-- name: map_chunks
-- Unless the document has other bytes or another title by now: it would answer for text that it no longer has.
-- Returns the documents that have other chunks than before.
INSERT INTO rag.document_chunks (document_id, profile_id, chunk_set_id)
SELECT r.document_id, r.profile_id, r.chunk_set_id
FROM jsonb_to_recordset(%(rows)s) AS r (
    document_id bigint, raw_sha256 text, given_title text, profile_id int, chunk_set_id bigint)
JOIN rag.document d ON d.document_id = r.document_id AND d.raw_sha256 = decode(r.raw_sha256, 'hex')
 AND d.given_title IS NOT DISTINCT FROM r.given_title
ON CONFLICT (document_id, profile_id) DO UPDATE SET chunk_set_id = EXCLUDED.chunk_set_id
WHERE document_chunks.chunk_set_id <> EXCLUDED.chunk_set_id
RETURNING document_id;

-- name: unmap_chunks
-- These documents have no text any more.
DELETE FROM rag.document_chunks WHERE document_id = ANY(%(ids)s);

-- name: drop_last_texts
-- Documents whose bytes have been unreadable for too long lose the text of their earlier bytes.
WITH expired AS (
    UPDATE rag.document SET
        text_of = NULL, unread_since = NULL, updated_at = clock_timestamp(), changed_xid = pg_current_xact_id()
    WHERE source_id = %(source_id)s AND text_of IS NOT NULL AND unread_since < now() - %(age)s::interval
      AND (%(buckets)s::smallint[] IS NULL OR bucket = ANY(%(buckets)s))
    RETURNING document_id, external_id
), unmapped AS (
    DELETE FROM rag.document_chunks dc USING expired WHERE dc.document_id = expired.document_id
)
SELECT external_id FROM expired ORDER BY external_id;

-- name: mark_embedded
INSERT INTO rag.chunk_set_embedded (chunk_set_id, model_id, missing)
SELECT chunk_set_id, model_id, missing
FROM jsonb_to_recordset(%(rows)s) AS r (chunk_set_id bigint, model_id int, missing int)
ORDER BY chunk_set_id, model_id
ON CONFLICT (chunk_set_id, model_id) DO UPDATE SET missing = EXCLUDED.missing;

-- name: mark_changed
-- What index versions hold of these documents is out of date from this transaction on.
WITH ordered AS MATERIALIZED (
    SELECT document_id FROM rag.document WHERE document_id = ANY(%(ids)s) ORDER BY document_id FOR NO KEY UPDATE
)
UPDATE rag.document d SET changed_xid = pg_current_xact_id() FROM ordered WHERE d.document_id = ordered.document_id;

-- name: missing_vectors
-- Which of these inputs have no vector yet.
SELECT k.key FROM unnest(%(keys)s::uuid[]) AS k (key)
WHERE NOT EXISTS (SELECT FROM rag.embedding e WHERE e.model_id = %(model_id)s AND e.input_key = k.key);

-- name: pending_chunk_sets
-- Chunk sets of a source's documents that are not embedded under a model, after `after`; and those with refused
-- chunks of which quarantine does not know.
SELECT DISTINCT dc.chunk_set_id, cs.chunks
FROM rag.document d
JOIN rag.document_chunks dc USING (document_id)
JOIN rag.chunk_set cs USING (chunk_set_id)
LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND {documents} AND dc.profile_id = %(chunker_id)s
  AND dc.chunk_set_id > %(after)s AND (%(buckets)s::smallint[] IS NULL OR d.bucket = ANY(%(buckets)s))
  AND (e.chunk_set_id IS NULL
       OR (e.missing > 0 AND NOT EXISTS (SELECT FROM rag.quarantine q
                                         WHERE q.source_id = d.source_id AND q.external_id = d.external_id)))
ORDER BY dc.chunk_set_id
LIMIT %(limit)s;

-- name: chunk_inputs
SELECT chunk_set_id, ordinal, input_key, prefix || text AS input FROM rag.chunk
WHERE chunk_set_id = ANY(%(sets)s) ORDER BY chunk_set_id, ordinal;

-- name: documents_of_sets
-- The documents of a source that show these chunk sets.
SELECT dc.chunk_set_id, d.document_id, d.external_id, encode(d.raw_sha256, 'hex') AS sha256
FROM rag.document_chunks dc JOIN rag.document d USING (document_id)
WHERE d.source_id = %(source_id)s AND dc.chunk_set_id = ANY(%(sets)s) AND d.state <> 'tombstoned';
