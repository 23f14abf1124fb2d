-- Figures and sample rows for people: what Dagster shows with each materialization.

-- name: stage_totals
-- How much is stored of a source after each stage.
SELECT count(DISTINCT d.document_id) AS documents, coalesce(sum(d.raw_bytes), 0)::bigint AS bytes,
       count(DISTINCT d.document_id) FILTER (WHERE d.parse_id IS NOT NULL) AS parsed,
       coalesce(sum(m.chunks), 0)::bigint AS chunks, coalesce(sum(m.tokens), 0)::bigint AS tokens,
       coalesce(sum(m.vectors), 0)::bigint AS vectors
FROM rag.document d
LEFT JOIN LATERAL (
    SELECT sum(cs.chunks) AS chunks, sum(cs.tokens) AS tokens,
           sum((SELECT sum(cs.chunks - e.missing) FROM rag.chunk_set_embedded e
                WHERE e.chunk_set_id = cs.chunk_set_id)) AS vectors
    FROM rag.document_chunks dc JOIN rag.chunk_set cs USING (chunk_set_id)
    WHERE dc.document_id = d.document_id
) m ON true
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned';

-- name: is_public
-- Whether everybody of the tenant may see all documents of a source, of which there are some.
SELECT count(*) > 0 AND bool_and(a.clauses = '[]' AND a.deny = '{}') AS public
FROM rag.source s JOIN rag.document d USING (source_id) JOIN rag.access_rule a USING (access_id) WHERE s.name = %(source)s;

-- name: sample_documents
-- The documents that changed last.
SELECT document_id AS document, external_id, tenant, status, raw_bytes AS bytes, modified_at, updated_at
FROM rag.document WHERE source_id = %(source_id)s AND state <> 'tombstoned'
ORDER BY updated_at DESC, document_id DESC LIMIT %(limit)s;

-- name: sample_parses
SELECT d.document_id AS document, d.external_id, p.status, p.media_type, p.pages, p.characters, p.title
FROM rag.document d JOIN rag.parse p USING (parse_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
ORDER BY p.parse_id DESC LIMIT %(limit)s;

-- name: sample_chunks
SELECT d.document_id AS document, d.external_id, c.ordinal, c.tokens, c.page_first AS page, array_to_string(c.heading_path, ' > ') AS headings,
       left(c.text, 200) AS text
FROM rag.chunk c
JOIN rag.document_chunks dc USING (chunk_set_id)
JOIN rag.document d USING (document_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
ORDER BY c.chunk_set_id DESC, c.ordinal LIMIT %(limit)s;

-- name: token_histogram
-- Chunks by their tokens, in ten bands up to the longest.
SELECT band, min(tokens) AS least, max(tokens) AS most, count(*) AS chunks
FROM (
    SELECT c.tokens, width_bucket(c.tokens, 0, max(c.tokens) OVER () + 1, 10) AS band
    FROM rag.chunk c
    JOIN rag.document_chunks dc USING (chunk_set_id)
    JOIN rag.document d USING (document_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
) banded
GROUP BY band ORDER BY band;
