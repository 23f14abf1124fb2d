-- The whole schema: what sql/migrations and sql/objects make, as pg_dump of Postgres 18 prints it.
-- Written by `make schema`; to be read, not run.

CREATE SCHEMA rag;

CREATE SCHEMA rag_facts;

CREATE FUNCTION rag.accents_folded(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (octet_length(content) = length(content)) THEN content ELSE translate(replace(replace(replace(NORMALIZE(regexp_replace(NORMALIZE(content, NFD), '[\u0300-\u036F\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u0610-\u061A\u0640\u064B-\u065F\u0670]'::text, ''::text, 'g'::text), NFC), 'ß'::text, 'ss'::text), 'æ'::text, 'ae'::text), 'œ'::text, 'oe'::text), 'øØłŁđĐðÐıħĦŧŦ'::text, 'oOlLdDdDihHtT'::text) END;

CREATE FUNCTION rag.identifiers_apart(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace(regexp_replace(CASE WHEN (content ~ '\+\+|[#&§]'::text) THEN regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(content, '([[:alpha:]])\+\+'::text, '\1plusplus '::text, 'g'::text), '([[:alpha:]])#(?![[:alnum:]])'::text, '\1sharp '::text, 'g'::text), '\m([[:alpha:]]{1,3})&([[:alpha:]]{1,3})\M'::text, '\1and\2 '::text, 'g'::text), '\m([[:upper:]]{1,3}) & ([[:upper:]])\M'::text, '\1and\2 '::text, 'g'::text), '§[§\s]*'::text, ' sectionsign '::text, 'g'::text) ELSE content END, '(?<![[:alnum:]./\\])\.([[:alpha:]][[:alnum:]]*)'::text, ' dot\1 \1'::text, 'g'::text), '[-+](?=[[:digit:]])|[/@<>&]|\.(?=[[:alpha:]])|(?<=[[:alpha:]])\.(?=[[:digit:]])'::text, ' '::text, 'g'::text);

CREATE FUNCTION rag.pairs_apart(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (content !~ '[\u0E01-\u0EDF\u1000-\u109F\u1780-\u17DD\u3005-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]'::text) THEN content ELSE (SELECT string_agg(CASE WHEN (beside.letter IS NULL) THEN beside.others WHEN (beside.next IS NOT NULL) THEN ((' '::text || beside.letter) || beside.next) WHEN (beside.last IS NOT NULL) THEN ' '::text ELSE ((' '::text || beside.letter) || ' '::text) END, ''::text ORDER BY beside.place) AS string_agg FROM (SELECT piece.place, piece.match[1] AS letter, piece.match[2] AS others, lag(piece.match[1]) OVER (ORDER BY piece.place) AS last, lead(piece.match[1]) OVER (ORDER BY piece.place) AS next FROM regexp_matches(pairs_apart.content, '([\u0E01-\u0E30\u0E32\u0E33\u0E40-\u0E46\u0E81-\u0EB0\u0EB2\u0EB3\u0EBD-\u0EC6\u0EDC-\u0EDF\u1000-\u102A\u103F\u1050-\u1055\u1780-\u17B3\u3005-\u3007\u3041-\u3096\u309D-\u309F\u30A1-\u30FA\u30FC-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF][\u0E31\u0E34-\u0E3A\u0E47-\u0E4E\u0EB1\u0EB4-\u0EBC\u0EC8-\u0ECE\u102B-\u103E\u1056-\u1059\u17B4-\u17D3\u17DD]*)|([^\u0E01-\u0E30\u0E32\u0E33\u0E40-\u0E46\u0E81-\u0EB0\u0EB2\u0EB3\u0EBD-\u0EC6\u0EDC-\u0EDF\u1000-\u102A\u103F\u1050-\u1055\u1780-\u17B3\u3005-\u3007\u3041-\u3096\u309D-\u309F\u30A1-\u30FA\u30FC-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]+)'::text, 'g'::text) WITH ORDINALITY piece(match, place)) beside) END;

CREATE FUNCTION rag.as_typed(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN rag.pairs_apart(rag.identifiers_apart(content));

CREATE FUNCTION rag.audit_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    reason text := coalesce(current_setting('rag.redacting', true), '');
BEGIN
    NEW.position := OLD.position;
    NEW.content := OLD.content;
    NEW.hash := OLD.hash;
    NEW.salt := gen_random_uuid();
    INSERT INTO rag.audit (actor, action, subject, detail) VALUES (
        session_user, CASE reason WHEN '' THEN 'audit changed' ELSE 'audit redacted' END, 'audit ' || OLD.position,
        jsonb_build_object('position', OLD.position, 'reason', reason,
                           'content', encode(rag.audit_content(NEW), 'hex')));
    RETURN NEW;
END $$;

CREATE TABLE rag.audit (
    audit_id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    login text DEFAULT SESSION_USER,
    salt uuid DEFAULT gen_random_uuid() NOT NULL,
    "position" bigint,
    content bytea,
    hash bytea
);

CREATE FUNCTION rag.audit_content(one rag.audit) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    RETURN sha256(convert_to((jsonb_build_array((one).audit_id, (one).salt, ((EXTRACT(epoch FROM (one).at) * (1000000)::numeric))::bigint, (one).actor, (one).login, (one).action, (one).subject, (one).detail))::text, 'UTF8'::name));

CREATE FUNCTION rag.audit_stays() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'rows of rag.audit are never removed';
END $$;

CREATE FUNCTION rag.blocks_released() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'blocks', encode(blocks_sha256, 'hex') FROM gone WHERE blocks_sha256 IS NOT NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.term_id(lexeme text) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((abs((hashtextextended(lexeme, (0)::bigint) % (1000000000)::bigint)) + 1))::integer;

CREATE FUNCTION rag.bm25_weights(words tsvector, k1 double precision, saturation double precision) RETURNS public.sparsevec
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT ((('{'::text || COALESCE(string_agg(((terms.term || ':'::text) || (((terms.tf * (bm25_weights.k1 + (1)::double precision)) / (terms.tf + bm25_weights.saturation)))::real), ','::text), ''::text)) || '}/1000000000'::text))::public.sparsevec AS sparsevec FROM (SELECT rag.term_id(unnest.lexeme) AS term, (sum(cardinality(unnest.positions)))::double precision AS tf FROM unnest(bm25_weights.words) unnest(lexeme, positions, weights) GROUP BY (rag.term_id(unnest.lexeme)) ORDER BY ((sum(cardinality(unnest.positions)))::double precision) DESC LIMIT 16000) terms);

CREATE FUNCTION rag.bytes_replaced() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.document_former (document_id, raw_sha256) VALUES (NEW.document_id, OLD.raw_sha256)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TABLE rag.calibration (
    index_name text NOT NULL,
    fingerprint text NOT NULL,
    mode text NOT NULL,
    learned jsonb NOT NULL,
    learned_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT calibration_mode_check CHECK ((mode = ANY (ARRAY['dense'::text, 'lexical'::text, 'hybrid'::text])))
);

CREATE TABLE rag.index_version (
    version_id integer NOT NULL,
    index_name text NOT NULL,
    fingerprint text NOT NULL,
    state text DEFAULT 'building'::text NOT NULL,
    kind text NOT NULL,
    base_version integer,
    storage integer NOT NULL,
    chunker_id integer NOT NULL,
    model_id integer NOT NULL,
    params jsonb NOT NULL,
    required_gates text[] NOT NULL,
    watermark xid8 NOT NULL,
    lease_token uuid NOT NULL,
    lease_owner text NOT NULL,
    row_count bigint,
    document_count bigint,
    statistics jsonb DEFAULT '{}'::jsonb NOT NULL,
    as_of timestamp with time zone,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    built_at timestamp with time zone,
    promoted_at timestamp with time zone,
    retired_at timestamp with time zone,
    dropped_at timestamp with time zone,
    rows_gone bigint DEFAULT 0 NOT NULL,
    documents_gone bigint DEFAULT 0 NOT NULL,
    CONSTRAINT index_version_kind_check CHECK ((kind = ANY (ARRAY['full'::text, 'catch_up'::text, 'copy'::text]))),
    CONSTRAINT index_version_state_check CHECK ((state = ANY (ARRAY['building'::text, 'built'::text, 'validated'::text, 'live'::text, 'retired'::text, 'spare'::text, 'dropped'::text, 'failed'::text])))
);

CREATE FUNCTION rag.calibration_of(version_id integer, mode text) RETURNS jsonb
    LANGUAGE sql STABLE STRICT SECURITY DEFINER
    RETURN (SELECT c.learned FROM (rag.calibration c JOIN rag.index_version v USING (index_name, fingerprint)) WHERE ((v.version_id = calibration_of.version_id) AND (c.mode = calibration_of.mode)));

CREATE FUNCTION rag.chain_audit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    head rag.audit_head;
BEGIN
    SELECT * INTO STRICT head FROM rag.audit_head FOR UPDATE;
    UPDATE rag.audit a
    SET position = head.position + 1, content = rag.audit_content(a),
        hash = sha256(head.hash || int8send(head.position + 1) || rag.audit_content(a))
    WHERE a.audit_id = NEW.audit_id
    RETURNING a.position, a.hash INTO STRICT head.position, head.hash;
    UPDATE rag.audit_head SET position = head.position, hash = head.hash;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.changes_of(tenant text) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    RETURN (SELECT coalesce(sum(c.changes), 0) FROM rag.tenant_change c WHERE c.tenant = changes_of.tenant);
END $$;

CREATE FUNCTION rag.content_mapped() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.document_content (document_id, chunk_set_id)
    SELECT DISTINCT document_id, chunk_set_id FROM mapped
    ON CONFLICT (document_id, chunk_set_id) DO UPDATE SET access_id = NULL, tenant = NULL, doubted = false
    WHERE document_content.access_id IS NOT NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.content_released() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.released (kind, key) SELECT DISTINCT 'chunk set', chunk_set_id::text FROM gone;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.content_replaced() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION rag.contents_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT d.tenant FROM changed JOIN rag.document d USING (document_id)));
    RETURN NULL;
END $$;

CREATE FUNCTION rag.count_change(tenants text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY tenants LOOP
        CONTINUE WHEN EXISTS (SELECT FROM rag.tenant_change c
                              WHERE c.tenant = one AND c.xmin = pg_current_xact_id()::xid);
        UPDATE rag.tenant_change c SET changes = c.changes + 1 WHERE c.tenant = one AND c.place = (
            SELECT place FROM rag.tenant_change f WHERE f.tenant = one ORDER BY place LIMIT 1 FOR UPDATE SKIP LOCKED);
        IF NOT FOUND THEN
            INSERT INTO rag.tenant_change (tenant) VALUES (one);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION rag.document_released() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT 'raw', encode(OLD.raw_sha256, 'hex') WHERE NEW.raw_sha256 <> OLD.raw_sha256
    UNION ALL SELECT 'parse', parse_id::text FROM rag.parse p
    WHERE p.parse_id = OLD.parse_id
       OR (p.raw_sha256 = OLD.raw_sha256 AND p.hint = OLD.hint
           AND (NEW.raw_sha256, NEW.hint) IS DISTINCT FROM (OLD.raw_sha256, OLD.hint))
    UNION ALL SELECT 'access rule', a.digest::text FROM rag.access_rule a
    WHERE a.access_id = OLD.access_id AND NEW.access_id <> OLD.access_id;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.document_unfinished() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.status := 'pending';
    RETURN NEW;
END $$;

CREATE FUNCTION rag.documents_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT tenant FROM changed));
    RETURN NULL;
