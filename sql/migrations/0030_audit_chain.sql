-- The audit is a chain: each row's hash covers its content and the hash of the row before it (sql/objects/12_audit.sql).
-- The head is what the next row follows on. Position and hashes are empty until the writer's transaction commits.
ALTER TABLE rag.audit
    ADD COLUMN login text, ALTER COLUMN login SET DEFAULT session_user, ADD COLUMN salt uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN position bigint UNIQUE, ADD COLUMN content bytea, ADD COLUMN hash bytea;
CREATE TABLE rag.audit_head (
    position     bigint NOT NULL,
    hash         bytea NOT NULL
);
CREATE UNIQUE INDEX audit_head_one ON rag.audit_head ((true));
INSERT INTO rag.audit_head (position, hash) VALUES (0, '');

-- The rows that there are, in their order, as rag.chain_audit has it.
DO $$
DECLARE
    one rag.audit;
    head rag.audit_head := (SELECT h FROM rag.audit_head h);
    digest bytea;
BEGIN
    FOR one IN SELECT * FROM rag.audit ORDER BY audit_id LOOP
        digest := sha256(convert_to(jsonb_build_array(
            one.audit_id, one.salt, (extract(epoch FROM one.at) * 1000000)::bigint, one.actor, one.login, one.action,
            one.subject, one.detail)::text, 'UTF8'));
        head.position := head.position + 1;
        head.hash := sha256(head.hash || int8send(head.position) || digest);
        UPDATE rag.audit SET position = head.position, content = digest, hash = head.hash WHERE audit_id = one.audit_id;
    END LOOP;
    UPDATE rag.audit_head SET position = head.position, hash = head.hash;
END $$;
