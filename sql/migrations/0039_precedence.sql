-- What a file says of its place among others (supersedes, status, effective and such), for searches: those of logins
-- that read under row-level security too, which see nothing else of a file's metadata.
ALTER TABLE rag.parse ADD COLUMN precedence jsonb NOT NULL DEFAULT '{}';

DO $$
DECLARE
    reader name;
BEGIN
    FOR reader IN SELECT role FROM rag.reader JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT (precedence) ON rag.parse TO %I', reader);
    END LOOP;
END $$;
