-- Which sources have documents that are masked: those that mask all, or those whose labels mask some.
CREATE INDEX document_masked ON rag.document (source_id) WHERE masked_by IS NOT NULL;
