-- Fragments for the statements that fill and read a version's words; see sql/objects/01_words.sql.

-- name: chunk_words
-- The indexed words of a chunk `c` of the document `d` with the parse `p`: what the model sees is what the lexical index
-- sees. A language that the source names counts before the one that the file does.
rag.words(
    rag.language_of(coalesce(d.metadata ->> 'language', p.language), c.text, {language}::regconfig, {languages}::jsonb),
    c.prefix || c.text)
