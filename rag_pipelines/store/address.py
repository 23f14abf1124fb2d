"""What an address of the database leads to: the server itself, or a pooler that lends its sessions out.

What belongs here: telling these apart, and what may be asked of each. What does not: connections that are
kept, and what runs on them (`database`).

A server tells each client which of its processes serves it (the protocol's BackendKeyData). A pooler cannot,
because that changes, and makes a number up. In transaction mode each transaction may run in another session:
no setting, lock or temporary table outlives it, and a setting that did would be another client's.
"""

from __future__ import annotations

import re
from contextlib import closing
from functools import partial
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from rag_pipelines.errors import UsageError
from rag_pipelines.secrets.references import log_in
from rag_pipelines.store.sql import queries

Pg = psycopg.Connection[dict[str, Any]]

TURNS = 5
"""How often two connections are asked in turn which process serves them. A pooler that nobody else uses gives
both the same, and a busy one changes them."""

PROGRAM = "rag_pipelines"
"""What our sessions call themselves to the server."""

_OWN_NAMES = "_pg3_"
"""How the names begin under which psycopg prepares statements."""


REFUSED = re.compile(
    r"unsupported startup parameter|statement pooling mode|authentication failed|no password supplied"
    r'|no pg_hba\.conf entry|no such (user|database)|(role|database|user) "[^"]*" does not exist'
)
"""What Postgres and PgBouncer say of an address that another try makes no better. The driver has no code for
what is said before there is a connection."""


class Login(psycopg.Connection[Any]):
    """A connection by an address that may hold secrets; where it is refused, by what their stores say now."""

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        return log_in(conninfo, partial(super().connect, **options), is_refused)


def is_refused(error: Exception) -> bool:
    """Whether the server does not take a login or a database, which passes by itself no more."""
    return isinstance(error, psycopg.OperationalError) and REFUSED.search(str(error)) is not None


class Address:
    """One address, of which more is known once a connection has been made. Safe to use from several threads.

    Args:
        setting: where it is configured, for messages.
    """

    def __init__(self, url: str, setting: str = "database.url") -> None:
        self.url = url
        self._setting = setting
        self._is_pooled: bool | None = None
        self._is_shared: bool | None = None
        self._keeps_statements = True

    @property
    def is_pooled(self) -> bool:
        """Whether a pooler stands before the server; connects to find out, the first time.

        Raises what `psycopg.connect` does.
        """
        if self._is_pooled is None:
            self.connect().close()
        assert self._is_pooled is not None
        return self._is_pooled

    @property
    def keeps_statements(self) -> bool:
        """Whether a statement that was prepared in one transaction can be run in the next."""
        return not self.is_pooled or self._keeps_statements

    @property
    def options(self) -> dict[str, Any]:
        """For `psycopg.connect`: autocommit mode, and no prepared statements where they are lost."""
        options = {"autocommit": True, "row_factory": dict_row, "application_name": PROGRAM}
        return options if self._keeps_statements else {**options, "prepare_threshold": None}

    def connect(self) -> Pg:
        """A new connection, for which the caller sees to its end. Raises what `psycopg.connect` does."""
        connection: Pg = Login.connect(self.url, **self.options)
        try:
            if self._is_pooled is None:
                self._look(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def open_session(self) -> Pg:
        """The same, of which is sure that it stays with one session of the server as long as it is open.

        Raises:
            UsageError: a pooler in transaction mode is in between.
        """
        connection = self.connect()
        try:
            shared = self.is_pooled and self._shares_sessions(connection)
        except BaseException:
            connection.close()
            raise
        if shared:
            connection.close()
            raise UsageError(
                f"{self._setting} leads to a connection pooler in transaction mode, and this needs a session "
                "of its own, for locks and temporary tables. Set database.session_url to the server itself "
                "(or to a pool in session mode); searches may stay behind the pooler"
            )
        return connection

    def _look(self, connection: Pg) -> None:
        pooled = _process(connection) != connection.info.backend_pid
        if pooled and not _outlive_transactions(connection):
            self._keeps_statements = False
            connection.prepare_threshold = None
        self._is_pooled = pooled

    def _shares_sessions(self, connection: Pg) -> bool:
        """Whether two connections are served by one session, or one by several."""
        if self._is_shared is None:
            with closing(self.connect()) as other:
                turns = {(_process(connection), _process(other)) for _ in range(TURNS)}
            one, another = turns.pop()
            self._is_shared = bool(turns) or one == another
        return self._is_shared


def _process(connection: Pg) -> int:
    """The process of the server that runs our statement."""
    row = connection.execute(queries()["own_process"].encode()).fetchone()
    assert row is not None
    return int(row["pid"])


def _outlive_transactions(connection: Pg) -> bool:
    """Whether a pooler looks after prepared statements: it prepares them under names of its own.

    PgBouncer does from 1.21 on, with `max_prepared_statements`. psycopg needs libpq 17 to take one back.
    """
    if not psycopg.capabilities.has_send_close_prepared():
        return False
    try:
        with connection.transaction():
            row = connection.execute(queries()["own_statement"].encode(), prepare=True).fetchone()
            assert row is not None
            if not row["name"].startswith(_OWN_NAMES):
                return True
            connection.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(row["name"])))
    except psycopg.errors.DuplicatePreparedStatement:  # another client has left one there
        pass
    return False
