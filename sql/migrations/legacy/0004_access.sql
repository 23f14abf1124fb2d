-- Access below the queries: which text a document's rule of now stands for, and row-level security for a
-- login that serves searches. Pipelines own the tables and are not subject to the policies.

-- Every chunk set that a document shows or that an index version may still show of it. While it is the document's
-- current text, access_id and tenant are NULL and the document's own decide. Once it is not, or may not be
-- (`doubted`: changed content was listed and could not be compared yet), they are what the document had when the
-- text was last known to be its own, and a reader has to pass both: text that was taken out of a document before
-- more people were let in is not shown to them by a version that was built earlier.
CREATE TABLE rag.document_content (
    document_id  bigint NOT NULL REFERENCES rag.document ON DELETE CASCADE,
    chunk_set_id bigint NOT NULL REFERENCES rag.chunk_set ON DELETE CASCADE,
    access_id    integer REFERENCES rag.access_rule,
    tenant       text,
    doubted      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (document_id, chunk_set_id),
    CHECK ((access_id IS NULL) = (tenant IS NULL))
);
CREATE INDEX document_content_by_set ON rag.document_content (chunk_set_id);
CREATE INDEX document_content_former ON rag.document_content (access_id) WHERE access_id IS NOT NULL;

-- What is mapped to a document is its current text.
CREATE FUNCTION rag.content_mapped() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.document_content (document_id, chunk_set_id)
    SELECT DISTINCT document_id, chunk_set_id FROM mapped
    ON CONFLICT (document_id, chunk_set_id) DO UPDATE SET access_id = NULL, tenant = NULL, doubted = false
    WHERE document_content.access_id IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER content_mapped_new AFTER INSERT ON rag.document_chunks
    REFERENCING NEW TABLE AS mapped FOR EACH STATEMENT EXECUTE FUNCTION rag.content_mapped();
CREATE TRIGGER content_mapped_again AFTER UPDATE ON rag.document_chunks
    REFERENCING NEW TABLE AS mapped FOR EACH STATEMENT EXECUTE FUNCTION rag.content_mapped();

-- A document with other bytes, or another title where that is embedded, has none of the text it had; whoever
-- writes the document cannot forget it.
CREATE FUNCTION rag.content_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    new_title text := coalesce(NEW.given_title, (SELECT title FROM rag.parse WHERE parse_id = NEW.parse_id));
BEGIN
    UPDATE rag.document_content c SET
        access_id = coalesce(c.access_id, OLD.access_id), tenant = coalesce(c.tenant, OLD.tenant), doubted = false
    FROM rag.chunk_set s
    WHERE c.document_id = NEW.document_id AND s.chunk_set_id = c.chunk_set_id AND (c.access_id IS NULL OR c.doubted)
      AND (NEW.raw_sha256 <> OLD.raw_sha256 OR s.title <> coalesce(new_title, ''));
    RETURN NULL;
END $$;
CREATE TRIGGER content_replaced AFTER UPDATE ON rag.document FOR EACH ROW
    WHEN (OLD.raw_sha256 <> NEW.raw_sha256 OR OLD.given_title IS DISTINCT FROM NEW.given_title)
    EXECUTE FUNCTION rag.content_replaced();

-- What is stored already: mapped text is current if it was made of the document's bytes.
INSERT INTO rag.document_content (document_id, chunk_set_id, access_id, tenant)
SELECT d.document_id, s.chunk_set_id, CASE WHEN p.parse_id IS NULL THEN d.access_id END,
       CASE WHEN p.parse_id IS NULL THEN d.tenant END
FROM rag.document d JOIN rag.document_chunks USING (document_id) JOIN rag.chunk_set s USING (chunk_set_id)
LEFT JOIN rag.parse p ON p.parse_id = d.parse_id AND p.raw_sha256 = d.raw_sha256 AND p.blocks_sha256 = s.blocks_sha256
ON CONFLICT DO NOTHING;

-- The access rules that a caller passes, as rag.may_read has it. IS TRUE keeps the principals a set that is hashed
-- once, which somebody in a thousand groups would miss.
CREATE FUNCTION rag.rules_of(tenant text, principals text[]) RETURNS integer[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN (
    WITH caller AS MATERIALIZED (
        SELECT unnest(rag.principals_of(rules_of.tenant, rules_of.principals)) AS principal
    )
    SELECT coalesce(array_agg(access_id), '{}') FROM rag.access_rule
    WHERE NOT EXISTS (SELECT FROM unnest(deny) AS denied WHERE (denied IN (SELECT principal FROM caller)) IS TRUE)
      AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(clauses) AS clause
        WHERE NOT EXISTS (SELECT FROM jsonb_array_elements_text(clause) AS named
                          WHERE (named IN (SELECT principal FROM caller)) IS TRUE))
);

