-- The rows that the quality suites look at, one query a suite; rag_pipelines/quality/suites.py says what
-- must hold of their columns. Each names the row (external_id, chunk_id), so that a broken one can be found.

-- name: quality_documents
-- Documents of a source and how reading each of them ended, with what stands in quarantine even where no
-- document was stored. Those that the latest listing deleted or missed are there to be counted.
SELECT coalesce(d.external_id, q.external_id, 'entity ' || q.entity) AS external_id, d.state,
       octet_length(d.raw_sha256) AS digest_bytes, d.raw_bytes <= %(max_bytes)s AS within_limit,
       coalesce(d.state, '') = 'tombstoned' OR coalesce(p.status, q.status) IS NOT NULL AS answered,
       coalesce(p.status, q.status) AS status,
       CASE WHEN p.status = 'ok' THEN p.characters END AS characters,
       q.quarantine_id IS NOT NULL AS quarantined,
       CASE WHEN q.quarantine_id IS NOT NULL THEN rank() OVER (ORDER BY q.first_at, q.quarantine_id) END AS quarantine_place,
       (extract(epoch FROM now() - q.first_at) / 86400)::float8 AS quarantine_days,
       CASE WHEN (p.blocks ->> 'table')::int > 0 THEN coalesce((p.counters ->> 'tables_with_header')::int, 0) > 0 END
           AS table_header,
       CASE WHEN w.missing > 0 AND w.all_seen >= %(least_words)s AND w.all_missing > b.most * w.all_seen
            THEN concat(p.media_type, ' lost ', round(100 * w.all_missing / w.all_seen, 2), ' percent of its words, allowed are ',
                        round((100 * b.most)::numeric, 2), '; this document ', w.missing, ' of ', w.seen)
       END AS words_lost,
       k.kinds_lost
FROM (
    SELECT d.* FROM rag.document d JOIN rag.source s USING (source_id)
    WHERE source_id = %(source_id)s AND (d.state <> 'tombstoned' OR d.deleted_at >= s.listed_at)
) d
LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.raw_sha256 = d.raw_sha256
LEFT JOIN (
    SELECT c.document_id, c.missing, c.seen, sum(c.missing) OVER format AS all_missing, sum(c.seen) OVER format AS all_seen
    FROM (
        SELECT d.document_id, p.media_type, coalesce((p.counters ->> 'words_missing')::bigint, 0) AS missing,
               coalesce((p.counters ->> 'words_seen')::bigint, 0) AS seen
        FROM rag.document d JOIN rag.parse p USING (parse_id)
        WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND p.status = 'ok'
    ) c
    WINDOW format AS (PARTITION BY c.media_type)
) w ON w.document_id = d.document_id
LEFT JOIN unnest(%(word_types)s::text[], %(word_bounds)s::float8[]) AS b (media_type, most) ON b.media_type = p.media_type
LEFT JOIN (
    SELECT c.document_id,
           string_agg(concat(c.kind, ': ', round(100 * c.share, 2), ' percent of ', c.media_type, ' lose some, allowed are ',
                             round((100 * c.most)::numeric, 2)), '; ' ORDER BY c.kind) AS kinds_lost
    FROM (
        SELECT d.document_id, p.media_type, b.kind, b.most, p.counters ? b.kind AS loses, count(*) OVER kind AS documents,
               avg((p.counters ? b.kind)::int) OVER kind AS share
        FROM rag.document d
        JOIN rag.parse p USING (parse_id)
        JOIN unnest(%(kind_types)s::text[], %(kinds)s::text[], %(kind_bounds)s::float8[]) AS b (media_type, kind, most)
          ON b.media_type = p.media_type
        WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND p.status = 'ok'
        WINDOW kind AS (PARTITION BY p.media_type, b.kind)
    ) c
    WHERE c.loses AND c.documents >= %(least_documents)s AND c.share > c.most
    GROUP BY c.document_id
) k ON k.document_id = d.document_id
FULL JOIN (SELECT * FROM rag.quarantine WHERE source_id = %(source_id)s) q USING (source_id, external_id);

