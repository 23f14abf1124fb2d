-- name: visible_document
-- What a caller may see of the documents `d`, on their state of now: tenant, deletion, access, the caller's filters.
d.tenant = %(tenant)s AND d.state <> 'tombstoned' AND d.access_id IN (SELECT access_id FROM allowed) AND {filters}

-- name: current_text
-- Whether a version's rows `v` hold text that the document still has, or that the caller might have read then.
((v.document_id, v.chunk_set_id) IN (SELECT document_id, chunk_set_id FROM withheld)) IS NOT TRUE

-- name: visible
-- Both, for a version's rows `v` of the documents `d`: every search decides by this and by nothing else.
{document} AND {text}

-- name: few_by_access
-- Documents of the caller's rules, rule by rule: the inner limit keeps this a walk along the index, which ends as
-- soon as there are too many.
SELECT found.document_id FROM allowed a CROSS JOIN LATERAL (
    SELECT d.document_id FROM rag.document d
    WHERE d.access_id = a.access_id AND d.tenant = %(tenant)s AND d.state <> 'tombstoned'
    LIMIT {few_documents} + 1
) found LIMIT {few_documents} + 1

-- name: few_by_filter
SELECT d.document_id FROM rag.document d WHERE {document} LIMIT {few_documents} + 1

-- name: passes
-- Whether a rule lets the caller in, as rag.may_read has it. IS TRUE keeps the principals a set that is hashed once;
-- otherwise they are joined to each rule anew, which somebody in a thousand groups would notice.
NOT EXISTS (SELECT FROM unnest(deny) AS denied WHERE (denied IN (SELECT principal FROM caller)) IS TRUE)
  AND NOT EXISTS (
    SELECT FROM jsonb_array_elements(clauses) AS clause
    WHERE NOT EXISTS (SELECT FROM jsonb_array_elements_text(clause) AS named
                      WHERE (named IN (SELECT principal FROM caller)) IS TRUE))

