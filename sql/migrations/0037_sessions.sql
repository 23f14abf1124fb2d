-- People who signed in on the search page, each with what the provider said then. The cookie is not here, only its digest.
CREATE TABLE rag.session (
    digest      bytea PRIMARY KEY,
    name        text NOT NULL,
    tenant      text NOT NULL,
    principals  text[] NOT NULL,
    shown       text NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX session_expiry ON rag.session (expires_at);
