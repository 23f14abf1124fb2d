-- Documents that are listed and not kept (rag_pipelines/sync/withholding.py), and what is too old (expiry.py).

-- name: has_withheld
SELECT 1 FROM rag.withheld WHERE source_id = %(source_id)s LIMIT 1;

-- name: put_withheld
-- Returns those that are new, or withheld for another cause than before.
INSERT INTO rag.withheld (source_id, external_id, cause, label)
SELECT %(source_id)s, external_id, cause, label
FROM jsonb_to_recordset(%(rows)s) AS r (external_id text, cause text, label text)
ORDER BY external_id
ON CONFLICT (source_id, external_id) DO UPDATE SET cause = EXCLUDED.cause, label = EXCLUDED.label
WHERE (withheld.cause, withheld.label) IS DISTINCT FROM (EXCLUDED.cause, EXCLUDED.label)
RETURNING external_id;

-- name: drop_withheld
DELETE FROM rag.withheld WHERE source_id = %(source_id)s AND external_id = ANY(%(ids)s);

-- name: drop_unlisted_withheld
-- What a complete listing did not name.
DELETE FROM rag.withheld w
WHERE w.source_id = %(source_id)s AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = w.external_id);

-- name: listed_past_retention
-- Listed documents that are past their retention, and not stored or not shown any more.
SELECT l.external_id
FROM jsonb_to_recordset(%(listed)s) AS l (external_id text, modified_at timestamptz, metadata jsonb)
LEFT JOIN rag.document d ON d.source_id = %(source_id)s AND d.external_id = l.external_id
WHERE (d.document_id IS NULL OR d.state = 'tombstoned')
  AND rag.past_retention(%(rules)s, l.metadata, l.modified_at, coalesce(d.created_at, now()));

-- name: past_retention
-- Stored documents that are past their retention and that nobody has decided on, each with the hold that keeps it. Where
-- all rules count from the last change, what changed within the shortest (`least` seconds) need not be looked at closer.
SELECT d.external_id, rag.hold_of(d) AS hold
FROM rag.document d LEFT JOIN rag.deletion x USING (deletion_id)
WHERE d.source_id = %(source_id)s
  AND (d.state = 'present' OR (%(parked)s AND d.state = 'missing' AND x.state = 'parked' AND x.cause = 'retention'))
  AND CASE WHEN coalesce(d.modified_at, d.created_at) >= now() - make_interval(secs => %(least)s::float8) THEN false
           ELSE rag.past_retention(%(rules)s, d.metadata, d.modified_at, d.created_at) END
ORDER BY d.external_id;

-- name: unpark_retained
-- What waits for a decision about its age, and is not past its retention any more, or is held.
UPDATE rag.document d SET state = 'present', deletion_id = NULL, updated_at = clock_timestamp()
FROM rag.deletion x
WHERE d.source_id = %(source_id)s AND d.state = 'missing' AND x.deletion_id = d.deletion_id
  AND x.cause = 'retention' AND x.state = 'parked'
  AND (NOT rag.past_retention(%(rules)s, d.metadata, d.modified_at, d.created_at) OR rag.hold_of(d) IS NOT NULL);

-- name: withhold_parked
-- What is deleted because of its age is listed on, and not taken up.
INSERT INTO rag.withheld (source_id, external_id, cause)
SELECT d.source_id, d.external_id, 'retention' FROM rag.document d JOIN rag.deletion x USING (deletion_id)
WHERE d.deletion_id = %(deletion_id)s AND d.state = 'missing' AND x.cause = 'retention'
ON CONFLICT DO NOTHING;

-- name: withheld_by_cause
SELECT s.name, w.cause, w.label, count(*) AS documents
FROM rag.withheld w JOIN rag.source s USING (source_id) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
