-- Purging one document and looking for what is left of it (rag_pipelines/retention/purge.py and proof.py).

-- name: purge_document
SELECT d.document_id, d.state, d.path, d.url, d.raw_sha256
FROM rag.source s JOIN rag.document d USING (source_id)
WHERE s.name = %(source)s AND d.external_id = %(external_id)s;

-- name: source_number
SELECT source_id FROM rag.source WHERE name = %(source)s;

-- name: stop_writers
-- Inside a transaction: waits for what a run over this source is writing; what it writes after sees our changes.
SELECT source_id FROM rag.source WHERE name = %(source)s FOR NO KEY UPDATE;

-- name: stop_shards
-- The same for its shards. None begins before the transaction ends.
SELECT token FROM rag.shard_lease WHERE source_id = %(source_id)s ORDER BY token FOR NO KEY UPDATE;

-- name: put_forgotten
INSERT INTO rag.forgotten (source_id, digest, forgotten_at)
VALUES (%(source_id)s, %(digest)s, clock_timestamp())
ON CONFLICT (source_id, digest) DO UPDATE SET forgotten_at = EXCLUDED.forgotten_at;

-- name: is_running
-- A row while a run holds the lock of the source, or shards those of its buckets.
SELECT 1 FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) IN (
      hashtextextended('rag.source:' || %(source)s, 0), hashtextextended('rag.buckets:' || %(source)s, 0)) LIMIT 1;

-- name: purge_trail
-- What the audit says of earlier purges of a document, the newest first.
SELECT at, actor, detail FROM rag.audit WHERE action = 'purge' AND subject = %(subject)s ORDER BY audit_id DESC;

-- name: mapped_sets
-- The chunk sets of a document as it is, and as it was.
SELECT chunk_set_id FROM rag.document_chunks WHERE document_id = %(document_id)s
UNION SELECT chunk_set_id FROM rag.document_content WHERE document_id = %(document_id)s;

-- name: former_bytes
SELECT raw_sha256 AS raw FROM rag.document_former WHERE document_id = %(document_id)s
UNION SELECT i.raw_sha256 FROM rag.document d JOIN rag.source s USING (source_id)
JOIN rag.inbox i ON i.source = s.name AND i.external_id = d.external_id
WHERE d.document_id = %(document_id)s AND i.raw_sha256 IS NOT NULL;

-- name: blocks_of_bytes
SELECT DISTINCT blocks_sha256 AS blocks FROM rag.parse WHERE raw_sha256 = ANY(%(raw)s) AND blocks_sha256 IS NOT NULL;

-- name: sets_of_blocks
SELECT chunk_set_id FROM rag.chunk_set WHERE blocks_sha256 = ANY(%(blocks)s);

-- name: rules_of_document
-- Its access rule, and those that it had.
SELECT a.digest FROM rag.document d JOIN rag.access_rule a USING (access_id) WHERE d.document_id = %(document_id)s
UNION SELECT a.digest FROM rag.document_content c JOIN rag.access_rule a USING (access_id)
WHERE c.document_id = %(document_id)s;

-- name: lock_parses_of
SELECT parse_id FROM rag.parse WHERE raw_sha256 = ANY(%(raw)s) ORDER BY parse_id FOR UPDATE SKIP LOCKED;

-- name: lock_sets_of
SELECT chunk_set_id FROM rag.chunk_set WHERE chunk_set_id = ANY(%(sets)s) OR blocks_sha256 = ANY(%(blocks)s)
ORDER BY chunk_set_id FOR UPDATE SKIP LOCKED;

-- name: sets_of_nobody
-- Of chunk sets that are locked, those that no document has or had: what it had, a version may show of it.
SELECT id AS chunk_set_id FROM unnest(%(ids)s::bigint[]) AS id
WHERE NOT EXISTS (SELECT FROM rag.document_content c WHERE c.chunk_set_id = id);

-- name: left_of
-- This transaction's number, and how much of these contents nothing refers to: others have it locked.
SELECT pg_current_xact_id()::text AS transaction,
       (SELECT count(*) FROM rag.parse p WHERE p.raw_sha256 = ANY(%(raw)s)
        AND NOT EXISTS (SELECT FROM rag.document d WHERE d.parse_id = p.parse_id)
        AND NOT EXISTS (SELECT FROM rag.document d WHERE d.raw_sha256 = p.raw_sha256 AND d.hint = p.hint))
     + (SELECT count(*) FROM rag.chunk_set s
        WHERE (s.chunk_set_id = ANY(%(sets)s) OR s.blocks_sha256 = ANY(%(blocks)s))
          AND NOT EXISTS (SELECT FROM rag.document_content c WHERE c.chunk_set_id = s.chunk_set_id))
     + (SELECT count(*) FROM rag.embedding e
        WHERE e.model_id IN (SELECT profile_id FROM rag.profile WHERE kind = 'model')
          AND e.input_key = ANY(%(inputs)s::uuid[])
          AND NOT EXISTS (SELECT FROM rag.chunk c WHERE c.input_key = e.input_key)) AS left;

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
UNION ALL SELECT 'rag.wanted' FROM rag.wanted w JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND w.external_id = %(external_id)s
UNION ALL SELECT 'rag.inbox' FROM rag.inbox i WHERE i.source = %(source)s AND i.external_id = %(external_id)s
UNION ALL SELECT 'rag.document_chunks' FROM rag.document_chunks WHERE document_id = %(document_id)s
UNION ALL SELECT 'rag.document_content' FROM rag.document_content WHERE document_id = %(document_id)s;

