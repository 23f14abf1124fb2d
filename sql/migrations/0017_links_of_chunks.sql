-- The links in a chunk's text, in its order, each as the text that a reader sees and where it leads; NULL for none.
ALTER TABLE rag.chunk ADD COLUMN links text[];
