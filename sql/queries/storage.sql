-- name: create_storage
-- The physical tables of one version. Narrow: no text. PLAIN: a vector is never TOASTed.
CREATE TABLE {vectors} (
    document_id bigint NOT NULL, chunk_set_id bigint NOT NULL, ordinal integer NOT NULL, embedding {type} NOT NULL
);
ALTER TABLE {vectors} ALTER COLUMN embedding SET STORAGE PLAIN;
ALTER TABLE {vectors} SET (parallel_workers = {workers});
CREATE TABLE {lexical} (
    document_id bigint NOT NULL, chunk_set_id bigint NOT NULL, ordinal integer NOT NULL,
    words tsvector NOT NULL, weights sparsevec NOT NULL
);
CREATE TABLE {terms} (term integer NOT NULL, documents integer NOT NULL);

-- name: protect_storage
-- Row-level security on a version's tables, and readers let in under it.
SELECT rag.protect_version(%(storage)s);

-- name: drop_storage
DROP TABLE IF EXISTS {vectors}, {lexical}, {terms};

-- name: index_members
-- How much a build over these sources holds: documents and chunks with vectors, and documents left out because
-- their chunks are not embedded yet.
SELECT count(DISTINCT dc.document_id) FILTER (WHERE e.chunk_set_id IS NOT NULL) AS documents,
       coalesce(sum(cs.chunks - e.missing) FILTER (WHERE e.chunk_set_id IS NOT NULL), 0)::bigint AS expected_rows,
       count(*) FILTER (WHERE e.chunk_set_id IS NULL AND cs.chunks > 0) AS not_embedded,
       min(s.listed_at) AS as_of
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
JOIN rag.chunk_set cs USING (chunk_set_id)
LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = cs.chunk_set_id AND e.model_id = %(model_id)s
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned';

-- name: load_vectors
INSERT INTO {vectors} (document_id, chunk_set_id, ordinal, embedding)
SELECT dc.document_id, c.chunk_set_id, c.ordinal, v.embedding::{type}
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
JOIN rag.chunk_set_embedded e ON e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s
JOIN rag.chunk c ON c.chunk_set_id = dc.chunk_set_id
JOIN rag.embedding v ON v.model_id = %(model_id)s AND v.input_key = c.input_key
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned';

-- name: load_words
-- The indexed words of every chunk: what the model sees is what the lexical index sees.
CREATE TABLE {staging} AS
SELECT v.document_id, v.chunk_set_id, v.ordinal, rag.words({language}::regconfig, left(c.prefix || c.text, 500000)) AS words
FROM {vectors} v JOIN rag.chunk c USING (chunk_set_id, ordinal);

-- name: average_length
SELECT coalesce(nullif(avg(rag.text_length(words)), 0), 1)::float8 AS average_length FROM {staging};

-- name: load_lexical
INSERT INTO {lexical} (document_id, chunk_set_id, ordinal, words, weights)
SELECT document_id, chunk_set_id, ordinal, words, rag.bm25_weights(words, %(k1)s,
           %(k1)s * (1 - %(b)s + %(b)s * rag.text_length(words) / %(average_length)s))
FROM {staging};

-- name: drop_staging
DROP TABLE IF EXISTS {staging};

-- name: load_terms
INSERT INTO {terms} (term, documents)
SELECT rag.term_id(lexeme), count(*) FROM {lexical}, unnest(words) GROUP BY 1;

-- name: index_keys
ALTER TABLE {vectors} ADD PRIMARY KEY (document_id, chunk_set_id, ordinal);
ALTER TABLE {lexical} ADD PRIMARY KEY (document_id, chunk_set_id, ordinal);
ALTER TABLE {terms} ADD PRIMARY KEY (term);

-- name: index_words
CREATE INDEX ON {lexical} USING gin (words) WITH (fastupdate = off);

-- name: index_vectors
CREATE INDEX ON {vectors} USING hnsw (embedding {opclass}) WITH (m = {m}, ef_construction = {ef_construction});

-- name: analyze_storage
ANALYZE {vectors}, {lexical}, {terms};

-- name: prewarm
-- Reads the vectors once, so that the first query does not.
SELECT count(embedding) FROM {vectors};

-- name: collect_changed
-- Documents whose rows in a version may be out of date since its watermark.
CREATE TEMPORARY TABLE changed ON COMMIT DROP AS
SELECT d.document_id FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.changed_xid >= %(watermark)s::text::xid8;

-- name: add_departed
-- Documents that a version holds and the catalogue no longer has (purged, or merged into a moved one).
INSERT INTO changed
SELECT DISTINCT v.document_id FROM {vectors} v
WHERE NOT EXISTS (SELECT FROM rag.document d WHERE d.document_id = v.document_id);

-- name: forget_terms
UPDATE {terms} t SET documents = t.documents - gone.n
FROM (SELECT rag.term_id(lexeme) AS term, count(*) AS n
      FROM {lexical} l JOIN changed USING (document_id), unnest(l.words) GROUP BY 1) gone
WHERE t.term = gone.term;

-- name: forget_rows
DELETE FROM {lexical} USING changed WHERE {lexical}.document_id = changed.document_id;

-- name: forget_vectors
DELETE FROM {vectors} USING changed WHERE {vectors}.document_id = changed.document_id;

-- name: add_vectors
INSERT INTO {vectors} (document_id, chunk_set_id, ordinal, embedding)
SELECT dc.document_id, c.chunk_set_id, c.ordinal, v.embedding::{type}
FROM changed
JOIN rag.document d USING (document_id)
JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
JOIN rag.chunk_set_embedded e ON e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s
JOIN rag.chunk c ON c.chunk_set_id = dc.chunk_set_id
JOIN rag.embedding v ON v.model_id = %(model_id)s AND v.input_key = c.input_key
WHERE d.state <> 'tombstoned';

-- name: add_lexical
INSERT INTO {lexical} (document_id, chunk_set_id, ordinal, words, weights)
SELECT document_id, chunk_set_id, ordinal, words, rag.bm25_weights(words, %(k1)s,
           %(k1)s * (1 - %(b)s + %(b)s * rag.text_length(words) / %(average_length)s))
FROM (
    SELECT v.document_id, v.chunk_set_id, v.ordinal,
           rag.words({language}::regconfig, left(c.prefix || c.text, 500000)) AS words
    FROM changed JOIN {vectors} v USING (document_id) JOIN rag.chunk c USING (chunk_set_id, ordinal)
) fresh;

-- name: add_terms
INSERT INTO {terms} AS t (term, documents)
SELECT rag.term_id(lexeme), count(*) FROM {lexical} l JOIN changed USING (document_id), unnest(l.words) GROUP BY 1
ON CONFLICT (term) DO UPDATE SET documents = t.documents + EXCLUDED.documents;

-- name: count_rows
SELECT count(*) AS rows, count(DISTINCT document_id) AS documents FROM {vectors};

-- name: chunk_statistics
SELECT count(*) AS chunks, count(DISTINCT v.document_id) AS documents, avg(c.tokens)::float8 AS mean_tokens,
       coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY c.tokens), 0)::float8 AS p95_tokens
FROM {vectors} v JOIN rag.chunk c USING (chunk_set_id, ordinal);
