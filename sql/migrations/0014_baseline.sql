-- The tables as of 0.2.0: sources, documents, stage outputs, index versions and what is known of them.
-- Everything lives in the schema "rag". The physical tables of index versions are made by the build; functions, triggers
-- and policies are in sql/objects. Stands for the migrations of sql/migrations/legacy.

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
-- settled_at when that listing had been applied (what came into the catalogue later is new to the next one), groups_at
-- when the last complete listing of groups began. The lease token fences writers (see store/lease.py). tenant and grace
-- are what a collection of garbage and a query need of a source that may no longer be configured.
CREATE TABLE rag.source (
    source_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    connector    text NOT NULL,
    cursor       jsonb,
    listed_at    timestamptz,
    settled_at   timestamptz,
    lease_token  uuid,
    lease_owner  text,
    lease_at     timestamptz,
    tenant       text NOT NULL DEFAULT 'default',
    grace        interval NOT NULL DEFAULT '7 days',
    groups_at    timestamptz
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

-- The principals that the clauses of a rule name. A column is computed by it, so it changes as tables do.
CREATE FUNCTION rag.named_in(clauses jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT coalesce(array_agg(DISTINCT named), '{}')
    FROM jsonb_array_elements(clauses) AS clause, jsonb_array_elements_text(clause) AS named
);

-- Access rules, content-addressed. A conjunction of clauses, each an OR of principals, and a deny set.
CREATE TABLE rag.access_rule (
    access_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       uuid NOT NULL UNIQUE,
    clauses      jsonb NOT NULL,
    deny         text[] NOT NULL DEFAULT '{}',
    named        text[] NOT NULL GENERATED ALWAYS AS (rag.named_in(clauses)) STORED
);
CREATE INDEX access_rule_by_principal ON rag.access_rule USING gin (named) WITH (fastupdate = off);
CREATE INDEX access_rule_naming_none ON rag.access_rule (access_id) WHERE named = '{}';

-- One decision about documents that a source no longer names: parked above the delete guard until somebody
-- approves (they are tombstoned) or rejects it (they are served on); withdrawn when they are all listed again.
CREATE TABLE rag.deletion (
    deletion_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    cause        text NOT NULL CHECK (cause IN ('vanished', 'removed', 'source_removed')),
    documents    bigint NOT NULL,
    known        bigint NOT NULL,
    state        text NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'approved', 'rejected', 'withdrawn')),
    parked_at    timestamptz NOT NULL DEFAULT now(),
    decided_at   timestamptz,
    decided_by   text,
    reason       text
);
CREATE INDEX deletion_by_source ON rag.deletion (source_id, deletion_id DESC);

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
    deletion_id  bigint REFERENCES rag.deletion ON DELETE SET NULL,
    UNIQUE (source_id, external_id)
);
CREATE INDEX document_by_content ON rag.document (source_id, raw_sha256);
CREATE INDEX document_by_change ON rag.document (changed_xid);
CREATE INDEX document_gone ON rag.document (deleted_at) WHERE state = 'tombstoned';
CREATE INDEX document_by_deletion ON rag.document (deletion_id) WHERE deletion_id IS NOT NULL;
CREATE INDEX document_by_metadata ON rag.document USING gin (metadata jsonb_path_ops);
CREATE INDEX document_by_path ON rag.document (path text_pattern_ops);
CREATE INDEX document_by_time ON rag.document (modified_at);
CREATE INDEX document_by_parse ON rag.document (parse_id);
-- Documents of a rule, and every look-up by a policy or a search's predicate, are read from the index alone.
CREATE INDEX document_by_access ON rag.document (tenant, access_id, document_id) WHERE state <> 'tombstoned';
CREATE INDEX document_readable ON rag.document (document_id) INCLUDE (tenant, access_id, state) WHERE state <> 'tombstoned';

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

-- Every chunk set that a document shows or that an index version may still show of it. While it is the document's
-- current text, access_id and tenant are NULL and the document's own decide. Once it is not, or may not be
-- (`doubted`: changed content was listed and could not be compared yet), they are what the document had when the
-- text was last known to be its own, and a reader has to pass both: text that was taken out of a document before
-- more people were let in is not shown to them by a version that was built earlier.
CREATE TABLE rag.document_content (
    document_id  bigint NOT NULL REFERENCES rag.document ON DELETE CASCADE,
    chunk_set_id bigint NOT NULL REFERENCES rag.chunk_set ON DELETE CASCADE,
    access_id    integer REFERENCES rag.access_rule,
    tenant       text,
    doubted      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (document_id, chunk_set_id),
    CHECK ((access_id IS NULL) = (tenant IS NULL))
);
CREATE INDEX document_content_by_set ON rag.document_content (chunk_set_id);
CREATE INDEX document_content_former ON rag.document_content (access_id) WHERE access_id IS NOT NULL;

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

-- The dead-letter: one open row per document or entity that failed. last_at is the clock's: a listing that is applied in
-- one transaction compares it with the clock.
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
    last_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
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

-- Groups as the source's directory holds them; observed_at is when their members were last read, and of a
-- membership when it was first seen.
CREATE TABLE rag.principal_group (
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    principal    text NOT NULL,
    name         text NOT NULL DEFAULT '',
    observed_at  timestamptz NOT NULL,
    PRIMARY KEY (source_id, principal)
);
CREATE TABLE rag.membership (
    source_id    integer NOT NULL,
    principal    text NOT NULL,
    member       text NOT NULL,
    observed_at  timestamptz NOT NULL,
    PRIMARY KEY (source_id, principal, member),
    FOREIGN KEY (source_id, principal) REFERENCES rag.principal_group ON DELETE CASCADE
);
CREATE INDEX membership_by_member ON rag.membership (member);

