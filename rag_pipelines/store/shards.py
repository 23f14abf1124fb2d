"""Leases of parts of a source, so that several processes, on as many machines, bring its documents forward.

What belongs here: what a shard is, and its lease. What does not: what is done under it (`sync.shards`).

A document falls into one of `BUCKETS` buckets by the hash of its id (``rag.document.bucket``), and a shard
is the buckets b with ``b % of == index``. A shard's lease is what a source's is (`lease`), for its buckets:

- two shards with a bucket in common exclude each other, also where they divide the source differently;
- all shards of a source are excluded by a run that brings documents forward itself, and exclude it;
- a listing that leaves this to shards excludes other listings alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg

from rag_pipelines import logs
from rag_pipelines.errors import UsageError
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import (
    Lease,
    advisory_lock,
    buckets_lock,
    lease_owner,
    shards_at_work,
    shared_catalogue,
)

log = logs.get(__name__)

BUCKETS = 64
"""As many as the generated column ``rag.document.bucket`` makes."""


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 0) of a source's documents, divided into `of` parts (1 to `BUCKETS`)."""

    index: int
    of: int

    def __post_init__(self) -> None:
        if not (1 <= self.of <= BUCKETS and 0 <= self.index < self.of):
            raise UsageError(
                f"there is no shard {self}; valid: I/N with N from 1 to {BUCKETS} and I from 0 to N - 1, "
                "such as 3/16"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    @property
    def buckets(self) -> tuple[int, ...]:
        """Its buckets, in order."""
        return tuple(range(self.index, BUCKETS, self.of))


def read_shard(text: str) -> Shard:
    """The shard that is written as ``3/16``. Raises `UsageError`."""
    index, slash, of = text.partition("/")
    if not (slash and index.isdecimal() and of.isdecimal()):
        raise UsageError(
            f"received {text!r} as a shard; valid: I/N with N from 1 to {BUCKETS} and I from 0 to N - 1, "
            "such as 3/16"
        )
    return Shard(int(index), int(of))


@dataclass(frozen=True)
class ShardLease(Lease):
    """The right to bring the documents of one shard forward."""

    shard: Shard

    holding = "hold_shard_lease"

    @property
    def buckets(self) -> tuple[int, ...] | None:
        """As `Lease.buckets`."""
        return None if self.shard.of == 1 else self.shard.buckets


@contextmanager
def shard_lease(database: Database, name: str, connector: str, shard: Shard) -> Iterator[ShardLease]:
    """Take the lease of a shard of the source `name` on a connection of its own.

    Raises:
        UsageError: another process has one of its buckets, or a run all of them; the message says who.
    """
    with database.connect() as connection:
        row = query(connection, "ensure_source", {"name": name, "connector": connector}).fetchone()
        assert row is not None
        params: dict[str, Any] = {
            "source_id": row["source_id"],
            "token": uuid4(),
            "shard": shard.index,
            "shards": shard.of,
            "buckets": list(shard.buckets),
            "lease_owner": lease_owner(),
        }
        with _locks(connection, name, shard, params["token"]), shared_catalogue(connection):
            with connection.transaction():
                query(connection, "begin_shard_lease", params)
                query(connection, "end_shard_leases", params)
                taken = query(connection, "take_shard_lease", params).fetchone()
                assert taken is not None
            log.info("lease taken", source=name, shard=str(shard))
            try:
                yield ShardLease(
                    connection, row["source_id"], params["token"], taken["lease_at"], shard=shard
                )
            finally:
                with suppress(psycopg.OperationalError):
                    query(connection, "drop_shard_lease", params)
            log.debug("lease released", source=name, shard=str(shard))


@contextmanager
def _locks(connection: Pg, name: str, shard: Shard, token: UUID) -> Iterator[None]:
    """Keep away whoever works on one of its buckets, and say that `token` is living.

    Buckets are locked in order, so that of two with some in common one gets them all.
    """

    def busy() -> str:
        at_work = shards_at_work(connection, name)
        reason = f"its buckets are worked on{at_work}" if at_work else "a run works on the whole source"
        return f"shard {shard} of source {name!r} is busy, {reason}; wait for it to end, or stop it"

    with ExitStack() as held:
        held.enter_context(advisory_lock(connection, buckets_lock(name), busy=busy, shared=True))
        for bucket in shard.buckets:
            held.enter_context(advisory_lock(connection, f"rag.bucket:{name}/{bucket}", busy=busy))
        held.enter_context(advisory_lock(connection, f"rag.shard:{token}", busy=busy))
        yield
