-- What became of what was sent (rag_pipelines/store/inbox.py).

-- object: FUNCTION rag.inbox_released()
-- The bytes of an earlier sending, or of one that is gone.
CREATE OR REPLACE FUNCTION rag.inbox_released() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'raw', encode(raw_sha256, 'hex') FROM gone WHERE raw_sha256 IS NOT NULL;
    RETURN NULL;
END $$;

-- object: TRIGGER note_released ON rag.inbox
CREATE OR REPLACE TRIGGER note_released AFTER UPDATE ON rag.inbox
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.inbox_released();

-- object: TRIGGER note_released_gone ON rag.inbox
CREATE OR REPLACE TRIGGER note_released_gone AFTER DELETE ON rag.inbox
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.inbox_released();

-- object: FUNCTION rag.sent_state(text, text, text, bigint)
-- What became of a sending, and why; the cursor of its source says how far runs have listed.
CREATE OR REPLACE FUNCTION rag.sent_state(
    source text, external_id text, action text, sequence bigint, OUT state text, OUT reason text
) LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN i.sequence IS NULL THEN CASE action WHEN 'delete' THEN 'deleted' ELSE 'purged' END
        WHEN i.sequence > sent_state.sequence THEN 'superseded'
        WHEN coalesce((s.cursor ->> 'sequence')::bigint, 0) < sent_state.sequence THEN 'waiting'
        WHEN action = 'delete' THEN CASE WHEN d.state <> 'tombstoned' THEN 'waiting' ELSE 'deleted' END
        WHEN EXISTS (SELECT FROM rag.wanted t WHERE t.source_id = s.source_id AND t.external_id = i.external_id)
            THEN 'waiting'
        WHEN q.quarantine_id IS NOT NULL THEN 'quarantined'
        WHEN w.cause IS NOT NULL THEN 'withheld'
        WHEN d.raw_sha256 IS DISTINCT FROM i.raw_sha256 OR d.status = 'pending' THEN 'waiting'
        WHEN d.status = 'ok' THEN 'ok'
        ELSE 'quarantined'
    END, CASE
        WHEN i.sequence > sent_state.sequence OR i.item IS NULL THEN NULL
        WHEN q.quarantine_id IS NOT NULL THEN q.status || ': ' || q.message
        WHEN w.cause IS NOT NULL THEN concat_ws(': ', w.cause, w.label)
        WHEN d.status NOT IN ('ok', 'pending') THEN d.status
    END
    FROM (SELECT) AS one
    LEFT JOIN rag.inbox i ON i.source = sent_state.source AND i.external_id = sent_state.external_id
    LEFT JOIN rag.source s ON s.name = sent_state.source
    LEFT JOIN rag.document d ON d.source_id = s.source_id AND d.external_id = sent_state.external_id
    LEFT JOIN rag.quarantine q ON q.source_id = s.source_id AND q.external_id = sent_state.external_id
    LEFT JOIN rag.withheld w ON w.source_id = s.source_id AND w.external_id = sent_state.external_id
$$;
