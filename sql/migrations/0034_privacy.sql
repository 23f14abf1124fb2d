-- Personal data and secrets (docs/how-to/personal-data.md): what a parse was screened for and what was found in it,
-- never the values; under what a document's title and metadata were masked; the source's own rule of a document whose
-- access was restricted; what a source masks by.
ALTER TABLE rag.parse
    ADD COLUMN privacy text, ADD COLUMN clear_sha256 bytea,
    ADD COLUMN found jsonb NOT NULL DEFAULT '{}', ADD COLUMN places jsonb NOT NULL DEFAULT '[]';
ALTER TABLE rag.document ADD COLUMN masked_by text, ADD COLUMN own_access jsonb;
ALTER TABLE rag.source ADD COLUMN masked_by text;
