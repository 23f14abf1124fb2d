-- Purging one document and looking for what is left of it (rag_pipelines/index/purge.py and proof.py).

-- name: purge_document
SELECT d.document_id, d.state, d.path, d.url, d.raw_sha256, p.blocks_sha256
FROM rag.source s JOIN rag.document d USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
WHERE s.name = %(source)s AND d.external_id = %(external_id)s;

-- name: source_number
SELECT source_id FROM rag.source WHERE name = %(source)s;

-- name: purge_trail
-- What the audit says of earlier purges of a document, the newest first.
SELECT at, actor, detail FROM rag.audit WHERE action = 'purge' AND subject = %(subject)s ORDER BY audit_id DESC;

-- name: mapped_sets
-- The chunk sets of a document as it is, and as it was.
SELECT chunk_set_id FROM rag.document_chunks WHERE document_id = %(document_id)s
UNION SELECT chunk_set_id FROM rag.document_content WHERE document_id = %(document_id)s;

-- name: version_evidence
-- The chunk sets that a version shows of a document, and the digests of its vectors there.
SELECT DISTINCT chunk_set_id, encode(sha256(vector_send(embedding::vector)), 'hex') AS vector
FROM {vectors} WHERE document_id = %(document_id)s;

-- name: set_evidence
-- Blocks of chunk sets, and the bytes that were parsed into them.
SELECT DISTINCT encode(cs.blocks_sha256, 'hex') AS blocks, encode(p.raw_sha256, 'hex') AS raw
FROM rag.chunk_set cs LEFT JOIN rag.parse p USING (blocks_sha256) WHERE cs.chunk_set_id = ANY(%(sets)s);

-- name: chunk_evidence
SELECT c.input_key::text AS input, encode(sha256(convert_to(c.text, 'UTF8')), 'hex') AS passage, c.text
FROM rag.chunk c WHERE c.chunk_set_id = ANY(%(sets)s) ORDER BY c.chunk_set_id, c.ordinal;

-- name: cache_evidence
SELECT encode(sha256(vector_send(embedding)), 'hex') AS vector FROM rag.embedding WHERE input_key = ANY(%(inputs)s::uuid[]);

-- name: traces_of_id
-- The catalogue's rows under the document's own number or id.
SELECT 'rag.document' AS place FROM rag.document d JOIN rag.source s USING (source_id)
WHERE d.document_id = %(document_id)s OR (s.name = %(source)s AND d.external_id = %(external_id)s)
UNION ALL SELECT 'rag.document_chunks' FROM rag.document_chunks WHERE document_id = %(document_id)s
UNION ALL SELECT 'rag.document_content' FROM rag.document_content WHERE document_id = %(document_id)s;

-- name: traces_in_version
-- A version's rows under the document's number: vectors, then words.
SELECT (SELECT count(*) FROM {vectors} WHERE document_id = %(document_id)s) AS vectors,
       (SELECT count(*) FROM {lexical} WHERE document_id = %(document_id)s) AS lexical;

-- name: vector_traces
-- Rows of a version with one of the document's vectors, by document.
SELECT document_id, count(*) AS found FROM {vectors}
WHERE encode(sha256(vector_send(embedding::vector)), 'hex') = ANY(%(vectors)s) GROUP BY 1;

-- name: content_traces
-- Parses, chunk sets, chunks and cached vectors that hold what the document held, each with the chunk set or
-- the bytes by which its owner is known.
SELECT 'rag.parse' AS place, 'its bytes or blocks' AS what, NULL::bigint AS chunk_set_id, p.raw_sha256
FROM rag.parse p WHERE encode(p.raw_sha256, 'hex') = ANY(%(raw)s) OR encode(p.blocks_sha256, 'hex') = ANY(%(blocks)s)
UNION ALL
SELECT 'rag.chunk_set', 'its blocks', cs.chunk_set_id, NULL
FROM rag.chunk_set cs WHERE encode(cs.blocks_sha256, 'hex') = ANY(%(blocks)s)
UNION ALL
SELECT 'rag.chunk', 'its text', c.chunk_set_id, NULL
FROM rag.chunk c
WHERE c.input_key = ANY(%(inputs)s::uuid[]) OR encode(sha256(convert_to(c.text, 'UTF8')), 'hex') = ANY(%(passages)s)
UNION ALL
SELECT 'rag.embedding', 'its cached vector', c.chunk_set_id, NULL
FROM rag.embedding e LEFT JOIN rag.chunk c USING (input_key)
WHERE e.input_key = ANY(%(inputs)s::uuid[]) OR encode(sha256(vector_send(e.embedding)), 'hex') = ANY(%(vectors)s);

