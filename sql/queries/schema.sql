-- name: keep_schema_books
-- What has been applied to this database. Migrations of before 0.2.0 have no checksum.
CREATE SCHEMA IF NOT EXISTS rag;
CREATE TABLE IF NOT EXISTS rag.migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE rag.migration ADD COLUMN IF NOT EXISTS checksum text;
CREATE TABLE IF NOT EXISTS rag.schema_object (
    identity     text PRIMARY KEY,
    place        integer NOT NULL,
    checksum     text NOT NULL,
    applied_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS rag.schema_release (
    release      text PRIMARY KEY,
    serves_from  text NOT NULL,
    digest       text NOT NULL,
    applied_at   timestamptz NOT NULL DEFAULT now()
);

-- name: schema_releases
SELECT release, serves_from, digest FROM rag.schema_release;

-- name: record_schema_release
INSERT INTO rag.schema_release (release, serves_from, digest)
VALUES (%(release)s, %(serves_from)s, %(digest)s)
ON CONFLICT (release) DO UPDATE
    SET serves_from = EXCLUDED.serves_from, digest = EXCLUDED.digest, applied_at = now();

-- name: applied_migrations
SELECT name, checksum FROM rag.migration;

-- name: record_migration
INSERT INTO rag.migration (name, checksum) VALUES (%(name)s, %(checksum)s);

-- name: applied_objects
SELECT identity, checksum FROM rag.schema_object ORDER BY place;

-- name: record_object
INSERT INTO rag.schema_object (identity, place, checksum) VALUES (%(identity)s, %(place)s, %(checksum)s)
ON CONFLICT (identity) DO UPDATE
    SET place = EXCLUDED.place, checksum = EXCLUDED.checksum, applied_at = now();

-- name: forget_object
DELETE FROM rag.schema_object WHERE identity = %(identity)s;

-- name: doubt_objects
-- After a migration every object is applied again, whatever became of it.
UPDATE rag.schema_object SET checksum = '';

-- name: version_tables
SELECT tablename AS table_name FROM pg_tables
WHERE schemaname = 'rag' AND tablename ~ '^(vectors|lexical|documents|terms|postings)_[0-9]+$' ORDER BY tablename;

-- name: protect_table
SELECT rag.protect_table(%(table)s);
