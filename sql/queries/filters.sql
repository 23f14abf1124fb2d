-- The conditions of a filter, each a predicate on a document `d`, for query/filter_predicate.py; one that is not known to hold
-- may be NULL. The placeholders are parameters, or a test on what the fragment names.

-- name: filter_source
d.source_id = ANY (ARRAY(SELECT s.source_id FROM rag.source s WHERE {test}))

-- name: filter_sources_off
-- A filter without the documents of sources that are switched off.
({filter}) AND d.source_id <> ALL (ARRAY(SELECT s.source_id FROM rag.source s WHERE s.name = ANY(%(sources_off)s)))

-- name: filter_between
-- A prefix as an interval of code points: starts_with has an index only for a text that is known when it is planned,
-- and one generic plan serves every search.
({subject} ~>=~ {first} AND {subject} ~<~ {after})

-- name: filter_from
{subject} ~>=~ {first}

-- name: filter_parse
-- EXISTS lets the planner choose between one look at all parses and one at each document's.
EXISTS (SELECT FROM rag.parse p WHERE p.parse_id = d.parse_id AND {test})

-- name: filter_language
-- "en" holds for "en-US" too.
(lower(p.language) = ANY({values}) OR split_part(lower(p.language), '-', 1) = ANY({values}))

-- name: filter_contains
-- What the index on metadata answers; a value and the same value in a list are two things that may be contained.
d.metadata @> ANY({values}::jsonb[])

-- name: filter_metadata
EXISTS (SELECT FROM rag.values_of({content}) AS value WHERE {test})

-- name: filter_number
-- CASE, because the type has to be known before the cast.
CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric {operator} {bound} END

-- name: filter_moment
CASE WHEN jsonb_typeof(value) = 'string' THEN rag.moment(value #>> '{{}}') {operator} {bound} END

-- name: filter_prefix
jsonb_typeof(value) = 'string' AND starts_with(value #>> '{{}}', {prefix})

-- name: filter_filled
jsonb_typeof(value) <> 'null'

-- name: filter_left_out
-- A filter without some documents.
({filter}) AND d.document_id NOT IN (SELECT unnest(%(left_out)s::bigint[]));
