-- A document whose newer bytes cannot be read keeps its last text: of when that is, and since when the bytes have
-- been known to be unreadable. Both are null where the text is that of the bytes.
ALTER TABLE rag.document ADD COLUMN text_of timestamptz, ADD COLUMN unread_since timestamptz;
