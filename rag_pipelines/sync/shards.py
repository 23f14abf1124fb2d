"""Parts of a source, each brought forward by a process of its own, beside others and beside its listing.

What belongs here: a run over one shard, and what its report adds to that of the source's newest run. What
does not: which processes there are (`rag-pipelines work`, Dagster), a shard's lease (`store.shards`), and the
work itself, which is that of any run (`advance`).

A process that dies has committed all but its last batch, and its lease dies with its connection: another
takes the shard up and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import reduce

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import logs, tracing
from rag_pipelines.config.settings import Settings
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, query
from rag_pipelines.store.pace import shared_pace
from rag_pipelines.store.shards import Shard, shard_lease
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.report import RUN_REPORT, SyncReport
from rag_pipelines.sync.run import SourceRun, worker_pool
from rag_pipelines.sync.stages import advance_source

log = logs.get(__name__)


def work_shard(
    runtime: Runtime,
    source: str,
    shard: Shard,
    *,
    through: Stage = Stage.EMBEDDED,
    progress: Progress = no_progress,
) -> SyncReport:
    """Load what is wanted of one shard and bring its documents forward, up to a stage, beside other shards.

    The report counts what this shard did and names nothing; `record_shards` adds it to that of the source.

    Raises:
        UsageError: another process works on some of its documents.
        LeaseLostError: another process took the shard over; what was committed stands.
    """
    with shard_run(runtime.database, runtime.settings, source, shard, progress) as run:
        advance_source(run, runtime.embedders, through)
        run.report.samples = {}
    return run.report


@contextmanager
def shard_run(
    database: Database,
    settings: Settings,
    source: str,
    shard: Shard,
    progress: Progress = no_progress,
) -> Iterator[SourceRun]:
    """Hold the lease of a shard of `source`."""
    connector = settings.source(source).connector
    with (
        logs.context(source=source, shard=str(shard)),
        tracing.span("run", source=source, connector=connector, shard=str(shard)),
        shard_lease(database, source, connector, shard) as lease,
        shared_pace(database),
        worker_pool(settings.limits) as workers,
    ):
        report = SyncReport(source)
        yield SourceRun(source, settings, lease, BlobStore.of(settings), workers, report, progress)


def record_shards(
    database: Database, source: str, reports: Iterable[SyncReport], *, stage: bool = False
) -> SyncReport | None:
    """Add what shards did to the report of the source's newest run; returns that, None before the first run.

    Documents are counted, not named.

    Args:
        stage: `reports` are those of all shards, of one stage of several; otherwise of all stages at once.
    """
    added = reduce(SyncReport.beside, reports, SyncReport(source))
    with database.transaction() as connection:
        known = query(connection, "source_by_name", {"name": source}).fetchone()
        row = query(connection, "newest_report", known).fetchone() if known else None
        if row is None:
            return None
        before = RUN_REPORT.decode({"source": source, **row["report"]})
        whole = before.followed_by(added) if stage else before.beside(added)
        whole = msgspec.structs.replace(whole, outcome=before.outcome)
        query(connection, "put_report", {**row, "report": Jsonb(RUN_REPORT.encode(whole))})
    return whole
