"""The pace of logins that several processes use at once, kept in the database.

What belongs here: the shared side of `http.pacing`, and when a process uses it. What does not: requests, and
what a server says about their pace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rag_pipelines.http.pacing import BURST, PACERS, Moment
from rag_pipelines.store.database import Database, query


class DatabasePace:
    """A `SharedPace` over all processes that work with one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, key: str, per_minute: int | None, units: int = 1) -> Moment:
        """As `SharedPace.take`."""
        step = 60 * units / per_minute if per_minute else 0.0
        with self._database.transaction() as connection:
            connection.execute("SET LOCAL synchronous_commit = off")
            row = query(connection, "take_pace", {"key": key, "step": step, "burst": BURST}).fetchone()
        assert row is not None
        return Moment(row["wait"] if per_minute else 0.0, row["held"])

    def hold(self, key: str, seconds: float) -> None:
        """As `SharedPace.hold`."""
        with self._database.connection() as connection:
            query(connection, "hold_pace", {"key": key, "seconds": seconds})


@contextmanager
def shared_pace(database: Database) -> Iterator[None]:
    """Within it, requests of this process keep to a pace with those of others that share the database."""
    with PACERS.share(DatabasePace(database)):
        yield
