-- What models read and cost, by day, and how searches were answered, by hour.
CREATE TABLE rag.spent (
    day date NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('ingest', 'search')),
    source text NOT NULL,
    tenant text NOT NULL,
    indexes text[] NOT NULL,
    model text NOT NULL,
    inputs bigint NOT NULL,
    tokens bigint NOT NULL,
    requests bigint NOT NULL,
    seconds double precision NOT NULL,
    cost double precision NOT NULL,
    PRIMARY KEY (day, purpose, source, tenant, indexes, model)
);
CREATE TABLE rag.served (
    index_name text NOT NULL,
    hour timestamptz NOT NULL,
    searches bigint NOT NULL,
    empties bigint NOT NULL,
    errors bigint NOT NULL,
    milliseconds bigint[] NOT NULL,
    PRIMARY KEY (index_name, hour)
);

-- What runs before had read, of which the model was not kept.
INSERT INTO rag.spent
SELECT (r.started_at AT TIME ZONE 'UTC')::date, 'ingest', s.name, s.tenant, '{}', 'unknown',
       coalesce(sum((r.report ->> 'embedded')::bigint), 0), coalesce(sum((r.report ->> 'tokens')::bigint), 0), 0,
       coalesce(sum((r.report -> 'seconds' ->> 'embed')::float8), 0), coalesce(sum((r.report ->> 'cost')::float8), 0)
FROM rag.run r JOIN rag.source s USING (source_id)
WHERE (r.report ->> 'tokens')::bigint > 0
GROUP BY 1, 3, 4;

-- Key figures as they were on each day that somebody kept them.
CREATE TABLE rag.kpi (
    day date NOT NULL,
    name text NOT NULL,
    subject text NOT NULL,
    value double precision NOT NULL,
    target double precision,
    PRIMARY KEY (day, name, subject)
);

-- How passages and answers of an index were distributed on a day: by measure, how many fell into each class.
CREATE TABLE rag.index_profile (
    index_name text NOT NULL,
    day date NOT NULL,
    version_id integer NOT NULL,
    model_id integer NOT NULL,
    classes jsonb NOT NULL,
    PRIMARY KEY (index_name, day)
);
