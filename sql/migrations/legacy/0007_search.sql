-- Searching large indexes: rules found by the principals that they name, and the words of a version as postings.

CREATE FUNCTION rag.named_in(clauses jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT coalesce(array_agg(DISTINCT named), '{}')
    FROM jsonb_array_elements(clauses) AS clause, jsonb_array_elements_text(clause) AS named
);
ALTER TABLE rag.access_rule ADD COLUMN named text[] NOT NULL GENERATED ALWAYS AS (rag.named_in(clauses)) STORED;
CREATE INDEX access_rule_by_principal ON rag.access_rule USING gin (named) WITH (fastupdate = off);
CREATE INDEX access_rule_naming_none ON rag.access_rule (access_id) WHERE named = '{}';

-- The access rules that a caller passes, as rag.may_read has it: of the rules that name one of the caller's principals,
-- and of those that name nobody. One clause without denials is met by being found. IS TRUE keeps the principals a set
-- that is hashed once, which somebody in a thousand groups would miss.
CREATE OR REPLACE FUNCTION rag.rules_of(tenant text, principals text[]) RETURNS integer[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN (
    WITH held AS MATERIALIZED (
        SELECT rag.principals_of(rules_of.tenant, rules_of.principals) AS principals
    ), caller AS MATERIALIZED (
        SELECT unnest(h.principals) AS principal FROM held h
    ), passed AS (
        SELECT access_id FROM rag.access_rule
        WHERE named && (SELECT h.principals FROM held h)
          AND CASE WHEN deny = '{}' AND jsonb_array_length(clauses) = 1 THEN true ELSE
            NOT EXISTS (SELECT FROM unnest(deny) AS denied WHERE (denied IN (SELECT principal FROM caller)) IS TRUE)
            AND NOT EXISTS (
                SELECT FROM jsonb_array_elements(clauses) AS clause
                WHERE NOT EXISTS (SELECT FROM jsonb_array_elements_text(clause) AS one
                                  WHERE (one IN (SELECT principal FROM caller)) IS TRUE))
          END
        UNION ALL
        SELECT access_id FROM rag.access_rule
        WHERE named = '{}' AND clauses = '[]'
          AND NOT EXISTS (SELECT FROM unnest(deny) AS denied WHERE (denied IN (SELECT principal FROM caller)) IS TRUE)
    )
    SELECT coalesce(array_agg(access_id), '{}') FROM passed
);

-- Documents of a rule, read from the index alone.
DROP INDEX rag.document_by_access;
CREATE INDEX document_by_access ON rag.document (tenant, access_id, document_id) WHERE state <> 'tombstoned';

-- A posting is a row's number and a word's share in its score (1 to 255 parts of k1 + 1), in five bytes.
CREATE FUNCTION rag.posting(slot integer, impact integer) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN int4send(slot) || substring(int4send(impact) FROM 4);

-- How much a word counts in a text: tf * (k1 + 1) / (tf + saturation), as in rag.bm25_weights.
CREATE FUNCTION rag.impact(tf integer, k1 float8, saturation float8) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN greatest(round(255 * tf / (tf + saturation)), 1)::integer;

-- What is left of some postings without these rows.
CREATE FUNCTION rag.postings_without(entries bytea, rows integer[]) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT coalesce(string_agg(entry, '' ORDER BY place), '')
    FROM (SELECT place, substring(entries FROM place * 5 + 1 FOR 5) AS entry
          FROM generate_series(0, length(entries) / 5 - 1) AS place) AS each
    WHERE substring(entry FOR 4) NOT IN (SELECT int4send(gone) FROM unnest(rows) AS gone)
);

-- The tables of versions that were built before: their rows get numbers, and their words postings. What is made anew
-- gets its policies in 0011_policies.sql.
DO $$
DECLARE
    number integer;
    hnsw text;
    v rag.index_version;
    k1 float8;
    b float8;
