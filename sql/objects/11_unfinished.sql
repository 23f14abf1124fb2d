-- A document whose status is ok lacks nothing that a run makes (rag.worked_off); what may need more is pending.

-- object: FUNCTION rag.document_unfinished()
CREATE OR REPLACE FUNCTION rag.document_unfinished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.status := 'pending';
    RETURN NEW;
END $$;

-- object: TRIGGER unfinished ON rag.document
-- What decides about its type, is embedded with it or masks it is another, or runs have passed over it while it was deleted.
CREATE OR REPLACE TRIGGER unfinished BEFORE UPDATE ON rag.document FOR EACH ROW
    WHEN (NEW.status = 'ok' AND (OLD.hint <> NEW.hint OR OLD.given_title IS DISTINCT FROM NEW.given_title
                                 OR OLD.masked_by IS DISTINCT FROM NEW.masked_by
                                 OR (OLD.state = 'tombstoned' AND NEW.state <> 'tombstoned')))
    EXECUTE FUNCTION rag.document_unfinished();
