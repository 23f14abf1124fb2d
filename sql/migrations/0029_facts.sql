-- Where the views for warehouses stand; a login of theirs gets no right in `rag`.
CREATE SCHEMA rag_facts;
