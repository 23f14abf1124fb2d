-- Backups, and what a deployment has to have before it goes live (rag_pipelines/backup, doctor --production).

-- name: documents_to_back_up
SELECT count(*) AS documents FROM rag.document WHERE state <> 'tombstoned';

-- name: schemas_among
SELECT nspname AS name FROM pg_namespace WHERE nspname = ANY(%(schemas)s) ORDER BY 1;

-- name: create_vector
CREATE EXTENSION IF NOT EXISTS vector;

-- name: newest_backup
-- In seconds, of what our command made or was told of, and of the write-ahead log that the server archives.
SELECT
    extract(epoch FROM clock_timestamp() - (SELECT max(at) FROM rag.audit WHERE action = 'backup'))::float8 AS noted,
    extract(epoch FROM clock_timestamp() - (SELECT last_archived_time FROM pg_stat_archiver))::float8 AS archived;

-- name: production_state
SELECT
    clock_timestamp() AS now,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
    (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS installed,
    (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
    current_setting('max_parallel_maintenance_workers')::int AS builders;
