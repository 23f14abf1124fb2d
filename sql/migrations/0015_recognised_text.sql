-- How sure the recognition of text in pictures is of a chunk: of its least sure block, from 0 to 1; NULL where the text
-- is the document's own.
ALTER TABLE rag.chunk ADD COLUMN confidence real;
