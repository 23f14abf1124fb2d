-- That something changed in a source, as a queue or a notification said: it begins a run and decides nothing. `key` is
-- what was named, NULL for nothing in particular. By name, because a source may be told of before its first run.
CREATE TABLE rag.hint (
    source text NOT NULL,
    key text,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (source, key)
);
