-- name: group_listing
-- Before groups are listed: when that was last done completely, how many are known, and the server's clock.
SELECT s.groups_at, clock_timestamp() AS now,
       (SELECT count(*) FROM rag.principal_group g WHERE g.source_id = s.source_id) AS groups
FROM rag.source s WHERE s.source_id = %(source_id)s;

-- name: put_groups
INSERT INTO rag.principal_group (source_id, principal, name, observed_at)
SELECT %(source_id)s, principal, name, %(observed_at)s
FROM unnest(%(principals)s::text[], %(names)s::text[]) AS g (principal, name)
ON CONFLICT (source_id, principal) DO UPDATE SET name = EXCLUDED.name, observed_at = EXCLUDED.observed_at;

-- name: drop_former_members
-- Members of the given groups that are not among the pairs of group and member.
DELETE FROM rag.membership m
WHERE m.source_id = %(source_id)s AND m.principal = ANY(%(principals)s)
  AND NOT EXISTS (SELECT FROM unnest(%(groups)s::text[], %(members)s::text[]) AS p (principal, member)
                  WHERE p.principal = m.principal AND p.member = m.member);

-- name: put_members
-- A membership that is known keeps its time: it is when the member was first seen in the group.
INSERT INTO rag.membership (source_id, principal, member, observed_at)
SELECT %(source_id)s, principal, member, %(observed_at)s
FROM unnest(%(groups)s::text[], %(members)s::text[]) AS p (principal, member)
ON CONFLICT DO NOTHING;

-- name: count_groups
-- How many groups a listing read, and how many it neither read nor failed to read.
SELECT count(*) FILTER (WHERE observed_at >= %(observed_at)s) AS listed,
       count(*) FILTER (WHERE observed_at < %(observed_at)s AND principal <> ALL(%(failed)s)) AS stale
FROM rag.principal_group WHERE source_id = %(source_id)s;

-- name: drop_stale_groups
DELETE FROM rag.principal_group
WHERE source_id = %(source_id)s AND observed_at < %(observed_at)s AND principal <> ALL(%(failed)s);

-- name: save_groups_at
UPDATE rag.source SET groups_at = %(observed_at)s WHERE source_id = %(source_id)s;

-- name: resolve_group_failures
-- Failures of listing groups that did not come again in the listing that began at `before`.
DELETE FROM rag.quarantine WHERE source_id = %(source_id)s AND stage = 'groups' AND last_at < %(before)s;

-- name: set_access
-- Who may see a document whose content is to be loaded: it does not wait for the content, which may fail. Until
-- then it is not known whether the text that we hold is still the document's, so its rule of before holds too.
WITH doubted AS (
    UPDATE rag.document_content c SET access_id = d.access_id, tenant = d.tenant, doubted = true
    FROM rag.document d
    WHERE d.document_id = %(document_id)s AND c.document_id = d.document_id AND c.access_id IS NULL
      AND (d.tenant, d.access_id) IS DISTINCT FROM (%(tenant)s, %(access_id)s)
)
UPDATE rag.document SET tenant = %(tenant)s, access_id = %(access_id)s, updated_at = clock_timestamp(),
    changed_xid = CASE WHEN tenant = %(tenant)s THEN changed_xid ELSE pg_current_xact_id() END
WHERE document_id = %(document_id)s AND (tenant, access_id) IS DISTINCT FROM (%(tenant)s, %(access_id)s);

-- name: trust_content
-- These documents have the content that we hold: their rule of now holds for it.
UPDATE rag.document_content c SET access_id = NULL, tenant = NULL, doubted = false
FROM rag.document d
WHERE d.source_id = %(source_id)s AND d.external_id = ANY(%(ids)s) AND c.document_id = d.document_id AND c.doubted;

-- name: resolve_access
-- These rules fit again.
DELETE FROM rag.quarantine WHERE source_id = %(source_id)s AND stage = 'access' AND entity = ANY(%(entities)s);

-- name: memberships_of
-- Every membership that leads from the given principals to a group, through any number of groups.
SELECT m.principal AS group, g.name, m.member, s.name AS source, m.observed_at AS since, g.observed_at
FROM rag.membership m
JOIN rag.principal_group g USING (source_id, principal)
JOIN rag.source s USING (source_id)
WHERE s.tenant = %(tenant)s AND m.member = ANY(rag.principals_of(%(tenant)s, %(principals)s))
ORDER BY m.principal, m.member, s.name;

-- name: group_names
SELECT DISTINCT ON (g.principal) g.principal, g.name
FROM rag.principal_group g JOIN rag.source s USING (source_id)
WHERE s.tenant = %(tenant)s AND g.principal = ANY(%(principals)s) AND g.name <> ''
ORDER BY g.principal, g.observed_at DESC;

-- name: list_groups
-- The groups of one source or of all, with their members counted and the age of what is known of them.
SELECT s.name AS source, g.principal, g.name, g.observed_at, count(m.member) AS members,
       extract(epoch FROM now() - g.observed_at)::float8 AS age_s
FROM rag.principal_group g
JOIN rag.source s USING (source_id)
LEFT JOIN rag.membership m USING (source_id, principal)
WHERE %(source)s::text IS NULL OR s.name = %(source)s
GROUP BY s.name, g.source_id, g.principal
ORDER BY s.name, g.principal
LIMIT %(limit)s;

