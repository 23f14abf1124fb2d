-- name: unembedded_inputs
-- The distinct inputs of a source's chunks that have no vector under a model yet, and their tokens.
SELECT count(*) AS inputs, coalesce(sum(tokens), 0)::bigint AS tokens
FROM (
    SELECT DISTINCT ON (c.input_key) c.tokens
    FROM rag.document d
    JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
    JOIN rag.chunk c USING (chunk_set_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
      AND NOT EXISTS (SELECT FROM rag.chunk_set_embedded e
                      WHERE e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s)
      AND NOT EXISTS (SELECT FROM rag.embedding v
                      WHERE v.model_id = %(model_id)s AND v.input_key = c.input_key)
) pending;

-- name: embedding_rate
-- Tokens a second of the last runs that embedded anything, those of the source first.
SELECT sum(tokens) / nullif(sum(seconds), 0) AS tokens_per_s
FROM (
    SELECT (report ->> 'tokens')::float8 AS tokens, (report -> 'seconds' ->> 'embed')::float8 AS seconds
    FROM rag.run WHERE (report ->> 'tokens')::bigint > 0
    ORDER BY source_id <> %(source_id)s, run_id DESC LIMIT 5
) AS recent;

-- name: put_plan
-- A new plan of a source takes the place of those that still wait.
WITH superseded AS (
    UPDATE rag.plan SET state = 'superseded' WHERE source_id = %(source_id)s AND state IN ('open', 'parked')
)
INSERT INTO rag.plan (source_id, state, arguments, settings, summary, made_by)
VALUES (%(source_id)s, %(state)s, %(arguments)s, %(settings)s, %(summary)s, %(made_by)s) RETURNING plan_id;

-- name: make_decided
CREATE TEMPORARY TABLE decided (
    n bigint GENERATED ALWAYS AS IDENTITY, external_id text, change text, fingerprint text) ON COMMIT DROP;

-- name: put_plan_changes
-- The last decision on a document is the one that counts.
INSERT INTO rag.plan_change (plan_id, external_id, change, fingerprint)
SELECT DISTINCT ON (external_id) %(plan_id)s, external_id, change, fingerprint
FROM decided d
WHERE NOT EXISTS (SELECT FROM rag.plan p JOIN rag.source s USING (source_id) JOIN rag.forgotten f USING (source_id)
                  WHERE p.plan_id = %(plan_id)s AND f.digest = sha256(convert_to(d.external_id, 'UTF8'))
                    AND f.forgotten_at >= s.lease_at)
ORDER BY external_id, n DESC;

-- name: plan_drift
-- Documents of which something else is decided now than was planned; NULL stands for no change.
SELECT external_id, planned.change AS planned, found.change AS found, count(*) OVER () AS documents
FROM (SELECT external_id, change, fingerprint FROM rag.plan_change WHERE plan_id = %(plan_id)s) planned
FULL JOIN (SELECT DISTINCT ON (external_id) external_id, change, fingerprint
           FROM decided ORDER BY external_id, n DESC) found USING (external_id)
WHERE planned.fingerprint IS DISTINCT FROM found.fingerprint
ORDER BY external_id LIMIT %(limit)s;

-- name: plan_by_id
SELECT p.plan_id, s.name AS source, p.state, p.arguments, p.settings, p.summary, p.made_at, p.made_by,
       p.applied_at, p.applied_by
FROM rag.plan p JOIN rag.source s USING (source_id) WHERE p.plan_id = %(plan_id)s;

-- name: waiting_plans
SELECT p.plan_id, s.name AS source, p.state, p.summary, p.made_at, p.made_by
FROM rag.plan p JOIN rag.source s USING (source_id) WHERE p.state IN ('open', 'parked') ORDER BY p.plan_id DESC;

-- name: approved_plan
-- A row where a plan of the source was ever applied.
SELECT 1 FROM rag.plan p JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND p.state = 'applied' LIMIT 1;

-- name: plan_applied
UPDATE rag.plan SET state = 'applied', applied_at = now(), applied_by = %(actor)s WHERE plan_id = %(plan_id)s;
