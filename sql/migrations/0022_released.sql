-- Collections that follow what changed (docs/explanation/erasure.md#collection).

-- What a reference to content was taken from; kept by triggers (sql/objects) for the next collection, which looks whether
-- it was the last one. Many rows may name the same content, so that nobody waits for a row.
CREATE TABLE rag.released (
    released_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('chunk set', 'vector', 'parse', 'access rule', 'raw', 'blocks')),
    key text NOT NULL
);

-- When a collection last looked at all content, also at what nothing ever referred to; without a row none has.
CREATE TABLE rag.whole_collection (ended_at timestamptz NOT NULL);

-- By what content is referred to: whether something else does is found without reading the rest.
CREATE INDEX chunk_by_input ON rag.chunk (input_key);
CREATE INDEX parse_by_blocks ON rag.parse (blocks_sha256) WHERE blocks_sha256 IS NOT NULL;
CREATE INDEX document_by_bytes ON rag.document (raw_sha256);
CREATE INDEX document_by_rule ON rag.document (access_id);
DROP INDEX rag.document_by_content;
