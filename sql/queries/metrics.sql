-- name: metric_documents
-- One row a source: documents by state, what waits for which stage, bytes, deletions that wait for a decision, and
-- since when listing and groups are known. A document of an indexed source waits for chunks where it was read and has
-- none, for vectors where its chunks have none under any model.
SELECT s.name AS source,
       extract(epoch FROM now() - s.listed_at)::float8 AS listing_age,
       extract(epoch FROM now() - s.groups_at)::float8 AS groups_age,
       count(*) FILTER (WHERE d.state = 'present') AS present,
       count(*) FILTER (WHERE d.state = 'missing') AS missing,
       count(*) FILTER (WHERE d.state = 'tombstoned') AS tombstoned,
       coalesce(sum(d.raw_bytes) FILTER (WHERE d.state <> 'tombstoned'), 0)::bigint AS raw_bytes,
       count(*) FILTER (WHERE d.state <> 'tombstoned' AND d.status = 'pending') AS to_parse,
       count(*) FILTER (WHERE d.state <> 'tombstoned' AND d.status = 'ok' AND c.document_id IS NULL
                          AND s.name = ANY(%(indexed)s)) AS to_chunk,
       count(*) FILTER (WHERE d.state <> 'tombstoned' AND d.status = 'ok' AND NOT c.embedded) AS to_embed,
       count(*) FILTER (WHERE d.state <> 'tombstoned' AND d.unread_since IS NOT NULL) AS last_texts,
       (SELECT count(*) FROM rag.deletion x JOIN rag.document w USING (deletion_id)
        WHERE x.source_id = s.source_id AND x.state = 'parked' AND w.state = 'missing') AS parked
FROM rag.source s
LEFT JOIN rag.document d USING (source_id)
LEFT JOIN (
    SELECT dc.document_id, bool_and(e.chunk_set_id IS NOT NULL) AS embedded
    FROM rag.document_chunks dc LEFT JOIN rag.chunk_set_embedded e USING (chunk_set_id) GROUP BY 1
) c USING (document_id)
WHERE s.name = ANY(%(sources)s)
GROUP BY s.source_id;

-- name: metric_quarantine
SELECT s.name AS source, q.stage, count(*) AS documents
FROM rag.quarantine q JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s)
GROUP BY 1, 2;

-- name: metric_runs
-- Runs by how they ended, with what they took of a model. One under way is none yet: what is counted never falls.
SELECT s.name AS source, r.outcome, count(*) AS runs,
       coalesce(sum((r.report ->> 'tokens')::float8), 0) AS tokens,
       coalesce(sum((r.report ->> 'cost')::float8), 0) AS cost
FROM rag.run r JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND r.outcome IS NOT NULL
GROUP BY 1, 2;

-- name: metric_certificates
-- The newest certificate of each source: of what is stored, and of each index that is live.
SELECT DISTINCT ON (s.name, v.index_name)
       s.name AS source, coalesce(v.index_name, '') AS index, c.complete,
       extract(epoch FROM now() - c.made_at)::float8 AS age
FROM rag.certificate c JOIN rag.source s USING (source_id) LEFT JOIN rag.index_version v USING (version_id)
WHERE s.name = ANY(%(sources)s) AND (v.version_id IS NULL OR v.state = 'live')
ORDER BY s.name, v.index_name, c.made_at DESC;

-- name: metric_gates
-- What gates said of the newest version of each index that was judged.
SELECT v.index_name AS index, g.gate, g.passed
FROM rag.gate_result g JOIN rag.index_version v USING (version_id)
WHERE v.version_id IN (SELECT max(w.version_id) FROM rag.gate_result r JOIN rag.index_version w USING (version_id)
                       WHERE w.index_name = ANY(%(indexes)s) GROUP BY w.index_name);

-- name: metric_bytes
-- Bytes of tables with their indexes: each of the catalogue by its name, those of all versions by their kind.
SELECT regexp_replace(c.relname, '_[0-9]+(_.*)?$', '') AS kind, sum(pg_total_relation_size(c.oid))::bigint AS bytes
FROM pg_class c WHERE c.relnamespace = 'rag'::regnamespace AND c.relkind = 'r'
GROUP BY 1;

-- name: metric_served
-- Searches of each index by how they ended.
SELECT s.index_name AS index, sum(s.searches)::bigint AS searches, sum(s.empties)::bigint AS empties,
       sum(s.errors)::bigint AS errors
FROM rag.served s WHERE s.index_name = ANY(%(indexes)s) GROUP BY 1;

-- name: metric_spent
SELECT purpose, model, sum(tokens)::float8 AS tokens, sum(cost) AS cost FROM rag.spent GROUP BY 1, 2;
