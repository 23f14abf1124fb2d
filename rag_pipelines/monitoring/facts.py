"""The views for warehouses as Parquet files, one a view.

What belongs here: reading the views in batches, and their types in Parquet. What does not: the views
(`sql/objects/20_facts.sql`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from rag_pipelines.errors import UsageError
from rag_pipelines.store.database import Database, compose_query, mapped_errors, query

ROWS = 10_000
"""Rows read and written at once."""

TYPES = {
    "bool": "bool",
    "int4": "int32",
    "int8": "int64",
    "float8": "float64",
    "date": "date32",
    "text": "string",
    "timestamptz": "timestamp[us]",
}
"""The type in Arrow of each type that a column, or an element of it, may have."""


def fact_names(database: Database) -> list[str]:
    """The views, in the order of their names."""
    with database.connection() as connection:
        return [row["name"] for row in query(connection, "fact_views")]


def export_facts(database: Database, folder: Path, names: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """Write views as ``NAME.parquet`` into a folder, all as of one moment; yields each with its rows.

    A file that is there is replaced when the new one is complete.

    Args:
        names: the views; all of them where none is given.

    Raises:
        UsageError: there is no such view, the folder cannot be written to, or pyarrow is missing.
    """
    known = fact_names(database)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"there is no view {unknown[0]!r}; valid: {', '.join(known)}")
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[parquet]'") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; name another folder") from error
    with database.connection() as connection, mapped_errors(), connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name in names or known:
            yield name, _export(connection, name, folder / f"{name}.parquet")


def _export(connection: psycopg.Connection[Any], name: str, target: Path) -> int:
    import pyarrow
    from pyarrow import parquet

    half = target.with_suffix(".part")
    text = compose_query("fact_rows", {"view": sql.Identifier("rag_facts", name)})
    written = 0
    with connection.cursor(f"facts_{name}") as cursor:
        cursor.execute(text)
        assert cursor.description is not None
        schema = pyarrow.schema([(one.name, _arrow_type(one.type_code)) for one in cursor.description])
        with parquet.ParquetWriter(half, schema, compression="zstd") as writer:
            while rows := cursor.fetchmany(ROWS):
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                written += len(rows)
    os.replace(half, target)
    return written


def _arrow_type(oid: int) -> Any:
    """The type in Parquet of a Postgres type, or of an array of it."""
    import pyarrow

    info = psycopg.adapters.types[oid]
    kind: Any = (
        pyarrow.timestamp("us", tz="UTC")
        if info.name == "timestamptz"
        else pyarrow.type_for_alias(TYPES[info.name])
    )
    return pyarrow.list_(kind) if oid == info.array_oid else kind
