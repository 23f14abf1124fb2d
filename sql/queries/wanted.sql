-- Content that a listing has left to others to load (rag_pipelines/sync/wanted.py). Rows are found by source, bucket
-- and id; who takes several locks them in that order, and locks documents later.

-- name: has_wanted
SELECT 1 FROM rag.wanted
WHERE source_id = %(source_id)s AND (%(buckets)s::smallint[] IS NULL OR bucket = ANY(%(buckets)s)) LIMIT 1;

-- name: put_wanted
-- What is wanted already in the same way stays as it is.
INSERT INTO rag.wanted (source_id, external_id, token, tenant, attributes_key, access_id, item)
SELECT %(source_id)s, external_id, token, tenant, attributes_key, access_id, item
FROM jsonb_to_recordset(%(rows)s) AS r (
    external_id text, token text, tenant text, attributes_key uuid, access_id int, item jsonb)
ORDER BY hashtextextended(external_id, 0) & 63, external_id
ON CONFLICT (source_id, bucket, external_id) DO UPDATE SET
    token = EXCLUDED.token, tenant = EXCLUDED.tenant, attributes_key = EXCLUDED.attributes_key,
    access_id = EXCLUDED.access_id, item = EXCLUDED.item
WHERE (wanted.token, wanted.tenant, wanted.attributes_key, wanted.access_id)
   IS DISTINCT FROM (EXCLUDED.token, EXCLUDED.tenant, EXCLUDED.attributes_key, EXCLUDED.access_id);

-- name: wanted_page
SELECT external_id, token, tenant, attributes_key, access_id, item FROM rag.wanted
WHERE source_id = %(source_id)s AND bucket = %(bucket)s AND external_id > %(after)s
ORDER BY external_id LIMIT %(limit)s;

-- name: claim_wanted
-- Which of these are still wanted as they were read; they stay so until commit.
SELECT w.external_id FROM rag.wanted w
JOIN unnest(%(ids)s::text[], %(tokens)s::text[], %(tenants)s::text[], %(keys)s::uuid[], %(rules)s::int[])
  AS r (external_id, token, tenant, attributes_key, access_id)
  ON w.bucket = hashtextextended(r.external_id, 0) & 63 AND w.external_id = r.external_id
 AND (w.token, w.tenant, w.attributes_key, w.access_id) = (r.token, r.tenant, r.attributes_key, r.access_id)
WHERE w.source_id = %(source_id)s
ORDER BY w.bucket, w.external_id FOR UPDATE OF w;

-- name: drop_wanted
-- What is not wanted any more, or is stored or in quarantine now; what others are loading is waited for.
WITH gone AS MATERIALIZED (
    SELECT w.bucket, w.external_id FROM rag.wanted w
    JOIN unnest(%(ids)s::text[]) AS id ON w.bucket = hashtextextended(id, 0) & 63 AND w.external_id = id
    WHERE w.source_id = %(source_id)s ORDER BY w.bucket, w.external_id FOR UPDATE OF w
)
DELETE FROM rag.wanted w USING gone
WHERE w.source_id = %(source_id)s AND w.bucket = gone.bucket AND w.external_id = gone.external_id;

-- name: drop_wanted_below
-- What is below documents that went, which the source does not name, but for what came back.
DELETE FROM rag.wanted w WHERE w.source_id = %(source_id)s AND w.external_id <> ALL(%(back)s)
  AND EXISTS (SELECT FROM unnest(%(ids)s::text[]) AS p (id) WHERE starts_with(w.external_id, p.id || '/'));

-- name: drop_unlisted_wanted
-- What a complete listing did not name.
DELETE FROM rag.wanted w
WHERE w.source_id = %(source_id)s AND NOT EXISTS (SELECT FROM seen s WHERE s.external_id = w.external_id);

-- name: count_wanted
-- How many contents are wanted of each source.
SELECT s.name, count(*) AS wanted FROM rag.wanted w JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(names)s) GROUP BY s.name;