END $$;

CREATE FUNCTION rag.documents_departed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.departed_document (document_id) SELECT document_id FROM departed ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.documents_released() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'raw', encode(raw_sha256, 'hex') FROM gone
    UNION SELECT 'parse', parse_id::text FROM gone WHERE parse_id IS NOT NULL
    UNION SELECT 'parse', p.parse_id::text FROM gone JOIN rag.parse p USING (raw_sha256, hint)
    UNION SELECT 'access rule', a.digest::text FROM gone JOIN rag.access_rule a USING (access_id);
    RETURN NULL;
END $$;

CREATE FUNCTION rag.end_canary() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE rag.canary c SET state = 'ended', ended_at = now(), verdict = CASE
            WHEN candidate.state = 'live' THEN 'the candidate was promoted'
            WHEN candidate.state <> 'validated' THEN 'the candidate is ' || candidate.state
            ELSE 'the live version is ' || live.state END
    FROM rag.index_version candidate, rag.index_version live
    WHERE c.state = 'running' AND c.index_name = NEW.index_name
      AND candidate.version_id = c.version_id AND live.version_id = c.live_id
      AND (candidate.state <> 'validated' OR live.state <> 'live');
    RETURN NULL;
END $$;

CREATE FUNCTION rag.first_row(entries bytea) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((((get_byte(entries, 0) << 24) + (get_byte(entries, 1) << 16)) + (get_byte(entries, 2) << 8)) + get_byte(entries, 3));

CREATE FUNCTION rag.former_rules_released() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'access rule', a.digest::text FROM gone JOIN rag.access_rule a USING (access_id);
    RETURN NULL;
END $$;

CREATE FUNCTION rag.values_of(content jsonb) RETURNS SETOF jsonb
    LANGUAGE sql IMMUTABLE STRICT ROWS 3 PARALLEL SAFE
    BEGIN ATOMIC
 SELECT jsonb_array_elements(
         CASE jsonb_typeof(content)
             WHEN 'array'::text THEN content
             ELSE jsonb_build_array(content)
         END) AS jsonb_array_elements;
END;

CREATE TABLE rag.document (
    document_id bigint NOT NULL,
    source_id integer NOT NULL,
    external_id text NOT NULL,
    tenant text NOT NULL,
    state text DEFAULT 'present'::text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    token text NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    hint text NOT NULL,
    url text,
    given_title text,
    author text,
    declared_type text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    attributes_key uuid NOT NULL,
    access_id integer NOT NULL,
    raw_sha256 bytea NOT NULL,
    raw_bytes bigint NOT NULL,
    parse_id bigint,
    modified_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    deleted_at timestamp with time zone,
    changed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    deletion_id bigint,
    text_of timestamp with time zone,
    unread_since timestamp with time zone,
    bucket smallint GENERATED ALWAYS AS (((hashtextextended(external_id, (0)::bigint) & (63)::bigint))::smallint) STORED NOT NULL,
    masked_by text,
    own_access jsonb,
    CONSTRAINT document_state_check CHECK ((state = ANY (ARRAY['present'::text, 'missing'::text, 'tombstoned'::text])))
);

CREATE TABLE rag.hold (
    hold_id bigint NOT NULL,
    source text,
    path text,
    label text,
    document text,
    reason text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamp with time zone DEFAULT now() NOT NULL,
    until timestamp with time zone,
    released_at timestamp with time zone,
    released_by text,
    release_reason text,
    CONSTRAINT hold_check CHECK ((COALESCE(source, path, label, document) IS NOT NULL)),
    CONSTRAINT hold_check1 CHECK (((document IS NULL) OR (source IS NOT NULL)))
);

CREATE TABLE rag.source (
    source_id integer NOT NULL,
    name text NOT NULL,
    connector text NOT NULL,
    cursor jsonb,
    listed_at timestamp with time zone,
    settled_at timestamp with time zone,
    lease_token uuid,
    lease_owner text,
    lease_at timestamp with time zone,
    tenant text DEFAULT 'default'::text NOT NULL,
    grace interval DEFAULT '7 days'::interval NOT NULL,
    groups_at timestamp with time zone,
    policy text DEFAULT ''::text NOT NULL,
    masked_by text
);

