-- Legal holds; documents that a source lists and that are not kept, because of their label or their age; and deletions
-- because of age.

CREATE TABLE rag.hold (
    hold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text,
    path text,
    label text,
    document text,
    reason text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now(),
    until timestamptz,
    released_at timestamptz,
    released_by text,
    release_reason text,
    CHECK (coalesce(source, path, label, document) IS NOT NULL),
    CHECK (document IS NULL OR source IS NOT NULL)
);

CREATE TABLE rag.held_document (
    hold_id bigint NOT NULL REFERENCES rag.hold ON DELETE CASCADE,
    document_id bigint NOT NULL,
    PRIMARY KEY (document_id, hold_id)
);

CREATE TABLE rag.withheld (
    source_id int NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    external_id text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('label', 'unknown_label', 'retention')),
    label text,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, external_id)
);

ALTER TABLE rag.source ADD COLUMN policy text NOT NULL DEFAULT '';

ALTER TABLE rag.deletion DROP CONSTRAINT deletion_cause_check;
ALTER TABLE rag.deletion ADD CONSTRAINT deletion_cause_check
    CHECK (cause IN ('vanished', 'removed', 'source_removed', 'retention'));
