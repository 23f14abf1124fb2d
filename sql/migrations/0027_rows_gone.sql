-- What left a version since it was counted, because it was purged: a catch-up counts on from there.
ALTER TABLE rag.index_version
    ADD COLUMN rows_gone bigint NOT NULL DEFAULT 0, ADD COLUMN documents_gone bigint NOT NULL DEFAULT 0;
