-- Figures of golden sets: one row a run (a version, a setting, a golden set) and one a question of it. Documents
-- are numbers here, so that a purged one leaves no name behind; figures are by the name of their measure, in json
-- rather than jsonb, because that would forget their order.

CREATE TABLE rag.evaluation_run (
    run_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    index_name   text NOT NULL,
    version_id   integer NOT NULL REFERENCES rag.index_version,
    golden       text NOT NULL,
    golden_key   text NOT NULL,
    label        text NOT NULL DEFAULT '',
    setting      jsonb NOT NULL,
    summary      json NOT NULL,
    notes        text[] NOT NULL DEFAULT '{}',
    started_at   timestamptz NOT NULL
);
CREATE INDEX evaluation_run_by_version ON rag.evaluation_run (index_name, version_id, run_id DESC);

CREATE TABLE rag.evaluation_answer (
    run_id       bigint NOT NULL REFERENCES rag.evaluation_run ON DELETE CASCADE,
    position     integer NOT NULL,
    question_id  text NOT NULL,
    query        text NOT NULL,
    slices       text[] NOT NULL,
    answerable   boolean,
    confidence   double precision NOT NULL,
    figures      json NOT NULL,
    violations   jsonb NOT NULL,
    hits         jsonb NOT NULL,
    embed_ms     double precision NOT NULL,
    search_ms    double precision NOT NULL,
    PRIMARY KEY (run_id, question_id)
);
