"""Values of Postgres that Python's types cannot hold come as the text that Postgres writes.

What belongs here: infinite times, years before Christ or past 9999, the time 24:00, and intervals, of which
Python knows neither months nor infinity. What does not: connections and queries (`row_readers`).
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, DataError
from psycopg.abc import Buffer
from psycopg.types.datetime import (
    DateLoader,
    TimeLoader,
    TimestampLoader,
    TimestamptzLoader,
    TimetzLoader,
)
from psycopg.types.string import TextLoader


def load_all_times(connection: Connection[Any]) -> None:
    """Let `connection` give each date and time that Python cannot hold, and every interval, as text."""
    connection.execute("SET datestyle TO ISO; SET intervalstyle TO postgres")
    for name, loader in _LOADERS.items():
        connection.adapters.register_loader(name, loader)


def _or_text(loader: Any) -> Any:
    """A loader that gives what `loader` cannot hold as the text that Postgres writes."""

    class OrText(loader):
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except DataError:
                return bytes(data).decode()

    return OrText


_LOADERS: dict[str, Any] = {
    "date": _or_text(DateLoader),
    "time": _or_text(TimeLoader),
    "timetz": _or_text(TimetzLoader),
    "timestamp": _or_text(TimestampLoader),
    "timestamptz": _or_text(TimestamptzLoader),
    "interval": TextLoader,
}
