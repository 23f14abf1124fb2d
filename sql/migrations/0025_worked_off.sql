-- Runs that look at what changed (docs/explanation/design.md), not at every document of their source.

-- Up to where documents of a bucket are known to lack nothing: of stage `chunk` those with the status ok have the parse
-- and the chunks of `targets`; of stage `embed` the chunks of those that have not changed since `upto` have its vectors.
CREATE TABLE rag.worked_off (
    source_id integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    stage text NOT NULL CHECK (stage IN ('chunk', 'embed')),
    bucket smallint NOT NULL,
    targets text NOT NULL,
    upto xid8 NOT NULL,
    PRIMARY KEY (source_id, stage, bucket)
);

CREATE INDEX document_unfinished ON rag.document (source_id, bucket, document_id)
    WHERE status <> 'ok' AND state <> 'tombstoned';
CREATE INDEX chunk_set_refused ON rag.chunk_set_embedded (chunk_set_id) WHERE missing > 0;

-- Whether a listing has anything to settle of documents that did not change.
CREATE INDEX document_content_doubted ON rag.document_content (document_id) WHERE doubted;
