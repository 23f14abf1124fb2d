-- Whether the tenant's groups or rules know one of these principals. It tells the login of searches yes or no, and only
-- of principals that it names.
CREATE FUNCTION rag.is_known(tenant text, principals text[]) RETURNS boolean
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
