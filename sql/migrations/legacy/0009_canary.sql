-- Canaries: a candidate beside the live version, what came of it, and what callers say of answers. Nothing here
-- holds a question or the name of a caller.

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

-- Whoever changes a version's state, a canary ends with what it compares. Deferred, so that it sees what became of both.
CREATE FUNCTION rag.end_canary() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rag.canary c SET state = 'ended', ended_at = now(), verdict = CASE
            WHEN candidate.state = 'live' THEN 'the candidate was promoted'
            WHEN candidate.state <> 'validated' THEN 'the candidate is ' || candidate.state
            ELSE 'the live version is ' || live.state END
    FROM rag.index_version candidate, rag.index_version live
    WHERE c.state = 'running' AND c.index_name = NEW.index_name
      AND candidate.version_id = c.version_id AND live.version_id = c.live_id
      AND (candidate.state <> 'validated' OR live.state <> 'live');
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER end_canary AFTER UPDATE OF state ON rag.index_version
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION rag.end_canary();

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
