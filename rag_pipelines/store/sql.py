"""The texts of the folder `sql`: named queries, migrations of tables, and objects of the schema.

A query file holds blocks that begin with ``-- name: some_name``; comment lines that follow say what the
query does. Parameters are ``%(named)s``; ``{placeholders}`` are identifiers filled in with
`psycopg.sql` (the tables of an index version), never text from a caller.

A file of objects holds blocks that begin with ``-- object: FUNCTION rag.some_name(integer)``: what stands
behind ``DROP`` to remove what the block creates. Files and blocks are applied in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rag_pipelines.errors import UsageError

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_OBJECT = re.compile(r"^-- object: (\S.*?)\s*$", re.MULTILINE)


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
    return {name: body.strip().rstrip(";") for name, body in _blocks("queries", _NAME)}


def objects() -> dict[str, str]:
    """Every function, trigger, policy and view of the schema: the text that makes it, by its identity."""
    return {identity: body.strip() for identity, body in _blocks("objects", _OBJECT)}


def migrations() -> dict[str, str]:
    """The text of every migration by its name, in the order in which they apply."""
    return _files("migrations")


def legacy_migrations() -> dict[str, str]:
    """The migrations that the first of `migrations` stands for, for databases that were made by them."""
    return _files("migrations/legacy")


def _files(folder: str) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in _sql_files(folder)}


def _blocks(folder: str, header: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """The blocks of every file with the names in their headers, each of which is there once."""
    found: set[str] = set()
    for path in _sql_files(folder):
        parts = header.split(path.read_text(encoding="utf-8"))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise UsageError(f"{name!r} is defined twice; the second time in {folder}/{path.name}")
            found.add(name)
            yield name, body


def _sql_files(folder: str) -> list[Path]:
    return sorted((sql_folder() / folder).glob("*.sql"))
