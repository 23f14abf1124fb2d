-- name: visible_document
-- What a caller may see of the documents `d`, on their state of now: tenant, deletion, access, the caller's filters.
d.tenant = %(tenant)s AND d.state <> 'tombstoned' AND d.access_id IN (SELECT access_id FROM allowed) AND {filters}

-- name: current_text
-- Whether a version's rows `v` hold text that the document still has, or that the caller might have read then.
((v.document_id, v.chunk_set_id) IN (SELECT document_id, chunk_set_id FROM withheld)) IS NOT TRUE

-- name: visible
-- Both, for a version's rows `v` of the documents `d`: every search decides by these two and by nothing else.
{document} AND {text}

-- name: rules
rag.rules_of(%(tenant)s, %(principals)s)

-- name: scope
-- What is kept of a caller: the rules that let the caller in, their documents where these are few, and the count of the
-- tenant's changes, for as long as which both hold. A server that was restored, or took over, may count the same again.
WITH {caller}, few AS MATERIALIZED ({few})
SELECT rag.changes_of(%(tenant)s) AS changes, pg_postmaster_start_time() AS started,
       ARRAY(SELECT access_id FROM allowed)::text AS rules,
       CASE WHEN (SELECT count(*) FROM few) <= {few_documents} THEN ARRAY(SELECT document_id FROM few)::text END AS documents;

-- name: caller
-- For whom a statement reads: the rules that let the caller in, and text that was taken out of documents while
-- they had a rule that does not. What is kept of the caller holds where nothing has changed since, which is seen in
-- the snapshot of what it is applied to.
known AS MATERIALIZED (
    SELECT (rag.changes_of(%(tenant)s), pg_postmaster_start_time())
           IS NOT DISTINCT FROM (%(changes)s::bigint, %(started)s::timestamptz) AS holds
), allowed AS MATERIALIZED (
    SELECT unnest(CASE WHEN holds THEN %(rules)s::text::integer[] ELSE {rules} END) AS access_id FROM known
), withheld AS MATERIALIZED (
    SELECT document_id, chunk_set_id FROM rag.document_content
    WHERE access_id IS NOT NULL AND (tenant = %(tenant)s AND access_id IN (SELECT access_id FROM allowed)) IS NOT TRUE
)

-- name: few_by_access
-- Documents of the caller's rules, rule by rule: the inner limit keeps this a walk along the index, which ends as
-- soon as there are too many.
SELECT found.document_id FROM allowed a CROSS JOIN LATERAL (
    SELECT d.document_id FROM rag.document d
    WHERE d.access_id = a.access_id AND d.tenant = %(tenant)s AND d.state <> 'tombstoned'
    LIMIT {few_documents} + 1
) found LIMIT {few_documents} + 1

-- name: few_known
-- The same where they are kept and hold; none where it is kept that they are too many.
SELECT unnest(CASE WHEN holds THEN %(documents)s::text::bigint[] ELSE ARRAY({few}) END) AS document_id FROM known

-- name: few_by_filter
SELECT d.document_id FROM rag.document d WHERE {document} LIMIT {few_documents} + 1

-- name: few_by_phrase
-- Documents with a row that holds every quoted phrase.
SELECT DISTINCT d.document_id FROM {lexical} l JOIN rag.document d USING (document_id)
WHERE l.tenant = %(tenant)s AND l.words @@ %(phrases)s::text::tsquery AND {document}

-- name: holds_phrases
-- Whether a version's row `v` does.
(SELECT l.words @@ %(phrases)s::text::tsquery FROM {lexical} l
 WHERE l.document_id = v.document_id AND l.chunk_set_id = v.chunk_set_id AND l.ordinal = v.ordinal)

-- name: phrases_asked
-- What each quoted phrase of a question (`places` count them) asks of a row's words, in any way that it may be written
-- and in any language: nothing where it is stop words only. A way with other `words` than were typed needs one of them.
SELECT string_agg(DISTINCT '(' || asked::text || ')', ' | ') AS phrase
FROM unnest(%(places)s::int[], %(readings)s::text[], %(words)s::text[]) AS one (place, content, words),
     unnest({configurations}::regconfig[]) AS language,
     rag.phrases_query(ARRAY[language], ARRAY[content]) AS asked
