"""Connections to Postgres: a small pool, named queries, and the mapping of driver errors.

What belongs here: what every module of `store` needs of a connection. What does not: any table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from typing import Any

import psycopg
from psycopg import Connection, Cursor, RawCursor, sql
from psycopg.rows import dict_row

from rag_pipelines import tracing
from rag_pipelines.errors import DatabaseError, TransientError
from rag_pipelines.secrets.references import current
from rag_pipelines.store.address import Address, Login, is_refused
from rag_pipelines.store.schema import is_settled, migrate
from rag_pipelines.store.sql import queries

Row = dict[str, Any]
Params = Mapping[str, Any]
Pg = Connection[Row]

_PARAMETER = re.compile(r"%\((\w+)\)s")

_TRANSIENT = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.TooManyConnections,
)


class Database:
    """A Postgres database with the `rag` schema.

    Connections are made when they are asked for, no more than are in use at once, and are never shared
    between threads: a thread takes one with `connection()` and gives it back. What the driver raises inside
    leaves as an error of ours, whatever the connection was used for, and there is no other way to get one.
    The server notices a dead client within a second (client_connection_check_interval), so that a killed
    build stops and its locks are released.

    Behind a pooler a connection of the pool is one transaction, in which alone the server settings hold;
    what needs a session of the server (`connect`) goes to `session_url`.
    """

    def __init__(
        self,
        url: str,
        *,
        session_url: str | None = None,
        pool_size: int = 8,
        server_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._address = Address(url)
        self._sessions = Address(session_url, "database.session_url") if session_url else self._address
        self._pool_size = pool_size
        self._server_settings = {
            "client_connection_check_interval": "1000",
            "jit": "off",
            **(server_settings or {}),
        }
        self._migrates = False

    def with_server_settings(
        self, server_settings: Mapping[str, str], *, pool_size: int | None = None
    ) -> Database:
        """The same database with a pool of its own, whose connections have these server settings too."""
        settings = {**self._server_settings, **server_settings}
        same = Database(self._address.url, pool_size=pool_size or self._pool_size, server_settings=settings)
        same._address, same._sessions = self._address, self._sessions
        return same

    def at(self, url: str, setting: str) -> Database:
        """The same by another address or login, that of `setting`, with a pool of its own."""
        other = Database(url, pool_size=self._pool_size, server_settings=self._server_settings)
        other._address = other._sessions = Address(url, setting)
        return other

    def __repr__(self) -> str:
        return f"Database({psycopg.conninfo.make_conninfo(self._address.url, password=None)!r})"

    @property
    def url(self) -> str:
        """Where the database is; holds the password."""
        return current(self._address.url)

    @property
    def session_url(self) -> str:
        """Where it gives sessions, for a library that connects by itself; holds the password."""
        return current(self._sessions.url)

    @contextmanager
    def connect(self) -> Iterator[Pg]:
        """A session of its own in autocommit mode, outside the pool, for what outlives one statement.

        Raises:
            UsageError: its address leads to a pooler in transaction mode, where there are none.
        """
        self._migrate_first()
        with self._session() as connection:
            yield connection

    @contextmanager
    def _session(self) -> Iterator[Pg]:
        with mapped_errors(), closing(self._sessions.open_session()) as connection:
            self._settle(connection)
            yield connection

    def _settle(self, connection: Pg) -> None:
        """Make the server settings those of a session."""
        query(connection, "set_for_session", self._settings)

    @property
    def _settings(self) -> Params:
        return {"names": list(self._server_settings), "values": list(self._server_settings.values())}

    @cached_property
    def _pool(self) -> Any:
        from psycopg_pool import ConnectionPool

        return ConnectionPool(
            self._address.url,
            connection_class=Login,
            kwargs=self._address.options,
            configure=None if self._address.is_pooled else self._settle,
            min_size=0,
            max_size=self._pool_size,
            open=True,
        )

    @contextmanager
    def connection(self) -> Iterator[Pg]:
        """A pooled connection in autocommit mode; use ``with connection.transaction()`` for more.

        Behind a pooler it is inside a transaction, which ends with the block.
        """
        self._migrate_first()
        with mapped_errors(), self._pool.connection() as connection:
            if self._address.is_pooled:
                with connection.transaction():
                    query(connection, "set_for_transaction", self._settings)
                    yield connection
            else:
                yield connection

    @contextmanager
    def transaction(self) -> Iterator[Pg]:
        """A pooled connection inside one transaction."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Pg]:
        """A pooled connection inside one transaction that only reads, and whose statements all see the same
        moment."""
        self._migrate_first()
        with mapped_errors(), self._pool.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if self._address.is_pooled:
                query(connection, "set_for_transaction", self._settings)
            yield connection

    def close(self) -> None:
        """Close the pool, if it was ever opened."""
        if "_pool" in self.__dict__:
            self._pool.close()

    def migrate(self) -> list[str]:
        """Bring the schema up to date; returns what was applied. See `store.schema.migrate`.

        A pooler will do where there is nothing to apply.
        """
        with mapped_errors(), closing(self._address.connect()) as connection:
            if not self._address.is_pooled:
                self._settle(connection)
                return migrate(connection)
            if is_settled(connection):
                return []
        with self._session() as connection:
            return migrate(connection)

    def migrate_when_used(self) -> None:
        """Let the first connection bring the schema up to date: a database that is away is noticed there."""
        self._migrates = True

    def _migrate_first(self) -> None:
        if self._migrates:
            self.migrate()
            self._migrates = False


