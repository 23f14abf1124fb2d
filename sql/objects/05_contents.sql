-- Which text a document's access rule of now stands for (rag.document_content), kept by triggers.

-- object: FUNCTION rag.content_mapped()
-- What is mapped to a document is its current text.
CREATE OR REPLACE FUNCTION rag.content_mapped() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.document_content (document_id, chunk_set_id)
    SELECT DISTINCT document_id, chunk_set_id FROM mapped
    ON CONFLICT (document_id, chunk_set_id) DO UPDATE SET access_id = NULL, tenant = NULL, doubted = false
    WHERE document_content.access_id IS NOT NULL;
    RETURN NULL;
END $$;

-- object: TRIGGER content_mapped_new ON rag.document_chunks
CREATE OR REPLACE TRIGGER content_mapped_new AFTER INSERT ON rag.document_chunks
    REFERENCING NEW TABLE AS mapped FOR EACH STATEMENT EXECUTE FUNCTION rag.content_mapped();

-- object: TRIGGER content_mapped_again ON rag.document_chunks
CREATE OR REPLACE TRIGGER content_mapped_again AFTER UPDATE ON rag.document_chunks
    REFERENCING NEW TABLE AS mapped FOR EACH STATEMENT EXECUTE FUNCTION rag.content_mapped();

-- object: FUNCTION rag.content_replaced()
-- A document with other bytes, or another title where that is embedded, has none of the text it had; whoever
-- writes the document cannot forget it.
CREATE OR REPLACE FUNCTION rag.content_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    new_title text := coalesce(NEW.given_title, (SELECT title FROM rag.parse WHERE parse_id = NEW.parse_id));
BEGIN
    UPDATE rag.document_content c SET
        access_id = coalesce(c.access_id, OLD.access_id), tenant = coalesce(c.tenant, OLD.tenant), doubted = false
    FROM rag.chunk_set s
    WHERE c.document_id = NEW.document_id AND s.chunk_set_id = c.chunk_set_id AND (c.access_id IS NULL OR c.doubted)
      AND (NEW.raw_sha256 <> OLD.raw_sha256 OR s.title <> coalesce(new_title, ''));
    RETURN NULL;
END $$;

-- object: TRIGGER content_replaced ON rag.document
CREATE OR REPLACE TRIGGER content_replaced AFTER UPDATE ON rag.document FOR EACH ROW
    WHEN (OLD.raw_sha256 <> NEW.raw_sha256 OR OLD.given_title IS DISTINCT FROM NEW.given_title)
    EXECUTE FUNCTION rag.content_replaced();

-- object: FUNCTION rag.bytes_replaced()
-- What a document held before can be found from it, so that a purge takes that along.
CREATE OR REPLACE FUNCTION rag.bytes_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.document_former (document_id, raw_sha256) VALUES (NEW.document_id, OLD.raw_sha256)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- object: TRIGGER bytes_replaced ON rag.document
CREATE OR REPLACE TRIGGER bytes_replaced AFTER UPDATE ON rag.document FOR EACH ROW
    WHEN (OLD.raw_sha256 <> NEW.raw_sha256) EXECUTE FUNCTION rag.bytes_replaced();
