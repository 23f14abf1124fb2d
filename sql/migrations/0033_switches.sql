-- What operators switched off, or made read-only, without a deploy; in force while it has not ended.
CREATE TABLE rag.switch (
    switch_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    target       text NOT NULL DEFAULT '',
    reason       text NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    started_by   text NOT NULL,
    until        timestamptz,
    ended_at     timestamptz,
    ended_by     text
);
CREATE UNIQUE INDEX switch_open ON rag.switch (kind, target) WHERE ended_at IS NULL;
