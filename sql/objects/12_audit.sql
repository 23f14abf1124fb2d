-- The chain of the audit: SHA-256 over the hash of the row before, the row's position and its content.

-- object: FUNCTION rag.audit_content(rag.audit)
-- The digest of what a row says. Its salt keeps words that were taken out of a row from being guessed by the old digest.
CREATE OR REPLACE FUNCTION rag.audit_content(one rag.audit) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN sha256(convert_to(jsonb_build_array(
    one.audit_id, one.salt, (extract(epoch FROM one.at) * 1000000)::bigint, one.actor, one.login, one.action, one.subject,
    one.detail)::text, 'UTF8'));

-- object: FUNCTION rag.chain_audit()
-- Links a row when its writer commits, so that nobody waits for a transaction that goes on after it has left one. It
-- runs as the owner: a login that may only insert needs no right to the head.
CREATE OR REPLACE FUNCTION rag.chain_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head rag.audit_head;
BEGIN
    SELECT * INTO STRICT head FROM rag.audit_head FOR UPDATE;
    UPDATE rag.audit a
    SET position = head.position + 1, content = rag.audit_content(a),
        hash = sha256(head.hash || int8send(head.position + 1) || rag.audit_content(a))
    WHERE a.audit_id = NEW.audit_id
    RETURNING a.position, a.hash INTO STRICT head.position, head.hash;
    UPDATE rag.audit_head SET position = head.position, hash = head.hash;
    RETURN NULL;
END $$;

-- object: TRIGGER chain ON rag.audit
CREATE CONSTRAINT TRIGGER chain AFTER INSERT ON rag.audit
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION rag.chain_audit();

-- object: FUNCTION rag.audit_changed()
-- A row that is in the chain keeps its place and its hashes; that it was changed is a row of its own, which holds the
-- digest of what it says now. A purge takes words out of rows and says so (rag.redacting); another change is a fault.
CREATE OR REPLACE FUNCTION rag.audit_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    reason text := coalesce(current_setting('rag.redacting', true), '');
BEGIN
    NEW.position := OLD.position;
    NEW.content := OLD.content;
    NEW.hash := OLD.hash;
    NEW.salt := gen_random_uuid();
    INSERT INTO rag.audit (actor, action, subject, detail) VALUES (
        session_user, CASE reason WHEN '' THEN 'audit changed' ELSE 'audit redacted' END, 'audit ' || OLD.position,
        jsonb_build_object('position', OLD.position, 'reason', reason,
                           'content', encode(rag.audit_content(NEW), 'hex')));
    RETURN NEW;
END $$;

-- object: TRIGGER changed ON rag.audit
CREATE OR REPLACE TRIGGER changed BEFORE UPDATE ON rag.audit FOR EACH ROW
    WHEN (OLD.position IS NOT NULL) EXECUTE FUNCTION rag.audit_changed();

-- object: FUNCTION rag.audit_stays()
CREATE OR REPLACE FUNCTION rag.audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'rows of rag.audit are never removed';
END $$;

-- object: TRIGGER stays ON rag.audit
CREATE OR REPLACE TRIGGER stays BEFORE DELETE OR TRUNCATE ON rag.audit
    FOR EACH STATEMENT EXECUTE FUNCTION rag.audit_stays();
