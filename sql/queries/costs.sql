-- name: add_spent
INSERT INTO rag.spent AS s
VALUES ((now() AT TIME ZONE 'UTC')::date, %(purpose)s, %(source)s, %(tenant)s, %(indexes)s, %(model)s,
        %(inputs)s, %(tokens)s, %(requests)s, %(seconds)s, %(cost)s)
ON CONFLICT (day, purpose, source, tenant, indexes, model) DO UPDATE SET
    inputs = s.inputs + excluded.inputs, tokens = s.tokens + excluded.tokens, requests = s.requests + excluded.requests,
    seconds = s.seconds + excluded.seconds, cost = s.cost + excluded.cost;

-- name: spent_since
-- Rows of the ledger from one day to before another.
SELECT day, purpose, source, tenant, indexes, model, inputs, tokens, requests, seconds, cost
FROM rag.spent WHERE day >= %(since)s AND day < %(until)s
ORDER BY day, purpose, source, tenant, indexes, model;

-- name: spent_this_month
-- What a source has taken of models in the month that it is in UTC.
SELECT coalesce(sum(tokens), 0)::bigint AS tokens, coalesce(sum(cost), 0)::float8 AS cost
FROM rag.spent
WHERE purpose = 'ingest' AND source = %(source)s AND day >= date_trunc('month', now() AT TIME ZONE 'UTC');

-- name: add_served
INSERT INTO rag.served AS s
VALUES (%(index_name)s, date_trunc('hour', now()), %(searches)s, %(empties)s, %(errors)s, %(milliseconds)s)
ON CONFLICT (index_name, hour) DO UPDATE SET
    searches = s.searches + excluded.searches, empties = s.empties + excluded.empties, errors = s.errors + excluded.errors,
    milliseconds = ARRAY(
        SELECT coalesce(before, 0) + coalesce(more, 0)
        FROM unnest(s.milliseconds, excluded.milliseconds) WITH ORDINALITY AS class (before, more, nth) ORDER BY nth);
