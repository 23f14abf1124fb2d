-- The audit: who did what to what, and whether its rows are as they were written (rag_pipelines/audit).

-- name: put_audit
INSERT INTO rag.audit (actor, action, subject, detail) VALUES (%(actor)s, %(action)s, %(subject)s, %(detail)s);

-- name: audit_rows
-- From the oldest to the newest.
SELECT position, at, actor, login, action, subject, detail, salt::text AS salt,
       encode(content, 'hex') AS content, encode(hash, 'hex') AS hash
FROM rag.audit
WHERE (%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
  AND position IS NOT NULL
ORDER BY position;

-- name: audit_head
SELECT position, encode(hash, 'hex') AS hash FROM rag.audit_head;

-- name: audit_last
SELECT position, encode(hash, 'hex') AS hash FROM rag.audit WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1;

-- name: audit_rows_counted
SELECT count(*) AS rows FROM rag.audit;

-- name: redacting
-- Until the end of the transaction words that are taken out of the audit are accounted for by this reason.
SELECT set_config('rag.redacting', %(reason)s, true);

-- name: audit_hash
SELECT encode(hash, 'hex') AS hash FROM rag.audit WHERE position = %(position)s;

-- name: audit_faults
-- Rows that are not as they were written, or not where: read as one chain, by position. `says` tells whether the row
-- says what its digest covers, or what the newest row about a change of it covers.
SELECT * FROM (
    SELECT position, audit_id, at, actor, action, subject,
           lag(position, 1, 0::bigint) OVER chain AS after,
           position IS NULL AS unchained,
           content = rag.audit_content(a) AS untouched,
           hash = sha256(lag(hash, 1, ''::bytea) OVER chain || int8send(position) || content) AS linked,
           CASE WHEN content <> rag.audit_content(a) THEN (
               SELECT jsonb_build_object('action', c.action, 'login', c.login, 'position', c.position,
                                         'covers', c.detail ->> 'content' = encode(rag.audit_content(a), 'hex'))
               FROM rag.audit c
               WHERE c.action IN ('audit redacted', 'audit changed') AND c.subject = 'audit ' || a.position
               ORDER BY c.position DESC LIMIT 1) END AS change
    FROM rag.audit a WINDOW chain AS (ORDER BY position)
) seen
WHERE unchained OR after + 1 <> position OR untouched IS NOT TRUE OR linked IS NOT TRUE
ORDER BY position;
