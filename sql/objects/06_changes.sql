-- What tells that a search may find something else than it did: counts of changes for each tenant (rag.tenant_change).

-- object: FUNCTION rag.count_change(text[])
-- Once a transaction is enough: what it changes becomes visible at once.
CREATE OR REPLACE FUNCTION rag.count_change(tenants text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY tenants LOOP
        CONTINUE WHEN EXISTS (SELECT FROM rag.tenant_change c
                              WHERE c.tenant = one AND c.xmin = pg_current_xact_id()::xid);
        UPDATE rag.tenant_change c SET changes = c.changes + 1 WHERE c.tenant = one AND c.place = (
            SELECT place FROM rag.tenant_change f WHERE f.tenant = one ORDER BY place LIMIT 1 FOR UPDATE SKIP LOCKED);
        IF NOT FOUND THEN
            INSERT INTO rag.tenant_change (tenant) VALUES (one);
        END IF;
    END LOOP;
END $$;

-- object: FUNCTION rag.documents_changed()
-- Documents that change or go. A new one is in no version yet.
CREATE OR REPLACE FUNCTION rag.documents_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT tenant FROM changed));
    RETURN NULL;
END $$;

-- object: TRIGGER count_before ON rag.document
CREATE OR REPLACE TRIGGER count_before AFTER UPDATE ON rag.document
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();

-- object: TRIGGER count_after ON rag.document
CREATE OR REPLACE TRIGGER count_after AFTER UPDATE ON rag.document
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();

-- object: TRIGGER count_gone ON rag.document
CREATE OR REPLACE TRIGGER count_gone AFTER DELETE ON rag.document
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();

-- object: FUNCTION rag.contents_changed()
-- Text that becomes current, or is current no longer.
CREATE OR REPLACE FUNCTION rag.contents_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT d.tenant FROM changed JOIN rag.document d USING (document_id)));
    RETURN NULL;
END $$;

-- object: TRIGGER count_new ON rag.document_content
CREATE OR REPLACE TRIGGER count_new AFTER INSERT ON rag.document_content
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();

-- object: TRIGGER count_after ON rag.document_content
CREATE OR REPLACE TRIGGER count_after AFTER UPDATE ON rag.document_content
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();

-- object: TRIGGER count_gone ON rag.document_content
CREATE OR REPLACE TRIGGER count_gone AFTER DELETE ON rag.document_content
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();

-- object: FUNCTION rag.members_changed()
-- Who is in which group.
CREATE OR REPLACE FUNCTION rag.members_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT s.tenant FROM changed JOIN rag.source s USING (source_id)));
    RETURN NULL;
END $$;

-- object: TRIGGER count_new ON rag.membership
CREATE OR REPLACE TRIGGER count_new AFTER INSERT ON rag.membership
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();

-- object: TRIGGER count_after ON rag.membership
CREATE OR REPLACE TRIGGER count_after AFTER UPDATE ON rag.membership
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();

-- object: TRIGGER count_gone ON rag.membership
CREATE OR REPLACE TRIGGER count_gone AFTER DELETE ON rag.membership
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();

-- object: FUNCTION rag.source_changed()
-- Whose the groups of a source are, what it is called, and when it was listed, which every hit says. Its documents have
-- its tenant but while that changes.
CREATE OR REPLACE FUNCTION rag.source_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(
        SELECT OLD.tenant UNION SELECT coalesce(NEW.tenant, OLD.tenant)
        UNION SELECT tenant FROM rag.document WHERE source_id = OLD.source_id));
    RETURN NULL;
END $$;

-- object: TRIGGER count_gone ON rag.source
CREATE OR REPLACE TRIGGER count_gone AFTER DELETE ON rag.source FOR EACH ROW EXECUTE FUNCTION rag.source_changed();

-- object: TRIGGER count_change ON rag.source
CREATE OR REPLACE TRIGGER count_change AFTER UPDATE ON rag.source FOR EACH ROW
    WHEN ((OLD.tenant, OLD.name, OLD.listed_at) IS DISTINCT FROM (NEW.tenant, NEW.name, NEW.listed_at))
    EXECUTE FUNCTION rag.source_changed();

-- object: FUNCTION rag.changes_of(text)
-- How often a tenant's searches may have come to find something else, for the login of searches too, which reads no
-- table of counts. PL/pgSQL plans once a session, where SQL plans at each call.
CREATE OR REPLACE FUNCTION rag.changes_of(tenant text) RETURNS bigint LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    RETURN (SELECT coalesce(sum(c.changes), 0) FROM rag.tenant_change c WHERE c.tenant = changes_of.tenant);
END $$;

-- object: FUNCTION rag.search_state(text, text)
-- What a kept result depends on, for the login of searches too: two numbers.
CREATE OR REPLACE FUNCTION rag.search_state(index_name text, tenant text, OUT version_id integer, OUT changes bigint)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT (SELECT v.version_id FROM rag.index_version v
            WHERE v.index_name = search_state.index_name AND v.state = 'live'),
           rag.changes_of(search_state.tenant);
END;
