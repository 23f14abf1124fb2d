-- How text is read for the lexical index: words stemmed by their language, with their accents and without, scripts
-- that put no spaces between words by pairs of characters, identifiers as typed and by their parts, and in which
-- language a text is. A question is read by the same functions.

-- object: FUNCTION rag.width_folded(text)
-- The text with one form of each character (NFKC, UAX #15): full-width letters, half-width kana, ligatures. Raised
-- digits and fractions stay apart from what they follow ("10^6", "2 1/2"); a trade mark or an ellipsis ends a word.
CREATE OR REPLACE FUNCTION rag.width_folded(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(content) = length(content) THEN content ELSE normalize(regexp_replace(
    translate(content, '™℠®©…', '     '),
    '([\u00B2\u00B3\u00B9\u2070-\u207F\u00BC-\u00BE\u2150-\u215F]+)', ' \1', 'g'), NFKC) END;

-- object: FUNCTION rag.accents_folded(text)
-- The text without accents, vowel points and tatweel; letters that are no letter with an accent are spelled out.
CREATE OR REPLACE FUNCTION rag.accents_folded(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(content) = length(content) THEN content ELSE translate(
    replace(replace(replace(normalize(regexp_replace(
        normalize(content, NFD),
        '[\u0300-\u036F\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u0610-\u061A\u0640\u064B-\u065F\u0670]',
        '', 'g'), NFC), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
    'øØłŁđĐðÐıħĦŧŦ', 'oOlLdDdDihHtT') END;

-- object: FUNCTION rag.pairs_apart(text)
-- The text with scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese; and Korean,
-- whose particles hang on the word) as overlapping pairs of characters, a single one alone; a mark stays with its
-- character. A word is then its pairs in a row (as by the CJKBigramFilter of Lucene).
CREATE OR REPLACE FUNCTION rag.pairs_apart(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN content !~ '[\u0E01-\u0EDF\u1000-\u109F\u1780-\u17DD\u3005-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]'
THEN content ELSE (
    SELECT string_agg(CASE WHEN letter IS NULL THEN others
                           WHEN next IS NOT NULL THEN ' ' || letter || next
                           WHEN last IS NOT NULL THEN ' '
                           ELSE ' ' || letter || ' ' END, '' ORDER BY place)
    FROM (SELECT place, match[1] AS letter, match[2] AS others,
                 lag(match[1]) OVER (ORDER BY place) AS last, lead(match[1]) OVER (ORDER BY place) AS next
          FROM regexp_matches(
              content,
              '([\u0E01-\u0E30\u0E32\u0E33\u0E40-\u0E46\u0E81-\u0EB0\u0EB2\u0EB3\u0EBD-\u0EC6\u0EDC-\u0EDF\u1000-\u102A\u103F\u1050-\u1055\u1780-\u17B3\u3005-\u3007\u3041-\u3096\u309D-\u309F\u30A1-\u30FA\u30FC-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF][\u0E31\u0E34-\u0E3A\u0E47-\u0E4E\u0EB1\u0EB4-\u0EBC\u0EC8-\u0ECE\u102B-\u103E\u1056-\u1059\u17B4-\u17D3\u17DD]*)|([^\u0E01-\u0E30\u0E32\u0E33\u0E40-\u0E46\u0E81-\u0EB0\u0EB2\u0EB3\u0EBD-\u0EC6\u0EDC-\u0EDF\u1000-\u102A\u103F\u1050-\u1055\u1780-\u17B3\u3005-\u3007\u3041-\u3096\u309D-\u309F\u30A1-\u30FA\u30FC-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]+)',
              'g') WITH ORDINALITY AS piece (match, place)) AS beside) END;

-- object: FUNCTION rag.single_characters(text)
-- The Chinese, Japanese and Korean characters of a text that may be words by themselves, each once.
CREATE OR REPLACE FUNCTION rag.single_characters(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN content ~ '[\u3400-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]' THEN (
    SELECT string_agg(DISTINCT letter, ' ')
    FROM regexp_split_to_table(
        regexp_replace(content, '[^\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]', '', 'g'),
        '') AS letter) END;

-- object: FUNCTION rag.identifiers_apart(text)
-- The text with identifiers taken apart, for Postgres takes "a/b.c", a path or an address for one word, "E-4417" for
-- "e" and "-4417", and "<name>" for no word at all. Decimals and versions (3.11.2) stay whole. C++, C#, AT&T, .NET and
-- the section sign are words.
CREATE OR REPLACE FUNCTION rag.identifiers_apart(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN regexp_replace(
    regexp_replace(
        CASE WHEN content ~ '\+\+|[#&§]' THEN
             regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
                 content, '([[:alpha:]])\+\+', '\1plusplus ', 'g'),
                 '([[:alpha:]])#(?![[:alnum:]])', '\1sharp ', 'g'),
                 '\m([[:alpha:]]{1,3})&([[:alpha:]]{1,3})\M', '\1and\2 ', 'g'),
                 '\m([[:upper:]]{1,3}) & ([[:upper:]])\M', '\1and\2 ', 'g'),
                 '§[§\s]*', ' sectionsign ', 'g')
             ELSE content END,
        '(?<![[:alnum:]./\\])\.([[:alpha:]][[:alnum:]]*)', ' dot\1 \1', 'g'),
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

-- object: FUNCTION rag.as_typed(text)
-- The text, its width folded, as Postgres' parser is given it, in the order of its words.
CREATE OR REPLACE FUNCTION rag.as_typed(content text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rag.pairs_apart(rag.identifiers_apart(content));

-- object: FUNCTION rag.words_as_typed_and_folded(regconfig, text)
-- The words of a text, each with its accents and, at the same place, without: "Zurich" finds Zürich, also in a phrase.
CREATE OR REPLACE FUNCTION rag.words_as_typed_and_folded(language regconfig, content text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT CASE WHEN folded = content THEN to_tsvector(language, content)
                ELSE (to_tsvector(language, content)::text || ' ' || to_tsvector(language, folded)::text)::tsvector END
    FROM rag.accents_folded(content) AS folded
);

-- object: FUNCTION rag.words(regconfig, text)
-- The indexed words of a text. Joined identifiers and single characters that are words (of Chinese, Japanese and Korean)
-- stand behind the text, so that phrases keep their distances. Read are 100,000 characters, of scripts read by pairs
-- 30,000: a tsvector numbers 16,383 words and holds a megabyte, which as many addresses, hashes or pairs fill.
CREATE OR REPLACE FUNCTION rag.words(language regconfig, content text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT rag.words_as_typed_and_folded(
        language, concat_ws(' ', rag.as_typed(head), rag.identifiers_joined(head), rag.single_characters(head)))
    FROM rag.width_folded(left(content, CASE WHEN octet_length(content) > 2 * length(content) THEN 30000
                                             ELSE 100000 END)) AS head
);

-- object: FUNCTION rag.place_words(text, text)
-- The words of a path that a text lacks, of its folders and of its file's name without the ending, in their order. A part
-- without a letter is a number of some system's own, unless it is a year; one of 16 hexadecimal digits or more a hash.
CREATE OR REPLACE FUNCTION rag.place_words(path text, known text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT string_agg(word, ' ' ORDER BY place, piece)
    FROM (SELECT part, place
          FROM regexp_split_to_table(regexp_replace(path, '\.[[:alnum:]]{1,5}$', ''), '[/\\]+')
               WITH ORDINALITY AS parts (part, place)
          WHERE part ~ '[[:alpha:]]|^(19|20)[0-9]{2}$' AND part !~ '^[0-9a-fA-F-]{16,}$') AS meant,
         regexp_split_to_table(part, '[^[:alnum:].]+') WITH ORDINALITY AS pieces (found, piece),
         trim(found, '.') AS word,
         regexp_split_to_array(lower(known || ' '), '[.]?[^[:alnum:].]+') AS words
    WHERE length(word) BETWEEN 2 AND 40 AND lower(word) <> ALL (words)
);

-- object: FUNCTION rag.text_length(tsvector)
-- The number of indexed words in a text; a word as typed and without its accents stands at one place and is one.
CREATE OR REPLACE FUNCTION rag.text_length(words tsvector) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT count(DISTINCT place)::integer FROM unnest(words), unnest(positions) AS place);

-- object: FUNCTION rag.question_read(regconfig[], text)
-- The words of a question to an index in several languages, with their places: read in that of which it has the most stop
-- words, or in each of these where it does not tell. The stop words of one language are rare words in the texts of another.
CREATE OR REPLACE FUNCTION rag.question_read(languages regconfig[], question text) RETURNS tsvector[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_agg(rag.words_as_typed_and_folded(
               language, concat_ws(' ', rag.as_typed(folded), rag.identifiers_joined(folded))))
    FROM (SELECT language, rank() OVER (ORDER BY rag.text_length(to_tsvector(language, question))) AS place
          FROM unnest(languages) AS language) AS one,
         rag.width_folded(question) AS folded
    WHERE place = 1
);

-- object: FUNCTION rag.question_words(regconfig[], text)
-- The same without their places, each once.
CREATE OR REPLACE FUNCTION rag.question_words(languages regconfig[], question text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_to_tsvector(array_agg(DISTINCT lexeme))
    FROM unnest(rag.question_read(languages, question)) AS reading, unnest(reading)
);

-- object: FUNCTION rag.question_pairs(tsvector[])
-- What a chunk's words have to match to hold two words that stand beside each other in a question that was read, for each
-- such two; NULL where there are none. At most 32: a longer text is no question.
CREATE OR REPLACE FUNCTION rag.question_pairs(readings tsvector[]) RETURNS tsquery[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    WITH word AS MATERIALIZED (
        SELECT number, at, lexeme,
               ('''' || replace(replace(lexeme, '\', '\\'), '''', '''' || '''') || '''')::tsquery AS wanted
        FROM unnest(readings) WITH ORDINALITY AS each (reading, number), unnest(reading) AS w, unnest(w.positions) AS at
    ), pair AS (
        SELECT one.wanted <-> next.wanted AS wanted, min(one.at) AS at
        FROM word one JOIN word next ON next.number = one.number AND next.at = one.at + 1 AND next.lexeme <> one.lexeme
        GROUP BY 1 ORDER BY at, 1 LIMIT 32
    )
    SELECT array_agg(wanted ORDER BY at, wanted) FROM pair
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
             phraseto_tsquery(language, rag.as_typed(rag.width_folded(content))) AS wanted
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
