-- What the documents that are served show and their text does not hold, by kind (rag_pipelines/parsing/losses.py).

-- name: losses_by_format
-- Of each source and format: the documents read, how many of them lost something of a kind, how much together, and
-- the words that the parser was held to. Kinds of which nothing is lost are left out.
SELECT s.name AS source, p.media_type, k.kind, count(*) AS documents, count(*) FILTER (WHERE c.lost > 0) AS losing,
       sum(c.lost)::bigint AS lost, sum(c.seen)::bigint AS words_seen
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.parse p ON p.parse_id = d.parse_id AND p.status = 'ok'
CROSS JOIN unnest(%(kinds)s::text[]) WITH ORDINALITY AS k (kind, place)
CROSS JOIN LATERAL (
    SELECT coalesce((p.counters ->> k.kind)::bigint, 0) AS lost, coalesce((p.counters ->> 'words_seen')::bigint, 0) AS seen
) c
WHERE d.state <> 'tombstoned' AND (%(source)s::text IS NULL OR s.name = %(source)s)
GROUP BY s.name, p.media_type, k.kind, k.place
HAVING sum(c.lost) > 0
ORDER BY s.name, p.media_type, k.place;

-- name: documents_with_losses
-- Documents that lost something of these kinds, those that lost the largest share of their words first.
SELECT s.name AS source, d.external_id, p.media_type, l.losses,
       coalesce((p.counters ->> 'words_seen')::bigint, 0) AS words_seen,
       (p.counters ->> 'words_missing')::float8 / nullif((p.counters ->> 'words_seen')::float8, 0) AS missing_share
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.parse p ON p.parse_id = d.parse_id AND p.status = 'ok'
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(k.kind, (p.counters ->> k.kind)::bigint) AS losses, sum((p.counters ->> k.kind)::bigint) AS lost
    FROM unnest(%(kinds)s::text[]) AS k (kind)
    WHERE p.counters ? k.kind
) l
WHERE d.state <> 'tombstoned' AND l.lost > 0 AND (%(source)s::text IS NULL OR s.name = %(source)s)
ORDER BY missing_share DESC NULLS LAST, l.lost DESC, s.name, d.external_id
LIMIT %(limit)s;

-- name: sources_with_losses
-- How many documents of each source lost something of these kinds.
SELECT s.name AS source, count(*) AS documents
FROM rag.source s
JOIN rag.document d USING (source_id)
JOIN rag.parse p ON p.parse_id = d.parse_id AND p.status = 'ok'
WHERE d.state <> 'tombstoned' AND p.counters ?| %(kinds)s::text[] AND s.name = ANY(%(sources)s)
GROUP BY s.name
ORDER BY s.name;
