"""Brings a database to the schema of this code, whatever earlier or later code has made of it.

What belongs here: deciding what a database lacks, and applying it under one lock. What does not: the
statements (`sql/migrations`, `sql/objects`) and what their tables mean.

Tables change by migrations. Each is applied once and kept with its checksum: a text that changed afterwards
is an error, because no database would get the change. Functions, triggers, policies and views are objects:
each is applied again when its text changes, all of them after a migration, and one that is no longer there
is dropped. What was interrupted is gone on with by the next process that starts.

Every release leaves a row in `rag.schema_release` that says from which release on code may use its schema.
Older code that is in this range uses a newer schema as it is and changes nothing; code out of it is refused.
So a schema may only add to what the release before needs: what that one reads is dropped one release later.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import psycopg
from psycopg import Connection

from rag_pipelines import __version__
from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.store.sql import legacy_migrations, migrations, objects, queries

SERVES_FROM = "0.1.0"
"""The oldest release whose code works on this schema; a test runs the last release against it."""

SCHEMA_LOCK = 7_316_441_902
"""Advisory lock under which a schema is changed, so that processes that start at once do not collide."""

LOCK_TIMEOUT = "500ms"
"""How long a change may wait for a table: searches queue behind it, and below Postgres' deadlock_timeout of a
second it is the change that gives way, not a search."""

PATIENCE = 60.0
"""Seconds in which a change that had to give way is tried again."""

PROTECTING = "FUNCTION rag.protect_table(text)"
"""Makes the policies of a version's table, and is called again for every such table when it changed."""

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


@dataclass(frozen=True)
class Schema:
    """What a release makes of a database: texts by name, each in the order in which they apply.

    The first of `migrations` is the baseline, which stands for all of `legacy`.
    """

    migrations: Mapping[str, str]
    objects: Mapping[str, str]
    legacy: Mapping[str, str] = field(default_factory=dict)
    release: str = __version__
    serves_from: str = SERVES_FROM

    @property
    def baseline(self) -> str:
        """The name of the first migration."""
        return next(iter(self.migrations))

    @cached_property
    def digest(self) -> str:
        """Covers every text and their order."""
        texts = [*self.legacy.items(), *self.migrations.items(), *self.objects.items()]
        return _digest("".join(f"{name} {checksum(text)}\n" for name, text in texts))


@cache
def current_schema() -> Schema:
    """The schema of this code, read from the folder `sql`."""
    return Schema(migrations(), objects(), legacy_migrations())


def checksum(text: str) -> str:
    """Of what the statements say: comment lines and white space around lines do not count."""
    lines = (line.strip() for line in _COMMENT.sub("", text).splitlines())
    return _digest("\n".join(line for line in lines if line))


def migrate(connection: Connection[dict[str, Any]], schema: Schema | None = None) -> list[str]:
    """Bring the database to `schema`; returns what was applied. Safe to call from several processes.

    Raises:
        UsageError: the database was made by code that this release does not go with, or a migration that it
            holds has another text now.
        TransientError: other sessions kept a table for longer than `PATIENCE`.
    """
    wanted = schema or current_schema()
    if is_settled(connection, wanted):
        return []
    with _schema_lock(connection):
        _change(connection, ("keep_schema_books", None))
        if is_settled(connection, wanted):
            return []
        rows = connection.execute(queries()["applied_migrations"]).fetchall()
        applied = {row["name"]: row["checksum"] for row in rows}
        _check_history(applied, wanted)
        # An empty database has no users. In others each change is a transaction of its own, which holds one
        # table: while it waited for a second one, a search with that one would wait for the first.
        with nullcontext() if applied else connection.transaction():
            done = _apply_migrations(connection, wanted, applied) + _apply_objects(connection, wanted)
            release = {"release": wanted.release, "serves_from": wanted.serves_from, "digest": wanted.digest}
            connection.execute(queries()["record_schema_release"], release)
        return done


def is_settled(connection: Connection[dict[str, Any]], schema: Schema | None = None) -> bool:
    """Whether there is nothing to apply: all is there, or newer code has been here that goes with ours.

    Raises:
        UsageError: newer code has been here that does not.
    """
    schema = schema or current_schema()
    try:
        rows = connection.execute(queries()["schema_releases"]).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False
    newest = max(rows, key=lambda row: _order(row["release"]), default=None)
    if newest is None or _order(newest["release"]) <= _order(schema.release):
        return any((row["release"], row["digest"]) == (schema.release, schema.digest) for row in rows)
    if _order(schema.release) < _order(newest["serves_from"]):
        raise UsageError(
            f"the database has the schema of rag-pipelines {newest['release']}, which code from "
            f"{newest['serves_from']} on can use; this is {schema.release}. Install "
            f"rag-pipelines {newest['serves_from']} or later, or restore a backup from before that upgrade"
        )
    return True


