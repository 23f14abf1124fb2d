-- Fragments for the statements that fill and read a version's words; see sql/objects/01_words.sql.

-- name: chunk_words
-- The indexed words of a chunk `c` of the document `d` with the parse `p`: what the model sees is what the lexical index
-- sees, and in front of it the words of the document's place that it lacks; where personal data are masked, not these.
-- A language that the source names counts before the one that the file does.
rag.words(
    rag.language_of(coalesce(d.metadata ->> 'language', p.language), c.text, {language}::regconfig, {languages}::jsonb),
    concat_ws(E'\n', CASE WHEN d.masked_by IS NULL THEN rag.place_words(d.path, c.prefix || left(c.text, 200)) END,
              c.prefix || c.text))
