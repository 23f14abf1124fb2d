"""Postgres' own programs for backups: where they are, and how one is run without its password in sight.

What belongs here: `pg_dump` and `pg_restore` as processes. What does not: what is backed up (`files`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rag_pipelines.errors import DatabaseError, UsageError
from rag_pipelines.store.embedded import server_programs

_SAID = 2_000
"""Characters of what a program said that are shown."""


def run_program(name: str, url: str, server_version: int, *arguments: str) -> None:
    """Run `pg_dump` or `pg_restore` on the database at `url`.

    Args:
        server_version: of the server, as ``PQserverVersion`` gives it; an older program refuses a newer one.

    Raises:
        UsageError: no such program is there, or it is older than the server.
        DatabaseError: it failed; carries what it said.
    """
    program = _find(name, server_version)
    password = conninfo_to_dict(url).get("password")
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    command = [str(program), f"--dbname={make_conninfo(url, password=None)}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DatabaseError(f"{name} failed with exit code {done.returncode}: {done.stderr.strip()[-_SAID:]}")


def _find(name: str, server_version: int) -> Path:
    """The program on the PATH, else the one of the embedded server's wheel."""
    wanted, seen = server_version // 10_000, []
    for place in (shutil.which(name), _of_wheel(name)):
        if place is None:
            continue
        said = subprocess.run([place, "--version"], capture_output=True, text=True, check=True).stdout
        major = int((re.search(r"(\d+)(?:\.|\s|$)", said) or [0, 0])[1])
        if major >= wanted:
            return Path(place)
        seen.append(f"{place} is of {major}")
    there = "; ".join(seen) or "there is none on the PATH"
    raise UsageError(
        f"{name} of Postgres {wanted} or later is needed for this server; {there}. "
        f"Install it: apt install postgresql-client-{wanted}"
    )


def _of_wheel(name: str) -> str | None:
    try:
        program = server_programs() / name
    except UsageError:
        return None
    return str(program) if program.exists() else None
