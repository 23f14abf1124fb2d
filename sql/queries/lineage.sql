-- What lineage tells of the tables of a version.

-- name: table_columns
-- The columns of a table in their order, with their types as Postgres writes them.
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: version_bytes
-- Bytes of the tables of a version, with their indexes.
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
FROM pg_class c
WHERE c.relnamespace = 'rag'::regnamespace AND c.relkind = 'r' AND c.relname ~ ('_' || %(storage)s::bigint || '(_.*)?$');
