-- Deletions that wait for a person, groups and their members, stored plans, and completeness certificates.

-- What a collection of garbage and a query need of a source that may no longer be configured.
ALTER TABLE rag.source
    ADD COLUMN tenant text NOT NULL DEFAULT 'default',
    ADD COLUMN grace interval NOT NULL DEFAULT '7 days',
    ADD COLUMN groups_at timestamptz;  -- when the last complete listing of groups began

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
ALTER TABLE rag.document ADD COLUMN deletion_id bigint REFERENCES rag.deletion ON DELETE SET NULL;
CREATE INDEX document_by_deletion ON rag.document (deletion_id) WHERE deletion_id IS NOT NULL;

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

-- The given principals and every group that they are in, through any number of groups, by the sources of one tenant.
CREATE FUNCTION rag.principals_of(tenant text, principals text[]) RETURNS text[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN (
    WITH RECURSIVE held (principal) AS (
        SELECT unnest(principals_of.principals)
        UNION
        SELECT m.principal
        FROM held h
        JOIN rag.membership m ON m.member = h.principal
        JOIN rag.source s ON s.source_id = m.source_id AND s.tenant = principals_of.tenant
    )
    SELECT coalesce(array_agg(principal), '{}') FROM held
);

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

-- A listing that is applied in one transaction compares these with the clock, so they cannot be its beginning.
ALTER TABLE rag.quarantine ALTER COLUMN last_at SET DEFAULT clock_timestamp();
