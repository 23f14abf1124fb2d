#!/bin/sh
# Run once by the image of Postgres, when its folder is new: the login of searches, and Dagster's database.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set reader="$(cat /run/secrets/reader_password)" <<'SQL'
CREATE EXTENSION IF NOT EXISTS vector;
CREATE ROLE rag_reader LOGIN PASSWORD :'reader';
CREATE DATABASE dagster;
SQL
