-- The rows that suites of the configuration look at (`quality.suites`), one query a stage. Their columns are
-- promised to users: rag_pipelines/config/suites.py lists them, and a test holds the two together.

-- name: quality_own_documents
-- Documents of a source that are not deleted, with what parsing found. A document's own metadata win over those in its file.
SELECT d.external_id, d.name, d.path, d.url, coalesce(d.given_title, p.title) AS title, d.author, d.tenant, d.state,
       coalesce(p.status, d.status) AS status, d.declared_type, p.media_type, p.language, d.raw_bytes AS bytes,
       p.characters, p.pages, coalesce(p.metadata, '{}') || d.metadata AS metadata, d.modified_at, d.created_at, d.updated_at
FROM rag.document d
LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.raw_sha256 = d.raw_sha256
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned';

-- name: quality_own_chunks
-- The chunks of a source's documents under the chunkers in use; of documents with the same content one is named.
SELECT shown.external_id, c.chunk_set_id || '/' || c.ordinal AS chunk_id, cs.title, shown.media_type, shown.language,
       c.ordinal, array_to_string(c.heading_path, ' > ') AS headings, c.text, length(c.text) AS characters, c.tokens,
       c.page_first, c.page_last
FROM (
    SELECT dc.chunk_set_id, min(d.external_id) AS external_id, min(p.media_type) AS media_type, min(p.language) AS language
    FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    LEFT JOIN rag.parse p ON p.parse_id = d.parse_id
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND dc.profile_id = ANY(%(chunkers)s)
    GROUP BY dc.chunk_set_id
) shown
JOIN rag.chunk_set cs USING (chunk_set_id)
JOIN rag.chunk c USING (chunk_set_id);

-- name: quality_own_vectors
-- The vector of every chunk under every model in use; without those that a model refused, which are in quarantine.
SELECT shown.external_id, c.chunk_set_id || '/' || c.ordinal AS chunk_id, c.tokens, length(c.text) AS characters,
       vector_dims(v.embedding) AS dimensions, vector_norm(v.embedding) AS norm
FROM (
    SELECT dc.chunk_set_id, t.model_id, min(d.external_id) AS external_id
    FROM rag.document d
    JOIN rag.document_chunks dc USING (document_id)
    JOIN unnest(%(model_chunkers)s::int[], %(models)s::int[]) AS t (profile_id, model_id) USING (profile_id)
    WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned'
    GROUP BY dc.chunk_set_id, t.model_id
) shown
JOIN rag.chunk c USING (chunk_set_id)
LEFT JOIN rag.embedding v ON v.model_id = shown.model_id AND v.input_key = c.input_key
LEFT JOIN rag.chunk_set_embedded e ON e.chunk_set_id = c.chunk_set_id AND e.model_id = shown.model_id
WHERE v.embedding IS NOT NULL OR coalesce(e.missing, 0) = 0;

-- name: forget_retired_quality
-- Results of suites that the configuration no longer has, which would otherwise refuse promotions for ever.
DELETE FROM rag.quality_result WHERE source_id = %(source_id)s AND NOT suite = ANY(%(suites)s);
