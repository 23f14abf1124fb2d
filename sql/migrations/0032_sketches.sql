-- Copies of documents (docs/how-to/duplicates.md).

ALTER TABLE rag.profile DROP CONSTRAINT profile_kind_check,
    ADD CONSTRAINT profile_kind_check CHECK (kind IN ('parser', 'chunker', 'model', 'sketch'));

-- What tells copies, by content. Sketches of one profile that have a band in common may be alike: then they are of one
-- family, with all that these are alike to. So is what its members are not alike to, or no longer: whoever asks compares.
-- The bands of some members of a large family find all of it; the rest have none.
CREATE TABLE rag.sketch (
    blocks_sha256 bytea PRIMARY KEY,
    profile_id integer NOT NULL REFERENCES rag.profile,
    words integer NOT NULL,
    words_key uuid NOT NULL,
    numbers_key uuid NOT NULL,
    bits bit(512) NOT NULL,
    bands integer[] NOT NULL,
    family bigint NOT NULL
);
-- No list of pending entries: each look-up would read all of it.
CREATE INDEX sketch_by_band ON rag.sketch USING gin (bands) WITH (fastupdate = off);
CREATE INDEX sketch_by_family ON rag.sketch (family);
CREATE SEQUENCE rag.sketch_family;

-- Stage `sketch`: the parses of documents that have not changed since `upto` have sketches.
ALTER TABLE rag.worked_off DROP CONSTRAINT worked_off_stage_check,
    ADD CONSTRAINT worked_off_stage_check CHECK (stage IN ('chunk', 'embed', 'sketch'));

ALTER TABLE rag.sketch ENABLE ROW LEVEL SECURITY;
DO $$
DECLARE
    reader name;
BEGIN
    FOR reader IN SELECT role FROM rag.reader JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT ON rag.sketch TO %I', reader);
    END LOOP;
END $$;