Part = str | sql.Composable
"""A table of the schema `rag` by its name, or a ready piece of SQL."""


def compose_query(name: str, parts: Mapping[str, Part] | None = None) -> sql.SQL | sql.Composed:
    """The text of the query `name` with its ``{placeholders}`` filled in."""
    text = sql.SQL(queries()[name])
    if not parts:
        return text
    return text.format(
        **{key: sql.Identifier("rag", part) if isinstance(part, str) else part for key, part in parts.items()}
    )


def query(
    connection: Pg,
    name: str,
    params: Params | None = None,
    parts: Mapping[str, Part] | None = None,
    *,
    binary: bool = False,
) -> Cursor[Row]:
    """Run the query `name`; `parts` fills its ``{placeholders}``."""
    with tracing.statement(name):
        return connection.execute(compose_query(name, parts), params, binary=binary)


class PreparedQuery:
    """A query that is run often, with its parameters numbered once: psycopg takes a while for a long text.

    `name` is that of the query which it was composed from.
    """

    def __init__(self, text: sql.Composable, name: str) -> None:
        self._name = name
        self._names: list[str] = []
        self._text = _PARAMETER.sub(self._number, text.as_string(None)).replace("%%", "%").encode()

    def run(
        self, connection: Pg, params: Mapping[str, Any], *, binary: bool = False, prepare: bool | None = True
    ) -> Cursor[Row]:
        """As `Connection.execute`."""
        cursor = RawCursor(connection, row_factory=dict_row)
        values = [params[name] for name in self._names]
        with tracing.statement(self._name):
            return cursor.execute(self._text, values, prepare=prepare, binary=binary)

    def _number(self, match: re.Match[str]) -> str:
        name = match[1]
        if name not in self._names:
            self._names.append(name)
        return f"${self._names.index(name) + 1}"


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn driver errors into `TransientError` or `DatabaseError`, with the driver's error as the cause.

    A login or a database that is refused is no passing fault.
    """
    try:
        yield
    except _TRANSIENT as error:
        raise TransientError(
            f"Postgres is busy or restarting ({type(error).__name__}): {_one_line(error)}"
        ) from error
    except psycopg.OperationalError as error:
        if is_refused(error):
            raise DatabaseError(
                f"the address of Postgres is refused: {_one_line(error)}. Check the login and the database "
                "that it names; before a pooler it takes no `options`, and statements cannot be pooled"
            ) from error
        raise TransientError(f"cannot reach Postgres: {_one_line(error)}") from error
    except psycopg.Error as error:
        raise DatabaseError(f"{type(error).__name__}: {str(error).strip()}") from error


def _one_line(error: psycopg.Error) -> str:
    """What the driver says of a lost connection, which it spreads over lines."""
    return " ".join(str(error).split())