CREATE FUNCTION rag.hold_matches(hold rag.hold, held rag.document) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ((((hold).source IS NULL) OR (EXISTS (SELECT FROM rag.source s WHERE ((s.source_id = (hold_matches.held).source_id) AND (s.name = (hold_matches.hold).source))))) AND (((hold).document IS NULL) OR ((held).external_id = (hold).document)) AND (((hold).path IS NULL) OR ((held).path ~~ translate(replace(replace(replace((hold).path, '\'::text, '\\'::text), '%'::text, '\%'::text), '_'::text, '\_'::text), '*?'::text, '%_'::text))) AND (((hold).label IS NULL) OR (EXISTS (SELECT FROM jsonb_each((hold_matches.held).metadata) field(key, value), LATERAL rag.values_of(field.value) one(one) WHERE (lower((one.one #>> '{}'::text[])) = lower((hold_matches.hold).label))))));

CREATE TABLE rag.held_document (
    hold_id bigint NOT NULL,
    document_id bigint NOT NULL
);

CREATE FUNCTION rag.hold_of(held rag.document) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT min(h.hold_id) AS min FROM rag.hold h WHERE ((h.released_at IS NULL) AND ((h.until IS NULL) OR (h.until > now())) AND (rag.hold_matches(h.*, hold_of.held) OR (EXISTS (SELECT FROM rag.held_document p WHERE ((p.hold_id = h.hold_id) AND (p.document_id = (hold_of.held).document_id)))))));

CREATE FUNCTION rag.identifiers_joined(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT string_agg(concat_ws(' '::text, CASE WHEN (name.name ~ '^[vV][0-9.]+$'::text) THEN substr(name.name, 2) WHEN (name.name ~ '[-_./\\@:]'::text) THEN translate(name.name, '-_./\@:'::text, ''::text) ELSE NULL::text END, CASE WHEN (name.name ~ '^[^/\\@:]*[[:lower:]]{2}[[:upper:]][^/\\@:]*$'::text) THEN regexp_replace(translate(name.name, '-_.'::text, '   '::text), '([[:lower:]]{2})([[:upper:]])'::text, '\1 \2'::text, 'g'::text) ELSE NULL::text END), ' '::text) AS string_agg FROM regexp_matches(identifiers_joined.content, '[[:alnum:]]+(?:[-_./\\@:]+[[:alnum:]]+)+|[[:alnum:]]*[[:lower:]]{2}[[:upper:]][[:alnum:]]*'::text, 'g'::text) found(found), LATERAL unnest((found.found || CASE WHEN (found.found[1] ~ '[/\\@:]'::text) THEN string_to_array(translate(found.found[1], '\@:'::text, '///'::text), '/'::text) ELSE NULL::text[] END)) name(name) WHERE ((name.name ~ '[0-9]-|-[0-9]|[_.\\@:]|/.*/|[0-9].*/|/.*[0-9]|[[:lower:]]{2}[[:upper:]]'::text) AND (name.name !~ '^[0-9.]+$'::text) AND (length(name.name) <= 100)));

CREATE FUNCTION rag.impact(tf integer, k1 double precision, saturation double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (GREATEST(round((((255 * tf))::double precision / ((tf)::double precision + saturation))), (1)::double precision))::integer;

CREATE FUNCTION rag.inbox_released() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.released (kind, key)
    SELECT DISTINCT 'raw', encode(raw_sha256, 'hex') FROM gone WHERE raw_sha256 IS NOT NULL;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.inputs_released() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.released (kind, key) SELECT DISTINCT 'vector', input_key::text FROM gone;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.named_in(clauses jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT COALESCE(array_agg(DISTINCT named.value), '{}'::text[]) AS "coalesce" FROM jsonb_array_elements(named_in.clauses) clause(value), LATERAL jsonb_array_elements_text(clause.value) named(value));

CREATE TABLE rag.access_rule (
    access_id integer NOT NULL,
    digest uuid NOT NULL,
    clauses jsonb NOT NULL,
    deny text[] DEFAULT '{}'::text[] NOT NULL,
    named text[] GENERATED ALWAYS AS (rag.named_in(clauses)) STORED NOT NULL
);

CREATE TABLE rag.membership (
    source_id integer NOT NULL,
    principal text NOT NULL,
    member text NOT NULL,
    observed_at timestamp with time zone NOT NULL
);

CREATE FUNCTION rag.is_known(tenant text, principals text[]) RETURNS boolean
    LANGUAGE sql STABLE STRICT SECURITY DEFINER
    RETURN ((EXISTS (SELECT FROM (rag.membership m JOIN rag.source s USING (source_id)) WHERE ((s.tenant = is_known.tenant) AND ((m.member = ANY (is_known.principals)) OR (m.principal = ANY (is_known.principals)))))) OR (EXISTS (SELECT FROM rag.access_rule r WHERE (((r.named && is_known.principals) OR (r.deny && is_known.principals)) AND (EXISTS (SELECT FROM rag.document d WHERE ((d.tenant = is_known.tenant) AND (d.access_id = r.access_id) AND (d.state <> 'tombstoned'::text))))))));

CREATE FUNCTION rag.keep_hold() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO rag.held_document (hold_id, document_id)
    SELECT h.hold_id, OLD.document_id FROM rag.hold h
    WHERE h.released_at IS NULL AND (h.until IS NULL OR h.until > now()) AND rag.hold_matches(h, OLD)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION rag.text_length(words tsvector) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT (count(DISTINCT place.place))::integer AS count FROM unnest(text_length.words) unnest(lexeme, positions, weights), LATERAL unnest(unnest.positions) place(place));

CREATE FUNCTION rag.language_of(declared text, content text, language regconfig, languages jsonb) RETURNS regconfig
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (languages = '{}'::jsonb) THEN language ELSE COALESCE(((languages ->> lower(split_part(replace(declared, '_'::text, '-'::text), '-'::text, 1))))::regconfig, (SELECT one.candidate FROM (SELECT language_of.language AS language, 0 AS "?column?" UNION ALL SELECT (jsonb_each_text.value)::regconfig AS value, 1 FROM jsonb_each_text(language_of.languages) jsonb_each_text(key, value)) one(candidate, place) ORDER BY (rag.text_length(to_tsvector(one.candidate, "left"(language_of.content, 300)))), one.place, (one.candidate)::text LIMIT 1)) END;

CREATE FUNCTION rag.may_read(clauses jsonb, deny text[], principals text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((NOT (deny && principals)) AND (NOT (EXISTS (SELECT FROM jsonb_array_elements(may_read.clauses) clause(value) WHERE (NOT (clause.value ?| may_read.principals))))));

CREATE FUNCTION rag.members_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(SELECT DISTINCT s.tenant FROM changed JOIN rag.source s USING (source_id)));
    RETURN NULL;
END $$;

CREATE FUNCTION rag.moment(content text) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT CASE WHEN ((parts.year > 0) AND (parts.hour < 24) AND (parts.minute < 60) AND (parts.second < (60)::double precision) AND (parts.away < 960) AND ((parts.day >= 1) AND (parts.day <= CASE WHEN (parts.month = 2) THEN CASE WHEN (((parts.year % 4) = 0) AND (((parts.year % 100) <> 0) OR ((parts.year % 400) = 0))) THEN 29 ELSE 28 END WHEN (parts.month = ANY (ARRAY[4, 6, 9, 11])) THEN 30 WHEN ((parts.month >= 1) AND (parts.month <= 12)) THEN 31 ELSE NULL::integer END))) THEN ((make_timestamp(parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second) - make_interval(mins => (parts.sign * parts.away))) AT TIME ZONE 'UTC'::text) ELSE NULL::timestamp with time zone END AS "case" FROM regexp_match(moment.content, '^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d(?:\.\d{1,6})?)(?:(?<=\.\d{6})\d+)?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?)?$'::text) found(found), LATERAL (SELECT (found.found[1])::integer AS year, (found.found[2])::integer AS month, (found.found[3])::integer AS day, (COALESCE(found.found[4], '0'::text))::integer AS hour, (COALESCE(found.found[5], '0'::text))::integer AS minute, (COALESCE(found.found[6], '0'::text))::double precision AS second, CASE found.found[7] WHEN '-'::text THEN '-1'::integer ELSE 1 END AS sign, (((COALESCE(found.found[8], '0'::text))::integer * 60) + (COALESCE(found.found[9], '0'::text))::integer) AS away) parts);

CREATE FUNCTION rag.past_retention(rules jsonb, metadata jsonb, modified_at timestamp with time zone, stored_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
 WITH rule AS (
          SELECT r_1.seconds,
             r_1.label,
             r_1.basis,
             ((r_1.label IS NOT NULL) AND (EXISTS ( SELECT
                    FROM rag.values_of((past_retention.metadata -> r_1.field)) one(one)
                   WHERE (lower((one.one #>> '{}'::text[])) = r_1.label)))) AS fits
            FROM jsonb_to_recordset(past_retention.rules) r_1(label text, field text, basis text, seconds double precision)
         )
  SELECT COALESCE(bool_and((
         CASE r.basis
             WHEN 'created_at'::text THEN COALESCE(rag.moment((past_retention.metadata ->> 'created_at'::text)), rag.moment((past_retention.metadata ->> 'created'::text)), past_retention.stored_at)
             ELSE COALESCE(past_retention.modified_at, past_retention.stored_at)
         END < (now() - make_interval(secs => r.seconds)))), false) AS "coalesce"
    FROM rule r
   WHERE (r.fits OR ((r.label IS NULL) AND (NOT (EXISTS ( SELECT
            FROM rule o
           WHERE o.fits)))));
END;

CREATE FUNCTION rag.width_folded(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (octet_length(content) = length(content)) THEN content ELSE NORMALIZE(regexp_replace(translate(content, '™℠®©…'::text, '     '::text), '([\u00B2\u00B3\u00B9\u2070-\u207F\u00BC-\u00BE\u2150-\u215F]+)'::text, ' \1'::text, 'g'::text), NFKC) END;

CREATE FUNCTION rag.phrases_query(languages regconfig[], phrases text[]) RETURNS tsquery
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT (string_agg((('('::text || one.readings) || ')'::text), ' & '::text))::tsquery AS string_agg FROM (SELECT string_agg(DISTINCT (('('::text || (wanted.wanted)::text) || ')'::text), ' | '::text) AS readings, bool_and((numnode(wanted.wanted) > 0)) AS known FROM unnest(phrases_query.phrases) WITH ORDINALITY phrase(content, place), unnest(phrases_query.languages) language(language), LATERAL phraseto_tsquery(language.language, rag.as_typed(rag.width_folded(phrase.content))) wanted(wanted) GROUP BY phrase.place) one WHERE one.known);

CREATE FUNCTION rag.place_words(path text, known text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT string_agg(word.word, ' '::text ORDER BY meant.place, pieces.piece) AS string_agg FROM (SELECT parts.part, parts.place FROM regexp_split_to_table(regexp_replace(place_words.path, '\.[[:alnum:]]{1,5}$'::text, ''::text), '[/\\]+'::text) WITH ORDINALITY parts(part, place) WHERE ((parts.part ~ '[[:alpha:]]|^(19|20)[0-9]{2}$'::text) AND (parts.part !~ '^[0-9a-fA-F-]{16,}$'::text))) meant, LATERAL regexp_split_to_table(meant.part, '[^[:alnum:].]+'::text) WITH ORDINALITY pieces(found, piece), LATERAL TRIM(BOTH '.'::text FROM pieces.found) word(word), regexp_split_to_array(lower((place_words.known || ' '::text)), '[.]?[^[:alnum:].]+'::text) words(words) WHERE (((length(word.word) >= 2) AND (length(word.word) <= 40)) AND (lower(word.word) <> ALL (words.words))));

CREATE FUNCTION rag.posting(slot integer, impact integer) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (int4send(slot) || SUBSTRING(int4send(impact) FROM 4));

CREATE FUNCTION rag.postings_without(entries bytea, rows integer[]) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
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

CREATE FUNCTION rag.principals_of(tenant text, principals text[]) RETURNS text[]
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN (WITH RECURSIVE held(principal) AS (SELECT unnest(principals_of.principals) AS unnest UNION SELECT m.principal FROM ((held h JOIN rag.membership m ON ((m.member = h.principal))) JOIN rag.source s ON (((s.source_id = m.source_id) AND (s.tenant = principals_of.tenant))))) SELECT COALESCE(array_agg(held.principal), '{}'::text[]) AS "coalesce" FROM held);

CREATE FUNCTION rag.protect_table(name text) RETURNS void
    LANGUAGE plpgsql
    AS $_$
DECLARE
    former name;
    reader name;
BEGIN
    EXECUTE format('ALTER TABLE rag.%I ENABLE ROW LEVEL SECURITY', name);
    FOR former IN SELECT policyname FROM pg_policies WHERE schemaname = 'rag' AND tablename = name LOOP
        EXECUTE format('DROP POLICY %I ON rag.%I', former, name);
    END LOOP;
    IF name ~ '^(vectors|lexical|documents)_' THEN
        EXECUTE format($policy$
            CREATE POLICY reader ON rag.%1$I FOR SELECT USING (
                (SELECT true FROM rag.document d WHERE d.document_id = %1$I.document_id)
                AND ((document_id, chunk_set_id) IN (
                    SELECT c.document_id, c.chunk_set_id FROM rag.document_content c
                    WHERE c.access_id IS NOT NULL AND (
                        c.tenant = (SELECT rag.reader_tenant()) AND c.access_id IN (SELECT unnest(rag.reader_rules()))
                    ) IS NOT TRUE)) IS NOT TRUE)
            $policy$, name);
    ELSE
        EXECUTE format('CREATE POLICY reader ON rag.%I FOR SELECT USING (tenant = (SELECT rag.reader_tenant()))', name);
    END IF;
    FOR reader IN SELECT role FROM rag.reader JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT ON rag.%I TO %I', name, reader);
    END LOOP;
END $_$;

CREATE FUNCTION rag.protect_version(storage integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF to_regclass('rag.documents_' || storage) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE rag.documents_%s (document_id bigint PRIMARY KEY, chunk_set_id bigint NOT NULL, '
            'embedding %s NOT NULL, weights sparsevec NOT NULL)', storage,
            (SELECT format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = to_regclass('rag.vectors_' || storage) AND attname = 'embedding'));
    END IF;
    PERFORM rag.protect_table(kind || '_' || storage)
    FROM unnest(ARRAY['vectors', 'lexical', 'documents', 'terms', 'postings']) AS kind;
END $$;

CREATE FUNCTION rag.question_pairs(readings tsvector[]) RETURNS tsquery[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (WITH word AS MATERIALIZED (SELECT each.number, at.at, w.lexeme, (((''''::text || replace(replace(w.lexeme, '\'::text, '\\'::text), ''''::text, (''''::text || ''''::text))) || ''''::text))::tsquery AS wanted FROM unnest(question_pairs.readings) WITH ORDINALITY each(reading, number), LATERAL unnest(each.reading) w(lexeme, positions, weights), LATERAL unnest(w.positions) at(at)), pair AS (SELECT (one.wanted <-> next.wanted) AS wanted, min(one.at) AS at FROM (word one JOIN word next ON (((next.number = one.number) AND (next.at = (one.at + 1)) AND (next.lexeme <> one.lexeme)))) GROUP BY (one.wanted <-> next.wanted) ORDER BY (min(one.at)), (one.wanted <-> next.wanted) LIMIT 32) SELECT array_agg(pair.wanted ORDER BY pair.at, pair.wanted) AS array_agg FROM pair);

CREATE FUNCTION rag.words_as_typed_and_folded(language regconfig, content text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT CASE WHEN (folded.folded = words_as_typed_and_folded.content) THEN to_tsvector(words_as_typed_and_folded.language, words_as_typed_and_folded.content) ELSE ((((to_tsvector(words_as_typed_and_folded.language, words_as_typed_and_folded.content))::text || ' '::text) || (to_tsvector(words_as_typed_and_folded.language, folded.folded))::text))::tsvector END AS "case" FROM rag.accents_folded(words_as_typed_and_folded.content) folded(folded));

CREATE FUNCTION rag.question_read(languages regconfig[], question text) RETURNS tsvector[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_agg(rag.words_as_typed_and_folded(one.language, concat_ws(' '::text, rag.as_typed(folded.folded), rag.identifiers_joined(folded.folded)))) AS array_agg FROM (SELECT language.language, rank() OVER (ORDER BY (rag.text_length(to_tsvector(language.language, question_read.question)))) AS place FROM unnest(question_read.languages) language(language)) one, rag.width_folded(question_read.question) folded(folded) WHERE (one.place = 1));

CREATE FUNCTION rag.question_words(languages regconfig[], question text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT array_to_tsvector(array_agg(DISTINCT unnest.lexeme)) AS array_to_tsvector FROM unnest(rag.question_read(question_words.languages, question_words.question)) reading(reading), LATERAL unnest(reading.reading) unnest(lexeme, positions, weights));

CREATE FUNCTION rag.rules_of(tenant text, principals text[]) RETURNS integer[]
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN (WITH held AS MATERIALIZED (SELECT rag.principals_of(rules_of.tenant, rules_of.principals) AS principals), caller AS MATERIALIZED (SELECT unnest(h.principals) AS principal FROM held h), passed AS (SELECT access_rule.access_id FROM rag.access_rule WHERE ((access_rule.named && (SELECT h.principals FROM held h)) AND CASE WHEN ((access_rule.deny = '{}'::text[]) AND (jsonb_array_length(access_rule.clauses) = 1)) THEN true ELSE ((NOT (EXISTS (SELECT FROM unnest(access_rule.deny) denied(denied) WHERE ((denied.denied IN (SELECT caller.principal FROM caller)) IS TRUE)))) AND (NOT (EXISTS (SELECT FROM jsonb_array_elements(access_rule.clauses) clause(value) WHERE (NOT (EXISTS (SELECT FROM jsonb_array_elements_text(clause.value) one(value) WHERE ((one.value IN (SELECT caller.principal FROM caller)) IS TRUE)))))))) END) UNION ALL SELECT access_rule.access_id FROM rag.access_rule WHERE ((access_rule.named = '{}'::text[]) AND (access_rule.clauses = '[]'::jsonb) AND (NOT (EXISTS (SELECT FROM unnest(access_rule.deny) denied(denied) WHERE ((denied.denied IN (SELECT caller.principal FROM caller)) IS TRUE)))))) SELECT COALESCE(array_agg(passed.access_id), '{}'::integer[]) AS "coalesce" FROM passed);

CREATE FUNCTION rag.read_as(tenant text, principals text[]) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT set_config('rag.tenant'::text, tenant, true) AS set_config,
     set_config('rag.rules'::text, (rag.rules_of(tenant, principals))::text, true) AS set_config;
END;

CREATE FUNCTION rag.reader_rules() RETURNS integer[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('rag.rules'::text, true), ''::text))::integer[];

CREATE FUNCTION rag.reader_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('rag.tenant'::text, true), ''::text);

CREATE FUNCTION rag.refuse_held() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF rag.hold_of(OLD) IS NOT NULL AND current_setting('rag.moving', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'document % is held by hold %', OLD.document_id, rag.hold_of(OLD) USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION rag.refuse_source_of_held() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM rag.document d WHERE d.source_id = OLD.source_id AND rag.hold_of(d) IS NOT NULL) THEN
        RAISE EXCEPTION 'a document of source % is held', OLD.name USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION rag.search_state(index_name text, tenant text, OUT version_id integer, OUT changes bigint) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC
 SELECT ( SELECT v.version_id
            FROM rag.index_version v
           WHERE ((v.index_name = search_state.index_name) AND (v.state = 'live'::text))) AS version_id,
     rag.changes_of(tenant) AS changes_of;
END;

CREATE FUNCTION rag.sent_state(source text, external_id text, action text, sequence bigint, OUT state text, OUT reason text) RETURNS record
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE
        WHEN i.sequence IS NULL THEN CASE action WHEN 'delete' THEN 'deleted' ELSE 'purged' END
        WHEN i.sequence > sent_state.sequence THEN 'superseded'
        WHEN coalesce((s.cursor ->> 'sequence')::bigint, 0) < sent_state.sequence THEN 'waiting'
        WHEN action = 'delete' THEN CASE WHEN d.state <> 'tombstoned' THEN 'waiting' ELSE 'deleted' END
        WHEN EXISTS (SELECT FROM rag.wanted t WHERE t.source_id = s.source_id AND t.external_id = i.external_id)
            THEN 'waiting'
        WHEN q.quarantine_id IS NOT NULL THEN 'quarantined'
        WHEN w.cause IS NOT NULL THEN 'withheld'
        WHEN d.raw_sha256 IS DISTINCT FROM i.raw_sha256 OR d.status = 'pending' THEN 'waiting'
        WHEN d.status = 'ok' THEN 'ok'
        ELSE 'quarantined'
    END, CASE
        WHEN i.sequence > sent_state.sequence OR i.item IS NULL THEN NULL
        WHEN q.quarantine_id IS NOT NULL THEN q.status || ': ' || q.message
        WHEN w.cause IS NOT NULL THEN concat_ws(': ', w.cause, w.label)
        WHEN d.status NOT IN ('ok', 'pending') THEN d.status
    END
    FROM (SELECT) AS one
    LEFT JOIN rag.inbox i ON i.source = sent_state.source AND i.external_id = sent_state.external_id
    LEFT JOIN rag.source s ON s.name = sent_state.source
    LEFT JOIN rag.document d ON d.source_id = s.source_id AND d.external_id = sent_state.external_id
    LEFT JOIN rag.quarantine q ON q.source_id = s.source_id AND q.external_id = sent_state.external_id
    LEFT JOIN rag.withheld w ON w.source_id = s.source_id AND w.external_id = sent_state.external_id
$$;

CREATE FUNCTION rag.single_characters(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (content ~ '[\u3400-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]'::text) THEN (SELECT string_agg(DISTINCT letter.letter, ' '::text) AS string_agg FROM regexp_split_to_table(regexp_replace(single_characters.content, '[^\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\U00020000-\U0003FFFF]'::text, ''::text, 'g'::text), ''::text) letter(letter)) ELSE NULL::text END;

CREATE FUNCTION rag.source_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM rag.count_change(ARRAY(
        SELECT OLD.tenant UNION SELECT coalesce(NEW.tenant, OLD.tenant)
        UNION SELECT tenant FROM rag.document WHERE source_id = OLD.source_id));
    RETURN NULL;
END $$;

CREATE FUNCTION rag.switches(index_name text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN (SELECT jsonb_agg(jsonb_build_array(kind, target, reason) ORDER BY kind, target)::text
            FROM rag.switch_in_force
            WHERE kind = 'source-off' OR (kind <> 'read-only' AND target = switches.index_name));
END $$;

CREATE FUNCTION rag.words(language regconfig, content text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT rag.words_as_typed_and_folded(words.language, concat_ws(' '::text, rag.as_typed(head.head), rag.identifiers_joined(head.head), rag.single_characters(head.head))) AS words_as_typed_and_folded FROM rag.width_folded("left"(words.content, CASE WHEN (octet_length(words.content) > (2 * length(words.content))) THEN 30000 ELSE 100000 END)) head(head));

ALTER TABLE rag.access_rule ALTER COLUMN access_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.access_rule_access_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE rag.audit ALTER COLUMN audit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.audit_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.audit_head (
    "position" bigint NOT NULL,
    hash bytea NOT NULL
);

CREATE TABLE rag.canary (
    canary_id bigint NOT NULL,
    index_name text NOT NULL,
    version_id integer NOT NULL,
    live_id integer NOT NULL,
    mode text NOT NULL,
    share double precision NOT NULL,
    tenants text[] DEFAULT '{}'::text[] NOT NULL,
    bounds jsonb NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    started_by text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_by text,
    ended_at timestamp with time zone,
    verdict text,
    compared bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    lost bigint DEFAULT 0 NOT NULL,
    slow bigint DEFAULT 0 NOT NULL,
    distance double precision DEFAULT 0 NOT NULL,
    skipped bigint DEFAULT 0 NOT NULL,
    CONSTRAINT canary_mode_check CHECK ((mode = ANY (ARRAY['serve'::text, 'shadow'::text]))),
    CONSTRAINT canary_share_check CHECK (((share > (0)::double precision) AND (share <= (1)::double precision))),
    CONSTRAINT canary_state_check CHECK ((state = ANY (ARRAY['running'::text, 'ended'::text, 'breached'::text])))
);

ALTER TABLE rag.canary ALTER COLUMN canary_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.canary_canary_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.canary_side (
    canary_id bigint NOT NULL,
    side text NOT NULL,
    searches bigint DEFAULT 0 NOT NULL,
    empties bigint DEFAULT 0 NOT NULL,
    errors bigint DEFAULT 0 NOT NULL,
    milliseconds bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    CONSTRAINT canary_side_side_check CHECK ((side = ANY (ARRAY['candidate'::text, 'live'::text])))
);

CREATE TABLE rag.certificate (
    certificate_id bigint NOT NULL,
    source_id integer NOT NULL,
    version_id integer,
    complete boolean NOT NULL,
    counts jsonb NOT NULL,
    drift jsonb NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE rag.certificate ALTER COLUMN certificate_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.certificate_certificate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.chunk (
    chunk_set_id bigint NOT NULL,
    ordinal integer NOT NULL,
    start_at integer NOT NULL,
    end_at integer NOT NULL,
    tokens integer NOT NULL,
    page_first integer,
    page_last integer,
    input_key uuid NOT NULL,
    heading_path text[] NOT NULL,
    prefix text NOT NULL,
    context text NOT NULL,
    text text NOT NULL,
    confidence real,
    links text[]
);

CREATE TABLE rag.chunk_set (
    chunk_set_id bigint NOT NULL,
    key uuid NOT NULL,
    blocks_sha256 bytea NOT NULL,
    title text,
    profile_id integer NOT NULL,
    chunks integer NOT NULL,
    tokens bigint NOT NULL
);

ALTER TABLE rag.chunk_set ALTER COLUMN chunk_set_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.chunk_set_chunk_set_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.chunk_set_embedded (
    chunk_set_id bigint NOT NULL,
    model_id integer NOT NULL,
    missing integer DEFAULT 0 NOT NULL
);

CREATE TABLE rag.deletion (
    deletion_id bigint NOT NULL,
    source_id integer NOT NULL,
    cause text NOT NULL,
    documents bigint NOT NULL,
    known bigint NOT NULL,
    state text DEFAULT 'parked'::text NOT NULL,
    parked_at timestamp with time zone DEFAULT now() NOT NULL,
    decided_at timestamp with time zone,
    decided_by text,
    reason text,
    CONSTRAINT deletion_cause_check CHECK ((cause = ANY (ARRAY['vanished'::text, 'removed'::text, 'source_removed'::text, 'retention'::text]))),
    CONSTRAINT deletion_state_check CHECK ((state = ANY (ARRAY['parked'::text, 'approved'::text, 'rejected'::text, 'withdrawn'::text])))
);

ALTER TABLE rag.deletion ALTER COLUMN deletion_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.deletion_deletion_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.departed_document (
    document_id bigint NOT NULL,
    departed_xid xid8 DEFAULT pg_current_xact_id() NOT NULL
);

CREATE TABLE rag.document_chunks (
    document_id bigint NOT NULL,
    profile_id integer NOT NULL,
    chunk_set_id bigint NOT NULL
);

CREATE TABLE rag.document_content (
    document_id bigint NOT NULL,
    chunk_set_id bigint NOT NULL,
    access_id integer,
    tenant text,
    doubted boolean DEFAULT false NOT NULL,
    CONSTRAINT document_content_check CHECK (((access_id IS NULL) = (tenant IS NULL)))
);

ALTER TABLE rag.document ALTER COLUMN document_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.document_document_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.document_former (
    document_id bigint NOT NULL,
    raw_sha256 bytea NOT NULL
);

CREATE TABLE rag.embedding (
    model_id integer NOT NULL,
    input_key uuid NOT NULL,
    embedding public.vector NOT NULL
);

CREATE TABLE rag.erasure (
    erasure_id bigint NOT NULL,
    subjects text[] NOT NULL,
    kept text[] NOT NULL,
    found text NOT NULL,
    documents bigint NOT NULL,
    state text DEFAULT 'open'::text NOT NULL,
    reason text NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    made_by text NOT NULL,
    applied_at timestamp with time zone,
    applied_by text,
    receipt jsonb,
    CONSTRAINT erasure_state_check CHECK ((state = ANY (ARRAY['open'::text, 'applied'::text, 'superseded'::text])))
);

ALTER TABLE rag.erasure ALTER COLUMN erasure_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.erasure_erasure_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.evaluation_answer (
    run_id bigint NOT NULL,
    "position" integer NOT NULL,
    question_id text NOT NULL,
    query text NOT NULL,
    slices text[] NOT NULL,
    answerable boolean,
    confidence double precision NOT NULL,
    figures json NOT NULL,
    violations jsonb NOT NULL,
    hits jsonb NOT NULL,
    embed_ms double precision NOT NULL,
    search_ms double precision NOT NULL
);

CREATE TABLE rag.evaluation_run (
    run_id bigint NOT NULL,
    index_name text NOT NULL,
    version_id integer NOT NULL,
    golden text NOT NULL,
    golden_key text NOT NULL,
    label text DEFAULT ''::text NOT NULL,
    setting jsonb NOT NULL,
    summary json NOT NULL,
    notes text[] DEFAULT '{}'::text[] NOT NULL,
    started_at timestamp with time zone NOT NULL
);

ALTER TABLE rag.evaluation_run ALTER COLUMN run_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.evaluation_run_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.feedback (
    answer uuid NOT NULL,
    index_name text NOT NULL,
    version_id integer NOT NULL,
    verdict text NOT NULL,
    reason text,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT feedback_verdict_check CHECK ((verdict = ANY (ARRAY['up'::text, 'down'::text])))
);

CREATE TABLE rag.forgotten (
    source_id integer NOT NULL,
    digest bytea NOT NULL,
    forgotten_at timestamp with time zone NOT NULL
);

CREATE TABLE rag.gate_result (
    version_id integer NOT NULL,
    gate text NOT NULL,
    passed boolean NOT NULL,
    observed double precision,
    threshold double precision,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    checked_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE rag.hint (
    source text NOT NULL,
    key text,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE rag.hold ALTER COLUMN hold_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.hold_hold_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE rag.inbox_sequence
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE rag.inbox (
    source text NOT NULL,
    external_id text NOT NULL,
    sequence bigint DEFAULT nextval('rag.inbox_sequence'::regclass) NOT NULL,
    item jsonb,
    raw_sha256 bytea,
    raw_bytes bigint,
    sent_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE rag.index_profile (
    index_name text NOT NULL,
    day date NOT NULL,
    version_id integer NOT NULL,
    model_id integer NOT NULL,
    classes jsonb NOT NULL
);

CREATE SEQUENCE rag.index_storage
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE rag.index_version ALTER COLUMN version_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.index_version_version_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.kpi (
    day date NOT NULL,
    name text NOT NULL,
    subject text NOT NULL,
    value double precision NOT NULL,
    target double precision
);

CREATE TABLE rag.migration (
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    checksum text
);

CREATE UNLOGGED TABLE rag.pace (
    key text NOT NULL,
    ready_at timestamp with time zone NOT NULL,
    held_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE rag.parse (
    parse_id bigint NOT NULL,
    raw_sha256 bytea NOT NULL,
    hint text NOT NULL,
    profile_id integer NOT NULL,
    status text NOT NULL,
    message text,
    media_type text,
    blocks_sha256 bytea,
    title text,
    language text,
    pages integer,
    characters integer DEFAULT 0 NOT NULL,
    blocks jsonb DEFAULT '{}'::jsonb NOT NULL,
    counters jsonb DEFAULT '{}'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    warnings text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    privacy text,
    clear_sha256 bytea,
    found jsonb DEFAULT '{}'::jsonb NOT NULL,
    places jsonb DEFAULT '[]'::jsonb NOT NULL,
    precedence jsonb DEFAULT '{}'::jsonb NOT NULL
);

ALTER TABLE rag.parse ALTER COLUMN parse_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.parse_parse_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.plan (
    plan_id bigint NOT NULL,
    source_id integer NOT NULL,
    state text NOT NULL,
    arguments jsonb NOT NULL,
    settings text NOT NULL,
    summary jsonb NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL,
    made_by text NOT NULL,
    applied_at timestamp with time zone,
    applied_by text,
    CONSTRAINT plan_state_check CHECK ((state = ANY (ARRAY['open'::text, 'parked'::text, 'applied'::text, 'superseded'::text])))
);

CREATE TABLE rag.plan_change (
    plan_id bigint NOT NULL,
    external_id text NOT NULL,
    change text NOT NULL,
    fingerprint text NOT NULL
);

ALTER TABLE rag.plan ALTER COLUMN plan_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.plan_plan_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.principal_group (
    source_id integer NOT NULL,
    principal text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    observed_at timestamp with time zone NOT NULL
);

CREATE TABLE rag.profile (
    profile_id integer NOT NULL,
    kind text NOT NULL,
    fingerprint text NOT NULL,
    params jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT profile_kind_check CHECK ((kind = ANY (ARRAY['parser'::text, 'chunker'::text, 'model'::text, 'sketch'::text])))
);

ALTER TABLE rag.profile ALTER COLUMN profile_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.profile_profile_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.push_receipt (
    receipt uuid DEFAULT gen_random_uuid() NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    key text NOT NULL,
    action text NOT NULL,
    digest uuid NOT NULL,
    sequence bigint NOT NULL,
    sent_by text NOT NULL,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT push_receipt_action_check CHECK ((action = ANY (ARRAY['put'::text, 'delete'::text])))
);

CREATE TABLE rag.quality_result (
    source_id integer NOT NULL,
    suite text NOT NULL,
    expectation text NOT NULL,
    passed boolean NOT NULL,
    blocking boolean NOT NULL,
    rows_checked bigint,
    unexpected bigint,
    samples jsonb DEFAULT '[]'::jsonb NOT NULL,
    error text,
    checked_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE rag.quarantine (
    quarantine_id bigint NOT NULL,
    source_id integer NOT NULL,
    external_id text,
    entity text,
    stage text NOT NULL,
    status text NOT NULL,
    error_class text NOT NULL,
    message text NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    next_try_at timestamp with time zone,
    content text,
    code_version text,
    first_at timestamp with time zone DEFAULT now() NOT NULL,
    last_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT quarantine_check CHECK (((external_id IS NULL) <> (entity IS NULL)))
);

ALTER TABLE rag.quarantine ALTER COLUMN quarantine_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.quarantine_quarantine_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.reader (
    role name NOT NULL,
    made_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE rag.receipt_key (
    key bytea NOT NULL
);

CREATE TABLE rag.released (
    released_id bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    CONSTRAINT released_kind_check CHECK ((kind = ANY (ARRAY['chunk set'::text, 'vector'::text, 'parse'::text, 'access rule'::text, 'raw'::text, 'blocks'::text])))
);

ALTER TABLE rag.released ALTER COLUMN released_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.released_released_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.run (
    run_id bigint NOT NULL,
    source_id integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    outcome text,
    report jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT run_outcome_check CHECK ((outcome = ANY (ARRAY['complete'::text, 'partial'::text, 'failed'::text])))
);

ALTER TABLE rag.run ALTER COLUMN run_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.run_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.schema_object (
    identity text NOT NULL,
    place integer NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE rag.schema_release (
    release text NOT NULL,
    serves_from text NOT NULL,
    digest text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE rag.served (
    index_name text NOT NULL,
    hour timestamp with time zone NOT NULL,
    searches bigint NOT NULL,
    empties bigint NOT NULL,
    errors bigint NOT NULL,
    milliseconds bigint[] NOT NULL
);

CREATE TABLE rag.session (
    digest bytea NOT NULL,
    name text NOT NULL,
    tenant text NOT NULL,
    principals text[] NOT NULL,
    shown text NOT NULL,
    began_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE rag.shard_lease (
    token uuid NOT NULL,
    source_id integer NOT NULL,
    shard integer NOT NULL,
    shards integer NOT NULL,
    buckets smallint[] NOT NULL,
    lease_owner text NOT NULL,
    lease_at timestamp with time zone NOT NULL,
    CONSTRAINT shard_lease_check CHECK (((shard >= 0) AND (shard < shards)))
);

CREATE TABLE rag.sketch (
    blocks_sha256 bytea NOT NULL,
    profile_id integer NOT NULL,
    words integer NOT NULL,
    words_key uuid NOT NULL,
    numbers_key uuid NOT NULL,
    bits bit(512) NOT NULL,
    bands integer[] NOT NULL,
    family bigint NOT NULL
);

CREATE SEQUENCE rag.sketch_family
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE rag.source ALTER COLUMN source_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.source_source_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.spent (
    day date NOT NULL,
    purpose text NOT NULL,
    source text NOT NULL,
    tenant text NOT NULL,
    indexes text[] NOT NULL,
    model text NOT NULL,
    inputs bigint NOT NULL,
    tokens bigint NOT NULL,
    requests bigint NOT NULL,
    seconds double precision NOT NULL,
    cost double precision NOT NULL,
    CONSTRAINT spent_purpose_check CHECK ((purpose = ANY (ARRAY['ingest'::text, 'search'::text])))
);

CREATE TABLE rag.switch (
    switch_id bigint NOT NULL,
    kind text NOT NULL,
    target text DEFAULT ''::text NOT NULL,
    reason text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    started_by text NOT NULL,
    until timestamp with time zone,
    ended_at timestamp with time zone,
    ended_by text
);

CREATE VIEW rag.switch_in_force AS
 SELECT kind,
    target,
    reason,
    started_at,
    started_by,
    until
   FROM rag.switch
  WHERE ((ended_at IS NULL) AND ((until IS NULL) OR (until > now())));

ALTER TABLE rag.switch ALTER COLUMN switch_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.switch_switch_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.tenant_change (
    tenant text NOT NULL,
    place integer NOT NULL,
    changes bigint DEFAULT 1 NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE rag.tenant_change ALTER COLUMN place ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rag.tenant_change_place_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE rag.unreferenced (
    kind text NOT NULL,
    key text NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT unreferenced_kind_check CHECK ((kind = ANY (ARRAY['chunk set'::text, 'vector'::text, 'access rule'::text, 'raw'::text, 'blocks'::text])))
);

CREATE TABLE rag.version_document (
    version_id integer NOT NULL,
    document_id bigint NOT NULL,
    changed boolean NOT NULL,
    lack text,
    quarantined boolean DEFAULT false NOT NULL
);

CREATE TABLE rag.wanted (
    source_id integer NOT NULL,
    bucket smallint GENERATED ALWAYS AS (((hashtextextended(external_id, (0)::bigint) & (63)::bigint))::smallint) STORED NOT NULL,
    external_id text NOT NULL,
    token text NOT NULL,
    tenant text NOT NULL,
    attributes_key uuid NOT NULL,
    access_id integer NOT NULL,
    item jsonb NOT NULL
);

CREATE TABLE rag.whole_collection (
    ended_at timestamp with time zone NOT NULL
);

CREATE TABLE rag.withheld (
    source_id integer NOT NULL,
    external_id text NOT NULL,
    cause text NOT NULL,
    label text,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT withheld_cause_check CHECK ((cause = ANY (ARRAY['label'::text, 'unknown_label'::text, 'retention'::text])))
);

CREATE TABLE rag.worked_off (
    source_id integer NOT NULL,
    stage text NOT NULL,
    bucket smallint NOT NULL,
    targets text NOT NULL,
    upto xid8 NOT NULL,
    CONSTRAINT worked_off_stage_check CHECK ((stage = ANY (ARRAY['chunk'::text, 'embed'::text, 'sketch'::text])))
);

CREATE VIEW rag_facts.costs AS
 SELECT day,
    purpose,
    source,
    tenant,
    indexes,
    model,
    inputs,
    tokens,
    requests,
    seconds,
    cost
   FROM rag.spent;

CREATE VIEW rag_facts.deletions AS
 SELECT x.deletion_id,
    s.name AS source,
    s.tenant,
    x.cause,
    x.documents,
    x.state,
    x.parked_at,
    x.decided_at,
    x.decided_by,
    x.reason
   FROM (rag.deletion x
     JOIN rag.source s USING (source_id));

CREATE VIEW rag_facts.documents AS
 SELECT d.document_id,
    s.name AS source,
    s.connector,
    d.tenant,
    d.external_id,
    d.path,
    d.url,
    d.state,
    d.status,
    p.media_type,
    p.language,
    p.pages,
    p.characters,
    d.raw_bytes,
    d.modified_at,
    d.created_at AS first_seen_at,
    d.updated_at,
    d.deleted_at,
    d.unread_since
   FROM ((rag.document d
     JOIN rag.source s USING (source_id))
     LEFT JOIN rag.parse p USING (parse_id));

CREATE VIEW rag_facts.evaluations AS
 SELECT r.run_id,
    r.index_name AS index,
    r.version_id,
    r.golden,
    r.label,
    (r.setting ->> 'mode'::text) AS mode,
    r.started_at,
    slice.key AS slice,
    measure.key AS measure,
    ((measure.value ->> 'mean'::text))::double precision AS mean,
    ((measure.value ->> 'low'::text))::double precision AS low,
    ((measure.value ->> 'high'::text))::double precision AS high,
    ((measure.value ->> 'n'::text))::bigint AS questions
   FROM rag.evaluation_run r,
    LATERAL json_each((r.summary -> 'figures'::text)) slice(key, value),
    LATERAL json_each(slice.value) measure(key, value);

CREATE VIEW rag_facts.gates AS
 SELECT v.index_name AS index,
    g.version_id,
    g.gate,
    g.passed,
    g.observed,
    g.threshold,
    g.checked_at
   FROM (rag.gate_result g
     JOIN rag.index_version v USING (version_id));

CREATE VIEW rag_facts.key_figures AS
 SELECT day,
    name AS figure,
    subject,
    value,
    target
   FROM rag.kpi;

CREATE VIEW rag_facts.quarantine AS
 SELECT q.quarantine_id,
    s.name AS source,
    s.tenant,
    q.external_id,
    q.entity,
    q.stage,
    q.status,
    q.error_class,
    q.attempts,
    q.first_at,
    q.last_at,
    q.next_try_at
   FROM (rag.quarantine q
     JOIN rag.source s USING (source_id));

CREATE VIEW rag_facts.runs AS
 SELECT r.run_id,
    s.name AS source,
    s.tenant,
    r.started_at,
    r.finished_at,
    r.outcome,
    COALESCE(((r.report ->> 'listed'::text))::bigint, (0)::bigint) AS documents_listed,
    COALESCE((((r.report -> 'changes'::text) ->> 'added'::text))::bigint, (0)::bigint) AS documents_added,
    COALESCE((((r.report -> 'changes'::text) ->> 'changed'::text))::bigint, (0)::bigint) AS documents_changed,
    COALESCE((((r.report -> 'changes'::text) ->> 'deleted'::text))::bigint, (0)::bigint) AS documents_deleted,
    COALESCE((((r.report -> 'changes'::text) ->> 'failed'::text))::bigint, (0)::bigint) AS documents_failed,
    COALESCE(((r.report ->> 'parsed'::text))::bigint, (0)::bigint) AS parsed,
    COALESCE(((r.report ->> 'parse_reused'::text))::bigint, (0)::bigint) AS parses_reused,
    COALESCE(((r.report ->> 'chunks'::text))::bigint, (0)::bigint) AS chunks,
    COALESCE(((r.report ->> 'embedded'::text))::bigint, (0)::bigint) AS embedded,
    COALESCE(((r.report ->> 'vectors_reused'::text))::bigint, (0)::bigint) AS vectors_reused,
    COALESCE(((r.report ->> 'bytes_loaded'::text))::bigint, (0)::bigint) AS bytes_loaded,
    COALESCE(((r.report ->> 'tokens'::text))::bigint, (0)::bigint) AS tokens,
    COALESCE(((r.report ->> 'cost'::text))::double precision, (0)::double precision) AS cost
   FROM (rag.run r
     JOIN rag.source s USING (source_id));

CREATE VIEW rag_facts.searches AS
 SELECT index_name AS index,
    hour,
    searches,
    empties,
    errors
   FROM rag.served;

CREATE VIEW rag_facts.versions AS
 SELECT v.version_id,
    v.index_name AS index,
    v.state,
    v.kind,
    v.base_version,
    v.row_count AS passages,
    v.document_count AS documents,
    (m.params ->> 'provider'::text) AS provider,
    (m.params ->> 'model'::text) AS model,
    v.as_of,
    v.created_at,
    v.built_at,
    v.promoted_at,
    v.retired_at,
    v.dropped_at
   FROM (rag.index_version v
     LEFT JOIN rag.profile m ON ((m.profile_id = v.model_id)));

ALTER TABLE ONLY rag.access_rule
    ADD CONSTRAINT access_rule_digest_key UNIQUE (digest);

ALTER TABLE ONLY rag.access_rule
    ADD CONSTRAINT access_rule_pkey PRIMARY KEY (access_id);

ALTER TABLE ONLY rag.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (audit_id);

ALTER TABLE ONLY rag.audit
    ADD CONSTRAINT audit_position_key UNIQUE ("position");

ALTER TABLE ONLY rag.calibration
    ADD CONSTRAINT calibration_pkey PRIMARY KEY (index_name, fingerprint, mode);

ALTER TABLE ONLY rag.canary
    ADD CONSTRAINT canary_pkey PRIMARY KEY (canary_id);

ALTER TABLE ONLY rag.canary_side
    ADD CONSTRAINT canary_side_pkey PRIMARY KEY (canary_id, side);

ALTER TABLE ONLY rag.certificate
    ADD CONSTRAINT certificate_pkey PRIMARY KEY (certificate_id);

ALTER TABLE ONLY rag.chunk
    ADD CONSTRAINT chunk_pkey PRIMARY KEY (chunk_set_id, ordinal);

ALTER TABLE ONLY rag.chunk_set_embedded
    ADD CONSTRAINT chunk_set_embedded_pkey PRIMARY KEY (chunk_set_id, model_id);

ALTER TABLE ONLY rag.chunk_set
    ADD CONSTRAINT chunk_set_key_key UNIQUE (key);

ALTER TABLE ONLY rag.chunk_set
    ADD CONSTRAINT chunk_set_pkey PRIMARY KEY (chunk_set_id);

ALTER TABLE ONLY rag.deletion
    ADD CONSTRAINT deletion_pkey PRIMARY KEY (deletion_id);

ALTER TABLE ONLY rag.departed_document
    ADD CONSTRAINT departed_document_pkey PRIMARY KEY (document_id);

ALTER TABLE ONLY rag.document_chunks
    ADD CONSTRAINT document_chunks_pkey PRIMARY KEY (document_id, profile_id);

ALTER TABLE ONLY rag.document_content
    ADD CONSTRAINT document_content_pkey PRIMARY KEY (document_id, chunk_set_id);

ALTER TABLE ONLY rag.document_former
    ADD CONSTRAINT document_former_pkey PRIMARY KEY (document_id, raw_sha256);

ALTER TABLE ONLY rag.document
    ADD CONSTRAINT document_pkey PRIMARY KEY (document_id);

ALTER TABLE ONLY rag.document
    ADD CONSTRAINT document_source_id_external_id_key UNIQUE (source_id, external_id);

ALTER TABLE ONLY rag.embedding
    ADD CONSTRAINT embedding_pkey PRIMARY KEY (model_id, input_key);

ALTER TABLE ONLY rag.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (erasure_id);

ALTER TABLE ONLY rag.evaluation_answer
    ADD CONSTRAINT evaluation_answer_pkey PRIMARY KEY (run_id, question_id);

ALTER TABLE ONLY rag.evaluation_run
    ADD CONSTRAINT evaluation_run_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY rag.feedback
    ADD CONSTRAINT feedback_pkey PRIMARY KEY (answer);

ALTER TABLE ONLY rag.forgotten
    ADD CONSTRAINT forgotten_pkey PRIMARY KEY (source_id, digest);

ALTER TABLE ONLY rag.gate_result
    ADD CONSTRAINT gate_result_pkey PRIMARY KEY (version_id, gate);

ALTER TABLE ONLY rag.held_document
    ADD CONSTRAINT held_document_pkey PRIMARY KEY (document_id, hold_id);

ALTER TABLE ONLY rag.hint
    ADD CONSTRAINT hint_source_key_key UNIQUE NULLS NOT DISTINCT (source, key);

ALTER TABLE ONLY rag.hold
    ADD CONSTRAINT hold_pkey PRIMARY KEY (hold_id);

ALTER TABLE ONLY rag.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (source, external_id);

ALTER TABLE ONLY rag.index_profile
    ADD CONSTRAINT index_profile_pkey PRIMARY KEY (index_name, day);

ALTER TABLE ONLY rag.index_version
    ADD CONSTRAINT index_version_pkey PRIMARY KEY (version_id);

ALTER TABLE ONLY rag.kpi
    ADD CONSTRAINT kpi_pkey PRIMARY KEY (day, name, subject);

ALTER TABLE ONLY rag.membership
    ADD CONSTRAINT membership_pkey PRIMARY KEY (source_id, principal, member);

ALTER TABLE ONLY rag.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (name);

ALTER TABLE ONLY rag.pace
    ADD CONSTRAINT pace_pkey PRIMARY KEY (key);

ALTER TABLE ONLY rag.parse
    ADD CONSTRAINT parse_pkey PRIMARY KEY (parse_id);

ALTER TABLE ONLY rag.parse
    ADD CONSTRAINT parse_raw_sha256_hint_profile_id_key UNIQUE (raw_sha256, hint, profile_id);

ALTER TABLE ONLY rag.plan_change
    ADD CONSTRAINT plan_change_pkey PRIMARY KEY (plan_id, external_id);

ALTER TABLE ONLY rag.plan
    ADD CONSTRAINT plan_pkey PRIMARY KEY (plan_id);

ALTER TABLE ONLY rag.principal_group
    ADD CONSTRAINT principal_group_pkey PRIMARY KEY (source_id, principal);

ALTER TABLE ONLY rag.profile
    ADD CONSTRAINT profile_kind_fingerprint_key UNIQUE (kind, fingerprint);

ALTER TABLE ONLY rag.profile
    ADD CONSTRAINT profile_pkey PRIMARY KEY (profile_id);

ALTER TABLE ONLY rag.push_receipt
    ADD CONSTRAINT push_receipt_pkey PRIMARY KEY (receipt);

ALTER TABLE ONLY rag.push_receipt
    ADD CONSTRAINT push_receipt_source_key_key UNIQUE (source, key);

ALTER TABLE ONLY rag.quality_result
    ADD CONSTRAINT quality_result_pkey PRIMARY KEY (source_id, suite, expectation);

ALTER TABLE ONLY rag.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (quarantine_id);

ALTER TABLE ONLY rag.reader
    ADD CONSTRAINT reader_pkey PRIMARY KEY (role);

ALTER TABLE ONLY rag.released
    ADD CONSTRAINT released_pkey PRIMARY KEY (released_id);

ALTER TABLE ONLY rag.run
    ADD CONSTRAINT run_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY rag.schema_object
    ADD CONSTRAINT schema_object_pkey PRIMARY KEY (identity);

ALTER TABLE ONLY rag.schema_release
    ADD CONSTRAINT schema_release_pkey PRIMARY KEY (release);

ALTER TABLE ONLY rag.served
    ADD CONSTRAINT served_pkey PRIMARY KEY (index_name, hour);

ALTER TABLE ONLY rag.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (digest);

ALTER TABLE ONLY rag.shard_lease
    ADD CONSTRAINT shard_lease_pkey PRIMARY KEY (token);

ALTER TABLE ONLY rag.sketch
    ADD CONSTRAINT sketch_pkey PRIMARY KEY (blocks_sha256);

ALTER TABLE ONLY rag.source
    ADD CONSTRAINT source_name_key UNIQUE (name);

ALTER TABLE ONLY rag.source
    ADD CONSTRAINT source_pkey PRIMARY KEY (source_id);

ALTER TABLE ONLY rag.spent
    ADD CONSTRAINT spent_pkey PRIMARY KEY (day, purpose, source, tenant, indexes, model);

ALTER TABLE ONLY rag.switch
    ADD CONSTRAINT switch_pkey PRIMARY KEY (switch_id);

ALTER TABLE ONLY rag.tenant_change
    ADD CONSTRAINT tenant_change_pkey PRIMARY KEY (tenant, place);

ALTER TABLE ONLY rag.unreferenced
    ADD CONSTRAINT unreferenced_pkey PRIMARY KEY (kind, key);

ALTER TABLE ONLY rag.version_document
    ADD CONSTRAINT version_document_pkey PRIMARY KEY (version_id, document_id);

ALTER TABLE ONLY rag.wanted
    ADD CONSTRAINT wanted_pkey PRIMARY KEY (source_id, bucket, external_id);

ALTER TABLE ONLY rag.withheld
    ADD CONSTRAINT withheld_pkey PRIMARY KEY (source_id, external_id);

ALTER TABLE ONLY rag.worked_off
    ADD CONSTRAINT worked_off_pkey PRIMARY KEY (source_id, stage, bucket);

CREATE INDEX access_rule_by_principal ON rag.access_rule USING gin (named) WITH (fastupdate=off);

CREATE INDEX access_rule_naming_none ON rag.access_rule USING btree (access_id) WHERE (named = '{}'::text[]);

CREATE UNIQUE INDEX audit_head_one ON rag.audit_head USING btree ((true));

CREATE INDEX canary_by_version ON rag.canary USING btree (version_id);

CREATE UNIQUE INDEX canary_one_running ON rag.canary USING btree (index_name) WHERE (state = 'running'::text);

CREATE INDEX certificate_by_source ON rag.certificate USING btree (source_id, certificate_id DESC);

CREATE INDEX chunk_by_input ON rag.chunk USING btree (input_key);

CREATE INDEX chunk_set_by_blocks ON rag.chunk_set USING btree (blocks_sha256);

CREATE INDEX chunk_set_refused ON rag.chunk_set_embedded USING btree (chunk_set_id) WHERE (missing > 0);

CREATE INDEX deletion_by_source ON rag.deletion USING btree (source_id, deletion_id DESC);

CREATE INDEX departed_document_by_change ON rag.departed_document USING btree (departed_xid);

CREATE INDEX document_by_access ON rag.document USING btree (tenant, access_id, document_id) WHERE (state <> 'tombstoned'::text);

CREATE INDEX document_by_bucket ON rag.document USING btree (source_id, bucket, document_id) WHERE (state <> 'tombstoned'::text);

CREATE INDEX document_by_bytes ON rag.document USING btree (raw_sha256);

CREATE INDEX document_by_change ON rag.document USING btree (changed_xid);

CREATE INDEX document_by_deletion ON rag.document USING btree (deletion_id) WHERE (deletion_id IS NOT NULL);

CREATE INDEX document_by_metadata ON rag.document USING gin (metadata jsonb_path_ops);

CREATE INDEX document_by_parse ON rag.document USING btree (parse_id);

CREATE INDEX document_by_path ON rag.document USING btree (path text_pattern_ops);

CREATE INDEX document_by_rule ON rag.document USING btree (access_id);

CREATE INDEX document_by_time ON rag.document USING btree (modified_at);

CREATE INDEX document_chunks_by_set ON rag.document_chunks USING btree (chunk_set_id);

CREATE INDEX document_content_by_set ON rag.document_content USING btree (chunk_set_id);

CREATE INDEX document_content_doubted ON rag.document_content USING btree (document_id) WHERE doubted;

CREATE INDEX document_content_former ON rag.document_content USING btree (access_id) WHERE (access_id IS NOT NULL);

CREATE INDEX document_gone ON rag.document USING btree (deleted_at) WHERE (state = 'tombstoned'::text);

CREATE INDEX document_masked ON rag.document USING btree (source_id) WHERE (masked_by IS NOT NULL);

CREATE INDEX document_readable ON rag.document USING btree (document_id) INCLUDE (tenant, access_id, state) WHERE (state <> 'tombstoned'::text);

CREATE INDEX document_unfinished ON rag.document USING btree (source_id, bucket, document_id) WHERE ((status <> 'ok'::text) AND (state <> 'tombstoned'::text));

CREATE INDEX evaluation_run_by_version ON rag.evaluation_run USING btree (index_name, version_id, run_id DESC);

CREATE INDEX feedback_by_version ON rag.feedback USING btree (version_id, at);

CREATE INDEX inbox_bytes ON rag.inbox USING btree (raw_sha256) WHERE (raw_sha256 IS NOT NULL);

CREATE UNIQUE INDEX inbox_order ON rag.inbox USING btree (source, sequence);

CREATE INDEX index_version_by_name ON rag.index_version USING btree (index_name, version_id DESC);

CREATE UNIQUE INDEX index_version_one_building ON rag.index_version USING btree (index_name) WHERE (state = 'building'::text);

CREATE UNIQUE INDEX index_version_one_live ON rag.index_version USING btree (index_name) WHERE (state = 'live'::text);

CREATE INDEX membership_by_member ON rag.membership USING btree (member);

CREATE INDEX parse_by_blocks ON rag.parse USING btree (blocks_sha256) WHERE (blocks_sha256 IS NOT NULL);

CREATE INDEX plan_by_source ON rag.plan USING btree (source_id, plan_id DESC);

CREATE INDEX push_receipt_age ON rag.push_receipt USING btree (received_at);

CREATE UNIQUE INDEX quarantine_document ON rag.quarantine USING btree (source_id, external_id) WHERE (external_id IS NOT NULL);

CREATE UNIQUE INDEX quarantine_entity ON rag.quarantine USING btree (source_id, entity) WHERE (entity IS NOT NULL);

CREATE INDEX run_by_source ON rag.run USING btree (source_id, run_id DESC);

CREATE INDEX session_expiry ON rag.session USING btree (expires_at);

CREATE INDEX shard_lease_by_source ON rag.shard_lease USING btree (source_id);

CREATE INDEX sketch_by_band ON rag.sketch USING gin (bands) WITH (fastupdate=off);

CREATE INDEX sketch_by_family ON rag.sketch USING btree (family);

CREATE UNIQUE INDEX switch_open ON rag.switch USING btree (kind, target) WHERE (ended_at IS NULL);

CREATE TRIGGER bytes_replaced AFTER UPDATE ON rag.document FOR EACH ROW WHEN ((old.raw_sha256 <> new.raw_sha256)) EXECUTE FUNCTION rag.bytes_replaced();

CREATE CONSTRAINT TRIGGER chain AFTER INSERT ON rag.audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION rag.chain_audit();

CREATE TRIGGER changed BEFORE UPDATE ON rag.audit FOR EACH ROW WHEN ((old."position" IS NOT NULL)) EXECUTE FUNCTION rag.audit_changed();

CREATE TRIGGER content_mapped_again AFTER UPDATE ON rag.document_chunks REFERENCING NEW TABLE AS mapped FOR EACH STATEMENT EXECUTE FUNCTION rag.content_mapped();

CREATE TRIGGER content_mapped_new AFTER INSERT ON rag.document_chunks REFERENCING NEW TABLE AS mapped FOR EACH STATEMENT EXECUTE FUNCTION rag.content_mapped();

CREATE TRIGGER content_replaced AFTER UPDATE ON rag.document FOR EACH ROW WHEN (((old.raw_sha256 <> new.raw_sha256) OR (old.given_title IS DISTINCT FROM new.given_title))) EXECUTE FUNCTION rag.content_replaced();

CREATE TRIGGER count_after AFTER UPDATE ON rag.document REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();

CREATE TRIGGER count_after AFTER UPDATE ON rag.document_content REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();

CREATE TRIGGER count_after AFTER UPDATE ON rag.membership REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();

CREATE TRIGGER count_before AFTER UPDATE ON rag.document REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();

CREATE TRIGGER count_change AFTER UPDATE ON rag.source FOR EACH ROW WHEN ((((old.tenant IS DISTINCT FROM new.tenant) OR (old.name IS DISTINCT FROM new.name)) OR (old.listed_at IS DISTINCT FROM new.listed_at))) EXECUTE FUNCTION rag.source_changed();

CREATE TRIGGER count_gone AFTER DELETE ON rag.document REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_changed();

CREATE TRIGGER count_gone AFTER DELETE ON rag.document_content REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();

CREATE TRIGGER count_gone AFTER DELETE ON rag.membership REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();

CREATE TRIGGER count_gone AFTER DELETE ON rag.source FOR EACH ROW EXECUTE FUNCTION rag.source_changed();

CREATE TRIGGER count_new AFTER INSERT ON rag.document_content REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.contents_changed();

CREATE TRIGGER count_new AFTER INSERT ON rag.membership REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rag.members_changed();

CREATE CONSTRAINT TRIGGER end_canary AFTER UPDATE OF state ON rag.index_version DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.state IS DISTINCT FROM new.state)) EXECUTE FUNCTION rag.end_canary();

CREATE TRIGGER keep_hold AFTER UPDATE ON rag.document FOR EACH ROW WHEN ((((old.external_id IS DISTINCT FROM new.external_id) OR (old.path IS DISTINCT FROM new.path)) OR (old.metadata IS DISTINCT FROM new.metadata))) EXECUTE FUNCTION rag.keep_hold();

CREATE TRIGGER note_departed AFTER DELETE ON rag.document REFERENCING OLD TABLE AS departed FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_departed();

CREATE TRIGGER note_released AFTER UPDATE ON rag.document FOR EACH ROW WHEN (((old.raw_sha256 <> new.raw_sha256) OR (old.hint <> new.hint) OR (old.access_id <> new.access_id) OR (old.parse_id <> new.parse_id) OR ((old.parse_id IS NOT NULL) AND (new.parse_id IS NULL)))) EXECUTE FUNCTION rag.document_released();

CREATE TRIGGER note_released AFTER UPDATE ON rag.document_chunks REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.content_released();

CREATE TRIGGER note_released AFTER UPDATE ON rag.document_content REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.former_rules_released();

CREATE TRIGGER note_released AFTER UPDATE ON rag.inbox REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.inbox_released();

CREATE TRIGGER note_released_gone AFTER DELETE ON rag.chunk REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.inputs_released();

CREATE TRIGGER note_released_gone AFTER DELETE ON rag.chunk_set REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.blocks_released();

CREATE TRIGGER note_released_gone AFTER DELETE ON rag.document REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.documents_released();

CREATE TRIGGER note_released_gone AFTER DELETE ON rag.document_chunks REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.content_released();

CREATE TRIGGER note_released_gone AFTER DELETE ON rag.document_content REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.former_rules_released();

CREATE TRIGGER note_released_gone AFTER DELETE ON rag.inbox REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.inbox_released();

CREATE TRIGGER note_released_gone AFTER DELETE ON rag.parse REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rag.blocks_released();

CREATE TRIGGER refuse_held BEFORE DELETE ON rag.document FOR EACH ROW EXECUTE FUNCTION rag.refuse_held();

CREATE TRIGGER refuse_held BEFORE DELETE ON rag.source FOR EACH ROW EXECUTE FUNCTION rag.refuse_source_of_held();

CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON rag.audit FOR EACH STATEMENT EXECUTE FUNCTION rag.audit_stays();

CREATE TRIGGER unfinished BEFORE UPDATE ON rag.document FOR EACH ROW WHEN (((new.status = 'ok'::text) AND ((old.hint <> new.hint) OR (old.given_title IS DISTINCT FROM new.given_title) OR (old.masked_by IS DISTINCT FROM new.masked_by) OR ((old.state = 'tombstoned'::text) AND (new.state <> 'tombstoned'::text))))) EXECUTE FUNCTION rag.document_unfinished();

ALTER TABLE ONLY rag.canary
    ADD CONSTRAINT canary_live_id_fkey FOREIGN KEY (live_id) REFERENCES rag.index_version(version_id);

ALTER TABLE ONLY rag.canary_side
    ADD CONSTRAINT canary_side_canary_id_fkey FOREIGN KEY (canary_id) REFERENCES rag.canary(canary_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.canary
    ADD CONSTRAINT canary_version_id_fkey FOREIGN KEY (version_id) REFERENCES rag.index_version(version_id);

ALTER TABLE ONLY rag.certificate
    ADD CONSTRAINT certificate_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.certificate
    ADD CONSTRAINT certificate_version_id_fkey FOREIGN KEY (version_id) REFERENCES rag.index_version(version_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.chunk_set_embedded
    ADD CONSTRAINT chunk_set_embedded_chunk_set_id_fkey FOREIGN KEY (chunk_set_id) REFERENCES rag.chunk_set(chunk_set_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.chunk_set_embedded
    ADD CONSTRAINT chunk_set_embedded_model_id_fkey FOREIGN KEY (model_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.chunk_set
    ADD CONSTRAINT chunk_set_profile_id_fkey FOREIGN KEY (profile_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.deletion
    ADD CONSTRAINT deletion_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.document
    ADD CONSTRAINT document_access_id_fkey FOREIGN KEY (access_id) REFERENCES rag.access_rule(access_id);

ALTER TABLE ONLY rag.document_chunks
    ADD CONSTRAINT document_chunks_document_id_fkey FOREIGN KEY (document_id) REFERENCES rag.document(document_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.document_chunks
    ADD CONSTRAINT document_chunks_profile_id_fkey FOREIGN KEY (profile_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.document_content
    ADD CONSTRAINT document_content_access_id_fkey FOREIGN KEY (access_id) REFERENCES rag.access_rule(access_id);

ALTER TABLE ONLY rag.document_content
    ADD CONSTRAINT document_content_chunk_set_id_fkey FOREIGN KEY (chunk_set_id) REFERENCES rag.chunk_set(chunk_set_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.document_content
    ADD CONSTRAINT document_content_document_id_fkey FOREIGN KEY (document_id) REFERENCES rag.document(document_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.document
    ADD CONSTRAINT document_deletion_id_fkey FOREIGN KEY (deletion_id) REFERENCES rag.deletion(deletion_id) ON DELETE SET NULL;

ALTER TABLE ONLY rag.document_former
    ADD CONSTRAINT document_former_document_id_fkey FOREIGN KEY (document_id) REFERENCES rag.document(document_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.document
    ADD CONSTRAINT document_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.embedding
    ADD CONSTRAINT embedding_model_id_fkey FOREIGN KEY (model_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.evaluation_answer
    ADD CONSTRAINT evaluation_answer_run_id_fkey FOREIGN KEY (run_id) REFERENCES rag.evaluation_run(run_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.evaluation_run
    ADD CONSTRAINT evaluation_run_version_id_fkey FOREIGN KEY (version_id) REFERENCES rag.index_version(version_id);

ALTER TABLE ONLY rag.feedback
    ADD CONSTRAINT feedback_version_id_fkey FOREIGN KEY (version_id) REFERENCES rag.index_version(version_id);

ALTER TABLE ONLY rag.forgotten
    ADD CONSTRAINT forgotten_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.gate_result
    ADD CONSTRAINT gate_result_version_id_fkey FOREIGN KEY (version_id) REFERENCES rag.index_version(version_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.held_document
    ADD CONSTRAINT held_document_hold_id_fkey FOREIGN KEY (hold_id) REFERENCES rag.hold(hold_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.index_version
    ADD CONSTRAINT index_version_base_version_fkey FOREIGN KEY (base_version) REFERENCES rag.index_version(version_id);

ALTER TABLE ONLY rag.index_version
    ADD CONSTRAINT index_version_chunker_id_fkey FOREIGN KEY (chunker_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.index_version
    ADD CONSTRAINT index_version_model_id_fkey FOREIGN KEY (model_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.membership
    ADD CONSTRAINT membership_source_id_principal_fkey FOREIGN KEY (source_id, principal) REFERENCES rag.principal_group(source_id, principal) ON DELETE CASCADE;

ALTER TABLE ONLY rag.parse
    ADD CONSTRAINT parse_profile_id_fkey FOREIGN KEY (profile_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.plan_change
    ADD CONSTRAINT plan_change_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES rag.plan(plan_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.plan
    ADD CONSTRAINT plan_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.principal_group
    ADD CONSTRAINT principal_group_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.quality_result
    ADD CONSTRAINT quality_result_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.quarantine
    ADD CONSTRAINT quarantine_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.run
    ADD CONSTRAINT run_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.shard_lease
    ADD CONSTRAINT shard_lease_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.sketch
    ADD CONSTRAINT sketch_profile_id_fkey FOREIGN KEY (profile_id) REFERENCES rag.profile(profile_id);

ALTER TABLE ONLY rag.version_document
    ADD CONSTRAINT version_document_version_id_fkey FOREIGN KEY (version_id) REFERENCES rag.index_version(version_id);

ALTER TABLE ONLY rag.wanted
    ADD CONSTRAINT wanted_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.withheld
    ADD CONSTRAINT withheld_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE ONLY rag.worked_off
    ADD CONSTRAINT worked_off_source_id_fkey FOREIGN KEY (source_id) REFERENCES rag.source(source_id) ON DELETE CASCADE;

ALTER TABLE rag.chunk ENABLE ROW LEVEL SECURITY;

ALTER TABLE rag.chunk_set ENABLE ROW LEVEL SECURITY;

ALTER TABLE rag.document ENABLE ROW LEVEL SECURITY;

ALTER TABLE rag.document_chunks ENABLE ROW LEVEL SECURITY;

ALTER TABLE rag.document_content ENABLE ROW LEVEL SECURITY;

ALTER TABLE rag.parse ENABLE ROW LEVEL SECURITY;

CREATE POLICY reader ON rag.chunk FOR SELECT USING (( SELECT true
   FROM rag.document_content c
  WHERE ((c.chunk_set_id = chunk.chunk_set_id) AND ((c.access_id IS NULL) OR ((c.tenant = ( SELECT rag.reader_tenant() AS reader_tenant)) AND (c.access_id IN ( SELECT unnest(rag.reader_rules()) AS unnest)))))
 LIMIT 1));

CREATE POLICY reader ON rag.chunk_set FOR SELECT USING (( SELECT true
   FROM rag.document_content c
  WHERE ((c.chunk_set_id = chunk_set.chunk_set_id) AND ((c.access_id IS NULL) OR ((c.tenant = ( SELECT rag.reader_tenant() AS reader_tenant)) AND (c.access_id IN ( SELECT unnest(rag.reader_rules()) AS unnest)))))
 LIMIT 1));

CREATE POLICY reader ON rag.document FOR SELECT USING (((tenant = ( SELECT rag.reader_tenant() AS reader_tenant)) AND (state <> 'tombstoned'::text) AND (access_id IN ( SELECT unnest(rag.reader_rules()) AS unnest))));

CREATE POLICY reader ON rag.document_chunks FOR SELECT USING (( SELECT true
   FROM rag.document d
  WHERE (d.document_id = document_chunks.document_id)));

CREATE POLICY reader ON rag.document_content FOR SELECT USING (( SELECT true
   FROM rag.document d
  WHERE (d.document_id = document_content.document_id)));

CREATE POLICY reader ON rag.parse FOR SELECT USING (( SELECT true
   FROM rag.document d
  WHERE (d.parse_id = parse.parse_id)
 LIMIT 1));

CREATE POLICY reader ON rag.sketch FOR SELECT USING (( SELECT true
   FROM rag.chunk_set s
  WHERE (s.blocks_sha256 = sketch.blocks_sha256)
 LIMIT 1));

ALTER TABLE rag.sketch ENABLE ROW LEVEL SECURITY;
