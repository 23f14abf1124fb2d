-- Documents that go leave their number behind (rag.departed_document), for versions that hold them.

-- object: FUNCTION rag.documents_departed()
CREATE OR REPLACE FUNCTION rag.documents_departed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.departed_document (document_id) SELECT document_id FROM departed ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- object: TRIGGER note_departed ON rag.document
CREATE OR REPLACE TRIGGER note_departed AFTER DELETE ON rag.document
    REFERENCING OLD TABLE AS departed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_departed();
