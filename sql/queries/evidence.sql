-- What an evidence pack holds (rag_pipelines/audit/evidence.py): what was done in a span of time, without texts, questions
-- or ids of documents.

-- name: evidence_actions
SELECT position, at, actor, login, action, subject, detail ->> 'reason' AS reason,
       encode(content, 'hex') AS content, encode(hash, 'hex') AS hash
FROM rag.audit WHERE position IS NOT NULL AND at >= %(since)s AND at < %(until)s ORDER BY position;

-- name: evidence_people
SELECT actor, login, action, count(*) AS times, min(at) AS first, max(at) AS last
FROM rag.audit WHERE position IS NOT NULL AND at >= %(since)s AND at < %(until)s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: evidence_versions
-- Versions that were built, promoted or retired.
SELECT version_id, index_name, state, kind, fingerprint, document_count, row_count, as_of, created_at, built_at, promoted_at,
       retired_at, dropped_at
FROM rag.index_version
WHERE created_at < %(until)s AND greatest(created_at, promoted_at, retired_at, dropped_at) >= %(since)s ORDER BY version_id;

-- name: evidence_gates
-- Results with the figures of their detail; the access proof is one of them.
SELECT v.index_name, g.version_id, g.gate, g.passed, g.observed, g.threshold, g.checked_at,
       (SELECT jsonb_object_agg(key, value) FROM jsonb_each(g.detail)
        WHERE jsonb_typeof(value) IN ('number', 'boolean')) AS figures
FROM rag.gate_result g JOIN rag.index_version v USING (version_id)
WHERE g.checked_at >= %(since)s AND g.checked_at < %(until)s ORDER BY g.version_id, g.gate;

-- name: evidence_deletions
-- Deletions above the guard, with who decided.
SELECT x.deletion_id, s.name AS source, x.cause, x.documents, x.known, x.state, x.parked_at, x.decided_at, x.decided_by, x.reason
FROM rag.deletion x JOIN rag.source s USING (source_id)
WHERE x.parked_at < %(until)s AND greatest(x.parked_at, x.decided_at) >= %(since)s ORDER BY x.deletion_id;

-- name: evidence_erasures
-- Purged documents, by the digest of their id: what was removed, and how many digests a later proof can look for.
SELECT position, at, actor, subject, detail ->> 'reason' AS reason, detail -> 'removed' AS removed,
       (SELECT sum(jsonb_array_length(value)) FROM jsonb_each(detail -> 'evidence')
        WHERE jsonb_typeof(value) = 'array')::bigint AS digests
FROM rag.audit WHERE action = 'purge' AND position IS NOT NULL AND at >= %(since)s AND at < %(until)s ORDER BY position;

-- name: evidence_certificates
-- Verifications: what of a source was where it should be, and kinds of what was not.
SELECT s.name AS source, v.index_name, c.version_id, c.complete, c.made_at, c.counts,
       (SELECT jsonb_agg(one - 'samples') FROM jsonb_array_elements(c.drift) AS one) AS drift
FROM rag.certificate c JOIN rag.source s USING (source_id) LEFT JOIN rag.index_version v USING (version_id)
WHERE c.made_at >= %(since)s AND c.made_at < %(until)s ORDER BY c.certificate_id;

-- name: evidence_holds
-- Legal holds, without what they name.
SELECT hold_id, source, CASE WHEN document IS NOT NULL THEN 'document' WHEN path IS NOT NULL THEN 'path'
                             WHEN label IS NOT NULL THEN 'label' ELSE 'source' END AS of,
       reason, placed_by, placed_at, until, released_at, released_by, release_reason
FROM rag.hold WHERE placed_at < %(until)s AND coalesce(released_at, 'infinity') >= %(since)s ORDER BY hold_id;

-- name: evidence_switches
SELECT kind, target, reason, started_at, started_by, until, ended_at, ended_by FROM rag.switch
WHERE started_at < %(until)s AND coalesce(ended_at, 'infinity') >= %(since)s ORDER BY switch_id;

-- name: evidence_canaries
SELECT canary_id, index_name, version_id, live_id, mode, share, state, started_by, reason, started_at, ended_by, ended_at,
       verdict, compared, failed, lost, slow
FROM rag.canary WHERE started_at < %(until)s AND coalesce(ended_at, 'infinity') >= %(since)s ORDER BY canary_id;

-- name: clock
SELECT now() AS now;
