-- The access gate (rag_pipelines/index/access_gate.py): facts for its oracle, and the ways in which a caller reads.

-- name: proof_memberships
SELECT s.tenant, m.principal, m.member FROM rag.membership m JOIN rag.source s USING (source_id);

-- name: proof_sample
-- Every chunk set of some documents of a version.
SELECT DISTINCT v.document_id, v.chunk_set_id
FROM {vectors} v JOIN (
    SELECT document_id FROM (SELECT DISTINCT document_id FROM {vectors}) one
    ORDER BY hashint8extended(document_id, 7) LIMIT %(sample)s
) chosen USING (document_id);

-- name: proof_changed_sample
-- Every chunk set of some documents that a version caught up with, and of some spread over the rest of it.
SELECT DISTINCT v.document_id, v.chunk_set_id
FROM {vectors} v JOIN (
    (SELECT document_id FROM rag.version_document WHERE version_id = %(version_id)s AND changed
     ORDER BY hashint8extended(document_id, 7) LIMIT %(sample)s)
    UNION SELECT document_id FROM {spread} row
) chosen USING (document_id);

-- name: proof_facts
-- The rules as they are stored, without judging them.
SELECT asked.document_id, asked.chunk_set_id, d.tenant, d.state = 'tombstoned' AS deleted, a.clauses, a.deny,
       c.tenant AS former_tenant, f.clauses AS former_clauses, f.deny AS former_deny
FROM unnest(%(documents)s::bigint[], %(sets)s::bigint[]) AS asked (document_id, chunk_set_id)
JOIN rag.document d USING (document_id)
JOIN rag.access_rule a USING (access_id)
LEFT JOIN rag.document_content c USING (document_id, chunk_set_id)
LEFT JOIN rag.access_rule f ON f.access_id = c.access_id;

-- name: proof_questions
-- Stored passages as questions, the same ones each time; of the words those that are read as they are stored.
SELECT v.embedding::text AS vector, asked.text, asked.words
FROM {chosen} v
JOIN {lexical} l USING (document_id, chunk_set_id, ordinal)
CROSS JOIN LATERAL (
    SELECT coalesce(string_agg(lexeme, ' '), '') AS text, coalesce(string_agg(quote_literal(lexeme), ' | '), '') AS words
    FROM (SELECT lexeme FROM unnest(l.words)
          WHERE rag.words({language}::regconfig, lexeme) = to_tsvector('pg_catalog.simple', lexeme)
          ORDER BY length(lexeme) DESC, lexeme LIMIT 5) AS longest
) asked;

-- name: proof_question_rows
(SELECT document_id, chunk_set_id, ordinal, embedding FROM {vectors}
 ORDER BY hashint8extended(document_id * 1000003 + chunk_set_id * 1009 + ordinal, 7) LIMIT %(sample)s)

-- name: proof_nearness
-- How near sampled documents are to a question, whoever may read them. The question is read once, not for every row.
SELECT document_id, chunk_set_id, max(-(embedding <#> (SELECT %(vector)s::text::{type}))) AS nearness
FROM {vectors} WHERE document_id = ANY(%(documents)s)
GROUP BY 1, 2;

-- name: proof_matching
-- Which sampled documents have one of the words of which question, whoever may read them. Fetching a row's words is what
-- takes time: all questions are tried at once, and each where one of them matched.
SELECT DISTINCT asked.number - 1 AS question, l.document_id, l.chunk_set_id
FROM (
    SELECT document_id, chunk_set_id, words FROM {lexical}
    WHERE document_id = ANY(%(documents)s) AND words @@ array_to_string(%(words)s::text[], ' | ')::tsquery OFFSET 0
) l
JOIN unnest(%(words)s::text[]) WITH ORDINALITY AS asked (words, number) ON l.words @@ asked.words::tsquery;

-- name: proof_caller
-- What the predicate of a search reads, as `search` makes it.
WITH {caller}

-- name: proof_by_id
-- Documents that are asked for by id, through the search's own predicate.
{caller}
SELECT DISTINCT v.document_id, v.chunk_set_id
FROM {table} v JOIN rag.document d USING (document_id)
WHERE d.document_id = ANY(%(documents)s) AND {visible};

-- name: proof_sharing
-- Every document that has or had these texts.
SELECT document_id, chunk_set_id FROM rag.document_content WHERE chunk_set_id = ANY(%(sets)s);

-- name: proof_rows
-- Rows of a version without a predicate, by a login that only the policies hold for.
SELECT DISTINCT document_id, chunk_set_id FROM {table} WHERE document_id = ANY(%(documents)s);

-- name: proof_documents
-- The same of the catalogue.
SELECT document_id FROM rag.document WHERE document_id = ANY(%(documents)s);

-- name: proof_texts
-- The same of texts.
SELECT DISTINCT chunk_set_id FROM {table} WHERE chunk_set_id = ANY(%(sets)s);

-- name: proof_reader
-- A reader's role that this login may take on.
SELECT r.role FROM rag.reader r JOIN pg_roles p ON p.rolname = r.role
WHERE pg_has_role(current_user, p.oid, 'MEMBER') ORDER BY r.made_at DESC LIMIT 1;
