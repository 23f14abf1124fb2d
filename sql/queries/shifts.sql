-- name: sampled_passages
-- Passages spread over a version: their length in characters, and the language that their document declares.
SELECT length(c.text) AS length, coalesce(p.language, '') AS language,
       sqrt(-(v.embedding <#> v.embedding))::float8 AS norm, v.embedding::text AS embedding
FROM {sampled} v
JOIN rag.chunk c USING (chunk_set_id, ordinal)
JOIN rag.document d USING (document_id) LEFT JOIN rag.parse p USING (parse_id);

-- name: served_classes
-- Searches of an index within some days: those with passages, and those without.
SELECT coalesce(sum(searches - empties - errors), 0)::bigint AS found, coalesce(sum(empties), 0)::bigint AS empty
FROM rag.served WHERE index_name = %(index_name)s AND hour >= %(since)s;

-- name: put_index_profile
INSERT INTO rag.index_profile (index_name, day, version_id, model_id, classes)
VALUES (%(index_name)s, (now() AT TIME ZONE 'UTC')::date, %(version_id)s, %(model_id)s, %(classes)s)
ON CONFLICT (index_name, day) DO UPDATE SET
    version_id = excluded.version_id, model_id = excluded.model_id, classes = excluded.classes;

-- name: index_profiles
-- Profiles of an index before today, the newest first.
SELECT day, version_id, model_id, classes FROM rag.index_profile
WHERE index_name = %(index_name)s AND day >= %(since)s AND day < (now() AT TIME ZONE 'UTC')::date
ORDER BY day DESC;
