-- What a build applied and what it lacks, by document, so that the next one, and the gates, need not look at the rest.
-- `lack` says what the document waits for; it is NULL where the version holds it.
CREATE TABLE rag.version_document (
    version_id integer NOT NULL REFERENCES rag.index_version,
    document_id bigint NOT NULL,
    changed boolean NOT NULL,
    lack text,
    quarantined boolean NOT NULL DEFAULT false,
    PRIMARY KEY (version_id, document_id)
);

-- Documents whose rows are gone (purged, or merged into a moved one), which a version may still hold.
CREATE TABLE rag.departed_document (
    document_id bigint PRIMARY KEY,
    departed_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX departed_document_by_change ON rag.departed_document (departed_xid);
