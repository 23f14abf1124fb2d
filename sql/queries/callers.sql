-- name: is_known
SELECT rag.is_known(%(tenant)s, %(principals)s) AS known;