-- name: quality_chunks
-- The chunks of a source's documents under the chunkers in use. Characters and pages are those of the
-- document's parse, where the chunks were cut from it (a document that failed since keeps its old chunks).
SELECT shown.external_id, cs.chunk_set_id || '/' || coalesce(c.ordinal, -1) AS chunk_id,
       c.tokens, shown.max_tokens, c.start_at, c.end_at, c.end_at - c.start_at AS span, length(c.text) AS text_length,
       shown.characters, cs.chunks AS chunks_expected, count(c.ordinal) OVER (PARTITION BY cs.chunk_set_id) AS chunks_stored,
       CASE WHEN shown.pages IS NULL THEN 1 ELSE c.page_first END AS page,
       coalesce(shown.pages, c.page_last, 1) AS pages, coalesce(c.page_last, 1) AS page_last
FROM (
    SELECT dc.chunk_set_id, min(d.external_id) AS external_id, max(t.max_tokens) AS max_tokens,
           max(p.characters) AS characters, max(p.pages) AS pages
    FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    JOIN unnest(%(chunkers)s::int[], %(max_tokens)s::int[]) AS t (profile_id, max_tokens) USING (profile_id)
    JOIN rag.chunk_set cs USING (chunk_set_id)
    LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.blocks_sha256 = cs.blocks_sha256
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
    GROUP BY dc.chunk_set_id
) shown
JOIN rag.chunk_set cs USING (chunk_set_id)
LEFT JOIN rag.chunk c USING (chunk_set_id)
WHERE cs.chunks > 0;

-- name: quality_vectors
-- The vector of every chunk under every model in use; without those that a model refused, which are in quarantine.
SELECT shown.external_id, c.chunk_set_id || '/' || c.ordinal AS chunk_id, shown.dimensions AS dimensions_expected,
       vector_dims(v.embedding) AS dimensions, vector_norm(v.embedding) AS norm
FROM (
    SELECT dc.chunk_set_id, t.model_id, min(d.external_id) AS external_id, max(t.dimensions) AS dimensions
    FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    JOIN unnest(%(model_chunkers)s::int[], %(models)s::int[], %(dimensions)s::int[]) AS t (profile_id, model_id, dimensions)
      USING (profile_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
    GROUP BY dc.chunk_set_id, t.model_id
) shown
JOIN rag.chunk c USING (chunk_set_id)
LEFT JOIN rag.embedding v ON v.model_id = shown.model_id AND v.input_key = c.input_key
LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = c.chunk_set_id AND e.model_id = shown.model_id
WHERE v.embedding IS NOT NULL OR coalesce(e.missing, 0) = 0;

-- name: forget_quality
DELETE FROM rag.quality_result WHERE source_id = %(source_id)s AND suite = %(suite)s;

-- name: put_quality
INSERT INTO rag.quality_result
    (source_id, suite, expectation, passed, blocking, rows_checked, unexpected, samples, error)
VALUES (%(source_id)s, %(suite)s, %(expectation)s, %(passed)s, %(blocking)s, %(rows_checked)s, %(unexpected)s,
        %(samples)s, %(error)s);

-- name: quality_failures
-- Blocking expectations that failed when they were last run, of these sources.
SELECT s.name AS source, r.suite, r.expectation, r.unexpected, r.rows_checked, r.error, r.checked_at
FROM rag.quality_result r JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND r.blocking AND NOT r.passed
ORDER BY s.name, r.suite, r.expectation;

-- name: quality_of_last_run
-- The results of a source that are about what its newest run left.
SELECT r.suite, r.expectation, r.passed, r.blocking, r.rows_checked AS rows, r.unexpected, r.samples, r.error
FROM rag.quality_result r JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s
  AND r.checked_at >= (SELECT max(n.finished_at) FROM rag.run n WHERE n.source_id = s.source_id)
ORDER BY r.suite, r.expectation;