-- name: search
-- Candidates from each side, both scores for the union of them, fused; then the best with their texts. Reads
-- the tables of the version that the caller knows, and says in the same snapshot which version is live: one
-- row without a hit means that nothing matched, or that another version is live now and the caller asks again.
--
-- Routed by how many documents the caller's rules and filters leave: few are compared one by one, which is exact;
-- else the vector index is walked. That is known when the statement runs, so the planner has no say in it; and each
-- row that comes is looked up (a scalar sub-select), because a join would be planned with all documents first.
WITH live AS (
    SELECT version_id FROM rag.index_version
    WHERE CASE WHEN %(fixed)s THEN version_id = %(version_id)s ELSE index_name = %(index_name)s AND state = 'live' END
), caller AS MATERIALIZED (
    SELECT unnest(rag.principals_of(%(tenant)s, %(principals)s)) AS principal
), allowed AS MATERIALIZED (
    SELECT access_id FROM rag.access_rule WHERE {passes}
), withheld AS MATERIALIZED (
    SELECT document_id, chunk_set_id FROM rag.document_content
    WHERE access_id IS NOT NULL AND (tenant = %(tenant)s AND access_id IN (SELECT access_id FROM allowed)) IS NOT TRUE
), few AS MATERIALIZED (
    {few}
), route AS MATERIALIZED (
    SELECT count(*) <= {few_documents} AS exact FROM few
), asked AS MATERIALIZED (
    SELECT %(vector)s::text::{type} AS vector
), terms AS MATERIALIZED (
    SELECT '''' || replace(replace(w.lexeme, '\', '\\'), '''', '''''') || '''' AS word, t.term, t.documents,
           ln(1 + (%(rows)s - t.documents + 0.5) / (t.documents + 0.5)) AS idf,
           row_number() OVER (ORDER BY t.documents, w.lexeme) AS place,
           sum(t.documents) OVER (ORDER BY t.documents, w.lexeme) > %(postings)s AS common
    FROM unnest(rag.words({language}::regconfig, %(text)s)) w JOIN {terms} t ON t.term = rag.term_id(w.lexeme)
    WHERE t.documents > 0
), likely AS (
    -- Where the best by BM25 are, without reading the long lists of common words for themselves: every rare word, and
    -- common ones two by two. One common word alone is read in full, for it is all there is.
    SELECT word FROM terms WHERE NOT common OR (SELECT count(*) FROM terms) = 1
    UNION ALL
    SELECT a.word || ' & ' || b.word FROM terms a JOIN terms b ON a.place < b.place
    WHERE a.common AND b.place < (SELECT min(place) FROM terms WHERE common) + 6
), question AS MATERIALIZED (
    SELECT string_agg(word, ' | ')::tsquery AS words,
           CASE WHEN %(thorough)s THEN string_agg(word, ' | ')
                ELSE (SELECT string_agg('(' || word || ')', ' | ') FROM likely) END::tsquery AS likely,
           ('{{' || (SELECT string_agg(term || ':' || idf::real, ',')
                     FROM (SELECT term, max(idf) AS idf FROM terms GROUP BY term) AS one)
            || '}}/1000000000')::sparsevec AS weights
    FROM terms
), dense AS (
    (SELECT v.document_id, v.chunk_set_id, v.ordinal
     FROM few, LATERAL (SELECT * FROM {vectors} v WHERE v.document_id = few.document_id OFFSET 0) v
     WHERE %(dense)s AND (SELECT exact FROM route)
       AND (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id)
     ORDER BY (v.embedding <#> (SELECT vector FROM asked)) + 0
     LIMIT {candidates})
    UNION ALL
    (SELECT v.document_id, v.chunk_set_id, v.ordinal
     FROM {vectors} v
     WHERE %(dense)s AND NOT (SELECT exact FROM route)
       AND (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id)
     ORDER BY v.embedding <#> (SELECT vector FROM asked)
     LIMIT {candidates})
), lexical AS (
    (SELECT v.document_id, v.chunk_set_id, v.ordinal
     FROM few, LATERAL (SELECT * FROM {lexical} v WHERE v.document_id = few.document_id OFFSET 0) v
     WHERE %(lexical)s AND (SELECT exact FROM route) AND v.words @@ (SELECT words FROM question)
       AND (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id)
     ORDER BY v.weights <#> (SELECT weights FROM question)
     LIMIT {candidates})
    UNION ALL
    (SELECT v.document_id, v.chunk_set_id, v.ordinal
     FROM (SELECT * FROM {lexical}
           WHERE %(lexical)s AND NOT (SELECT exact FROM route) AND words @@ (SELECT likely FROM question)
           ORDER BY weights <#> (SELECT weights FROM question) OFFSET 0) v
     WHERE (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id)
     LIMIT {candidates})
), candidates AS (
    SELECT * FROM dense UNION SELECT * FROM lexical
), scored AS (
    SELECT c.*,
           CASE WHEN %(dense)s THEN -(v.embedding <#> (SELECT vector FROM asked)) END AS dense_score,
           CASE WHEN %(lexical)s THEN coalesce(-(l.weights <#> (SELECT weights FROM question)), 0) END AS lexical_score
    FROM candidates c
    JOIN {vectors} v USING (document_id, chunk_set_id, ordinal)
    JOIN {lexical} l USING (document_id, chunk_set_id, ordinal)
), ranked AS (
    SELECT *,
           rank() OVER (ORDER BY dense_score DESC NULLS LAST) AS dense_rank,
           rank() OVER (ORDER BY lexical_score DESC NULLS LAST) AS lexical_rank,
           coalesce((dense_score - min(dense_score) OVER ())
                    / nullif(max(dense_score) OVER () - min(dense_score) OVER (), 0), 1) AS dense_share,
           coalesce(lexical_score / nullif(max(lexical_score) OVER (), 0), 0) AS lexical_share
    FROM scored
), fused AS (
    SELECT *, (CASE
        WHEN NOT %(lexical)s THEN dense_score
        WHEN NOT %(dense)s THEN lexical_score
        WHEN %(rrf_k)s::int IS NULL THEN
            %(dense_weight)s * dense_share + (1 - %(dense_weight)s) * lexical_share
        ELSE %(dense_weight)s / (%(rrf_k)s::int + dense_rank)
           + CASE WHEN lexical_score > 0 THEN (1 - %(dense_weight)s) / (%(rrf_k)s::int + lexical_rank) ELSE 0 END
    END)::float8 AS score
    FROM ranked
)
SELECT live.version_id, (SELECT exact FROM route) AS exact, (SELECT likely = words FROM question) AS thorough, hit.*
FROM live LEFT JOIN LATERAL (
    SELECT f.score, f.dense_score, f.lexical_score, f.dense_rank, f.lexical_rank,
           cs.key AS chunk_set_key, f.ordinal, f.document_id, c.text, c.context, c.heading_path, c.start_at, c.end_at,
           c.page_first, c.page_last, c.tokens,
           coalesce(d.given_title, cs.title, p.title, d.name) AS title, d.url, d.path, d.external_id, d.author,
           d.metadata, d.modified_at, p.media_type, s.name AS source, s.listed_at AS as_of
    FROM (SELECT * FROM fused ORDER BY score DESC, document_id, chunk_set_id, ordinal LIMIT %(k)s) f
    JOIN rag.chunk_set cs USING (chunk_set_id)
    JOIN rag.chunk c USING (chunk_set_id, ordinal)
    JOIN rag.document d USING (document_id)
    JOIN rag.source s USING (source_id)
    LEFT JOIN rag.parse p USING (parse_id)
) hit ON live.version_id = %(version_id)s
ORDER BY hit.score DESC, hit.document_id, hit.ordinal;

-- name: tenants
-- The tenants of an index's documents; for a message that names the valid ones.
SELECT DISTINCT d.tenant FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned' ORDER BY 1 LIMIT 50;
