"""What every part of one source's run shares: its lease, its settings, its report.

What belongs here: the value itself. What does not: any work.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from msgspec import structs
from psycopg.pq import TransactionStatus

from rag_pipelines import logs, tracing
from rag_pipelines.config.settings import LimitSettings, Settings, SourceSettings
from rag_pipelines.progress import Progress
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Pg, query
from rag_pipelines.store.documents import QuarantineEntry, quarantine
from rag_pipelines.store.lease import Lease
from rag_pipelines.store.switches import refuse_read_only
from rag_pipelines.sync.decisions import Decisions
from rag_pipelines.sync.diff import DocumentChange
from rag_pipelines.sync.prepare import Prepared, Rechunked, Task, process, quicker
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.workers.local import LocalPool
from rag_pipelines.workers.pool import WorkerPool

log = logs.get(__name__)

Workers = WorkerPool[Task, Prepared | Rechunked]


def worker_pool(limits: LimitSettings) -> Workers:
    """The parser processes of a run; none is started before there is something to parse.

    Without `limits.sandbox` there are none: this process parses.
    """
    if not limits.sandbox:
        return LocalPool(process)
    return WorkerPool(process, workers=limits.worker_count, limits=limits.parse, quicker=quicker)


@dataclass(frozen=True)
class SourceRun:
    """One run over one source, or over some buckets of its documents, holding their lease."""

    name: str
    settings: Settings
    lease: Lease
    blobs: BlobStore
    workers: Workers
    report: SyncReport
    progress: Progress
    decisions: Decisions | None = None
    """Where the listing's decisions are collected, if they are."""

    @property
    def connection(self) -> Pg:
        """The connection that holds the lease; everything of this run is written through it."""
        return self.lease.connection

    @property
    def source_id(self) -> int:
        """The source's row."""
        return self.lease.source_id

    @property
    def buckets(self) -> list[int] | None:
        """The buckets that it works on, for queries; None for all."""
        return None if self.lease.buckets is None else list(self.lease.buckets)

    @property
    def source(self) -> SourceSettings:
        """The source's settings."""
        return self.settings.source(self.name)

    def decide(self, change: DocumentChange, external_id: str, about: Any = None) -> None:
        """Count what happens to a document, and collect it; `about` is what the decision rests on."""
        self.report.count(change, external_id)
        if self.decisions is not None and change is not DocumentChange.UNCHANGED:
            self.decisions.record(change, external_id, about)

    def redecide(self, before: DocumentChange, after: DocumentChange, external_id: str) -> None:
        """What was decided as `before` turns out to be `after`."""
        self.report.recount(before, after, external_id)
        if self.decisions is not None:
            self.decisions.record(after, external_id)

    @contextmanager
    def writing(self) -> Iterator[Pg]:
        """A transaction that commits only while the lease is ours."""
        with self.connection.transaction():
            self.lease.hold(self.connection)
            refuse_read_only(self.connection, f"writing of source {self.name!r}")
            yield self.connection

    def forgotten(self, ids: Iterable[str]) -> set[str]:
        """Inside `writing`: which of these were purged since the run began; nothing of them may be stored.

        A purge waits for the transaction, so the answer holds until commit.
        """
        params = {"source_id": self.source_id, "ids": list(ids), "since": self.lease.since}
        return {row["id"] for row in query(self.connection, "forgotten_ids", params)}

    def quarantine(self, entries: Iterable[QuarantineEntry]) -> None:
        """Inside `writing`: record failures, but of documents that were purged since the run began."""
        quarantine(self.connection, self.source_id, self.lease.since, entries)

    def purged_beside(self) -> bool:
        """After a transaction: whether blobs were removed since the run began, which it may just have named.

        A removal that is under way is waited for. Inside a transaction nothing can be said: then it is False.
        """
        if self.connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        return query(self.connection, "purged_beside", {"since": self.lease.since}).fetchone() is not None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Log the beginning and the end of a stage, with what the report gained in it."""
        began, before = time.perf_counter(), counts_of(self.report)
        with logs.context(stage=name), tracing.span(name):
            log.info("stage started")
            try:
                yield
            except BaseException as error:
                log.error(
                    "stage failed",
                    seconds=logs.seconds_since(began),
                    error=type(error).__name__,
                    reason=str(error),
                )
                raise
            gained = {key: n - before.get(key, 0) for key, n in counts_of(self.report).items()}
            log.info(
                "stage ended", seconds=logs.seconds_since(began), **{key: n for key, n in gained.items() if n}
            )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall seconds of the block to `stage` in the report."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.report.spend(stage, time.perf_counter() - began)


def counts_of(report: SyncReport) -> dict[str, int]:
    """The numbers of a report by their names; changes and statuses by the words that they count."""
    plain = {name: value for name, value in structs.asdict(report).items() if type(value) is int}
    return {**plain, **report.changes, **report.statuses}