-- Says until the end of the transaction for whom it reads. Without it the policies show nothing.
CREATE FUNCTION rag.read_as(tenant text, principals text[]) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT set_config('rag.tenant', tenant, true), set_config('rag.rules', rag.rules_of(tenant, principals)::text, true);
END;

CREATE FUNCTION rag.reader_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('rag.tenant', true), '');

CREATE FUNCTION rag.reader_rules() RETURNS integer[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('rag.rules', true), '')::integer[];

-- The policies. Uncorrelated sub-selects are evaluated once a statement; correlated ones are scalar, because
-- EXISTS would be hashed over all documents for the sake of the few rows that an index scan gives. The sub-selects are
-- subject to the policies of the tables that they read, so that each policy states its own step only.
ALTER TABLE rag.document ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON rag.document FOR SELECT USING (
    tenant = (SELECT rag.reader_tenant()) AND state <> 'tombstoned' AND access_id IN (SELECT unnest(rag.reader_rules())));

ALTER TABLE rag.document_content ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON rag.document_content FOR SELECT USING (
    (access_id IS NULL OR (tenant = (SELECT rag.reader_tenant()) AND access_id IN (SELECT unnest(rag.reader_rules()))))
    AND (SELECT true FROM rag.document d WHERE d.document_id = document_content.document_id));

ALTER TABLE rag.document_chunks ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON rag.document_chunks FOR SELECT USING (
    (SELECT true FROM rag.document_content c
     WHERE c.document_id = document_chunks.document_id AND c.chunk_set_id = document_chunks.chunk_set_id));

ALTER TABLE rag.chunk_set ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON rag.chunk_set FOR SELECT USING (
    (SELECT true FROM rag.document_content c WHERE c.chunk_set_id = chunk_set.chunk_set_id LIMIT 1));

ALTER TABLE rag.chunk ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON rag.chunk FOR SELECT USING (
    (SELECT true FROM rag.document_content c WHERE c.chunk_set_id = chunk.chunk_set_id LIMIT 1));

ALTER TABLE rag.parse ENABLE ROW LEVEL SECURITY;
CREATE POLICY reader ON rag.parse FOR SELECT USING (
    (SELECT true FROM rag.chunk_set s WHERE s.blocks_sha256 = parse.blocks_sha256 LIMIT 1));

-- The roles that searches may log in as; every version's tables are opened to them, under policies.
CREATE TABLE rag.reader (role name PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now());

CREATE FUNCTION rag.protect_version(storage integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rows_of text;
    reader name;
BEGIN
    FOREACH rows_of IN ARRAY ARRAY['vectors_' || storage, 'lexical_' || storage] LOOP
        EXECUTE format('ALTER TABLE rag.%I ENABLE ROW LEVEL SECURITY', rows_of);
        EXECUTE format('DROP POLICY IF EXISTS reader ON rag.%I', rows_of);
        EXECUTE format('CREATE POLICY reader ON rag.%1$I FOR SELECT USING ((SELECT true FROM rag.document_content c '
                       'WHERE c.document_id = %1$I.document_id AND c.chunk_set_id = %1$I.chunk_set_id))', rows_of);
    END LOOP;
    FOR reader IN SELECT role FROM rag.reader JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT ON rag.%I, rag.%I, rag.%I TO %I', 'vectors_' || storage, 'lexical_' || storage,
                       'terms_' || storage, reader);
    END LOOP;
END $$;

-- Text that only a version still holds was its document's at some time; which rule held then is not known any more.
DO $$
DECLARE
    storage integer;
BEGIN
    FOR storage IN SELECT substring(tablename FROM '[0-9]+$')::int FROM pg_tables
                   WHERE schemaname = 'rag' AND tablename ~ '^vectors_[0-9]+$' LOOP
        EXECUTE format('INSERT INTO rag.document_content (document_id, chunk_set_id, access_id, tenant) '
                       'SELECT DISTINCT d.document_id, v.chunk_set_id, d.access_id, d.tenant '
                       'FROM rag.%I v JOIN rag.document d USING (document_id) JOIN rag.chunk_set USING (chunk_set_id) '
                       'ON CONFLICT DO NOTHING', 'vectors_' || storage);
        PERFORM rag.protect_version(storage);
    END LOOP;
END $$;
