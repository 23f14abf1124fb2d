"""Leases: one writer per source or index, safe against killed and against hung processes.

A lease is two things. A session-level advisory lock says whether the holder is alive: it goes with
the holder's connection, so a killed run frees it at once and a rerun need not wait for a time-out. A
fencing token in the row says whose writes count: every writing transaction holds the row with
``FOR SHARE`` where the token is still its own, so an orphan cannot write after its lease was taken.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg

from rag_pipelines import logs
from rag_pipelines.errors import LeaseLostError, UsageError
from rag_pipelines.store.database import Database, Params, Pg, query

log = logs.get(__name__)


def lease_owner() -> str:
    """Who holds a lease, for people: user, host and process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


@contextmanager
def advisory_lock(connection: Pg, key: str, *, busy: str) -> Iterator[None]:
    """Hold the advisory lock `key` on `connection`; raises `UsageError(busy)` when another session has it."""
    row = query(connection, "try_lock", {"key": key}).fetchone()
    if not (row and row["locked"]):
        raise UsageError(busy)
    try:
        yield
    finally:
        _release(connection, "unlock", {"key": key})


def source_lock(name: str) -> str:
    """The key of the lock that a living run over the source `name` holds."""
    return f"rag.source:{name}"


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
class SourceLease:
    """The right to write to one source, and the connection that holds it."""

    connection: Pg
    source_id: int
    token: UUID

    def hold(self, connection: Pg) -> None:
        """Inside a transaction: make sure that the lease is still ours and stays so until commit."""
        params = {"source_id": self.source_id, "token": self.token}
        if query(connection, "hold_source_lease", params).fetchone() is None:
            log.warning("lease lost", source_id=self.source_id)
            raise LeaseLostError(f"another run took the lease of source {self.source_id}; this run stops")


@contextmanager
def source_lease(database: Database, name: str, connector: str) -> Iterator[SourceLease]:
    """Take the lease of the source `name` on a connection of its own.

    Raises:
        UsageError: another live run holds it; the message says who and since when.
    """
    with database.connect() as connection:
        found = query(connection, "source_by_name", {"name": name}).fetchone()
        holder = (
            f" by {found['lease_owner']} since {found['lease_at']:%Y-%m-%d %H:%M:%S}"
            if found and found["lease_owner"]
            else ""
        )
        busy = f"source {name!r} is being synced{holder}; wait for that run to end, or stop it"
        with advisory_lock(connection, source_lock(name), busy=busy), shared_catalogue(connection):
            row = query(connection, "ensure_source", {"name": name, "connector": connector}).fetchone()
            assert row is not None
            token = uuid4()
            query(
                connection,
                "take_source_lease",
                {"source_id": row["source_id"], "token": token, "owner": lease_owner()},
            )
            log.info("lease taken", source=name, before=found["lease_owner"] if found else None)
            yield SourceLease(connection, row["source_id"], token)
            log.debug("lease released", source=name)
