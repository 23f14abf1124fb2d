-- Sessions of people who signed in on the search page (rag_pipelines/serving/sessions.py).

-- name: put_session
INSERT INTO rag.session (digest, name, tenant, principals, shown, expires_at)
VALUES (%(digest)s, %(name)s, %(tenant)s, %(principals)s, %(shown)s, now() + %(lasts)s);

-- name: session
SELECT name, tenant, principals, shown, expires_at FROM rag.session
WHERE digest = %(digest)s AND expires_at > now();

-- name: end_session
DELETE FROM rag.session WHERE digest = %(digest)s;

-- name: drop_expired_sessions
DELETE FROM rag.session WHERE expires_at <= now();
