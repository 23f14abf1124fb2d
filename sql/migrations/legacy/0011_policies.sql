-- Row-level security that costs one look-up a row: a version's rows are decided by their document, and by one set per
-- statement of the text that is withheld from its readers of now. Before, each row asked for its document_content,
-- and that for its document.

-- Every look-up by a policy or a search's predicate, from the index alone.
CREATE INDEX document_readable ON rag.document (document_id) INCLUDE (tenant, access_id, state) WHERE state <> 'tombstoned';

-- What stands here of a document is two numbers; who may see the document may know that it had other text before.
DROP POLICY reader ON rag.document_content;
CREATE POLICY reader ON rag.document_content FOR SELECT USING (
    (SELECT true FROM rag.document d WHERE d.document_id = document_content.document_id));

DROP POLICY reader ON rag.document_chunks;
CREATE POLICY reader ON rag.document_chunks FOR SELECT USING (
    (SELECT true FROM rag.document d WHERE d.document_id = document_chunks.document_id));

-- Text is shown by any document that has it, or had it under a rule that the caller passes.
DROP POLICY reader ON rag.chunk_set;
CREATE POLICY reader ON rag.chunk_set FOR SELECT USING (
    (SELECT true FROM rag.document_content c
     WHERE c.chunk_set_id = chunk_set.chunk_set_id
       AND (c.access_id IS NULL
            OR (c.tenant = (SELECT rag.reader_tenant()) AND c.access_id IN (SELECT unnest(rag.reader_rules()))))
     LIMIT 1));

DROP POLICY reader ON rag.chunk;
CREATE POLICY reader ON rag.chunk FOR SELECT USING (
    (SELECT true FROM rag.document_content c
     WHERE c.chunk_set_id = chunk.chunk_set_id
       AND (c.access_id IS NULL
            OR (c.tenant = (SELECT rag.reader_tenant()) AND c.access_id IN (SELECT unnest(rag.reader_rules()))))
     LIMIT 1));

-- What a document's bytes are is the document's to show.
DROP POLICY reader ON rag.parse;
CREATE INDEX document_by_parse ON rag.document (parse_id);
CREATE POLICY reader ON rag.parse FOR SELECT USING (
    (SELECT true FROM rag.document d WHERE d.parse_id = parse.parse_id LIMIT 1));

CREATE OR REPLACE FUNCTION rag.protect_version(storage integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rows_of text;
    reader name;
BEGIN
    FOREACH rows_of IN ARRAY ARRAY['vectors_' || storage, 'lexical_' || storage] LOOP
        EXECUTE format('ALTER TABLE rag.%I ENABLE ROW LEVEL SECURITY', rows_of);
        EXECUTE format('DROP POLICY IF EXISTS reader ON rag.%I', rows_of);
        EXECUTE format($policy$
            CREATE POLICY reader ON rag.%1$I FOR SELECT USING (
                (SELECT true FROM rag.document d WHERE d.document_id = %1$I.document_id)
                AND ((document_id, chunk_set_id) IN (
                    SELECT c.document_id, c.chunk_set_id FROM rag.document_content c
                    WHERE c.access_id IS NOT NULL AND (
                        c.tenant = (SELECT rag.reader_tenant()) AND c.access_id IN (SELECT unnest(rag.reader_rules()))
                    ) IS NOT TRUE)) IS NOT TRUE)
            $policy$, rows_of);
    END LOOP;
    FOREACH rows_of IN ARRAY ARRAY['terms_' || storage, 'postings_' || storage] LOOP
        EXECUTE format('ALTER TABLE rag.%I ENABLE ROW LEVEL SECURITY', rows_of);
        EXECUTE format('DROP POLICY IF EXISTS reader ON rag.%I', rows_of);
        EXECUTE format('CREATE POLICY reader ON rag.%I FOR SELECT USING (tenant = (SELECT rag.reader_tenant()))', rows_of);
    END LOOP;
    FOR reader IN SELECT role FROM rag.reader JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT ON rag.%I, rag.%I, rag.%I, rag.%I TO %I', 'vectors_' || storage,
                       'lexical_' || storage, 'terms_' || storage, 'postings_' || storage, reader);
    END LOOP;
END $$;

DO $$
DECLARE
    storage integer;
BEGIN
    FOR storage IN SELECT substring(tablename FROM '[0-9]+$')::int FROM pg_tables
                   WHERE schemaname = 'rag' AND tablename ~ '^vectors_[0-9]+$' LOOP
        PERFORM rag.protect_version(storage);
    END LOOP;
END $$;
