"""Databases for tests: copies of a template on one server, each of a test's (or a module's) own.

What belongs here: making, naming and dropping databases. What does not: starting the server (`conftest`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
from psycopg import sql

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
"""The process among those that run the tests; part of every name, because they may share one server."""

_numbers = itertools.count()


@contextmanager
def copied_database(server_url: str, template: str) -> Iterator[str]:
    """The URL of a copy of the database `template`, to which nobody may be connected; dropped at the end.

    A copy takes about 20 ms of a processor; what several tests start from is made once and copied for each.
    Files are copied as they are, with the server's cache of the catalogue among them: half the work of
    copying by the log.
    """
    name = f"test_{WORKER}_{next(_numbers)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    _administration(server_url).execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield with_database(server_url, name)
    finally:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        _administration(server_url).execute(drop.format(sql.Identifier(name)))


@cache
def _administration(server_url: str) -> psycopg.Connection:
    """A connection that stays: a new one for each statement is a third of the work of a copy."""
    return psycopg.connect(server_url, autocommit=True)


def database_of(url: str) -> str:
    """The name of a URL's database."""
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def with_database(url: str, name: str) -> str:
    """The same server's database `name`."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"
