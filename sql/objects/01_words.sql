-- How text is read for the lexical index: words stemmed by their language, identifiers as typed and by their parts,
-- and in which language a text is. A question is read by the same functions.

-- object: FUNCTION rag.identifiers_apart(text)
-- The text with identifiers taken apart, for Postgres takes "a/b.c", a path or an address for one word, "E-4417" for
-- "e" and "-4417", and "<name>" for no word at all. Decimals and versions (3.11.2) stay whole. C++ and C# are words.
CREATE OR REPLACE FUNCTION rag.identifiers_apart(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN regexp_replace(
    CASE WHEN strpos(content, '++') + strpos(content, '#') > 0
         THEN regexp_replace(regexp_replace(content, '([[:alpha:]])\+\+', '\1plusplus ', 'g'),
                             '([[:alpha:]])#(?![[:alnum:]])', '\1sharp ', 'g')
         ELSE content END,
    '[-+](?=[[:digit:]])|[/@<>&]|\.(?=[[:alpha:]])|(?<=[[:alpha:]])\.(?=[[:digit:]])', ' ', 'g');

-- object: FUNCTION rag.identifiers_joined(text)
-- The identifiers in a text, each as one word without its joints, so that E-4417, e_4417 and E4417 are the same rare
-- word; of paths and addresses each segment too; a version without its v; and camelCase names by their parts.
-- Words with hyphens and decimals are no identifiers, nor is "and/or".
CREATE OR REPLACE FUNCTION rag.identifiers_joined(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT string_agg(concat_ws(' ',
        CASE WHEN name ~ '^[vV][0-9.]+$' THEN substr(name, 2)
             WHEN name ~ '[-_./\\@:]' THEN translate(name, '-_./\@:', '') END,
        CASE WHEN name ~ '^[^/\\@:]*[[:lower:]]{2}[[:upper:]][^/\\@:]*$'
             THEN regexp_replace(translate(name, '-_.', '   '), '([[:lower:]]{2})([[:upper:]])', '\1 \2', 'g') END), ' ')
    FROM regexp_matches(
            content,
            '[[:alnum:]]+(?:[-_./\\@:]+[[:alnum:]]+)+|[[:alnum:]]*[[:lower:]]{2}[[:upper:]][[:alnum:]]*', 'g') AS found,
         unnest(found || CASE WHEN found[1] ~ '[/\\@:]' THEN string_to_array(translate(found[1], '\@:', '///'), '/') END)
             AS name
    WHERE name ~ '[0-9]-|-[0-9]|[_.\\@:]|/.*/|[0-9].*/|/.*[0-9]|[[:lower:]]{2}[[:upper:]]'
      AND name !~ '^[0-9.]+$' AND length(name) <= 100
);

-- object: FUNCTION rag.words(regconfig, text)
-- The indexed words of a text. Joined identifiers stand behind the text, so that phrases keep their distances. Read are
-- 100,000 characters: a tsvector numbers 16,383 words and holds a megabyte, which as many addresses or hashes fill.
CREATE OR REPLACE FUNCTION rag.words(language regconfig, content text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT to_tsvector(language, concat_ws(' ', rag.identifiers_apart(head), rag.identifiers_joined(head)))
    FROM left(content, 100000) AS head
);

-- object: FUNCTION rag.text_length(tsvector)
-- The number of indexed words in a text.
CREATE OR REPLACE FUNCTION rag.text_length(words tsvector) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(sum(cardinality(positions)), 0)::integer FROM unnest(words));

-- object: FUNCTION rag.question_words(regconfig[], text)
-- The words of a question to an index in several languages: read in that of which it has the most stop words, or in
-- each of these where it does not tell. The stop words of one language are rare words in the texts of another.
CREATE OR REPLACE FUNCTION rag.question_words(languages regconfig[], question text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_to_tsvector(array_agg(DISTINCT lexeme))
    FROM (SELECT language, rank() OVER (ORDER BY rag.text_length(to_tsvector(language, question))) AS place
          FROM unnest(languages) AS language) AS one,
         unnest(rag.words(language, question))
    WHERE place = 1
);

-- object: FUNCTION rag.phrases_query(regconfig[], text[])
-- What a chunk's words have to match to hold every one of some phrases, in any of the languages; NULL where nothing
-- is asked of it, as by a phrase of stop words, which are not in the index.
CREATE OR REPLACE FUNCTION rag.phrases_query(languages regconfig[], phrases text[]) RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT string_agg('(' || readings || ')', ' & ')::tsquery
    FROM (
        SELECT string_agg(DISTINCT '(' || wanted::text || ')', ' | ') AS readings, bool_and(numnode(wanted) > 0) AS known
        FROM unnest(phrases) WITH ORDINALITY AS phrase (content, place), unnest(languages) AS language,
             phraseto_tsquery(language, rag.identifiers_apart(content)) AS wanted
        GROUP BY place
    ) AS one
    WHERE known
);

-- object: FUNCTION rag.language_of(text, text, regconfig, jsonb)
-- The language a text is read in: one of `languages` (configurations by ISO 639 code) that the document declares;
-- else that of which it has the most stop words, which is the one that leaves the fewest words; else `language`.
CREATE OR REPLACE FUNCTION rag.language_of(declared text, content text, language regconfig, languages jsonb) RETURNS regconfig
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN languages = '{}' THEN language ELSE coalesce(
    (languages ->> lower(split_part(replace(declared, '_', '-'), '-', 1)))::regconfig,
    (SELECT candidate
     FROM (SELECT language, 0 UNION ALL SELECT value::regconfig, 1 FROM jsonb_each_text(languages)) AS one (candidate, place)
     ORDER BY rag.text_length(to_tsvector(candidate, left(content, 300))), place, candidate::text
     LIMIT 1)) END;
