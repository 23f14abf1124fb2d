-- name: fact_views
SELECT relname AS name FROM pg_class WHERE relnamespace = 'rag_facts'::regnamespace AND relkind = 'v' ORDER BY 1;

-- name: fact_rows
SELECT * FROM {view};
