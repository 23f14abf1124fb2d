-- The newest result of each quality expectation of each source. The gate `source_quality` reads it, so a
-- failed expectation refuses a promotion in whatever run, not only in the run that found it.

CREATE TABLE rag.quality_result (
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    suite        text NOT NULL,
    expectation  text NOT NULL,
    passed       boolean NOT NULL,
    blocking     boolean NOT NULL,
    rows_checked bigint,
    unexpected   bigint,
    samples      jsonb NOT NULL DEFAULT '[]',
    error        text,
    checked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, suite, expectation)
);
