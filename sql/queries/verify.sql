-- Re-deriving the truth (rag_pipelines/sync/verify.py) and putting back to work what is damaged (reopen.py).
-- A query of drift gives rows of kind, documents and at most %(limit)s of their ids.

-- name: make_listed
CREATE TEMPORARY TABLE listed (external_id text PRIMARY KEY);

-- name: add_listed
INSERT INTO listed SELECT unnest(%(ids)s::text[]) ON CONFLICT DO NOTHING;

-- name: make_stored_blobs
CREATE TEMPORARY TABLE stored_blob (kind text NOT NULL, digest bytea NOT NULL, PRIMARY KEY (kind, digest));

-- name: add_stored_blobs
INSERT INTO stored_blob SELECT %(kind)s, unnest(%(digests)s::bytea[]) ON CONFLICT DO NOTHING;

-- name: analyze_temporary
ANALYZE stored_blob;

-- name: verify_counts
-- Documents of a source along the stages, and its chunks and vectors under the profiles in use.
SELECT (SELECT count(*) FROM listed) AS listed,
       count(*) AS stored,
       count(*) FILTER (WHERE d.state = 'missing') AS missing,
       count(*) FILTER (WHERE p.status IS NOT NULL) AS parsed,
       count(*) FILTER (WHERE p.status = 'ok') AS readable,
       count(*) FILTER (WHERE made.sets > 0) AS chunked,
       count(*) FILTER (WHERE made.sets > 0 AND made.sets = made.embedded) AS embedded,
       coalesce(sum(made.chunks), 0)::bigint AS chunks,
       coalesce(sum(made.vectors), 0)::bigint AS vectors,
       (SELECT count(*) FROM rag.quarantine q WHERE q.source_id = %(source_id)s) AS quarantined,
       (SELECT extract(epoch FROM now() - s.listed_at)::bigint FROM rag.source s WHERE s.source_id = %(source_id)s)
           AS listing_age_s,
       (SELECT extract(epoch FROM now() - s.groups_at)::bigint FROM rag.source s WHERE s.source_id = %(source_id)s)
           AS groups_age_s
FROM rag.document d
LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.raw_sha256 = d.raw_sha256
LEFT JOIN LATERAL (
    SELECT count(*) AS sets, count(e.chunk_set_id) AS embedded, sum(cs.chunks) AS chunks, sum(cs.chunks - e.missing) AS vectors
    FROM unnest(%(chunkers)s::int[], %(models)s::int[]) AS pair (chunker_id, model_id)
    JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = pair.chunker_id
    JOIN rag.chunk_set cs USING (chunk_set_id)
    LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = cs.chunk_set_id AND e.model_id = pair.model_id
) made ON true
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned';