-- name: quote_traces
-- Rows that hold a passage word for word, in whatever column, with what tells their owner.
SELECT quote, 'rag.chunk' AS place, c.chunk_set_id, NULL::bytea AS raw_sha256, NULL::bigint AS document_id
FROM rag.chunk c, unnest(%(quotes)s::text[]) AS quote
WHERE strpos(c.prefix || c.text, quote) > 0 OR strpos(c.context, quote) > 0
UNION ALL
SELECT quote, 'rag.chunk_set', cs.chunk_set_id, NULL, NULL
FROM rag.chunk_set cs, unnest(%(quotes)s::text[]) AS quote WHERE strpos(cs.title, quote) > 0
UNION ALL
SELECT quote, 'rag.parse', NULL, p.raw_sha256, NULL
FROM rag.parse p, unnest(%(quotes)s::text[]) AS quote WHERE strpos(to_jsonb(p)::text, quote) > 0
UNION ALL
SELECT quote, 'rag.document', NULL, NULL, d.document_id
FROM rag.document d, unnest(%(quotes)s::text[]) AS quote WHERE strpos(to_jsonb(d)::text, quote) > 0;

-- name: owners_of_sets
SELECT chunk_set_id, document_id FROM rag.document_chunks WHERE chunk_set_id = ANY(%(sets)s)
UNION SELECT chunk_set_id, document_id FROM rag.document_content WHERE chunk_set_id = ANY(%(sets)s);

-- name: owners_in_version
SELECT DISTINCT chunk_set_id, document_id FROM {vectors} WHERE chunk_set_id = ANY(%(sets)s);

-- name: owners_of_bytes
SELECT DISTINCT encode(p.raw_sha256, 'hex') AS raw, d.document_id
FROM rag.parse p JOIN rag.document d ON d.parse_id = p.parse_id OR d.raw_sha256 = p.raw_sha256
WHERE p.raw_sha256 = ANY(%(digests)s)
UNION SELECT encode(raw_sha256, 'hex'), document_id FROM rag.document WHERE raw_sha256 = ANY(%(digests)s);

-- name: owners_of_blocks
-- Chunk sets and documents that blocks belong to.
SELECT encode(cs.blocks_sha256, 'hex') AS blocks, cs.chunk_set_id, NULL::bigint AS document_id
FROM rag.chunk_set cs WHERE cs.blocks_sha256 = ANY(%(digests)s)
UNION
SELECT encode(p.blocks_sha256, 'hex'), NULL, d.document_id
FROM rag.parse p JOIN rag.document d ON d.parse_id = p.parse_id OR (d.raw_sha256 = p.raw_sha256 AND d.hint = p.hint)
WHERE p.blocks_sha256 = ANY(%(digests)s);

-- name: names_of_documents
SELECT d.document_id, s.name || ':' || d.external_id AS name FROM rag.document d JOIN rag.source s USING (source_id)
WHERE d.document_id = ANY(%(ids)s);

-- name: record_columns
-- The columns with free text of every table that records what runs and people did, whatever tables there are;
-- what holds content is looked into by its own queries.
SELECT c.table_name, c.column_name, c.data_type IN ('json', 'jsonb') AS is_json,
       EXISTS (SELECT FROM information_schema.columns s WHERE s.table_schema = 'rag' AND s.table_name = c.table_name
               AND s.column_name = 'source_id') AS of_source
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'rag' AND t.table_type = 'BASE TABLE'
  AND (c.data_type IN ('text', 'json', 'jsonb') OR c.udt_name = '_text')
  AND c.table_name <> ALL('{document,document_chunks,document_content,parse,chunk_set,chunk,access_rule,principal_group,membership,profile,migration,schema_object,schema_release,source}')
  AND c.table_name !~ '^(vectors|lexical|terms|postings)_[0-9]+$'
  AND c.column_name <> ALL('{state,outcome,cause,stage,status,kind,action,change,gate,suite,expectation,index_name,error_class,fingerprint,settings,code_version,content,lease_owner,required_gates}')
ORDER BY c.table_name, c.ordinal_position;

-- name: record_values
-- Values of a column that may mention one of some words; the caller looks closer.
SELECT ctid::text AS place, {column} AS value FROM {table}
WHERE {scope} AND EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos({column}::text, word) > 0)
FOR UPDATE;

-- name: replace_value
UPDATE {table} SET {column} = %(value)s WHERE ctid = %(place)s::tid;

-- name: delete_record
DELETE FROM {table} WHERE ctid = %(place)s::tid;

-- name: statistics_traces
-- Values that the planner's statistics quote from columns.
SELECT tablename, attname FROM pg_stats, unnest(%(words)s::text[]) AS word
WHERE schemaname = 'rag' AND (strpos(most_common_vals::text, word) > 0 OR strpos(histogram_bounds::text, word) > 0);

-- name: dead_rows
-- Deleted rows that a vacuum did not remove, because a transaction that is still open may look at them.
SELECT relname AS table_name, n_dead_tup AS rows FROM pg_stat_all_tables
WHERE schemaname = 'rag' AND relname = ANY(%(tables)s) AND n_dead_tup > 0;

-- name: flush_counters
-- What this session has counted is known to the server at once, so that it is not added after the vacuum.
SELECT pg_stat_force_next_flush();

-- name: vacuum_table
-- Index entries too, which a vacuum by itself leaves alone where they are few: the graph holds vectors.
VACUUM (ANALYZE, INDEX_CLEANUP ON) {table};

-- name: rewrite_table
VACUUM (FULL, ANALYZE) {table};

-- name: vacuum_statistics
VACUUM pg_catalog.pg_statistic;
