-- A row for each document of a version. Versions that are there have none: their searches go without what it says of a
-- hit's document, and whatever treats the tables of a version finds all of them.
DO $$
DECLARE
    version record;
BEGIN
    FOR version IN
        SELECT substring(c.relname FROM '[0-9]+$') AS number, format_type(a.atttypid, a.atttypmod) AS type
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'embedding'
        WHERE c.relnamespace = 'rag'::regnamespace AND c.relname ~ '^vectors_[0-9]+$'
    LOOP
        EXECUTE format(
            'CREATE TABLE rag.documents_%s (document_id bigint PRIMARY KEY, chunk_set_id bigint NOT NULL, '
            'embedding %s NOT NULL, weights sparsevec NOT NULL)', version.number, version.type);
    END LOOP;
END $$;
