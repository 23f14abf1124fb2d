-- name: evaluation_documents
-- The documents of some sources that a golden set names, by whatever name.
SELECT d.document_id, s.name AS source, d.external_id, d.path, d.url, p.language
FROM rag.document d JOIN rag.source s USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned'
  AND (d.external_id = ANY(%(names)s) OR d.path = ANY(%(names)s) OR d.url = ANY(%(names)s));

-- name: evaluation_passages
-- The text of some documents in the pieces of one chunker, with their offsets.
SELECT dc.document_id, c.start_at, c.text
FROM rag.document_chunks dc JOIN rag.chunk c USING (chunk_set_id)
WHERE dc.profile_id = %(chunker_id)s AND dc.document_id = ANY(%(documents)s)
ORDER BY dc.document_id, c.ordinal;

-- name: model_passages
-- Passages as the model of an index reads them: of the documents that are named, then of others, the same each time.
SELECT dc.document_id, d.tenant, s.key, c.ordinal, c.prefix || c.text AS input
FROM rag.document d JOIN rag.source o USING (source_id) JOIN rag.document_chunks dc USING (document_id)
JOIN rag.chunk_set s USING (chunk_set_id) JOIN rag.chunk c USING (chunk_set_id)
WHERE o.name = ANY(%(sources)s) AND d.state <> 'tombstoned' AND dc.profile_id = %(chunker_id)s
ORDER BY d.document_id <> ALL(%(documents)s::bigint[]), md5(d.document_id::text), d.document_id, c.ordinal
LIMIT %(limit)s;

-- name: evaluation_names
-- What documents are called, for a report.
SELECT d.document_id, s.name AS source, d.external_id
FROM rag.document d JOIN rag.source s USING (source_id) WHERE d.document_id = ANY(%(documents)s);

-- name: put_evaluation
INSERT INTO rag.evaluation_run (index_name, version_id, golden, golden_key, label, setting, summary, notes, started_at)
VALUES (%(index_name)s, %(version_id)s, %(golden)s, %(golden_key)s, %(label)s, %(setting)s, %(summary)s, %(notes)s,
        %(started_at)s)
RETURNING run_id;

-- name: put_evaluation_answers
INSERT INTO rag.evaluation_answer (run_id, position, question_id, query, slices, answerable, confidence, figures, violations,
                                   hits, embed_ms, search_ms)
SELECT %(run_id)s, a.position, a.id, a.query, a.slices, a.answerable, a.confidence, a.figures, a.violations, a.hits, a.embed_ms,
       a.search_ms
FROM json_to_recordset(%(answers)s) AS a(position integer, id text, query text, slices text[], answerable boolean,
     confidence double precision, figures json, violations jsonb, hits jsonb, embed_ms double precision,
     search_ms double precision);

-- name: evaluation
SELECT run_id, index_name, version_id, golden, golden_key, label, setting, summary, notes, started_at
FROM rag.evaluation_run WHERE run_id = %(run_id)s;

-- name: evaluation_answers
SELECT question_id AS id, query, slices, answerable, confidence, figures, violations, hits, embed_ms, search_ms
FROM rag.evaluation_answer WHERE run_id = %(run_id)s ORDER BY position;

-- name: evaluations
-- Runs, newest first.
SELECT r.run_id, r.index_name, r.version_id, v.state, r.golden, r.label, r.setting, r.summary, r.started_at
FROM rag.evaluation_run r JOIN rag.index_version v USING (version_id)
WHERE %(index_name)s::text IS NULL OR r.index_name = %(index_name)s
ORDER BY r.run_id DESC LIMIT %(limit)s;

-- name: version_scores
-- The newest run of each of an index's newest versions by mode, and whether it asked this golden set as it is now.
SELECT DISTINCT ON (r.version_id, r.setting ->> 'mode') r.version_id, v.state, r.setting ->> 'mode' AS mode, r.golden,
       r.golden_key = %(golden_key)s AS same_questions, r.summary, r.started_at
FROM rag.evaluation_run r JOIN rag.index_version v USING (version_id)
WHERE r.index_name = %(index_name)s AND r.golden = %(golden)s
ORDER BY r.version_id DESC, mode, r.run_id DESC
LIMIT %(limit)s;

-- name: label_documents
-- What questions can be made of: the documents of some sources, with who may read them.
SELECT d.document_id, s.name AS source, d.external_id, d.path, d.url, d.tenant, d.raw_sha256, p.blocks_sha256, p.media_type,
       p.language, coalesce(d.given_title, p.title) AS title, a.clauses, a.deny
FROM rag.document d JOIN rag.source s USING (source_id) JOIN rag.parse p USING (parse_id)
JOIN rag.access_rule a USING (access_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned' AND p.status = 'ok'
ORDER BY s.name, d.external_id;

-- name: passage_texts
-- The text of passages by the key of their chunk set and their place in it.
SELECT s.key, c.ordinal, c.text
FROM unnest(%(keys)s::uuid[], %(ordinals)s::int[]) AS wanted (key, ordinal)
JOIN rag.chunk_set AS s ON s.key = wanted.key
JOIN rag.chunk AS c ON c.chunk_set_id = s.chunk_set_id AND c.ordinal = wanted.ordinal;
