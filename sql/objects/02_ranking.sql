-- BM25 without an extension (Robertson et al. 1995). The term-frequency part of the score is stored per chunk as a
-- sparse vector; the query vector carries the idf of the index version, so the inner product is the score.

-- object: FUNCTION rag.term_id(text)
-- A term's dimension. hashtextextended is stable within a cluster and over pg_upgrade (hash partitioning rests
-- on it); an index version never leaves its cluster.
CREATE OR REPLACE FUNCTION rag.term_id(lexeme text) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (abs(hashtextextended(lexeme, 0) % 1000000000) + 1)::integer;

-- object: FUNCTION rag.bm25_weights(tsvector, float8, float8)
-- tf * (k1 + 1) / (tf + saturation) of every term, with saturation = k1 * (1 - b + b * length / average length);
-- at most 16000 terms, the limit of the type, the heaviest first.
CREATE OR REPLACE FUNCTION rag.bm25_weights(words tsvector, k1 float8, saturation float8) RETURNS sparsevec
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT ('{' || coalesce(string_agg(term || ':' || (tf * (k1 + 1) / (tf + saturation))::real, ','), '')
            || '}/1000000000')::sparsevec
    FROM (
        SELECT rag.term_id(lexeme) AS term, sum(cardinality(positions))::float8 AS tf
        FROM unnest(words) GROUP BY 1 ORDER BY 2 DESC LIMIT 16000
    ) AS terms
);

-- object: FUNCTION rag.posting(integer, integer)
-- A posting is a row's number and a word's share in its score (1 to 255 parts of k1 + 1), in five bytes.
CREATE OR REPLACE FUNCTION rag.posting(slot integer, impact integer) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN int4send(slot) || substring(int4send(impact) FROM 4);

-- object: FUNCTION rag.first_row(bytea)
-- The number of the row of the first of some postings.
CREATE OR REPLACE FUNCTION rag.first_row(entries bytea) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (get_byte(entries, 0) << 24) + (get_byte(entries, 1) << 16) + (get_byte(entries, 2) << 8) + get_byte(entries, 3);

-- object: FUNCTION rag.impact(integer, float8, float8)
-- How much a word counts in a text: tf * (k1 + 1) / (tf + saturation), as in rag.bm25_weights. Not strict: GREATEST would
-- keep Postgres from putting the body in place of a call then, which a build makes for every word of every row.
CREATE OR REPLACE FUNCTION rag.impact(tf integer, k1 float8, saturation float8) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(round(255 * tf / (tf + saturation)), 1)::integer;

-- object: FUNCTION rag.postings_without(bytea, integer[])
-- What is left of some postings without these rows. Each is looked for as bytes, which may also stand across two postings.
CREATE OR REPLACE FUNCTION rag.postings_without(entries bytea, rows integer[]) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    gone bytea;
    place integer;
    ahead integer;
BEGIN
    FOR gone IN SELECT int4send(one) FROM unnest(rows) AS one LOOP
        place := 0;
        LOOP
            ahead := position(gone IN substring(entries FROM place + 1));
            EXIT WHEN ahead = 0;
            place := place + ahead;
            IF place % 5 = 1 THEN
                entries := overlay(entries PLACING '' FROM place FOR 5);
                EXIT;
            END IF;
        END LOOP;
    END LOOP;
    RETURN entries;
END $$;
