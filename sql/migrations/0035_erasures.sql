-- Erasures of persons, by pseudonyms under a key: what was listed, who approved it, the receipt.
CREATE TABLE rag.erasure (
    erasure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subjects text[] NOT NULL,
    kept text[] NOT NULL,
    found text NOT NULL,
    documents bigint NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'applied', 'superseded')),
    reason text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    made_by text NOT NULL,
    applied_at timestamptz,
    applied_by text,
    receipt jsonb
);
