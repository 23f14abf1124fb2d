-- name: search_state
SELECT version_id, changes, pg_postmaster_start_time() AS started, rag.switches(%(index_name)s) AS switches
FROM rag.search_state(%(index_name)s, %(tenant)s);
