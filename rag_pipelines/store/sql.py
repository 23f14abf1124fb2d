"""The named queries of `sql/queries/*.sql` and the migrations of `sql/migrations/*.sql`, read once.

A query file holds blocks that begin with ``-- name: some_name``; comment lines that follow say what the
query does. Parameters are ``%(named)s``; ``{placeholders}`` are identifiers filled in with
`psycopg.sql` (the tables of an index version), never text from a caller.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from rag_pipelines.errors import UsageError

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def sql_folder() -> Path:
    """The folder `sql/`: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_sql", package.parent / "sql"):
        if folder.is_dir():
            return folder
    raise UsageError(f"the folder 'sql' is missing beside {package}; reinstall rag-pipelines")


@cache
def queries() -> dict[str, str]:
    """Every named query by its name."""
    found: dict[str, str] = {}
    for path in sorted((sql_folder() / "queries").glob("*.sql")):
        parts = _NAME.split(path.read_text(encoding="utf-8"))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise UsageError(f"the query {name!r} is defined twice; the second time in {path.name}")
            found[name] = body.strip().rstrip(";")
    return found


def migrations() -> list[tuple[str, str]]:
    """Name and text of every migration, in the order in which they apply."""
    return [
        (path.stem, path.read_text(encoding="utf-8"))
        for path in sorted((sql_folder() / "migrations").glob("*.sql"))
    ]
