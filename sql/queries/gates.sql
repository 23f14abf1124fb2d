-- name: gate_orphans
-- Vector rows without a chunk or a document, and rows that only one of the two tables has.
SELECT
    (SELECT count(*) FROM {vectors} v
     WHERE NOT EXISTS (SELECT FROM rag.chunk c WHERE (c.chunk_set_id, c.ordinal) = (v.chunk_set_id, v.ordinal)))
        AS without_chunk,
    (SELECT count(*) FROM {vectors} v LEFT JOIN rag.document d USING (document_id)
     LEFT JOIN rag.source s USING (source_id) WHERE s.name IS NULL OR s.name <> ALL(%(sources)s))
        AS without_document,
    (SELECT count(*) FROM {vectors} v FULL JOIN {lexical} l USING (document_id, chunk_set_id, ordinal)
     WHERE v.embedding IS NULL OR l.words IS NULL) AS in_one_table_only;

-- name: gate_norms
SELECT count(*) FILTER (WHERE vector_dims(embedding) <> %(dimensions)s) AS wrong_dimensions,
       count(*) FILTER (WHERE NOT abs(sqrt(-(embedding <#> embedding)) - 1) <= %(tolerance)s) AS wrong_norm,
       min(sqrt(-(embedding <#> embedding))) AS smallest, max(sqrt(-(embedding <#> embedding))) AS largest
FROM {vectors} v;

-- name: gate_indexes
-- Whether the vector index, on every part, and the word index of a version are there and usable.
SELECT wanted.method, bool_and(EXISTS (
    SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    WHERE i.indrelid = wanted.relation AND a.amname = wanted.method AND i.indisvalid AND i.indisready)) AS valid
FROM (SELECT 'hnsw' AS method, relid AS relation FROM pg_partition_tree(%(vectors)s::regclass) WHERE isleaf AND level > 0
      UNION ALL SELECT 'hnsw', oid FROM pg_class WHERE oid = %(vectors)s::regclass AND relkind = 'r'
      UNION ALL SELECT 'gin', %(lexical)s::regclass) AS wanted
GROUP BY wanted.method;

-- name: recall_sample
-- Stored vectors as queries, and their scores with themselves; the same ones each time, spread over the rows.
SELECT embedding::text AS embedding, -(embedding <#> embedding) AS itself FROM {vectors} v
ORDER BY hashint8extended(document_id * 1000003 + chunk_set_id * 1009 + ordinal, 0) LIMIT %(sample)s;

-- name: caught_up_rows
-- The rows of a table that a build caught up with.
(SELECT t.* FROM {table} t JOIN rag.version_document c USING (document_id) WHERE c.version_id = {version} AND c.changed)

-- name: spread_rows
-- Rows spread over a version, the same ones each time, found by their numbers.
SELECT v.document_id, v.chunk_set_id, v.ordinal, v.embedding
FROM (SELECT DISTINCT (1 + abs(hashint8extended(each, 7) %% greatest(last, 1)))::int AS slot
      FROM (SELECT max(slot) AS last FROM {table}) numbers, generate_series(1, %(sample)s) AS each) chosen
JOIN {table} v USING (slot)

-- name: nearest_exact
-- The best scores by exact search; the sum hides the order from the vector index.
SELECT -(embedding <#> %(query)s::text::{type}) AS score FROM {vectors}
ORDER BY (embedding <#> %(query)s::text::{type}) + 0 LIMIT %(k)s;

-- name: nearest_approximate
-- The best scores as searches find them.
WITH asked AS MATERIALIZED (SELECT %(query)s::text::{type} AS vector)
SELECT -(v.embedding <#> asked.vector) AS score
FROM asked, {walked} v
ORDER BY 1 DESC LIMIT %(k)s;
