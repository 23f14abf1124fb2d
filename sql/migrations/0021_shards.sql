-- Several processes at work on one source: each leases some of the 64 buckets that its documents fall into.

-- By the hash that Postgres partitions by, which is the same in every release. Whoever reads one bucket reads no other.
ALTER TABLE rag.document
    ADD COLUMN bucket smallint NOT NULL GENERATED ALWAYS AS ((hashtextextended(external_id, 0) & 63)::smallint) STORED;
CREATE INDEX document_by_bucket ON rag.document (source_id, bucket, document_id) WHERE state <> 'tombstoned';

-- Who writes to which buckets of a source. It lives while a session holds the lock of its token.
CREATE TABLE rag.shard_lease (
    token uuid PRIMARY KEY,
    source_id integer NOT NULL REFERENCES rag.source ON DELETE CASCADE,
    shard integer NOT NULL,
    shards integer NOT NULL CHECK (shard >= 0 AND shard < shards),
    buckets smallint[] NOT NULL,
    lease_owner text NOT NULL,
    lease_at timestamptz NOT NULL
);
CREATE INDEX shard_lease_by_source ON rag.shard_lease (source_id);
