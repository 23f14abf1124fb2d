-- Filters of a search: what they read of metadata, and indexes for those that leave few documents.

-- The moment that an ISO 8601 text means, or NULL: a filter reads documents that it must not fail on. A date alone
-- is its first moment, and what names no zone is UTC; digits below a microsecond are cut off.
CREATE FUNCTION rag.moment(content text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT CASE
        WHEN year > 0 AND hour < 24 AND minute < 60 AND second < 60 AND away < 960 AND day BETWEEN 1 AND CASE
            WHEN month = 2 THEN CASE WHEN year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0) THEN 29 ELSE 28 END
            WHEN month IN (4, 6, 9, 11) THEN 30
            WHEN month BETWEEN 1 AND 12 THEN 31
        END
        THEN (make_timestamp(year, month, day, hour, minute, second) - make_interval(mins => sign * away))
             AT TIME ZONE 'UTC'
    END
    FROM regexp_match(
        content,
        '^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d{1,6})?)(?:(?<=\.\d{6})\d+)?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?)?$'
    ) AS found,
    LATERAL (SELECT found[1]::int AS year, found[2]::int AS month, found[3]::int AS day,
                    coalesce(found[4], '0')::int AS hour, coalesce(found[5], '0')::int AS minute,
                    coalesce(found[6], '0')::float8 AS second,
                    CASE found[7] WHEN '-' THEN -1 ELSE 1 END AS sign,
                    coalesce(found[8], '0')::int * 60 + coalesce(found[9], '0')::int AS away) AS parts
);

-- The values of a metadata key: the elements of a list, one level deep, or the value itself.
CREATE FUNCTION rag.values_of(content jsonb) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 3
BEGIN ATOMIC
    SELECT jsonb_array_elements(CASE jsonb_typeof(content) WHEN 'array' THEN content ELSE jsonb_build_array(content) END);
END;

CREATE INDEX document_by_metadata ON rag.document USING gin (metadata jsonb_path_ops);
CREATE INDEX document_by_path ON rag.document (path text_pattern_ops);
CREATE INDEX document_by_access ON rag.document (tenant, access_id);
CREATE INDEX document_by_time ON rag.document (modified_at);
