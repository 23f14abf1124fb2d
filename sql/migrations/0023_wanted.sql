-- Content that a listing wants and has left to others to load: what it said of the document, and how it is loaded.
CREATE TABLE rag.wanted (
    source_id integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    bucket smallint NOT NULL GENERATED ALWAYS AS ((hashtextextended(external_id, 0) & 63)::smallint) STORED,
    external_id text NOT NULL,
    token text NOT NULL,
    tenant text NOT NULL,
    attributes_key uuid NOT NULL,
    access_id integer NOT NULL,
    item jsonb NOT NULL,
    PRIMARY KEY (source_id, bucket, external_id)
);
