"""Leases: one writer per source or index, safe against killed and against hung processes.

What belongs here: what a lease is, and that of a whole source. What does not: leases of parts of one
(`shards`).

A lease is two things. A session-level advisory lock says whether the holder is alive: it goes with
the holder's connection, so a killed run frees it at once and a rerun need not wait for a time-out. A
fencing token in the row says whose writes count: every writing transaction holds the row with
``FOR SHARE`` where the token is still its own, so an orphan cannot write after its lease was taken.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid4

import psycopg

from rag_pipelines import logs
from rag_pipelines.errors import LeaseLostError, UsageError
from rag_pipelines.store.database import Database, Params, Pg, query

log = logs.get(__name__)

NAMED = 3
"""Shards that a message names."""


def lease_owner() -> str:
    """Who holds a lease, for people: user, host and process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


@contextmanager
def advisory_lock(
    connection: Pg, key: str, *, busy: str | Callable[[], str], shared: bool = False
) -> Iterator[None]:
    """Hold the advisory lock `key` on `connection`; raises `UsageError` when another session has it.

    Args:
        busy: what the error says.
        shared: others may hold it shared as well.
    """
    way = "_shared" if shared else ""
    row = query(connection, f"try_lock{way}", {"key": key}).fetchone()
    if not (row and row["locked"]):
        raise UsageError(busy if isinstance(busy, str) else busy())
    try:
        yield
    finally:
        _release(connection, f"unlock{way}", {"key": key})


def source_lock(name: str) -> str:
    """The key of the lock that a living run over the source `name` holds."""
    return f"rag.source:{name}"


def buckets_lock(name: str) -> str:
    """The key of the lock on all buckets of the source `name`: alone for all of them, shared for some."""
    return f"rag.buckets:{name}"


@contextmanager
def shared_catalogue(connection: Pg) -> Iterator[None]:
    """Keep a collection of garbage away while the block refers to what it has looked up; waits for one."""
    query(connection, "share_catalogue")
    try:
        yield
    finally:
        _release(connection, "unshare_catalogue")


def _release(connection: Pg, name: str, params: Params | None = None) -> None:
    """Give a lock back. A lost connection has none, and must not hide why the block ended."""
    with suppress(psycopg.OperationalError):
        query(connection, name, params)


@dataclass(frozen=True)
class Lease:
    """The right to write to a source or a part of it, and the connection that holds it; taken at `since`."""

    connection: Pg
    source_id: int
    token: UUID
    since: datetime

    holding: ClassVar[str]
    """The query that holds it."""

    def hold(self, connection: Pg) -> None:
        """Inside a transaction: make sure that the lease is still ours and stays so until commit."""
        params = {"source_id": self.source_id, "token": self.token}
        if query(connection, self.holding, params).fetchone() is None:
            log.warning("lease lost", source_id=self.source_id)
            raise LeaseLostError(f"another run took the lease of source {self.source_id}; this run stops")

    @property
    def buckets(self) -> tuple[int, ...] | None:
        """The buckets of documents that it is for; None for all."""
        return None


@dataclass(frozen=True)
class SourceLease(Lease):
    """The right to list a source; and to bring its documents forward, unless it is beside shards."""

    holding = "hold_source_lease"


@contextmanager
def source_lease(
    database: Database, name: str, connector: str, *, beside_shards: bool = False
) -> Iterator[SourceLease]:
    """Take the lease of the source `name` on a connection of its own.

    Args:
        beside_shards: only to list: shards (`store.shards`) may be at work, and begin.

    Raises:
        UsageError: another live run holds it, or shards are at work; the message says who and since when.
    """
    with database.connect() as connection:
        found = query(connection, "source_by_name", {"name": name}).fetchone()
        holder = (
            f" by {found['lease_owner']} since {found['lease_at']:%Y-%m-%d %H:%M:%S}"
            if found and found["lease_owner"]
            else ""
        )
        busy = f"source {name!r} is being synced{holder}; wait for that run to end, or stop it"
        with ExitStack() as held:
            held.enter_context(advisory_lock(connection, source_lock(name), busy=busy))
            if not beside_shards:
                held.enter_context(_all_buckets(connection, name))
            held.enter_context(shared_catalogue(connection))
            row = query(connection, "ensure_source", {"name": name, "connector": connector}).fetchone()
            assert row is not None
            token = uuid4()
            params = {"source_id": row["source_id"], "token": token, "owner": lease_owner()}
            taken = query(connection, "take_source_lease", params).fetchone()
            assert taken is not None
            log.info("lease taken", source=name, before=found["lease_owner"] if found else None)
            yield SourceLease(connection, row["source_id"], token, taken["lease_at"])
            log.debug("lease released", source=name)


@contextmanager
def _all_buckets(connection: Pg, name: str) -> Iterator[None]:
    """Keep shards of the source away; raises `UsageError` where some are at work."""

    def busy() -> str:
        at_work = shards_at_work(connection, name)
        return f"shards of source {name!r} are at work{at_work}; wait for them to end, or stop them"

    with advisory_lock(connection, buckets_lock(name), busy=busy):
        yield


def shards_at_work(connection: Pg, name: str) -> str:
    """Those of the source `name`, for a message; empty where none is."""
    rows = query(connection, "living_shards", {"names": [name]}).fetchall()
    said = [
        f"{row['shard']}/{row['shards']} by {row['lease_owner']} since {row['lease_at']:%Y-%m-%d %H:%M:%S}"
        for row in rows[:NAMED]
    ]
    more = [f"{len(rows) - NAMED} more"] if len(rows) > NAMED else []
    return f" ({', '.join(said + more)})" if said else ""
