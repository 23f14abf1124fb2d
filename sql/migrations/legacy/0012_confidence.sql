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

-- For the login of searches too, which may read this of the one version that it reads.
CREATE FUNCTION rag.calibration_of(version_id integer, mode text) RETURNS jsonb
LANGUAGE sql STABLE STRICT SECURITY DEFINER
RETURN (
    SELECT c.learned FROM rag.calibration c JOIN rag.index_version v USING (index_name, fingerprint)
    WHERE v.version_id = calibration_of.version_id AND c.mode = calibration_of.mode
);
