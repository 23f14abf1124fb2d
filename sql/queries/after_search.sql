-- name: candidate_vectors
-- The vectors of chunks in the version that the caller reads, in the binary form of the type vector.
SELECT v.document_id, cs.key, v.ordinal, vector_send(v.embedding::vector) AS embedding
FROM unnest(%(documents)s::bigint[], %(keys)s::uuid[], %(ordinals)s::int[]) AS asked(document_id, key, ordinal)
JOIN rag.chunk_set cs USING (key)
JOIN {vectors} v ON v.document_id = asked.document_id AND v.chunk_set_id = cs.chunk_set_id
    AND v.ordinal = asked.ordinal;

-- name: neighbours
-- The chunks around some chunks, theirs included: parts of documents that a search has let the caller see. A document
-- that was deleted meanwhile, or that the caller may not see any more, gives none.
WITH allowed AS MATERIALIZED (SELECT unnest(rag.rules_of(%(tenant)s, %(principals)s)) AS access_id)
SELECT asked.document_id, cs.key, asked.ordinal AS of_ordinal, c.ordinal, c.start_at, c.end_at, c.page_first,
       c.page_last, c.tokens, c.heading_path, c.context, c.text, c.links
FROM unnest(%(documents)s::bigint[], %(keys)s::uuid[], %(ordinals)s::int[]) AS asked(document_id, key, ordinal)
JOIN rag.chunk_set cs USING (key)
JOIN rag.document d ON d.document_id = asked.document_id AND d.state <> 'tombstoned' AND d.tenant = %(tenant)s
    AND d.access_id IN (SELECT access_id FROM allowed)
JOIN rag.chunk c ON c.chunk_set_id = cs.chunk_set_id
    AND c.ordinal BETWEEN asked.ordinal - %(reach)s AND asked.ordinal + %(reach)s
WHERE NOT EXISTS (
    SELECT FROM rag.document_content w
    WHERE w.document_id = asked.document_id AND w.chunk_set_id = cs.chunk_set_id AND w.access_id IS NOT NULL
        AND w.access_id NOT IN (SELECT access_id FROM allowed)
)
ORDER BY asked.document_id, cs.key, asked.ordinal, c.ordinal;

-- name: vocabulary
-- The words of a tenant's passages in a version as they are written, with the number of passages that have them and
-- whether everybody may read one of these: of at most so many passages that documents have now, in an order that
-- has nothing to do with their content.
SELECT lexeme AS word, count(*) AS passages, bool_or(open) AS open
FROM (
    SELECT chunk_set_id, l.ordinal,
           d.access_id IN (SELECT unnest(rag.rules_of(%(tenant)s, ARRAY['everyone']))) AS open
    FROM {lexical} l
    JOIN rag.document d USING (document_id)
    JOIN rag.document_content c USING (document_id, chunk_set_id)
    WHERE d.tenant = %(tenant)s AND d.state <> 'tombstoned' AND c.access_id IS NULL
    ORDER BY hashint8(chunk_set_id * 1000 + l.ordinal)
    LIMIT %(passages)s
) AS sample
JOIN rag.chunk c USING (chunk_set_id, ordinal), unnest(to_tsvector('pg_catalog.simple', left(c.prefix || c.text, 20000)))
WHERE length(lexeme) BETWEEN %(shortest)s AND 40 AND lexeme ~ '^[[:alpha:]]+$'
GROUP BY 1 HAVING count(*) >= %(least)s
ORDER BY 2 DESC, 1 LIMIT %(words)s;

-- name: words_found
-- Which of some words, read in any of the index's languages, a passage has that the caller may see and that its
-- document has now; stop words count as found.
WITH allowed AS MATERIALIZED (
    SELECT unnest(rag.rules_of(%(tenant)s, %(principals)s)) AS access_id
)
SELECT DISTINCT word
FROM unnest(%(words)s::text[]) AS word, unnest({configurations}::regconfig[]) AS language,
     plainto_tsquery(language, word) AS wanted
WHERE numnode(wanted) = 0 OR EXISTS (
    SELECT FROM {lexical} l
    JOIN rag.document d USING (document_id)
    JOIN rag.document_content c USING (document_id, chunk_set_id)
    WHERE l.words @@ wanted AND d.tenant = %(tenant)s AND d.state <> 'tombstoned' AND c.access_id IS NULL
      AND d.access_id IN (SELECT access_id FROM allowed)
);
