-- What is held is not removed, whoever removes it, until the hold is released or over.

-- object: FUNCTION rag.hold_matches(rag.hold, rag.document)
CREATE OR REPLACE FUNCTION rag.hold_matches(hold rag.hold, held rag.document) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (hold.source IS NULL OR EXISTS (
                SELECT FROM rag.source s WHERE s.source_id = held.source_id AND s.name = hold.source))
       AND (hold.document IS NULL OR held.external_id = hold.document)
       AND (hold.path IS NULL OR held.path LIKE translate(
                replace(replace(replace(hold.path, '\', '\\'), '%', '\%'), '_', '\_'), '*?', '%_'))
       AND (hold.label IS NULL OR EXISTS (
                SELECT FROM jsonb_each(held.metadata) AS field, rag.values_of(field.value) AS one
                WHERE lower(one #>> '{}') = lower(hold.label)));

-- object: FUNCTION rag.hold_of(rag.document)
-- The hold that keeps a document, the oldest of several; NULL without one.
CREATE OR REPLACE FUNCTION rag.hold_of(held rag.document) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT min(h.hold_id) FROM rag.hold h
            WHERE h.released_at IS NULL AND (h.until IS NULL OR h.until > now())
              AND (rag.hold_matches(h, held) OR EXISTS (
                  SELECT FROM rag.held_document p WHERE p.hold_id = h.hold_id AND p.document_id = held.document_id)));

-- object: FUNCTION rag.keep_hold()
-- A document that leaves what a hold names stays held: else moving it at the source would end the hold.
CREATE OR REPLACE FUNCTION rag.keep_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rag.held_document (hold_id, document_id)
    SELECT h.hold_id, OLD.document_id FROM rag.hold h
    WHERE h.released_at IS NULL AND (h.until IS NULL OR h.until > now()) AND rag.hold_matches(h, OLD)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- object: TRIGGER keep_hold ON rag.document
CREATE OR REPLACE TRIGGER keep_hold AFTER UPDATE ON rag.document FOR EACH ROW
    WHEN ((OLD.external_id, OLD.path, OLD.metadata) IS DISTINCT FROM (NEW.external_id, NEW.path, NEW.metadata))
    EXECUTE FUNCTION rag.keep_hold();

-- object: FUNCTION rag.refuse_held()
-- The last line: whoever deletes looks for holds himself. Where a document moved, its new row goes into its old one.
CREATE OR REPLACE FUNCTION rag.refuse_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF rag.hold_of(OLD) IS NOT NULL AND current_setting('rag.moving', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'document % is held by hold %', OLD.document_id, rag.hold_of(OLD) USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

-- object: TRIGGER refuse_held ON rag.document
CREATE OR REPLACE TRIGGER refuse_held BEFORE DELETE ON rag.document FOR EACH ROW EXECUTE FUNCTION rag.refuse_held();

-- object: FUNCTION rag.refuse_source_of_held()
-- The same for a source, which takes its documents with it.
CREATE OR REPLACE FUNCTION rag.refuse_source_of_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM rag.document d WHERE d.source_id = OLD.source_id AND rag.hold_of(d) IS NOT NULL) THEN
        RAISE EXCEPTION 'a document of source % is held', OLD.name USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

-- object: TRIGGER refuse_held ON rag.source
CREATE OR REPLACE TRIGGER refuse_held BEFORE DELETE ON rag.source
    FOR EACH ROW EXECUTE FUNCTION rag.refuse_source_of_held();

-- object: FUNCTION rag.past_retention(jsonb, jsonb, timestamptz, timestamptz)
-- Whether a document is past its retention. `rules` are objects of `label` (NULL: of the source), `field` of the
-- metadata that holds labels, `basis` and `seconds`. Rules of its labels count, or that of the source where there is none of
-- these; past is what is past all that count. A creation that the source does not tell is when it was first stored.
CREATE OR REPLACE FUNCTION rag.past_retention(
    rules jsonb, metadata jsonb, modified_at timestamptz, stored_at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
    WITH rule AS (
        SELECT r.seconds, r.label, r.basis, r.label IS NOT NULL AND EXISTS (
            SELECT FROM rag.values_of(metadata -> r.field) AS one WHERE lower(one #>> '{}') = r.label) AS fits
        FROM jsonb_to_recordset(rules) AS r (label text, field text, basis text, seconds float8)
    )
    SELECT coalesce(bool_and(
        CASE r.basis WHEN 'created_at'
             THEN coalesce(rag.moment(metadata ->> 'created_at'), rag.moment(metadata ->> 'created'), stored_at)
             ELSE coalesce(modified_at, stored_at) END < now() - make_interval(secs => r.seconds)), false)
    FROM rule r
    WHERE r.fits OR (r.label IS NULL AND NOT EXISTS (SELECT FROM rule o WHERE o.fits));
    END;