-- name: verify_listing
-- What the source names and we do not hold (what failed is in quarantine and no drift, what is withheld is meant to be so),
-- and the other way round.
SELECT kind, count(*) AS documents, (array_agg(external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM (
    SELECT 'not_stored' AS kind, l.external_id
    FROM listed l
    WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.source_id = %(source_id)s AND d.external_id = l.external_id
                      AND d.state <> 'tombstoned')
      AND NOT EXISTS (SELECT FROM rag.quarantine q WHERE q.source_id = %(source_id)s AND q.external_id = l.external_id)
      AND NOT EXISTS (SELECT FROM rag.withheld w WHERE w.source_id = %(source_id)s AND w.external_id = l.external_id)
    UNION ALL
    SELECT CASE WHEN d.state = 'present' THEN 'gone' WHEN x.state = 'rejected' THEN 'kept' ELSE 'parked' END,
           d.external_id
    FROM rag.document d LEFT JOIN rag.deletion x USING (deletion_id)
    WHERE d.source_id = %(source_id)s AND NOT EXISTS (SELECT FROM listed l WHERE l.external_id = d.external_id)
      AND d.state <> 'tombstoned'
) drift GROUP BY kind;

-- name: verify_content
-- Chunks and vectors that the catalogue says it has and has not, and those that it knows to be missing.
SELECT kind, count(DISTINCT external_id) AS documents,
       (array_agg(DISTINCT external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM (
    SELECT d.external_id,
           CASE WHEN cs.chunks IS DISTINCT FROM stored.chunks THEN 'chunks_lost'
                WHEN e.chunk_set_id IS NULL THEN 'not_embedded'
                WHEN e.missing > 0 AND NOT EXISTS (
                     SELECT FROM rag.quarantine q
                     WHERE q.source_id = d.source_id AND q.external_id = d.external_id) THEN 'not_quarantined'
                WHEN stored.chunks - stored.vectors > e.missing THEN 'vectors_lost' END AS kind
    FROM unnest(%(chunkers)s::int[], %(models)s::int[]) AS pair (chunker_id, model_id)
    JOIN rag.document_chunks dc ON dc.profile_id = pair.chunker_id
    JOIN rag.document d USING (document_id)
    LEFT JOIN rag.chunk_set cs USING (chunk_set_id)
    LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = dc.chunk_set_id AND e.model_id = pair.model_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS chunks, count(v.input_key) AS vectors
        FROM rag.chunk c LEFT JOIN rag.embedding v ON v.model_id = pair.model_id AND v.input_key = c.input_key
        WHERE c.chunk_set_id = dc.chunk_set_id
    ) stored
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
) drift WHERE kind IS NOT NULL GROUP BY kind;

-- name: verify_blobs
-- Documents whose bytes or blocks are not in the blob store.
SELECT kind, count(*) AS documents, (array_agg(external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM (
    SELECT 'bytes_lost' AS kind, d.external_id FROM rag.document d
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
      AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'raw' AND b.digest = d.raw_sha256)
    UNION ALL
    SELECT 'blocks_lost', d.external_id FROM rag.document d JOIN rag.parse p USING (parse_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND p.blocks_sha256 IS NOT NULL
      AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'blocks' AND b.digest = p.blocks_sha256)
) drift GROUP BY kind;

-- name: forget_stored_blob
DELETE FROM stored_blob WHERE kind = %(kind)s AND digest = %(digest)s;

-- name: source_blobs
-- The distinct objects of a source's documents that are stored, in order, after the given one.
SELECT kind, digest
FROM (
    SELECT 'raw' AS kind, d.raw_sha256 AS digest FROM rag.document d
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
    UNION
    SELECT 'blocks', p.blocks_sha256 FROM rag.document d JOIN rag.parse p USING (parse_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
) held
JOIN stored_blob USING (kind, digest)
WHERE (kind, digest) > (%(kind)s, %(digest)s) ORDER BY kind, digest LIMIT %(limit)s;

-- name: verify_version
-- Documents of a source in a version: those whose chunks are all there (kind NULL), and each kind of drift.
-- `behind` are those that changed since the version was built; of what did not change, any difference is a fault.
WITH expected AS (
    SELECT d.document_id, dc.chunk_set_id, cs.chunks - e.missing AS n
    FROM rag.document d
    JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
    JOIN rag.chunk_set cs USING (chunk_set_id)
    JOIN rag.chunk_set_embedded e ON e.chunk_set_id = cs.chunk_set_id AND e.model_id = %(model_id)s
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND cs.chunks > e.missing
), vectors AS (
    SELECT document_id, chunk_set_id, count(*) AS n FROM {vectors} GROUP BY 1, 2
), lexical AS (
    SELECT document_id, chunk_set_id, count(*) AS n FROM {lexical} GROUP BY 1, 2
), compared AS (
    SELECT d.external_id, coalesce(v.n, 0) AS rows,
           CASE WHEN v.n = e.n AND l.n = e.n THEN NULL
                WHEN NOT %(member)s OR d.changed_xid >= %(watermark)s::text::xid8 THEN 'behind'
                WHEN e.n IS NULL THEN 'surplus'
                WHEN v.n IS NULL THEN 'not_indexed'
                WHEN v.n <> e.n THEN 'vector_rows'
                ELSE 'word_rows' END AS kind
    FROM expected e
    FULL JOIN vectors v USING (document_id, chunk_set_id)
    FULL JOIN lexical l USING (document_id, chunk_set_id)
    JOIN rag.document d USING (document_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
)
SELECT kind, count(DISTINCT external_id) AS documents, sum(rows)::bigint AS rows,
       (array_agg(DISTINCT external_id ORDER BY external_id))[1:%(limit)s] AS samples
FROM compared GROUP BY kind;

-- name: verify_strays
-- Documents that a version shows and the catalogue does not know.
SELECT 'stray' AS kind, count(DISTINCT document_id) AS documents,
       (array_agg(DISTINCT 'document ' || document_id))[1:%(limit)s] AS samples
FROM (SELECT document_id FROM {vectors} UNION ALL SELECT document_id FROM {lexical}
      UNION ALL SELECT document_id FROM {documents}) v
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.document_id = v.document_id)
HAVING count(*) > 0;

-- name: put_certificate
INSERT INTO rag.certificate (source_id, version_id, complete, counts, drift)
VALUES (%(source_id)s, %(version_id)s, %(complete)s, %(counts)s, %(drift)s);

-- name: prune_certificates
-- The newest ones of a source stay.
DELETE FROM rag.certificate WHERE certificate_id IN (
    SELECT certificate_id FROM rag.certificate WHERE source_id = %(source_id)s
    ORDER BY certificate_id DESC OFFSET %(keep)s);

-- name: certificates
-- What the newest verification of a source certified, the catalogue first.
SELECT s.name AS source, v.index_name AS index, c.version_id AS version, c.counts, c.drift, c.made_at
FROM rag.certificate c JOIN rag.source s USING (source_id) LEFT JOIN rag.index_version v USING (version_id)
WHERE s.name = %(source)s
  AND c.made_at = (SELECT max(made_at) FROM rag.certificate n WHERE n.source_id = c.source_id)
ORDER BY v.index_name NULLS FIRST, c.certificate_id;

-- name: forget_cursor
-- The next run lists everything.
UPDATE rag.source SET cursor = NULL WHERE source_id = %(source_id)s;

-- name: reload_lost
-- Documents whose bytes are gone: their token fits nothing, so the next listing takes them for changed ones.
UPDATE rag.document d SET token = ''
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
  AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'raw' AND b.digest = d.raw_sha256);

-- name: reparse_lost
-- Parses whose blocks are gone: without them the documents are pending.
DELETE FROM rag.parse p USING rag.document d
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND d.parse_id = p.parse_id AND p.blocks_sha256 IS NOT NULL
  AND NOT EXISTS (SELECT FROM stored_blob b WHERE b.kind = 'blocks' AND b.digest = p.blocks_sha256);

-- name: rechunk_lost
-- Chunk sets with lost chunks are no longer found under their key, and documents no longer show them; versions
-- do until the next build.
WITH lost AS (
    SELECT DISTINCT dc.chunk_set_id
    FROM rag.document d JOIN rag.document_chunks dc USING (document_id) LEFT JOIN rag.chunk_set cs USING (chunk_set_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
      AND cs.chunks IS DISTINCT FROM (SELECT count(*) FROM rag.chunk c WHERE c.chunk_set_id = dc.chunk_set_id)
), hidden AS (
    UPDATE rag.chunk_set cs SET key = gen_random_uuid() FROM lost WHERE cs.chunk_set_id = lost.chunk_set_id
)
DELETE FROM rag.document_chunks dc USING lost WHERE dc.chunk_set_id = lost.chunk_set_id;

-- name: reembed_lost
-- Chunk sets of which more vectors are missing than their model refused are pending again.
DELETE FROM rag.chunk_set_embedded e USING rag.document_chunks dc, rag.document d
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND dc.document_id = d.document_id
  AND e.chunk_set_id = dc.chunk_set_id
  AND e.missing < (SELECT count(*) FROM rag.chunk c WHERE c.chunk_set_id = e.chunk_set_id
                   AND NOT EXISTS (SELECT FROM rag.embedding v WHERE v.model_id = e.model_id AND v.input_key = c.input_key));

-- name: version_age
-- How old the oldest listing is that a version was built from.
SELECT extract(epoch FROM now() - as_of)::bigint AS age_s FROM rag.index_version WHERE version_id = %(version_id)s;
