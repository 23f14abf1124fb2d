-- What tells that a search may find something else than it did: for each tenant, how often anything changed that
-- decides what a caller sees. A result is kept under the count that was read before it was made.

-- A tenant's changes are the sum over its rows. A transaction counts in a row that no other holds, and makes one where
-- there is none: nobody waits for a count, so transactions that never met before do not meet here either. The
-- sum only grows, and with the commit that makes the change visible.
CREATE TABLE rag.tenant_change (
    tenant       text NOT NULL,
    place        integer GENERATED ALWAYS AS IDENTITY,
    changes      bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant, place)
) WITH (fillfactor = 50);

-- Once a transaction is enough: what it changes becomes visible at once.
CREATE FUNCTION rag.count_change(tenants text[]) RETURNS void LANGUAGE plpgsql AS $$
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

-- Documents that change or go. A new one is in no version yet.
CREATE FUNCTION rag.documents_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT tenant FROM changed));
    RETURN NULL;
END $$;
CREATE TRIGGER count_before AFTER UPDATE ON rag.document
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();
CREATE TRIGGER count_after AFTER UPDATE ON rag.document
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();
CREATE TRIGGER count_gone AFTER DELETE ON rag.document
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();

-- Text that becomes current, or is current no longer.
CREATE FUNCTION rag.contents_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT d.tenant FROM changed JOIN rag.document d USING (document_id)));
    RETURN NULL;
END $$;
CREATE TRIGGER count_new AFTER INSERT ON rag.document_content
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();
CREATE TRIGGER count_after AFTER UPDATE ON rag.document_content
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();
CREATE TRIGGER count_gone AFTER DELETE ON rag.document_content
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();

-- Who is in which group.
CREATE FUNCTION rag.members_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT s.tenant FROM changed JOIN rag.source s USING (source_id)));
    RETURN NULL;
END $$;
CREATE TRIGGER count_new AFTER INSERT ON rag.membership
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();
CREATE TRIGGER count_after AFTER UPDATE ON rag.membership
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();
CREATE TRIGGER count_gone AFTER DELETE ON rag.membership
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();

-- Whose the groups of a source are, what it is called, and when it was listed, which every hit says. Its documents have
-- its tenant but while that changes.
CREATE FUNCTION rag.source_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(
        SELECT OLD.tenant UNION SELECT coalesce(NEW.tenant, OLD.tenant)
        UNION SELECT tenant FROM rag.document WHERE source_id = OLD.source_id));
    RETURN NULL;
END $$;
CREATE TRIGGER count_gone AFTER DELETE ON rag.source FOR EACH ROW EXECUTE FUNCTION rag.source_changed();
CREATE TRIGGER count_change AFTER UPDATE ON rag.source FOR EACH ROW
    WHEN ((OLD.tenant, OLD.name, OLD.listed_at) IS DISTINCT FROM (NEW.tenant, NEW.name, NEW.listed_at))
    EXECUTE FUNCTION rag.source_changed();

-- What a kept result depends on, for the login of searches too, which reads no table of counts: two numbers.
CREATE FUNCTION rag.search_state(index_name text, tenant text, OUT version_id integer, OUT changes bigint)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT (SELECT v.version_id FROM rag.index_version v
            WHERE v.index_name = search_state.index_name AND v.state = 'live'),
           (SELECT coalesce(sum(c.changes), 0)::bigint FROM rag.tenant_change c WHERE c.tenant = search_state.tenant);
END;
