-- Documents that systems send by the API, as long as they are at their source: the newest sending of each, with its
-- place in the order of all. A deletion has neither item nor bytes. By name, because a source is sent to before its
-- first run. Content is in the blob store.
CREATE SEQUENCE rag.inbox_sequence;
CREATE TABLE rag.inbox (
    source text NOT NULL,
    external_id text NOT NULL,
    sequence bigint NOT NULL DEFAULT nextval('rag.inbox_sequence'),
    item jsonb,
    raw_sha256 bytea,
    raw_bytes bigint,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, external_id)
);
CREATE UNIQUE INDEX inbox_order ON rag.inbox (source, sequence);
CREATE INDEX inbox_bytes ON rag.inbox (raw_sha256) WHERE raw_sha256 IS NOT NULL;

-- What was taken, by the key with which it was sent: the same key again is the same sending.
CREATE TABLE rag.push_receipt (
    receipt uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source text NOT NULL,
    external_id text NOT NULL,
    key text NOT NULL,
    action text NOT NULL CHECK (action IN ('put', 'delete')),
    digest uuid NOT NULL,
    sequence bigint NOT NULL,
    sent_by text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (source, key)
);
CREATE INDEX push_receipt_age ON rag.push_receipt (received_at);
