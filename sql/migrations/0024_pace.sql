-- When the next request of a login may go out, for all processes that use it. What a crash of the server loses is said anew.
CREATE UNLOGGED TABLE rag.pace (
    key text PRIMARY KEY,
    ready_at timestamptz NOT NULL,
    held_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
