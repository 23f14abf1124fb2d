-- For whom a search reads: a caller's groups, and the access rules that these pass.

-- object: FUNCTION rag.may_read(jsonb, text[], text[])
-- Whether a caller with these principals passes a rule: every clause holds one of them, and the deny set none.
CREATE OR REPLACE FUNCTION rag.may_read(clauses jsonb, deny text[], principals text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN NOT (deny && principals)
   AND NOT EXISTS (SELECT FROM jsonb_array_elements(clauses) AS clause WHERE NOT clause ?| principals);

-- object: FUNCTION rag.principals_of(text, text[])
-- The given principals and every group that they are in, through any number of groups, by the sources of one tenant.
CREATE OR REPLACE FUNCTION rag.principals_of(tenant text, principals text[]) RETURNS text[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN (
    WITH RECURSIVE held (principal) AS (
        SELECT unnest(principals_of.principals)
        UNION
        SELECT m.principal
        FROM held h
        JOIN rag.membership m ON m.member = h.principal
        JOIN rag.source s ON s.source_id = m.source_id AND s.tenant = principals_of.tenant
    )
    SELECT coalesce(array_agg(principal), '{}') FROM held
);

-- object: FUNCTION rag.rules_of(text, text[])
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

-- object: FUNCTION rag.is_known(text, text[])
-- Whether the tenant's groups or rules know one of these principals. It tells the login of searches yes or no, and only
-- of principals that it names.
CREATE OR REPLACE FUNCTION rag.is_known(tenant text, principals text[]) RETURNS boolean
LANGUAGE sql STABLE STRICT SECURITY DEFINER
RETURN EXISTS (
    SELECT FROM rag.membership m JOIN rag.source s USING (source_id)
    WHERE s.tenant = is_known.tenant
      AND (m.member = ANY(is_known.principals) OR m.principal = ANY(is_known.principals))
) OR EXISTS (
    SELECT FROM rag.access_rule r
    WHERE (r.named && is_known.principals OR r.deny && is_known.principals)
      AND EXISTS (SELECT FROM rag.document d
                  WHERE d.tenant = is_known.tenant AND d.access_id = r.access_id AND d.state <> 'tombstoned')
);

-- object: FUNCTION rag.read_as(text, text[])
-- Says until the end of the transaction for whom it reads. Without it the policies show nothing.
CREATE OR REPLACE FUNCTION rag.read_as(tenant text, principals text[]) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT set_config('rag.tenant', tenant, true), set_config('rag.rules', rag.rules_of(tenant, principals)::text, true);
END;

-- object: FUNCTION rag.reader_tenant()
-- Whom `rag.read_as` named, for the policies.
CREATE OR REPLACE FUNCTION rag.reader_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('rag.tenant', true), '');

-- object: FUNCTION rag.reader_rules()
CREATE OR REPLACE FUNCTION rag.reader_rules() RETURNS integer[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('rag.rules', true), '')::integer[];
