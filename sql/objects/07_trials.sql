-- Canaries end with the versions that they compare; what was learned of confidence.

-- object: FUNCTION rag.end_canary()
-- Whoever changes a version's state, a canary ends with what it compares. Deferred, so that it sees what became of both.
CREATE OR REPLACE FUNCTION rag.end_canary() RETURNS trigger LANGUAGE plpgsql AS $$
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

-- object: TRIGGER end_canary ON rag.index_version
CREATE CONSTRAINT TRIGGER end_canary AFTER UPDATE OF state ON rag.index_version
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION rag.end_canary();

-- object: FUNCTION rag.calibration_of(integer, text)
-- For the login of searches too, which may read this of the one version that it reads.
CREATE OR REPLACE FUNCTION rag.calibration_of(version_id integer, mode text) RETURNS jsonb
LANGUAGE sql STABLE STRICT SECURITY DEFINER
RETURN (
    SELECT c.learned FROM rag.calibration c JOIN rag.index_version v USING (index_name, fingerprint)
    WHERE v.version_id = calibration_of.version_id AND c.mode = calibration_of.mode
);
