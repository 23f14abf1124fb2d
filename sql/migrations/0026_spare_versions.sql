-- A copy of a version that was built in full, from which the next refresh catches up; no search reads it.
ALTER TABLE rag.index_version DROP CONSTRAINT index_version_state_check;
ALTER TABLE rag.index_version ADD CONSTRAINT index_version_state_check
    CHECK (state IN ('building', 'built', 'validated', 'live', 'retired', 'spare', 'dropped', 'failed'));
ALTER TABLE rag.index_version DROP CONSTRAINT index_version_kind_check;
ALTER TABLE rag.index_version ADD CONSTRAINT index_version_kind_check CHECK (kind IN ('full', 'catch_up', 'copy'));
