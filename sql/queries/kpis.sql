-- name: kpi_runs
-- What the runs of each source that ended since then came to.
SELECT s.name AS source, count(*) AS runs,
       count(*) FILTER (WHERE r.outcome <> 'failed') AS succeeded,
       coalesce(sum((r.report ->> 'listed')::bigint), 0)::bigint AS listed,
       coalesce(sum((r.report -> 'changes' ->> 'failed')::bigint), 0)::bigint AS failed,
       coalesce(sum((r.report ->> 'parsed')::bigint), 0)::bigint AS parsed,
       coalesce(sum((r.report ->> 'parse_reused')::bigint), 0)::bigint AS parse_reused,
       coalesce(sum((r.report ->> 'embedded')::bigint), 0)::bigint AS embedded,
       coalesce(sum((r.report ->> 'vectors_reused')::bigint), 0)::bigint AS vectors_reused
FROM rag.run r JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND r.finished_at >= %(since)s
GROUP BY 1;

-- name: kpi_builds
SELECT index_name AS index, count(*) AS builds, count(*) FILTER (WHERE state <> 'failed') AS succeeded
FROM rag.index_version
WHERE index_name = ANY(%(indexes)s) AND kind <> 'copy' AND state <> 'building' AND created_at >= %(since)s
GROUP BY 1;

-- name: kpi_coverage
-- Documents that sources show, and those of them whose text was read.
SELECT s.name AS source, count(*) AS documents, count(*) FILTER (WHERE d.status IN ('ok', 'empty')) AS covered
FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.state = 'present'
GROUP BY 1;

-- name: kpi_served
SELECT s.index_name AS index, sum(s.searches)::bigint AS searches, sum(s.empties)::bigint AS empties,
       sum(s.errors)::bigint AS errors,
       (SELECT array_agg(t.searches ORDER BY t.nth)
        FROM (SELECT nth, sum(n)::bigint AS searches
              FROM rag.served m, unnest(m.milliseconds) WITH ORDINALITY AS class (n, nth)
              WHERE m.index_name = s.index_name AND m.hour >= %(since)s GROUP BY nth) t) AS milliseconds
FROM rag.served s
WHERE s.index_name = ANY(%(indexes)s) AND s.hour >= %(since)s
GROUP BY 1;

-- name: kpi_incidents
-- Judgements that found a passage shown to somebody who may not see it, or one that a golden set forbids to its asker.
SELECT v.index_name AS index, count(*) AS incidents
FROM (
    SELECT version_id FROM rag.gate_result WHERE gate = 'access_proof' AND NOT passed AND checked_at >= %(since)s
    UNION ALL
    SELECT r.version_id FROM rag.evaluation_run r JOIN rag.evaluation_answer a USING (run_id)
    WHERE r.started_at >= %(since)s AND (a.violations @> '[{"because": "access"}]' OR a.violations @> '[{"because": "tenant"}]')
) found JOIN rag.index_version v USING (version_id)
WHERE v.index_name = ANY(%(indexes)s)
GROUP BY 1;

-- name: put_kpi
INSERT INTO rag.kpi (day, name, subject, value, target)
VALUES ((now() AT TIME ZONE 'UTC')::date, %(name)s, %(subject)s, %(value)s, %(target)s)
ON CONFLICT (day, name, subject) DO UPDATE SET value = excluded.value, target = excluded.target;

-- name: kpi_history
SELECT day, name, subject, value, target FROM rag.kpi WHERE day >= %(since)s ORDER BY day;
