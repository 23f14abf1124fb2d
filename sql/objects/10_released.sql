-- What loses a reference is noted for the next collection (rag.released), whoever takes the reference away.

-- object: FUNCTION rag.document_released()
-- A document has other bytes, another parse or another rule.
CREATE OR REPLACE FUNCTION rag.document_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT 'raw', encode(OLD.raw_sha256, 'hex') WHERE NEW.raw_sha256 <> OLD.raw_sha256
    UNION ALL SELECT 'parse', parse_id::text FROM rag.parse p
    WHERE p.parse_id = OLD.parse_id
       OR (p.raw_sha256 = OLD.raw_sha256 AND p.hint = OLD.hint
           AND (NEW.raw_sha256, NEW.hint) IS DISTINCT FROM (OLD.raw_sha256, OLD.hint))
    UNION ALL SELECT 'access rule', a.digest::text FROM rag.access_rule a
    WHERE a.access_id = OLD.access_id AND NEW.access_id <> OLD.access_id;
    RETURN NULL;
END $$;

-- object: TRIGGER note_released ON rag.document
CREATE OR REPLACE TRIGGER note_released AFTER UPDATE ON rag.document FOR EACH ROW
    WHEN (OLD.raw_sha256 <> NEW.raw_sha256 OR OLD.hint <> NEW.hint OR OLD.access_id <> NEW.access_id
          OR OLD.parse_id <> NEW.parse_id OR (OLD.parse_id IS NOT NULL AND NEW.parse_id IS NULL))
    EXECUTE FUNCTION rag.document_released();

-- object: FUNCTION rag.documents_released()
CREATE OR REPLACE FUNCTION rag.documents_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'raw', encode(raw_sha256, 'hex') FROM gone
    UNION SELECT 'parse', parse_id::text FROM gone WHERE parse_id IS NOT NULL
    UNION SELECT 'parse', p.parse_id::text FROM gone JOIN rag.parse p USING (raw_sha256, hint)
    UNION SELECT 'access rule', a.digest::text FROM gone JOIN rag.access_rule a USING (access_id);
    RETURN NULL;
END $$;

-- object: TRIGGER note_released_gone ON rag.document
CREATE OR REPLACE TRIGGER note_released_gone AFTER DELETE ON rag.document
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_released();

-- object: FUNCTION rag.content_released()
-- A document has other chunks under a chunker, or none.
CREATE OR REPLACE FUNCTION rag.content_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.released (kind, key) SELECT DISTINCT 'chunk set', chunk_set_id::text FROM gone;
    RETURN NULL;
END $$;

-- object: TRIGGER note_released ON rag.document_chunks
CREATE OR REPLACE TRIGGER note_released AFTER UPDATE ON rag.document_chunks
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.content_released();

-- object: TRIGGER note_released_gone ON rag.document_chunks
CREATE OR REPLACE TRIGGER note_released_gone AFTER DELETE ON rag.document_chunks
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.content_released();

-- object: FUNCTION rag.former_rules_released()
-- Text that was kept from some is current again, or gone.
CREATE OR REPLACE FUNCTION rag.former_rules_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'access rule', a.digest::text FROM gone JOIN rag.access_rule a USING (access_id);
    RETURN NULL;
END $$;

-- object: TRIGGER note_released ON rag.document_content
CREATE OR REPLACE TRIGGER note_released AFTER UPDATE ON rag.document_content
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.former_rules_released();

-- object: TRIGGER note_released_gone ON rag.document_content
CREATE OR REPLACE TRIGGER note_released_gone AFTER DELETE ON rag.document_content
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.former_rules_released();

-- object: FUNCTION rag.blocks_released()
-- Of parses and of chunk sets.
CREATE OR REPLACE FUNCTION rag.blocks_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'blocks', encode(blocks_sha256, 'hex') FROM gone WHERE blocks_sha256 IS NOT NULL;
    RETURN NULL;
END $$;

-- object: TRIGGER note_released_gone ON rag.parse
CREATE OR REPLACE TRIGGER note_released_gone AFTER DELETE ON rag.parse
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.blocks_released();

-- object: TRIGGER note_released_gone ON rag.chunk_set
CREATE OR REPLACE TRIGGER note_released_gone AFTER DELETE ON rag.chunk_set
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.blocks_released();

-- object: FUNCTION rag.inputs_released()
CREATE OR REPLACE FUNCTION rag.inputs_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.released (kind, key) SELECT DISTINCT 'vector', input_key::text FROM gone;
    RETURN NULL;
END $$;

-- object: TRIGGER note_released_gone ON rag.chunk
CREATE OR REPLACE TRIGGER note_released_gone AFTER DELETE ON rag.chunk
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.inputs_released();