BEGIN
    FOR number IN SELECT substring(tablename FROM '[0-9]+$')::int FROM pg_tables
                   WHERE schemaname = 'rag' AND tablename ~ '^vectors_[0-9]+$' LOOP
        SELECT * INTO v FROM rag.index_version i WHERE i.storage = number ORDER BY version_id DESC LIMIT 1;
        k1 := coalesce((v.params #>> '{index,lexical,k1}')::float8, 1.2);
        b := coalesce((v.params #>> '{index,lexical,b}')::float8, 0.75);
        SELECT indexdef INTO hnsw FROM pg_indexes
        WHERE schemaname = 'rag' AND tablename = 'vectors_' || number AND indexdef LIKE '%USING hnsw%';
        EXECUTE format($q$
            ALTER TABLE rag.vectors_%1$s RENAME TO vectors_before;
            CREATE TABLE rag.vectors_%1$s AS
                SELECT (row_number() OVER ())::integer AS slot, document_id, chunk_set_id, ordinal, embedding, weights
                FROM rag.vectors_before JOIN rag.lexical_%1$s USING (document_id, chunk_set_id, ordinal);
            DROP TABLE rag.vectors_before;
            ALTER TABLE rag.vectors_%1$s ALTER COLUMN embedding SET STORAGE PLAIN;
            ALTER TABLE rag.vectors_%1$s ALTER COLUMN slot SET NOT NULL;
            ALTER TABLE rag.vectors_%1$s ALTER COLUMN slot ADD GENERATED BY DEFAULT AS IDENTITY;
            SELECT setval(pg_get_serial_sequence('rag.vectors_%1$s', 'slot'), (SELECT count(*) + 1 FROM rag.vectors_%1$s));
            ALTER TABLE rag.vectors_%1$s ADD PRIMARY KEY (document_id, chunk_set_id, ordinal), ADD UNIQUE (slot);
            ALTER TABLE rag.lexical_%1$s RENAME TO lexical_before;
            CREATE TABLE rag.lexical_%1$s AS
                SELECT d.tenant COLLATE "C" AS tenant, document_id, l.chunk_set_id, l.ordinal, l.words
                FROM rag.lexical_before l JOIN rag.document d USING (document_id);
            DROP TABLE rag.lexical_before;
            ALTER TABLE rag.lexical_%1$s ADD PRIMARY KEY (document_id, chunk_set_id, ordinal);
            CREATE INDEX ON rag.lexical_%1$s USING gin (words) WITH (fastupdate = off);
            CREATE TABLE rag.postings_%1$s (
                tenant text COLLATE "C" NOT NULL, term integer NOT NULL, first integer NOT NULL, entries bytea NOT NULL);
            ALTER TABLE rag.postings_%1$s ALTER COLUMN entries SET STORAGE PLAIN;
            INSERT INTO rag.postings_%1$s
                SELECT tenant, term, min(slot), string_agg(rag.posting(slot, impact), '' ORDER BY slot)
                FROM (SELECT l.tenant, rag.term_id(w.lexeme) AS term, v.slot,
                             rag.impact(cardinality(w.positions), %2$s, l.saturation) AS impact,
                             (row_number() OVER (PARTITION BY l.tenant, rag.term_id(w.lexeme) ORDER BY v.slot) - 1) / 1600 AS block
                      FROM (SELECT *, %2$s * (1 - %3$s + %3$s * rag.text_length(words) / %4$s) AS saturation
                            FROM rag.lexical_%1$s OFFSET 0) l
                      JOIN rag.vectors_%1$s v USING (document_id, chunk_set_id, ordinal), unnest(l.words) w) AS one
                GROUP BY tenant, term, block;
            ALTER TABLE rag.postings_%1$s ADD PRIMARY KEY (tenant, term, first);
            DROP TABLE rag.terms_%1$s;
            CREATE TABLE rag.terms_%1$s (
                tenant text COLLATE "C" NOT NULL, term integer NOT NULL, documents integer NOT NULL, PRIMARY KEY (tenant, term));
            INSERT INTO rag.terms_%1$s
                SELECT tenant, term, sum(length(entries) / 5) FROM rag.postings_%1$s GROUP BY 1, 2
                UNION ALL SELECT tenant, 0, count(*) FROM rag.lexical_%1$s GROUP BY 1
            $q$, number, k1, b, coalesce((v.params ->> 'average_length')::float8, 1));
        IF hnsw IS NOT NULL THEN
            EXECUTE hnsw;
        END IF;
    END LOOP;
END $$;
