-- Row-level security for the login of searches. Pipelines own the tables and are not subject to the policies.
-- Uncorrelated sub-selects are evaluated once a statement; correlated ones are scalar, because EXISTS would be hashed
-- over all documents for the sake of the few rows that an index scan gives. The sub-selects are subject to the policies
-- of the tables that they read, so that each policy states its own step only.

-- object: POLICY reader ON rag.document
CREATE POLICY reader ON rag.document FOR SELECT USING (
    tenant = (SELECT rag.reader_tenant()) AND state <> 'tombstoned' AND access_id IN (SELECT unnest(rag.reader_rules())));

-- object: POLICY reader ON rag.document_content
CREATE POLICY reader ON rag.document_content FOR SELECT USING (
    (SELECT true FROM rag.document d WHERE d.document_id = document_content.document_id));

-- object: POLICY reader ON rag.document_chunks
CREATE POLICY reader ON rag.document_chunks FOR SELECT USING (
    (SELECT true FROM rag.document d WHERE d.document_id = document_chunks.document_id));

-- object: POLICY reader ON rag.chunk_set
-- Text is shown by any document that has it, or had it under a rule that the caller passes.
CREATE POLICY reader ON rag.chunk_set FOR SELECT USING (
    (SELECT true FROM rag.document_content c
     WHERE c.chunk_set_id = chunk_set.chunk_set_id
       AND (c.access_id IS NULL
            OR (c.tenant = (SELECT rag.reader_tenant()) AND c.access_id IN (SELECT unnest(rag.reader_rules()))))
     LIMIT 1));

-- object: POLICY reader ON rag.chunk
CREATE POLICY reader ON rag.chunk FOR SELECT USING (
    (SELECT true FROM rag.document_content c
     WHERE c.chunk_set_id = chunk.chunk_set_id
       AND (c.access_id IS NULL
            OR (c.tenant = (SELECT rag.reader_tenant()) AND c.access_id IN (SELECT unnest(rag.reader_rules()))))
     LIMIT 1));

-- object: POLICY reader ON rag.parse
-- What a document's bytes are is the document's to show.
CREATE POLICY reader ON rag.parse FOR SELECT USING (
    (SELECT true FROM rag.document d WHERE d.parse_id = parse.parse_id LIMIT 1));

-- object: POLICY reader ON rag.sketch
-- Of a text that is shown.
CREATE POLICY reader ON rag.sketch FOR SELECT USING (
    (SELECT true FROM rag.chunk_set s WHERE s.blocks_sha256 = sketch.blocks_sha256 LIMIT 1));

-- object: FUNCTION rag.protect_table(text)
-- Row-level security on one table of a version, in place of whatever policies it had, and readers let in under it.
-- Whenever this changes, it is called for the tables of all versions.
CREATE OR REPLACE FUNCTION rag.protect_table(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    former name;
    reader name;
BEGIN
    EXECUTE format('ALTER TABLE rag.%I ENABLE ROW LEVEL SECURITY', name);
    FOR former IN SELECT policyname FROM pg_policies WHERE schemaname = 'rag' AND tablename = name LOOP
        EXECUTE format('DROP POLICY %I ON rag.%I', former, name);
    END LOOP;
    IF name ~ '^(vectors|lexical|documents)_' THEN
        EXECUTE format($policy$
            CREATE POLICY reader ON rag.%1$I FOR SELECT USING (
                (SELECT true FROM rag.document d WHERE d.document_id = %1$I.document_id)
                AND ((document_id, chunk_set_id) IN (
                    SELECT c.document_id, c.chunk_set_id FROM rag.document_content c
                    WHERE c.access_id IS NOT NULL AND (
                        c.tenant = (SELECT rag.reader_tenant()) AND c.access_id IN (SELECT unnest(rag.reader_rules()))
                    ) IS NOT TRUE)) IS NOT TRUE)
            $policy$, name);
    ELSE
        EXECUTE format('CREATE POLICY reader ON rag.%I FOR SELECT USING (tenant = (SELECT rag.reader_tenant()))', name);
    END IF;
    FOR reader IN SELECT role FROM rag.reader JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT ON rag.%I TO %I', name, reader);
    END LOOP;
END $$;

-- object: FUNCTION rag.protect_version(integer)
-- All tables of one version. One that the release before built has no rows of documents, and gets a table for them.
CREATE OR REPLACE FUNCTION rag.protect_version(storage integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('rag.documents_' || storage) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE rag.documents_%s (document_id bigint PRIMARY KEY, chunk_set_id bigint NOT NULL, '
            'embedding %s NOT NULL, weights sparsevec NOT NULL)', storage,
            (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = to_regclass('rag.vectors_' || storage) AND attname = 'embedding'));
    END IF;
    PERFORM rag.protect_table(kind || '_' || storage)
    FROM unnest(ARRAY['vectors', 'lexical', 'documents', 'terms', 'postings']) AS kind;
END $$;