WHERE words = '' OR numnode(rag.phrases_query(ARRAY[language], ARRAY[words])) > 0
GROUP BY place HAVING bool_and(asked IS NOT NULL) FILTER (WHERE words = '')
ORDER BY place;

-- name: has_words
-- Whether a question has words that the index could hold, and not stop words only.
SELECT rag.question_words({configurations}::regconfig[], %(text)s) IS NOT NULL AS has_words;

-- name: words_asked
-- The words of a question that a tenant's rows have: each with its idf (Robertson and Sparck Jones 1976, as Lucene has
-- it) and its postings. Rarest first; once their postings are many, those of commoner words are left out: candidates
-- come from the rare ones, and the score counts all. One row more, without a word, has the pairs of words that stand
-- beside each other.
WITH question AS MATERIALIZED (
    SELECT rag.question_read({configurations}::regconfig[], %(text)s) AS readings
)
SELECT w.term, w.documents, w.idf, p.entries, NULL AS pairs
FROM (
    SELECT t.term, t.documents, ln(1 + (n.documents - t.documents + 0.5) / (t.documents + 0.5))::float8 AS idf,
           sum(t.documents) OVER (ORDER BY t.documents, t.term) - t.documents AS read_before
    FROM (SELECT DISTINCT rag.term_id(lexeme) AS term
          FROM question, unnest(readings) AS reading, unnest(reading)) q
    JOIN {terms} t ON t.tenant = %(tenant)s AND t.term = q.term
    JOIN {terms} n ON n.tenant = %(tenant)s AND n.term = 0
) w LEFT JOIN {postings} p ON p.tenant = %(tenant)s AND p.term = w.term AND w.read_before < %(postings)s
UNION ALL
SELECT NULL, NULL, NULL, NULL, rag.question_pairs(readings)::text FROM question WHERE %(weighs)s
ORDER BY term;

