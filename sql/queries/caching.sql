-- name: search_state
SELECT version_id, changes FROM rag.search_state(%(index_name)s, %(tenant)s);
