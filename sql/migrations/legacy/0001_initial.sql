-- The catalogue: sources, documents, stage outputs, index versions and their gates.
-- Everything lives in the schema "rag"; the physical tables of index versions are made by the build.

CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA IF NOT EXISTS rag;

-- Parameters of one stage (parser, chunker, embedding model), by fingerprint.
CREATE TABLE rag.profile (
    profile_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('parser', 'chunker', 'model')),
    fingerprint  text NOT NULL,
    params       jsonb NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, fingerprint)
);

-- One configured instance of a connector. listed_at is when its last complete listing began (how fresh we are),
-- settled_at when that listing had been applied (what came into the catalogue later is new to the next one). The lease token fences writers (see store/lease.py).
CREATE TABLE rag.source (
    source_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    connector    text NOT NULL,
    cursor       jsonb,
    listed_at    timestamptz,
    settled_at   timestamptz,
    lease_token  uuid,
    lease_owner  text,
    lease_at     timestamptz
);

-- One sync of one source: what it saw and did.
CREATE TABLE rag.run (
    run_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    started_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    outcome      text CHECK (outcome IN ('complete', 'partial', 'failed')),
    report       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX run_by_source ON rag.run (source_id, run_id DESC);

-- Access rules, content-addressed. A conjunction of clauses, each an OR of principals, and a deny set.
CREATE TABLE rag.access_rule (
    access_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       uuid NOT NULL UNIQUE,
    clauses      jsonb NOT NULL,
    deny         text[] NOT NULL DEFAULT '{}'
);

-- One thing a source holds. `token` is the listing's equality token; raw_sha256 the stored content.
CREATE TABLE rag.document (
    document_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    external_id  text NOT NULL,
    tenant       text NOT NULL,
    state        text NOT NULL DEFAULT 'present' CHECK (state IN ('present', 'missing', 'tombstoned')),
    status       text NOT NULL DEFAULT 'pending',
    token        text NOT NULL,
    name         text NOT NULL,
    path         text NOT NULL,
    hint         text NOT NULL,
    url          text,
    given_title  text,
    author       text,
    declared_type text,
    metadata     jsonb NOT NULL DEFAULT '{}',
    attributes_key uuid NOT NULL,
    access_id    integer NOT NULL REFERENCES rag.access_rule,
    raw_sha256   bytea NOT NULL,
    raw_bytes    bigint NOT NULL,
    parse_id     bigint,
    modified_at  timestamptz,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at   timestamptz,
    changed_xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (source_id, external_id)
);
CREATE INDEX document_by_content ON rag.document (source_id, raw_sha256);
CREATE INDEX document_by_change ON rag.document (changed_xid);
CREATE INDEX document_gone ON rag.document (deleted_at) WHERE state = 'tombstoned';

-- The parse of some bytes by one parser. `hint` is what beside the bytes decides the type.
-- blocks_sha256 addresses the stored blocks; NULL when the parse failed, status then says how.
CREATE TABLE rag.parse (
    parse_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    raw_sha256   bytea NOT NULL,
    hint         text NOT NULL,
    profile_id   integer NOT NULL REFERENCES rag.profile,
    status       text NOT NULL,
    message      text,
    media_type   text,
    blocks_sha256 bytea,
    title        text,
    language     text,
    pages        integer,
    characters   integer NOT NULL DEFAULT 0,
    blocks       jsonb NOT NULL DEFAULT '{}',
    counters     jsonb NOT NULL DEFAULT '{}',
    metadata     jsonb NOT NULL DEFAULT '{}',
    warnings     text[] NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (raw_sha256, hint, profile_id)
);

-- The chunks of some blocks under one chunker and one embedded title; key = hash of the three.
CREATE TABLE rag.chunk_set (
    chunk_set_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          uuid NOT NULL UNIQUE,
    blocks_sha256 bytea NOT NULL,
    title        text,
    profile_id   integer NOT NULL REFERENCES rag.profile,
    chunks       integer NOT NULL,
    tokens       bigint NOT NULL
);
CREATE INDEX chunk_set_by_blocks ON rag.chunk_set (blocks_sha256);

-- prefix || text is exactly what the model sees; text is canonical[start_at:end_at].
CREATE TABLE rag.chunk (
    chunk_set_id bigint NOT NULL,
    ordinal      integer NOT NULL,
    start_at     integer NOT NULL,
    end_at       integer NOT NULL,
    tokens       integer NOT NULL,
    page_first   integer,
    page_last    integer,
    input_key    uuid NOT NULL,
    heading_path text[] NOT NULL,
    prefix       text NOT NULL,
    context      text NOT NULL,
    text         text NOT NULL,
    PRIMARY KEY (chunk_set_id, ordinal)
);

-- Which chunk set a document has under a chunker: what an index is built from.
CREATE TABLE rag.document_chunks (
    document_id  bigint NOT NULL REFERENCES rag.document ON DELETE CASCADE,
    profile_id   integer NOT NULL REFERENCES rag.profile,
    chunk_set_id bigint NOT NULL,
    PRIMARY KEY (document_id, profile_id)
);
CREATE INDEX document_chunks_by_set ON rag.document_chunks (chunk_set_id);

-- Vectors by exact input and model identity. EXTERNAL: never compressed; the cache is read by key only.
CREATE TABLE rag.embedding (
    model_id     integer NOT NULL REFERENCES rag.profile,
    input_key    uuid NOT NULL,
    embedding    vector NOT NULL,
    PRIMARY KEY (model_id, input_key)
);
ALTER TABLE rag.embedding ALTER COLUMN embedding SET STORAGE EXTERNAL;

-- A chunk set whose every chunk has a vector under a model, but for `missing` ones that are in quarantine.
CREATE TABLE rag.chunk_set_embedded (
    chunk_set_id bigint NOT NULL REFERENCES rag.chunk_set ON DELETE CASCADE,
    model_id     integer NOT NULL REFERENCES rag.profile,
    missing      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (chunk_set_id, model_id)
);

-- The dead-letter: one open row per document or entity that failed.
CREATE TABLE rag.quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    external_id  text,
    entity       text,
    stage        text NOT NULL,
    status       text NOT NULL,
    error_class  text NOT NULL,
    message      text NOT NULL,
    attempts     integer NOT NULL DEFAULT 1,
    next_try_at  timestamptz,
    content      text,
    code_version text,
    first_at     timestamptz NOT NULL DEFAULT now(),
    last_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((external_id IS NULL) <> (entity IS NULL))
);
CREATE UNIQUE INDEX quarantine_document ON rag.quarantine (source_id, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX quarantine_entity ON rag.quarantine (source_id, entity) WHERE entity IS NOT NULL;

-- One physical build of an index. `storage` names its tables (vectors_N, lexical_N, terms_N); a
-- catch-up build takes over the storage of the retired version it starts from.
CREATE TABLE rag.index_version (
    version_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    index_name   text NOT NULL,
    fingerprint  text NOT NULL,
    state        text NOT NULL DEFAULT 'building'
        CHECK (state IN ('building', 'built', 'validated', 'live', 'retired', 'dropped', 'failed')),
    kind         text NOT NULL CHECK (kind IN ('full', 'catch_up')),
    base_version integer REFERENCES rag.index_version,
    storage      integer NOT NULL,
    chunker_id   integer NOT NULL REFERENCES rag.profile,
    model_id     integer NOT NULL REFERENCES rag.profile,
    params       jsonb NOT NULL,
    required_gates text[] NOT NULL,
    watermark    xid8 NOT NULL,
    lease_token  uuid NOT NULL,
    lease_owner  text NOT NULL,
    row_count    bigint,
    document_count bigint,
    statistics   jsonb NOT NULL DEFAULT '{}',
    as_of        timestamptz,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    built_at     timestamptz,
    promoted_at  timestamptz,
    retired_at   timestamptz,
    dropped_at   timestamptz
);
CREATE UNIQUE INDEX index_version_one_live ON rag.index_version (index_name) WHERE state = 'live';
CREATE UNIQUE INDEX index_version_one_building ON rag.index_version (index_name) WHERE state = 'building';
CREATE INDEX index_version_by_name ON rag.index_version (index_name, version_id DESC);
CREATE SEQUENCE rag.index_storage AS integer;

CREATE TABLE rag.gate_result (
    version_id   integer NOT NULL REFERENCES rag.index_version ON DELETE CASCADE,
    gate         text NOT NULL,
    passed       boolean NOT NULL,
    observed     double precision,
    threshold    double precision,
    detail       jsonb NOT NULL DEFAULT '{}',
    checked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (version_id, gate)
);

-- Who did what to what: promotions, rollbacks, overrides, purges.
CREATE TABLE rag.audit (
    audit_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    actor        text NOT NULL,
    action       text NOT NULL,
    subject      text NOT NULL,
    detail       jsonb NOT NULL DEFAULT '{}'
);

-- BM25 without an extension (Robertson et al. 1995). The term-frequency part of the score is stored per chunk
-- as a sparse vector; the query vector carries the idf of the index version, so the inner product is the score.

-- The indexed words of a text: stemmed by its language, and identifiers as typed. Postgres would cut E-4417 into
-- "e" and "-4417"; joined ("e4417") it stays one rare word. An identifier has parts joined by - _ . or /, and a digit.
CREATE FUNCTION rag.words(language regconfig, content text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN to_tsvector(language, content) || coalesce((
    SELECT to_tsvector('pg_catalog.simple'::regconfig,
                       string_agg(lower(regexp_replace(found[1], '[^[:alnum:]]', '', 'g')), ' '))
    FROM regexp_matches(content, '\m([[:alnum:]]+(?:[-_./][[:alnum:]]+)+)\M', 'g') AS found
    WHERE length(found[1]) <= 40 AND found[1] ~ '[0-9]' AND found[1] ~ '[[:alpha:]-]'
), '');

-- A term's dimension. hashtextextended is stable within a cluster and over pg_upgrade (hash partitioning rests
-- on it); an index version never leaves its cluster.
CREATE FUNCTION rag.term_id(lexeme text) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (abs(hashtextextended(lexeme, 0) % 1000000000) + 1)::integer;

-- The number of indexed words in a text.
CREATE FUNCTION rag.text_length(words tsvector) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(sum(cardinality(positions)), 0)::integer FROM unnest(words));

-- tf * (k1 + 1) / (tf + saturation) of every term, with saturation = k1 * (1 - b + b * length / average length);
-- at most 16000 terms, the limit of the type, the heaviest first.
CREATE FUNCTION rag.bm25_weights(words tsvector, k1 float8, saturation float8) RETURNS sparsevec
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT ('{' || coalesce(string_agg(term || ':' || (tf * (k1 + 1) / (tf + saturation))::real, ','), '')
            || '}/1000000000')::sparsevec
    FROM (
        SELECT rag.term_id(lexeme) AS term, sum(cardinality(positions))::float8 AS tf
        FROM unnest(words) GROUP BY 1 ORDER BY 2 DESC LIMIT 16000
    ) AS terms
);

-- Whether a caller with these principals passes a rule: every clause holds one of them, and the deny set none.
CREATE FUNCTION rag.may_read(clauses jsonb, deny text[], principals text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN NOT (deny && principals)
   AND NOT EXISTS (SELECT FROM jsonb_array_elements(clauses) AS clause WHERE NOT clause ?| principals);