@contextmanager
def _schema_lock(connection: Connection[dict[str, Any]]) -> Iterator[None]:
    connection.execute("SELECT pg_advisory_lock(%s)", (SCHEMA_LOCK,))
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # A lost connection has no lock.
            connection.execute("SELECT pg_advisory_unlock(%s)", (SCHEMA_LOCK,))


def _apply_migrations(
    connection: Connection[dict[str, Any]], schema: Schema, applied: Mapping[str, str | None]
) -> list[str]:
    """Apply what is missing. The baseline makes an empty database; where `legacy` made it, it is noted."""
    is_legacy = schema.baseline not in applied and any(name in applied for name in schema.legacy)
    done: list[str] = []
    for name, text in {**schema.legacy, **schema.migrations}.items():
        if name in applied:
            continue
        is_noted = name == schema.baseline if is_legacy else name in schema.legacy
        record = ("record_migration", {"name": name, "checksum": checksum(text)})
        if is_noted:
            _change(connection, record)
        else:
            _change(connection, (text, None), record, ("doubt_objects", None))
            done.append(name)
    return done


def _check_history(applied: Mapping[str, str | None], schema: Schema) -> None:
    """Raises `UsageError` where the database holds what these texts do not give."""
    known = {**schema.legacy, **schema.migrations}
    if unknown := sorted(applied.keys() - known.keys()):
        raise UsageError(
            f"the database holds migrations that this code ({schema.release}) does not have: "
            f"{', '.join(unknown)}. Use the code that applied them, or newer"
        )
    changed = sorted(name for name, stored in applied.items() if stored not in (None, checksum(known[name])))
    if changed:
        raise UsageError(
            f"the text of {', '.join(changed)} changed after this database had it applied; give it back the "
            "text that it had, and make the change in a migration of its own"
        )


def _apply_objects(connection: Connection[dict[str, Any]], schema: Schema) -> list[str]:
    """Apply the objects that changed; drop those that vanished, last ones first."""
    rows = connection.execute(queries()["applied_objects"]).fetchall()
    applied = {row["identity"]: row["checksum"] for row in rows}
    done: list[str] = []
    for place, (identity, text) in enumerate(schema.objects.items()):
        key = checksum(text)
        if applied.get(identity) == key:
            continue
        former = [(_dropping(identity), None)] if _is_made_anew(identity, text) else []
        _change(connection, *former, (text, None))
        if identity == PROTECTING:
            for row in connection.execute(queries()["version_tables"]).fetchall():
                _change(connection, ("protect_table", {"table": row["table_name"]}))
        _change(connection, ("record_object", {"identity": identity, "place": place, "checksum": key}))
        done.append(identity)
    for identity in reversed(applied):
        if identity not in schema.objects:
            _change(connection, (_dropping(identity), None), ("forget_object", {"identity": identity}))
            done.append(f"without {identity}")
    return done


def _is_made_anew(identity: str, text: str) -> bool:
    """Whether an object is dropped before it is created, as policies and constraint triggers must be."""
    return identity.startswith("POLICY ") or (
        identity.startswith("TRIGGER ") and "CREATE OR REPLACE TRIGGER" not in text
    )


def _dropping(identity: str) -> str:
    kind, _, rest = identity.partition(" ")
    return f"DROP {kind} IF EXISTS {rest}"


def _change(
    connection: Connection[dict[str, Any]], *statements: tuple[str, Mapping[str, Any] | None]
) -> None:
    """Run named queries or texts in one transaction, again and again while a table is not to be had."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'".encode())
                for text, params in statements:
                    connection.execute(queries().get(text, text).encode(), params)
                return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if time.monotonic() > deadline:
                raise TransientError(
                    f"the schema could not be brought up to date in {PATIENCE:.0f} seconds, because other "
                    "sessions hold its tables; try again when running ingests and builds have ended"
                ) from error
            time.sleep(0.1)


def _order(release: str) -> tuple[int, ...]:
    """The numbers of a release, to compare by."""
    return tuple(int(number) for number in re.findall(r"\d+", release)[:3])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
