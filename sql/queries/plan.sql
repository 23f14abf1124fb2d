-- name: unembedded_inputs
-- The distinct inputs of a source's chunks that have no vector under a model yet, and their tokens.
SELECT count(*) AS inputs, coalesce(sum(tokens), 0)::bigint AS tokens
FROM (
    SELECT DISTINCT ON (c.input_key) c.tokens
    FROM rag.document d
    JOIN rag.document_chunks dc ON dc.document_id = d.document_id AND dc.profile_id = %(chunker_id)s
    JOIN rag.chunk c USING (chunk_set_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
      AND NOT EXISTS (SELECT FROM rag.chunk_set_embedded e
                      WHERE e.chunk_set_id = dc.chunk_set_id AND e.model_id = %(model_id)s)
      AND NOT EXISTS (SELECT FROM rag.embedding v
                      WHERE v.model_id = %(model_id)s AND v.input_key = c.input_key)
) pending;
