-- name: own_process
-- The process of the server that runs this statement.
SELECT pg_backend_pid() AS pid;

-- name: own_statement
-- Under which name this statement was prepared, as the server has it.
SELECT name FROM pg_prepared_statements WHERE statement LIKE '%% AS own_statement%%'
ORDER BY prepare_time DESC LIMIT 1 /* AS own_statement */;

-- name: set_for_session
SELECT set_config(name, value, false) FROM unnest(%(names)s::text[], %(values)s::text[]) AS given (name, value);

-- name: set_for_transaction
SELECT set_config(name, value, true) FROM unnest(%(names)s::text[], %(values)s::text[]) AS given (name, value);

-- name: replication_state
-- Whether this server is a replica, and how many seconds ago the newest change that it shows was committed.
SELECT pg_is_in_recovery() AS replica, current_user AS login,
       extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 AS behind;

-- name: available_vector
SELECT default_version AS version FROM pg_available_extensions WHERE name = 'vector';
