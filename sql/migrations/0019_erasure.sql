-- Collections and purges beside running runs and builds (docs/explanation/erasure.md).

-- What a collection saw that nothing refers to, and since when: chunk sets and vectors by their numbers and inputs,
-- access rules and blobs by their digests. Whoever is about to refer to it again takes the mark away first.
CREATE TABLE rag.unreferenced (
    kind text NOT NULL CHECK (kind IN ('chunk set', 'vector', 'access rule', 'raw', 'blocks')),
    key text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, key)
);

-- Documents that were purged, by the SHA-256 of their id: a run that began before stores nothing more of them.
CREATE TABLE rag.forgotten (
    source_id integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    digest bytea NOT NULL,
    forgotten_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, digest)
);

-- Bytes that a document had before those that it has; kept by a trigger (sql/objects) until they are collected.
CREATE TABLE rag.document_former (
    document_id bigint NOT NULL REFERENCES rag.document ON DELETE CASCADE,
    raw_sha256 bytea NOT NULL,
    PRIMARY KEY (document_id, raw_sha256)
);
