"""Rows of files and of SQL queries, streamed one by one as plain mappings.

What belongs here: opening JSON Lines, CSV, Parquet and Postgres, and mapping what goes wrong to our
errors. What does not: what the columns mean (`records` knows).
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Literal, NamedTuple, Protocol

import msgspec

from rag_pipelines.connectors.arrow_values import rows_of
from rag_pipelines.connectors.row_values import SURROGATE
from rag_pipelines.errors import (
    ConfigError,
    CorruptDocumentError,
    CredentialError,
    FetchError,
    ForbiddenEntityError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.text.delimited_rows import delimited_rows

Format = Literal["jsonl", "csv", "parquet"]

_SUFFIXES: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
_BATCH = 1_000
_BUFFER = 1_048_576
"""Bytes of each column of a Parquet file that are read at a time, instead of whole row groups."""
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NO_ACCESS = re.compile(
    r"authentication failed|password|no pg_hba|role .* (does not exist|is not permitted)|permission denied"
)


class Row(NamedTuple):
    """One row, or what is wrong with it. `place` tells a person where it stands (``line 7``)."""

    place: str
    values: Mapping[str, Any]
    error: RagError | None = None


class RowSource(Protocol):
    """Something that has rows."""

    name: str

    def columns(self) -> list[str] | None:
        """The names of the columns; None where every row has its own. Raises a `RagError`."""
        ...

    def rows(self, since: datetime | None) -> Iterator[Row]:
        """Every row; one that can, leaves out rows older than `since`. Raises a `RagError` when it breaks."""
        ...


def format_of(path: str) -> Format:
    """The format that the name of a file tells. Raises `ConfigError` where it tells none."""
    name = path.lower().removesuffix(".gz")
    for suffix, format in _SUFFIXES.items():
        if name.endswith(suffix):
            return format
    raise ConfigError(
        f"the format of {path!r} does not follow from its name; set format to jsonl, csv or parquet"
    )


class FileRows:
    """Rows of a local file or fsspec URL; ``.gz`` is unpacked on the fly.

    Args:
        delimiter: of CSV; None means a tab for ``.tsv`` and a comma else.
        max_line: bytes; a longer line of JSON Lines is an error of that row.
    """

    def __init__(self, path: str, format: Format | None, delimiter: str | None, max_line: int) -> None:
        self.name = path
        self._format = format or format_of(path)
        self._delimiter = delimiter or ("\t" if path.lower().removesuffix(".gz").endswith(".tsv") else ",")
        self._max_line = max_line

    def columns(self) -> list[str] | None:
        if self._format == "jsonl":
            return None
        with self._open() as file:
            if self._format == "parquet":
                return _unique(list(_parquet(file).schema_arrow.names), self.name)
            return self._header(delimited_rows(_text(file), self._delimiter))

    def rows(self, since: datetime | None) -> Iterator[Row]:
        readers = {"jsonl": self._json_rows, "csv": self._csv_rows, "parquet": self._parquet_rows}
        with self._open() as file:
            yield from readers[self._format](file)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            with self._open_file() as file:
                if not self.name.lower().endswith(".gz"):
                    yield file
                else:
                    import gzip

                    with gzip.open(file) as unpacked:
                        yield unpacked  # type: ignore[misc]
        except FileNotFoundError as error:
            raise FetchError(f"there is no file {self.name!r}; look at path") from error
        except PermissionError as error:
            raise ForbiddenEntityError(f"no permission to read {self.name!r}") from error
        except (EOFError, zlib.error, csv.Error) as error:
            raise CorruptDocumentError(f"{self.name!r} is damaged: {error}") from error
        except OSError as error:
            if type(error).__name__ == "BadGzipFile":
                raise CorruptDocumentError(f"{self.name!r} is damaged: {error}") from error
            raise TransientError(f"{self.name!r} cannot be read: {error}") from error

    def _open_file(self) -> IO[bytes]:
        if "://" not in self.name:
            return open(self.name, "rb")
        import fsspec

        try:
            return fsspec.open(self.name, "rb").open()
        except ImportError as error:
            raise ConfigError(f"{self.name!r} needs a driver that is not installed: {error}") from error

    def _json_rows(self, file: IO[bytes]) -> Iterator[Row]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        number = 0
        while line := file.readline(self._max_line + 1):
            number += 1
            place = f"line {number}"
            if len(line) > self._max_line:
                while line and not line.endswith(b"\n"):
                    line = file.readline(_BATCH * 1_000)
                error = TooLargeDocumentError(
                    f"a line of more than {self._max_line:,} bytes; raise max_bytes"
                )
                yield Row(place, {}, error)
                continue
            line = line.removeprefix(b"\xef\xbb\xbf").strip()
            if not line:
                continue
            try:
                yield Row(place, decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                values = _object_with_half_pairs(line) if _SURROGATE_ESCAPE.search(line) else None
                problem = None if values else CorruptDocumentError(f"not a JSON object: {error}")
                yield Row(place, values or {}, problem)

    def _header(self, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
        _, header = next(rows, (0, []))
        return _unique(header, self.name)

    def _csv_rows(self, file: IO[bytes]) -> Iterator[Row]:
        # The limit is the module's own; the size of a row is checked where its text is put together.
        csv.field_size_limit(sys.maxsize)
        rows = delimited_rows(_text(file), self._delimiter)
        header = self._header(rows)
        for number, fields in rows:
            place = f"line {number}"
            if len(fields) == len(header):
                yield Row(place, dict(zip(header, fields, strict=True)))
            elif fields:
                error = CorruptDocumentError(f"{len(fields)} fields where the header has {len(header)}")
                yield Row(place, {}, error)

    def _parquet_rows(self, file: IO[bytes]) -> Iterator[Row]:
        number = 0
        import pyarrow

        try:
            parquet = _parquet(file)
            _unique(parquet.schema_arrow.names, self.name)
            for batch in parquet.iter_batches(batch_size=_BATCH):
                for values in rows_of(batch):
                    number += 1
                    yield Row(f"row {number}", values)
        except pyarrow.ArrowException as error:
            raise CorruptDocumentError(f"{self.name!r} is damaged after row {number}: {error}") from error


class QueryRows:
    """Rows of a query on Postgres, read-only, by a server-side cursor, in the time zone UTC.

    Args:
        dsn: a libpq connection string; it may hold a password, so it is never shown.
        time_column: the column compared with `since`, a date or timestamp.
    """

    name = "query"

    def __init__(self, dsn: str, query: str, time_column: str | None) -> None:
        self._dsn = dsn
        self._query = query.strip().rstrip(";")
        self._time_column = time_column

    def columns(self) -> list[str]:
        with self._connect() as connection:
            cursor = connection.execute(f"SELECT * FROM ({self._query}\n) AS source LIMIT 0")
            return _unique([column.name for column in cursor.description or ()], self.name)

    def rows(self, since: datetime | None) -> Iterator[Row]:
        from psycopg import sql

        # Composed with a parameter, so a percent sign of the query itself must be doubled.
        statement: sql.Composable = sql.SQL("SELECT * FROM ({}\n) AS source").format(
            sql.SQL(self._query.replace("%", "%%"))
        )
        if since is not None and self._time_column is not None:
            column = sql.Identifier(self._time_column)
            statement += sql.SQL(" WHERE {0} >= %(since)s OR {0} IS NULL").format(column)
        with self._connect() as connection, connection.cursor(name="rag_records") as cursor:
            cursor.itersize = _BATCH
            cursor.execute(statement, {"since": since})
            names = _unique([column.name for column in cursor.description or ()], self.name)
            for number, values in enumerate(cursor, 1):
                yield Row(f"row {number}", dict(zip(names, values, strict=True)))

    @contextmanager
    def _connect(self) -> Iterator[Any]:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        from rag_pipelines.connectors.postgres_values import load_all_times

        try:
            password = str(conninfo_to_dict(self._dsn).get("password") or "")
        except psycopg.Error:
            # The driver's message may repeat the whole string.
            raise ConfigError("dsn is not a libpq connection string or postgresql:// URL") from None
        try:
            with psycopg.connect(self._dsn, connect_timeout=30) as connection:
                connection.read_only = True
                connection.execute("SET TIME ZONE 'UTC'")
                load_all_times(connection)
                yield connection
        except psycopg.OperationalError as error:
            message = str(error).strip()
            message = message.replace(password, "***") if password else message
            if _NO_ACCESS.search(message):
                raise CredentialError(f"the database refuses us: {message}") from None
            raise TransientError(f"the database cannot be reached: {message}") from None
        except psycopg.Error as error:
            raise UsageError(f"the query failed: {str(error).strip()}") from error


def _object_with_half_pairs(line: bytes) -> dict[str, Any] | None:
    """A JSON object with escapes of lone surrogates, which msgspec refuses; None where it is none.

    They all become U+D800: in the text of a row, U+DC80 to U+DCFF stand for bytes that are not UTF-8.
    """
    try:
        values = json.loads(line, parse_constant=_refuse)
        text = json.dumps(values, ensure_ascii=False)
        return json.loads(SURROGATE.sub("\ud800", text)) if isinstance(values, dict) else None
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _parquet(file: IO[bytes]) -> Any:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ConfigError("Parquet needs pyarrow; run: pip install 'rag-pipelines[parquet]'") from error
    try:
        return ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER)
    except pyarrow.ArrowException as error:
        raise CorruptDocumentError(f"not a Parquet file: {error}") from error


def _unique(names: list[str], source: str) -> list[str]:
    """`names` if none comes twice; else `CorruptDocumentError`, since one column would hide another."""
    if twice := {name for name in names if names.count(name) > 1}:
        raise CorruptDocumentError(
            f"{source!r} has two columns of one name: {', '.join(sorted(twice))}; give each its own"
        )
    return names


def _text(file: IO[bytes]) -> io.TextIOWrapper:
    # Bytes that are not UTF-8 become surrogates, so that they cost their own row only.
    return io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")


def missing_columns(wanted: Sequence[str], present: Sequence[str]) -> str | None:
    """What to tell about columns that are wanted and not present; None where all are."""
    missing = [column for column in wanted if column not in present]
    return f"no column {', '.join(map(repr, missing))}; valid are {', '.join(present)}" if missing else None
