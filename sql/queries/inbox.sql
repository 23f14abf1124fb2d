-- What systems send by the API (rag_pipelines/store/inbox.py).

-- name: begin_sending
-- Inside a transaction: sendings to a source follow each other, so that whoever has seen the newest has seen all.
SELECT pg_advisory_xact_lock(hashtextextended('rag.inbox:' || %(source)s, 0));

-- name: hold_removals
-- Inside a transaction: no blob is removed before it ends.
SELECT 1 FROM rag.forgotten WHERE digest = '' ORDER BY source_id FOR SHARE;

-- name: known_receipts
SELECT receipt, external_id, key, action, digest, sequence, received_at FROM rag.push_receipt
WHERE source = %(source)s AND key = ANY(%(keys)s);

-- name: put_sent
INSERT INTO rag.inbox (source, external_id, item, raw_sha256, raw_bytes)
VALUES (%(source)s, %(external_id)s, %(item)s, %(raw_sha256)s, %(raw_bytes)s)
ON CONFLICT (source, external_id) DO UPDATE SET
    sequence = EXCLUDED.sequence, item = EXCLUDED.item, raw_sha256 = EXCLUDED.raw_sha256,
    raw_bytes = EXCLUDED.raw_bytes, sent_at = EXCLUDED.sent_at
RETURNING sequence;

-- name: withdraw_sent
-- Of what was never sent there is nothing to withdraw.
UPDATE rag.inbox SET sequence = DEFAULT, item = NULL, raw_sha256 = NULL, raw_bytes = NULL, sent_at = clock_timestamp()
WHERE source = %(source)s AND external_id = %(external_id)s
RETURNING sequence;

-- name: put_receipt
INSERT INTO rag.push_receipt (source, external_id, key, action, digest, sequence, sent_by)
VALUES (%(source)s, %(external_id)s, %(key)s, %(action)s, %(digest)s, %(sequence)s, %(sent_by)s)
RETURNING receipt, external_id, key, action, digest, sequence, received_at;

-- name: state_of_receipt
SELECT r.receipt, r.external_id, r.key, r.action, r.received_at, f.state, f.reason
FROM rag.push_receipt r, rag.sent_state(r.source, r.external_id, r.action, r.sequence) f
WHERE r.source = %(source)s AND r.receipt = %(receipt)s;

-- name: state_of_sent
-- Of the newest sending of a document.
SELECT i.external_id, i.sent_at, i.raw_bytes AS bytes, f.state, f.reason
FROM rag.inbox i, rag.sent_state(
    i.source, i.external_id, CASE WHEN i.item IS NULL THEN 'delete' ELSE 'put' END, i.sequence) f
WHERE i.source = %(source)s AND i.external_id = %(external_id)s;

-- name: newest_sent
SELECT coalesce(max(sequence), 0) AS sequence FROM rag.inbox WHERE source = %(source)s;

-- name: sent_page
-- What is at the source, by id.
SELECT external_id, item, raw_sha256, raw_bytes, sent_at FROM rag.inbox
WHERE source = %(source)s AND item IS NOT NULL AND external_id > %(after)s
ORDER BY external_id LIMIT %(limit)s;

-- name: sent_changes
-- What was sent, deletions too, after one place in the order and up to another.
SELECT external_id, item, raw_sha256, raw_bytes, sent_at, sequence FROM rag.inbox
WHERE source = %(source)s AND sequence > %(after)s AND sequence <= %(upto)s
ORDER BY sequence LIMIT %(limit)s;

-- name: sent_among
SELECT external_id FROM rag.inbox
WHERE source = %(source)s AND external_id = ANY(%(ids)s) AND item IS NOT NULL;

-- name: drop_sent
-- A purge takes it, whatever a sender says of it.
DELETE FROM rag.inbox WHERE source = %(source)s AND external_id = %(external_id)s;

-- name: drop_answered_deletions
-- Deletions that a run has seen, of documents that are gone for good.
DELETE FROM rag.inbox i USING rag.source s
WHERE i.item IS NULL AND s.name = i.source AND (s.cursor ->> 'sequence')::bigint >= i.sequence
  AND NOT EXISTS (SELECT FROM rag.document d WHERE d.source_id = s.source_id AND d.external_id = i.external_id);

-- name: drop_receipts
DELETE FROM rag.push_receipt WHERE received_at < now() - %(kept)s::interval;
