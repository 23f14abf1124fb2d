-- What warehouses and reports may rely on: columns are added to these views, none is taken away or changed. They hold
-- names of documents, and no text, no question, no caller and no right.

-- object: VIEW rag_facts.documents
CREATE OR REPLACE VIEW rag_facts.documents AS
SELECT d.document_id, s.name AS source, s.connector, d.tenant, d.external_id, d.path, d.url, d.state, d.status,
       p.media_type, p.language, p.pages, p.characters, d.raw_bytes, d.modified_at, d.created_at AS first_seen_at,
       d.updated_at, d.deleted_at, d.unread_since
FROM rag.document d JOIN rag.source s USING (source_id) LEFT JOIN rag.parse p USING (parse_id);

-- object: VIEW rag_facts.runs
CREATE OR REPLACE VIEW rag_facts.runs AS
SELECT r.run_id, s.name AS source, s.tenant, r.started_at, r.finished_at, r.outcome,
       coalesce((r.report ->> 'listed')::bigint, 0) AS documents_listed,
       coalesce((r.report -> 'changes' ->> 'added')::bigint, 0) AS documents_added,
       coalesce((r.report -> 'changes' ->> 'changed')::bigint, 0) AS documents_changed,
       coalesce((r.report -> 'changes' ->> 'deleted')::bigint, 0) AS documents_deleted,
       coalesce((r.report -> 'changes' ->> 'failed')::bigint, 0) AS documents_failed,
       coalesce((r.report ->> 'parsed')::bigint, 0) AS parsed,
       coalesce((r.report ->> 'parse_reused')::bigint, 0) AS parses_reused,
       coalesce((r.report ->> 'chunks')::bigint, 0) AS chunks,
       coalesce((r.report ->> 'embedded')::bigint, 0) AS embedded,
       coalesce((r.report ->> 'vectors_reused')::bigint, 0) AS vectors_reused,
       coalesce((r.report ->> 'bytes_loaded')::bigint, 0) AS bytes_loaded,
       coalesce((r.report ->> 'tokens')::bigint, 0) AS tokens, coalesce((r.report ->> 'cost')::float8, 0) AS cost
FROM rag.run r JOIN rag.source s USING (source_id);

-- object: VIEW rag_facts.quarantine
CREATE OR REPLACE VIEW rag_facts.quarantine AS
SELECT q.quarantine_id, s.name AS source, s.tenant, q.external_id, q.entity, q.stage, q.status, q.error_class, q.attempts,
       q.first_at, q.last_at, q.next_try_at
FROM rag.quarantine q JOIN rag.source s USING (source_id);

-- object: VIEW rag_facts.deletions
CREATE OR REPLACE VIEW rag_facts.deletions AS
SELECT x.deletion_id, s.name AS source, s.tenant, x.cause, x.documents, x.state, x.parked_at, x.decided_at, x.decided_by,
       x.reason
FROM rag.deletion x JOIN rag.source s USING (source_id);

-- object: VIEW rag_facts.versions
CREATE OR REPLACE VIEW rag_facts.versions AS
SELECT v.version_id, v.index_name AS index, v.state, v.kind, v.base_version, v.row_count AS passages,
       v.document_count AS documents, m.params ->> 'provider' AS provider, m.params ->> 'model' AS model, v.as_of,
       v.created_at, v.built_at, v.promoted_at, v.retired_at, v.dropped_at
FROM rag.index_version v LEFT JOIN rag.profile m ON m.profile_id = v.model_id;

-- object: VIEW rag_facts.gates
CREATE OR REPLACE VIEW rag_facts.gates AS
SELECT v.index_name AS index, g.version_id, g.gate, g.passed, g.observed, g.threshold, g.checked_at
FROM rag.gate_result g JOIN rag.index_version v USING (version_id);

-- object: VIEW rag_facts.evaluations
CREATE OR REPLACE VIEW rag_facts.evaluations AS
SELECT r.run_id, r.index_name AS index, r.version_id, r.golden, r.label, r.setting ->> 'mode' AS mode, r.started_at,
       slice.key AS slice, measure.key AS measure, (measure.value ->> 'mean')::float8 AS mean,
       (measure.value ->> 'low')::float8 AS low, (measure.value ->> 'high')::float8 AS high,
       (measure.value ->> 'n')::bigint AS questions
FROM rag.evaluation_run r, json_each(r.summary -> 'figures') slice, json_each(slice.value) measure;

-- object: VIEW rag_facts.costs
CREATE OR REPLACE VIEW rag_facts.costs AS
SELECT day, purpose, source, tenant, indexes, model, inputs, tokens, requests, seconds, cost FROM rag.spent;

-- object: VIEW rag_facts.searches
CREATE OR REPLACE VIEW rag_facts.searches AS
SELECT index_name AS index, hour, searches, empties, errors FROM rag.served;

-- object: VIEW rag_facts.key_figures
CREATE OR REPLACE VIEW rag_facts.key_figures AS
SELECT day, name AS figure, subject, value, target FROM rag.kpi;