-- name: document_access
-- One document with its rule, and how old what is known of its access is.
SELECT d.document_id, d.external_id, d.tenant, d.state, d.status, a.clauses, a.deny, s.name AS source,
       s.listed_at, s.groups_at, (SELECT o.reason FROM rag.switch_in_force o WHERE o.kind = 'source-off' AND o.target = s.name) AS off
FROM rag.document d JOIN rag.access_rule a USING (access_id) JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND d.external_id = %(external_id)s;

-- name: chunk_access
-- The documents that have or had a passage, each as `document_access` gives it, with the rule of text that is former.
SELECT d.document_id, d.external_id, d.tenant, d.state, d.status, a.clauses, a.deny, s.name AS source,
       s.listed_at, s.groups_at, (SELECT o.reason FROM rag.switch_in_force o WHERE o.kind = 'source-off' AND o.target = s.name) AS off,
       c.tenant AS former_tenant, c.doubted, f.clauses AS former_clauses, f.deny AS former_deny,
       p.chunk_set_id, p.ordinal, p.heading_path
FROM rag.chunk_set cs
JOIN rag.chunk p ON p.chunk_set_id = cs.chunk_set_id AND p.ordinal = %(ordinal)s
JOIN rag.document_content c ON c.chunk_set_id = cs.chunk_set_id
JOIN rag.document d USING (document_id)
JOIN rag.access_rule a ON a.access_id = d.access_id
JOIN rag.source s USING (source_id)
LEFT JOIN rag.access_rule f ON f.access_id = c.access_id
WHERE cs.key = %(key)s::uuid
ORDER BY s.name, d.external_id;

-- name: open_failure
-- Why a document is not held, where we know.
SELECT q.stage, q.error_class, q.message FROM rag.quarantine q JOIN rag.source s USING (source_id)
WHERE s.name = %(source)s AND q.external_id = %(external_id)s ORDER BY q.last_at DESC LIMIT 1;

-- name: live_storages
SELECT index_name, version_id, storage FROM rag.index_version WHERE state = 'live' ORDER BY index_name;

-- name: passages_in_version
-- Of a document, or one of them.
SELECT count(*) AS passages FROM {vectors}
WHERE document_id = %(document_id)s
  AND (%(chunk_set_id)s::bigint IS NULL OR (chunk_set_id = %(chunk_set_id)s AND ordinal = %(ordinal)s));

-- name: role
-- Whether a role is there, and whether policies would not hold for it.
SELECT r.rolsuper OR r.rolbypassrls
       OR EXISTS (SELECT FROM pg_tables t WHERE t.schemaname = 'rag' AND t.tableowner = r.rolname) AS escapes
FROM pg_roles r WHERE r.rolname = %(role)s;

-- name: create_reader
CREATE ROLE {role} LOGIN;

-- name: remember_reader
INSERT INTO rag.reader (role) VALUES (%(role)s) ON CONFLICT DO NOTHING;

-- name: grant_reader
-- Exactly what a search reads. Of what a file says about itself only its place among others, of sources not their cursors.
REVOKE ALL ON ALL TABLES IN SCHEMA rag FROM {role};
GRANT USAGE ON SCHEMA rag TO {role};
GRANT SELECT ON rag.document, rag.document_content, rag.chunk_set, rag.chunk, rag.sketch, rag.access_rule, rag.index_version,
    rag.principal_group, rag.membership TO {role};
GRANT SELECT (parse_id, blocks_sha256, media_type, title, language, pages, precedence) ON rag.parse TO {role};
GRANT SELECT (source_id, name, tenant, listed_at, settled_at, groups_at) ON rag.source TO {role};

-- name: index_operators
-- Under a policy Postgres asks an index only about operators that are marked as not telling what they see: words, and
-- equality of metadata.
SELECT bool_and(proleakproof) AS leakproof, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser
FROM pg_proc
WHERE oid IN ('pg_catalog.ts_match_vq(tsvector, tsquery)'::regprocedure, 'pg_catalog.jsonb_contains(jsonb, jsonb)'::regprocedure);

-- name: trust_index_operators
-- Neither `tsvector @@ tsquery` nor `jsonb @> jsonb` raises an error that depends on the row: the second goes no deeper
-- than the question is nested, which the service writes.
ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF;
ALTER FUNCTION pg_catalog.jsonb_contains(jsonb, jsonb) LEAKPROOF;

-- name: read_as
SELECT rag.read_as(%(tenant)s, %(principals)s);

-- name: own_role
SELECT current_user AS role, EXISTS (
    SELECT FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER') AND (r.rolsuper OR r.rolbypassrls
        OR EXISTS (SELECT FROM pg_tables t WHERE t.schemaname = 'rag' AND t.tableowner = r.rolname))) AS escapes;

-- name: readable_relations
-- What the login may read or write in the schema, and whether policies stand before it.
SELECT c.relname AS name, c.relkind::text AS kind, row_security_active(c.oid) AS active,
       EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
       has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS writable
FROM pg_class c
WHERE c.relnamespace = 'rag'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (has_any_column_privilege(c.oid, 'SELECT') OR has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
ORDER BY c.relname;

-- name: sees_any_row
SELECT EXISTS (SELECT FROM {table}) AS found;
