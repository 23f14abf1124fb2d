-- Copies of documents: sketches by content, families of them, and what is a copy of what.

-- name: pending_sketches
-- Content of a source's documents that has no sketch of a profile, after `after`.
SELECT DISTINCT p.blocks_sha256
FROM rag.document d JOIN rag.parse p USING (parse_id)
WHERE d.source_id = %(source_id)s AND d.state <> 'tombstoned' AND {documents} AND p.status = 'ok'
  AND (%(buckets)s::smallint[] IS NULL OR d.bucket = ANY(%(buckets)s))
  AND p.blocks_sha256 > %(after)s
  AND NOT EXISTS (SELECT FROM rag.sketch s WHERE s.blocks_sha256 = p.blocks_sha256 AND s.profile_id = %(profile_id)s)
ORDER BY 1 LIMIT %(limit)s;

-- name: hold_blocks
-- Which of these are named by a parse, that stays until commit.
SELECT DISTINCT blocks_sha256 FROM (
    SELECT blocks_sha256 FROM rag.parse WHERE blocks_sha256 = ANY(%(digests)s) ORDER BY parse_id FOR KEY SHARE
) held;

-- name: take_families
-- Inside a transaction: until it has ended no other gives a sketch its family, so that of two copies one sees the other.
SELECT pg_advisory_xact_lock(hashtextextended('rag.sketch_family', 0));

-- name: put_sketch
-- One more sketch, of the family of those that it is alike to. Returns these families: where there are several, they are
-- one from now on (`join_families`). Of a family that is found by many bands already, it is left without its own.
WITH alike AS MATERIALIZED (
    SELECT family FROM rag.sketch
    WHERE bands && %(bands)s::int[] AND profile_id = %(profile_id)s AND blocks_sha256 <> %(digest)s
      AND bit_count(bits # %(bits)s::bit(512)) <= %(apart)s
), families AS (
    SELECT array_agg(DISTINCT family) AS families, count(*) AS members FROM alike
)
INSERT INTO rag.sketch (blocks_sha256, profile_id, words, words_key, numbers_key, bits, bands, family)
SELECT %(digest)s, %(profile_id)s, %(words)s, %(words_key)s, %(numbers_key)s, %(bits)s::bit(512),
       CASE WHEN members < %(enough)s THEN %(bands)s::int[] ELSE '{}' END,
       coalesce((SELECT min(family) FROM alike), nextval('rag.sketch_family'))
FROM families
ON CONFLICT (blocks_sha256) DO UPDATE SET
    profile_id = EXCLUDED.profile_id, words = EXCLUDED.words, words_key = EXCLUDED.words_key,
    numbers_key = EXCLUDED.numbers_key, bits = EXCLUDED.bits, bands = EXCLUDED.bands, family = EXCLUDED.family
RETURNING (SELECT families FROM families) AS families;

-- name: join_families
UPDATE rag.sketch SET family = %(family)s WHERE family = ANY(%(families)s) AND family <> %(family)s;

-- name: sketches_of_chunks
-- The sketches of the texts that chunk sets are cut from.
SELECT cs.key, s.profile_id, s.words_key, substring(bit_send(s.bits) FROM 5) AS bits
FROM rag.chunk_set cs JOIN rag.sketch s USING (blocks_sha256) WHERE cs.key = ANY(%(keys)s);

-- name: copies_in_version
-- Documents that a version shows with a text that is alike to one of some chunk sets'.
SELECT DISTINCT c.document_id
FROM rag.chunk_set kept
JOIN rag.sketch a ON a.blocks_sha256 = kept.blocks_sha256
JOIN rag.sketch b ON b.family = a.family AND b.profile_id = a.profile_id
    AND (b.words_key = a.words_key OR bit_count(b.bits # a.bits) <= %(apart)s)
JOIN rag.chunk_set s ON s.blocks_sha256 = b.blocks_sha256
JOIN rag.document_content c ON c.chunk_set_id = s.chunk_set_id
WHERE kept.key = ANY(%(keys)s) AND EXISTS (
    SELECT FROM {vectors} v WHERE v.document_id = c.document_id AND v.chunk_set_id = c.chunk_set_id);

-- name: knowledge_sources
-- Documents of each source, and those without an author, without a date, and last modified before `before`.
SELECT s.name AS source, count(*) AS documents,
       count(*) FILTER (WHERE coalesce(d.author, '') = '') AS without_author,
       count(*) FILTER (WHERE d.modified_at IS NULL) AS undated,
       count(*) FILTER (WHERE d.modified_at < %(before)s) AS stale,
       count(*) FILTER (WHERE p.status = 'ok' AND NOT EXISTS (
           SELECT FROM rag.sketch k WHERE k.blocks_sha256 = p.blocks_sha256 AND k.profile_id = %(profile_id)s)) AS unsketched
FROM rag.source s JOIN rag.document d USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned'
GROUP BY s.name;

-- name: knowledge_examples
-- The longest unchanged documents without an author, or of all that were last modified before `before`.
SELECT s.name AS source, d.external_id, coalesce(d.given_title, p.title, d.name) AS title, d.url, d.modified_at, d.author
FROM rag.source s JOIN rag.document d USING (source_id) LEFT JOIN rag.parse p USING (parse_id)
WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned'
  AND CASE WHEN %(before)s::timestamptz IS NULL THEN coalesce(d.author, '') = '' ELSE d.modified_at < %(before)s END
ORDER BY d.modified_at NULLS FIRST, d.document_id LIMIT %(limit)s;

-- name: related_documents
-- Documents whose family has another document of their tenant, family by family.
WITH related AS (
    SELECT s.name AS source, d.*, p.title, p.blocks_sha256, k.family, k.words_key, k.numbers_key, k.bits,
           count(*) OVER (PARTITION BY d.tenant, k.family) AS members
    FROM rag.source s JOIN rag.document d USING (source_id) JOIN rag.parse p USING (parse_id)
    JOIN rag.sketch k USING (blocks_sha256)
    WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned' AND k.profile_id = %(profile_id)s
)
SELECT source, tenant, external_id, coalesce(given_title, title, name) AS title, url, modified_at, author,
       blocks_sha256, family, words_key, numbers_key, substring(bit_send(bits) FROM 5) AS bits
FROM related WHERE members > 1 ORDER BY tenant, family, document_id;

-- name: metric_copies
-- Documents of each source that have a copy, or are nearly one, in a source of theirs or another of their tenant.
WITH known AS MATERIALIZED (
    SELECT s.name AS source, d.tenant, d.document_id, k.family, k.profile_id, k.words_key, k.bits,
           count(*) OVER (PARTITION BY d.tenant, k.family) AS members
    FROM rag.source s JOIN rag.document d USING (source_id) JOIN rag.parse p USING (parse_id)
    JOIN rag.sketch k USING (blocks_sha256)
    WHERE s.name = ANY(%(sources)s) AND d.state <> 'tombstoned'
), related AS MATERIALIZED (
    SELECT * FROM known WHERE members > 1
)
SELECT r.source, count(*) AS documents FROM related r
WHERE EXISTS (SELECT FROM related o
              WHERE o.tenant = r.tenant AND o.family = r.family AND o.document_id <> r.document_id
                AND o.profile_id = r.profile_id
                AND (o.words_key = r.words_key OR bit_count(o.bits # r.bits) <= %(apart)s))
GROUP BY 1;