-- name: traces_in_version
-- A version's rows under the document's number: vectors, then words.
SELECT (SELECT count(*) FROM {vectors} WHERE document_id = %(document_id)s) AS vectors,
       (SELECT count(*) FROM {lexical} WHERE document_id = %(document_id)s) AS lexical,
       (SELECT count(*) FROM {documents} WHERE document_id = %(document_id)s) AS documents;

-- name: vector_traces
-- Rows of a version with one of the document's vectors, by document.
SELECT document_id, count(*) AS found FROM {vectors}
WHERE encode(sha256(vector_send(embedding::vector)), 'hex') = ANY(%(vectors)s) GROUP BY 1;

-- name: content_traces
-- Parses, chunk sets, sketches, chunks and cached vectors that hold what the document held, each with the chunk set or
-- the bytes by which its owner is known.
SELECT 'rag.parse' AS place, 'its bytes or blocks' AS what, NULL::bigint AS chunk_set_id, p.raw_sha256
FROM rag.parse p WHERE encode(p.raw_sha256, 'hex') = ANY(%(raw)s) OR encode(p.blocks_sha256, 'hex') = ANY(%(blocks)s)
UNION ALL
SELECT 'rag.chunk_set', 'its blocks', cs.chunk_set_id, NULL
FROM rag.chunk_set cs WHERE encode(cs.blocks_sha256, 'hex') = ANY(%(blocks)s)
UNION ALL
SELECT 'rag.sketch', 'its sketch', cs.chunk_set_id, p.raw_sha256
FROM rag.sketch s LEFT JOIN rag.chunk_set cs USING (blocks_sha256) LEFT JOIN rag.parse p USING (blocks_sha256)
WHERE encode(s.blocks_sha256, 'hex') = ANY(%(blocks)s)
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
-- what holds content is looked into by its own queries, and what holds keep stays as they say it.
SELECT c.table_name, c.column_name, c.data_type IN ('json', 'jsonb') AS is_json,
       EXISTS (SELECT FROM information_schema.columns s WHERE s.table_schema = 'rag' AND s.table_name = c.table_name
               AND s.column_name = 'source_id') AS of_source
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'rag' AND t.table_type = 'BASE TABLE'
  AND (c.data_type IN ('text', 'json', 'jsonb') OR c.udt_name = '_text')
  AND c.table_name <> ALL('{document,wanted,inbox,shard_lease,document_chunks,document_content,document_former,unreferenced,released,forgotten,parse,chunk_set,chunk,access_rule,principal_group,membership,session,profile,migration,schema_object,schema_release,source}')
  AND c.table_name !~ '^(vectors|lexical|documents|terms|postings|partials)_[0-9]+$'
  AND NOT (c.table_name = 'hold' AND c.column_name IN ('path', 'label', 'document'))
  AND c.column_name <> ALL('{state,outcome,cause,stage,status,kind,action,change,gate,suite,expectation,index_name,error_class,fingerprint,settings,code_version,content,lease_owner,required_gates}')
ORDER BY c.table_name, c.ordinal_position;

-- name: record_values
-- Values of a column that may mention one of some words; the caller looks closer.
SELECT ctid::text AS place, {column} AS value, {column}::text AS stored FROM {table}
WHERE {scope} AND EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word WHERE strpos(lower({column}::text), lower(word)) > 0);

-- name: replace_value
-- Unless somebody changed it meanwhile.
UPDATE {table} SET {column} = %(value)s WHERE ctid = %(place)s::tid AND {column}::text = %(old)s;

-- name: delete_record
DELETE FROM {table} WHERE ctid = %(place)s::tid AND {column}::text = %(old)s;

-- name: statistics_traces
-- Values that the planner's statistics quote from columns.
SELECT tablename, attname FROM pg_stats, unnest(%(words)s::text[]) AS word
WHERE schemaname = 'rag' AND (strpos(most_common_vals::text, word) > 0 OR strpos(histogram_bounds::text, word) > 0);

-- name: dead_rows
-- Deleted rows that a vacuum did not remove, because a transaction that is still open may look at them; in the parts of
-- a table too.
SELECT relname AS table_name, n_dead_tup AS rows FROM pg_stat_all_tables s
WHERE schemaname = 'rag' AND n_dead_tup > 0 AND (relname = ANY(%(tables)s) OR EXISTS (
    SELECT FROM pg_partition_ancestors(s.relid) whole JOIN pg_class c ON c.oid = whole.relid
    WHERE c.relname = ANY(%(tables)s)));

-- name: lookers
-- Who may still look at rows which the transaction `number` deleted, with the indexes that they build, if any.
SELECT a.application_name AS name,
       ARRAY(SELECT DISTINCT v.index_name FROM pg_locks l JOIN rag.index_version v
             ON (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('rag.index:' || v.index_name, 0)
             WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = a.pid) AS building
FROM pg_stat_activity a
WHERE (a.datname = current_database() OR a.backend_type = 'walsender') AND a.pid <> pg_backend_pid()
  AND greatest(age(a.backend_xmin), age(a.backend_xid)) >= age(%(number)s::xid8::xid)
UNION ALL
SELECT 'replication slot ' || slot_name, '{}' FROM pg_replication_slots
WHERE age(xmin) >= age(%(number)s::xid8::xid)
UNION ALL
SELECT 'prepared transaction ' || gid, '{}' FROM pg_prepared_xacts
WHERE database = current_database() AND age(transaction) >= age(%(number)s::xid8::xid);

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