-- name: walk_vectors
-- The rows that the caller may see, by a walk along the graph of vectors, nearest first.
(SELECT * FROM {vectors} v WHERE {walkable} ORDER BY v.embedding <#> (SELECT vector FROM asked) LIMIT {candidates})

-- name: walk_signs
-- The same along the graph of signs: nearest by these, and far more than are wanted, of which the vectors then choose.
(SELECT * FROM {vectors} v WHERE {walkable}
 ORDER BY binary_quantize(v.embedding)::bit({dimensions})
          <~> (SELECT binary_quantize(vector)::bit({dimensions}) FROM asked)
 LIMIT {fetched})

-- name: walkable
-- Whether the walk gives a version's row `v`: nothing where few documents are compared one by one.
%(dense)s AND NOT (SELECT exact FROM route)
AND (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id AND d.state <> 'tombstoned')

-- name: whole_documents_and_pairs
-- What else counts where both sides do: what the passage's document says as a whole, and how many of the words that stand
-- beside each other in the question do so in the passage.
SELECT r.*, whole.dense_score AS document_dense, whole.lexical_score AS document_lexical,
       CASE WHEN is_foremost AND r.lexical_score > 0 AND %(pairs)s::text IS NOT NULL THEN (
           SELECT count(*) FROM {lexical} l, unnest(%(pairs)s::text::tsquery[]) AS pair
           WHERE l.document_id = r.document_id AND l.chunk_set_id = r.chunk_set_id AND l.ordinal = r.ordinal
             AND l.words @@ pair) END AS pairs
FROM told r LEFT JOIN LATERAL (
    SELECT -(t.embedding <#> (SELECT vector FROM asked)) AS dense_score,
           -(t.weights <#> (SELECT weights FROM asked)) AS lexical_score
    FROM {documents} t WHERE t.document_id = r.document_id AND t.chunk_set_id = r.chunk_set_id OFFSET 0
) AS whole ON is_foremost

-- name: passages_alone
SELECT *, NULL::float8 AS document_dense, NULL::float8 AS document_lexical, NULL::bigint AS pairs FROM told

-- name: is_few
(SELECT count(*) FROM few) <= {few_documents}

-- name: is_known_few
CASE WHEN (SELECT holds FROM known) THEN %(documents)s::text IS NOT NULL ELSE {is_few} END

-- name: search
-- Candidates from each side with both scores, fused; then the best with their texts. Reads the tables of the version
-- that the caller knows, and says in the same snapshot which version is live and what is switched off: one row without
-- a hit means that nothing matched, or that either is another now and the caller asks again.
--
-- Routed by how many documents the caller's rules and filters leave: few are compared one by one, which is exact;
-- else the vector index is walked, and the rows that have the question's words (`matches`, best first) are looked up.
-- That is known when the statement runs, so the planner has no say in it; and each row that comes is looked up
-- (a scalar sub-select), because a join would be planned with all documents first.
WITH live AS (
    SELECT version_id FROM rag.index_version
    WHERE CASE WHEN %(fixed)s THEN version_id = %(version_id)s ELSE index_name = %(index_name)s AND state = 'live' END
), {caller}, few AS MATERIALIZED (
    {few}
), route AS MATERIALIZED (
    -- Neither when another version is live: then nothing is read.
    SELECT CASE WHEN (SELECT version_id FROM live) = %(version_id)s
                THEN {is_few} END AS exact
), asked AS MATERIALIZED (
    SELECT %(vector)s::text::{type} AS vector, %(weights)s::text::sparsevec AS weights
), near AS MATERIALIZED (
    SELECT v.document_id, v.chunk_set_id, v.ordinal, -(v.embedding <#> (SELECT vector FROM asked)) AS dense_score,
           -(v.weights <#> (SELECT weights FROM asked)) AS lexical_score
    FROM {vectors} v
    WHERE (SELECT exact FROM route) AND {text} AND {quoted}
      AND v.document_id = ANY(ARRAY(SELECT document_id FROM few))
), candidates AS (
    (SELECT * FROM near WHERE %(dense)s ORDER BY dense_score DESC, document_id, chunk_set_id, ordinal LIMIT {candidates})
    UNION
    (SELECT * FROM near WHERE lexical_score > 0
     ORDER BY lexical_score DESC, document_id, chunk_set_id, ordinal LIMIT {candidates})
    UNION
    (SELECT v.document_id, v.chunk_set_id, v.ordinal, -(v.embedding <#> (SELECT vector FROM asked)),
            -(v.weights <#> (SELECT weights FROM asked))
     FROM {walked} v ORDER BY v.embedding <#> (SELECT vector FROM asked) LIMIT {candidates})
    UNION
    (SELECT v.document_id, v.chunk_set_id, v.ordinal, -(v.embedding <#> (SELECT vector FROM asked)),
            -(v.weights <#> (SELECT weights FROM asked))
     FROM unnest(%(matches)s::text::int[]) AS match,
          LATERAL (SELECT * FROM {vectors} v WHERE v.slot = match OFFSET 0) v
     WHERE NOT (SELECT exact FROM route)
       AND (SELECT {visible} FROM rag.document d WHERE d.document_id = v.document_id AND d.state <> 'tombstoned')
     LIMIT {candidates})
), ranked AS (
    SELECT *, row_number() OVER (ORDER BY dense_score DESC NULLS LAST, document_id, chunk_set_id, ordinal) AS dense_rank,
           row_number() OVER (ORDER BY lexical_score DESC NULLS LAST, document_id, chunk_set_id, ordinal) AS lexical_rank
    FROM candidates
), told AS (
    -- Foremost are the candidates of a search for few hits. A search for more puts them first, in the same order: what
    -- others score changes none of their shares.
    SELECT *, (%(dense)s AND dense_rank <= {foremost}) OR (lexical_score > 0 AND lexical_rank <= {foremost}) AS is_foremost
    FROM ranked
), weighed AS MATERIALIZED (
    {weighed}
), shared AS (
    -- Each score as a share of the best one, and how far the dense side is to be trusted: by how near the nearest passage
    -- is, of what is near by this model.
    SELECT *,
           coalesce((dense_score - min(dense_score) OVER alike)
                    / nullif(max(dense_score) OVER alike - min(dense_score) OVER alike, 0), 1) AS dense_share,
           coalesce(lexical_score / nullif(max(lexical_score) OVER alike, 0), 0) AS lexical_share,
           coalesce((document_dense - min(document_dense) OVER alike)
                    / nullif(max(document_dense) OVER alike - min(document_dense) OVER alike, 0), 0) AS document_dense_share,
           coalesce(document_lexical / nullif(max(document_lexical) OVER alike, 0), 0) AS document_lexical_share,
           coalesce(pairs::float8 / nullif(max(pairs) OVER alike, 0), 0) AS pair_share,
           CASE WHEN %(far)s::float8 IS NULL THEN 1
                ELSE least(greatest((max(dense_score) OVER alike - %(far)s::float8) / (%(near)s::float8 - %(far)s::float8),
                                    {least_dense}), 1) END AS dense_trust
    FROM weighed WINDOW alike AS (PARTITION BY is_foremost)
), fused AS (
    SELECT *, (CASE
        WHEN NOT %(lexical)s THEN dense_score
        WHEN NOT %(dense)s THEN lexical_score
        WHEN %(weighs)s THEN
            (dense_trust * (%(dense_weight)s * dense_share + {document_weight} * document_dense_share)
             + (1 - %(dense_weight)s) * lexical_share + {document_weight} * document_lexical_share
             + {pair_weight} * pair_share) / (1 + 2 * {document_weight} + {pair_weight})
        ELSE CASE WHEN dense_rank <= {foremost} OR NOT is_foremost
                  THEN %(dense_weight)s / (%(rrf_k)s::int + dense_rank) ELSE 0 END
           + CASE WHEN lexical_score > 0 AND (lexical_rank <= {foremost} OR NOT is_foremost)
                  THEN (1 - %(dense_weight)s) / (%(rrf_k)s::int + lexical_rank) ELSE 0 END
    END)::float8 AS own_score
    FROM shared
)
SELECT live.version_id, (SELECT rag.switches(%(index_name)s)) AS switches, (SELECT exact FROM route) AS exact,
       (SELECT holds FROM known) AS holds,
       (SELECT count(*) FROM candidates WHERE lexical_score > 0) AS with_words, hit.*
FROM live LEFT JOIN LATERAL (
    SELECT f.place, f.score, f.dense_score, f.lexical_score, f.dense_rank, f.lexical_rank, f.document_dense, f.document_lexical, f.pairs,
           cs.key AS chunk_set_key, f.ordinal, f.document_id, c.text, c.context, c.heading_path, c.start_at, c.end_at,
           c.page_first, c.page_last, c.confidence, c.links, c.tokens,
           coalesce(d.given_title, cs.title, p.title, d.name) AS title, d.url, d.path, d.external_id, d.author,
           coalesce(p.precedence, jsonb_build_object()) || d.metadata AS metadata, d.modified_at, p.media_type, s.name AS source, s.listed_at AS as_of,
           CASE WHEN d.unread_since IS NOT NULL THEN d.text_of END AS text_of
    FROM (SELECT *, CASE WHEN is_foremost THEN own_score
                         ELSE least(own_score, min(own_score) FILTER (WHERE is_foremost) OVER ()) END AS score,
                 row_number() OVER (ORDER BY is_foremost DESC, own_score DESC, document_id, chunk_set_id, ordinal) AS place
          FROM fused ORDER BY place LIMIT %(k)s) f
    JOIN rag.chunk_set cs USING (chunk_set_id)
    JOIN rag.chunk c USING (chunk_set_id, ordinal)
    JOIN rag.document d USING (document_id)
    JOIN rag.source s USING (source_id)
    LEFT JOIN rag.parse p USING (parse_id)
) hit ON live.version_id = %(version_id)s
ORDER BY hit.place;

-- name: tenants
-- The tenants of an index's documents; for a message that names the valid ones.
SELECT DISTINCT d.tenant FROM rag.document d JOIN rag.source s USING (source_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned' ORDER BY 1 LIMIT 50;
