-- What operators switched, as searches see it (rag_pipelines/store/switches.py).

-- object: VIEW rag.switch_in_force
CREATE OR REPLACE VIEW rag.switch_in_force AS
SELECT kind, target, reason, started_at, started_by, until FROM rag.switch
WHERE ended_at IS NULL AND (until IS NULL OR until > now());

-- object: FUNCTION rag.switches(text)
-- What is in force for searches of an index, as JSON, always written in one way; NULL where nothing is. The login of
-- searches reads it too. PL/pgSQL plans once a session, where SQL would at each call.
CREATE OR REPLACE FUNCTION rag.switches(index_name text) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_agg(jsonb_build_array(kind, target, reason) ORDER BY kind, target)::text
            FROM rag.switch_in_force
            WHERE kind = 'source-off' OR (kind <> 'read-only' AND target = switches.index_name));
END $$;
