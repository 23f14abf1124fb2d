-- name: has_documents_of
SELECT 1 FROM rag.document WHERE tenant = %(tenant)s LIMIT 1;

-- name: is_known
SELECT rag.is_known(%(tenant)s, %(principals)s) AS known;
