-- What a caller may see of a version beside searching it (rag_pipelines/query/view.py), by the rules of a search.

-- name: document_text
-- The passages of one document within some room, from a place on: the one that is asked for, else some way in front of
-- a passage, else the beginning. No row where the caller may not see it.
WITH {caller}, passages AS MATERIALIZED (
    SELECT v.chunk_set_id, v.ordinal, cs.key, cs.title, c.start_at, c.end_at
    FROM rag.document d
    JOIN {vectors} v ON v.document_id = d.document_id
    JOIN rag.chunk_set cs ON cs.chunk_set_id = v.chunk_set_id
    JOIN rag.chunk c ON c.chunk_set_id = v.chunk_set_id AND c.ordinal = v.ordinal
    WHERE d.document_id = %(document)s AND {visible}
), room AS MATERIALIZED (
    SELECT max(end_at) AS length, coalesce(
        %(first)s::int,
        min(start_at) FILTER (WHERE key = %(key)s::uuid AND ordinal = %(ordinal)s::int) - %(before)s::int,
        0) AS first
    FROM passages
)
SELECT m.key AS chunk_set_key, m.ordinal, m.start_at, m.end_at, room.length, c.page_first, c.page_last, c.heading_path,
       c.text, d.document_id, coalesce(d.given_title, m.title, p.title, d.name) AS title, d.url, d.path, d.external_id,
       d.author, d.modified_at, p.media_type, s.name AS source, s.listed_at AS as_of,
       CASE WHEN d.unread_since IS NOT NULL THEN d.text_of END AS text_of
FROM passages m CROSS JOIN room
JOIN rag.chunk c ON c.chunk_set_id = m.chunk_set_id AND c.ordinal = m.ordinal
JOIN rag.document d ON d.document_id = %(document)s
JOIN rag.source s USING (source_id)
LEFT JOIN rag.parse p USING (parse_id)
WHERE m.end_at > room.first AND m.start_at < room.first + %(room)s::int
ORDER BY m.start_at, m.ordinal;

-- name: facets
-- Documents that the caller may see in a version, counted by their values, the commonest first; years the newest first.
WITH {caller}, found AS MATERIALIZED (
    SELECT d.document_id, d.source_id, d.parse_id, d.metadata -> 'labels' AS labels, d.modified_at
    FROM rag.document d
    WHERE {document} AND EXISTS (SELECT FROM {vectors} v WHERE v.document_id = d.document_id AND {text})
    LIMIT %(most)s
), counted AS (
    SELECT 'source' AS field, s.name AS value, count(*) AS documents
    FROM found JOIN rag.source s USING (source_id) GROUP BY 2
    UNION ALL
    SELECT 'media_type', lower(p.media_type), count(*)
    FROM found JOIN rag.parse p USING (parse_id) WHERE p.media_type IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'labels', value #>> '{{}}', count(DISTINCT document_id)
    FROM found, rag.values_of(labels) AS value WHERE jsonb_typeof(value) = 'string' GROUP BY 2
    UNION ALL
    SELECT 'year', extract(year FROM modified_at AT TIME ZONE 'UTC')::int::text, count(*)
    FROM found WHERE modified_at IS NOT NULL GROUP BY 2
), placed AS (
    SELECT *, row_number() OVER (
        PARTITION BY field ORDER BY CASE WHEN field = 'year' THEN value END DESC, documents DESC, value) AS place
    FROM counted
)
SELECT field, value, documents, (SELECT count(*) FROM found) AS total FROM placed
WHERE place <= %(values)s ORDER BY field, place;