-- What an ingest would do, decided once and applied as decided. parked: above the source's budget.
CREATE TABLE rag.plan (
    plan_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    state        text NOT NULL CHECK (state IN ('open', 'parked', 'applied', 'superseded')),
    arguments    jsonb NOT NULL,
    settings     text NOT NULL,
    summary      jsonb NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now(),
    made_by      text NOT NULL,
    applied_at   timestamptz,
    applied_by   text
);
CREATE INDEX plan_by_source ON rag.plan (source_id, plan_id DESC);
-- One document that a plan changes; `fingerprint` covers all that was decided about it, so that drift is seen.
CREATE TABLE rag.plan_change (
    plan_id      bigint NOT NULL REFERENCES rag.plan ON DELETE CASCADE,
    external_id  text NOT NULL,
    change       text NOT NULL,
    fingerprint  text NOT NULL,
    PRIMARY KEY (plan_id, external_id)
);

-- What a verification found: counts along the stages, and the drift between source, catalogue and index.
-- version_id NULL stands for the catalogue itself.
CREATE TABLE rag.certificate (
    certificate_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    version_id   integer REFERENCES rag.index_version ON DELETE CASCADE,
    complete     boolean NOT NULL,
    counts       jsonb NOT NULL,
    drift        jsonb NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX certificate_by_source ON rag.certificate (source_id, certificate_id DESC);

-- The roles that searches may log in as; every version's tables are opened to them, under policies.
CREATE TABLE rag.reader (role name PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now());

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

-- A tenant's changes are the sum over its rows. A transaction counts in a row that no other holds, and makes one where
-- there is none: nobody waits for a count, so transactions that never met before do not meet here either. The
-- sum only grows, and with the commit that makes the change visible.
CREATE TABLE rag.tenant_change (
    tenant       text NOT NULL,
    place        integer GENERATED ALWAYS AS IDENTITY,
    changes      bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant, place)
) WITH (fillfactor = 50);

-- One trial of a candidate. Serving processes look for running ones every second. The figures are of pairs: searches
-- that both versions were asked. `distance` sums 1 - overlap; `skipped` searches were not compared for want of time.
CREATE TABLE rag.canary (
    canary_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    index_name   text NOT NULL,
    version_id   integer NOT NULL REFERENCES rag.index_version,
    live_id      integer NOT NULL REFERENCES rag.index_version,
    mode         text NOT NULL CHECK (mode IN ('serve', 'shadow')),
    share        double precision NOT NULL CHECK (share > 0 AND share <= 1),
    tenants      text[] NOT NULL DEFAULT '{}',
    bounds       jsonb NOT NULL,
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'ended', 'breached')),
    started_by   text NOT NULL,
    reason       text NOT NULL DEFAULT '',
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_by     text,
    ended_at     timestamptz,
    verdict      text,
    compared     bigint NOT NULL DEFAULT 0,
    failed       bigint NOT NULL DEFAULT 0,
    lost         bigint NOT NULL DEFAULT 0,
    slow         bigint NOT NULL DEFAULT 0,
    distance     double precision NOT NULL DEFAULT 0,
    skipped      bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX canary_one_running ON rag.canary (index_name) WHERE state = 'running';
CREATE INDEX canary_by_version ON rag.canary (version_id);

-- What each version did on its own; `milliseconds` counts searches by classes of time (index/canary.py has the edges).
CREATE TABLE rag.canary_side (
    canary_id    bigint NOT NULL REFERENCES rag.canary ON DELETE CASCADE,
    side         text NOT NULL CHECK (side IN ('candidate', 'live')),
    searches     bigint NOT NULL DEFAULT 0,
    empties      bigint NOT NULL DEFAULT 0,
    errors       bigint NOT NULL DEFAULT 0,
    milliseconds bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (canary_id, side)
);

-- What callers say of answers; `answer` is a random number that the receipt of each holds.
CREATE TABLE rag.feedback (
    answer       uuid PRIMARY KEY,
    index_name   text NOT NULL,
    version_id   integer NOT NULL REFERENCES rag.index_version,
    verdict      text NOT NULL CHECK (verdict IN ('up', 'down')),
    reason       text,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX feedback_by_version ON rag.feedback (version_id, at);

-- What receipts are signed with, the same for every process that serves this database.
CREATE TABLE rag.receipt_key (key bytea NOT NULL);
INSERT INTO rag.receipt_key SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

-- How sure the hits of an index are to hold an answer: what was learned from labelled questions. It holds for versions
-- that cut, embed and stem alike, which the fingerprint says, and for one mode.
CREATE TABLE rag.calibration (
    index_name   text NOT NULL,
    fingerprint  text NOT NULL,
    mode         text NOT NULL CHECK (mode IN ('dense', 'lexical', 'hybrid')),
    learned      jsonb NOT NULL,
    learned_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (index_name, fingerprint, mode)
);

-- The policies (sql/objects) hold for every login but the owner's.
ALTER TABLE rag.document ENABLE ROW LEVEL SECURITY;
ALTER TABLE rag.document_content ENABLE ROW LEVEL SECURITY;
ALTER TABLE rag.document_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE rag.chunk_set ENABLE ROW LEVEL SECURITY;
ALTER TABLE rag.chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE rag.parse ENABLE ROW LEVEL SECURITY;
