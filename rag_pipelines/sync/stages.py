"""The two halves of one run over one source, under its lease: listing, and bringing what was listed forward.

What belongs here: taking the lease, the stored report, and what a failure of the whole run leaves behind.
What does not: the halves themselves (`listing`, `advance`), and deciding whether to run at all (`engine`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from rag_pipelines import logs, tracing
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import UsageError
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.store.hints import forget_hints
from rag_pipelines.store.inbox import open_connector
from rag_pipelines.store.lease import advisory_lock, source_lease, source_lock
from rag_pipelines.store.pace import shared_pace
from rag_pipelines.store.switches import refuse_read_only
from rag_pipelines.sync.advance import Advance, Stage
from rag_pipelines.sync.decisions import Decisions
from rag_pipelines.sync.deletions import newest_deletion, waiting_deletions
from rag_pipelines.sync.groups import sync_groups
from rag_pipelines.sync.listing import SourceListing
from rag_pipelines.sync.origin import LiveOrigin, SourceOrigin
from rag_pipelines.sync.report import RUN_REPORT, SyncReport
from rag_pipelines.sync.run import SourceRun, counts_of, worker_pool
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.targets import masked_by, source_targets
from rag_pipelines.sync.wanted import load_wanted
from rag_pipelines.sync.worked_off import forget_worked_off

log = logs.get(__name__)


@contextmanager
def source_run(
    database: Database,
    settings: Settings,
    source: str,
    progress: Progress = no_progress,
    *,
    continued: bool = False,
    decisions: Decisions | None = None,
    beside_shards: bool = False,
) -> Iterator[SourceRun]:
    """Hold the lease of `source`; the report is stored when the block ends, however it ends.

    Args:
        continued: this is a later stage of the source's newest run, whose stored report grows.
        decisions: where what the listing decides is collected.
        beside_shards: only list, while shards (`sync.shards`) bring documents forward.
    """
    connector = settings.source(source).connector
    report = SyncReport(source)
    with (
        tracing.span("run", source=source, connector=connector),
        source_lease(database, source, connector, beside_shards=beside_shards) as lease,
        shared_pace(database) if beside_shards or _is_paced(settings, source) else nullcontext(),
        worker_pool(settings.limits) as workers,
    ):
        refuse_read_only(lease.connection, f"a run over source {source!r}")
        blobs = BlobStore.of(settings)
        run = SourceRun(source, settings, lease, blobs, workers, report, progress, decisions)
        began = _find_continued_run(run) if continued else None
        grows = began is not None
        described = {
            "source_id": run.source_id,
            "tenant": run.source.tenant,
            "grace": run.source.grace,
            "masked_by": masked_by(settings, source),
        }
        query(run.connection, "describe_source", described)
        if began is None:
            query(run.connection, "end_abandoned_runs", {"source_id": run.source_id})
            began = query(run.connection, "begin_run", {"source_id": run.source_id}).fetchone()
        assert began is not None
        began_at = time.perf_counter()
        try:
            with logs.context(run=began["run_id"], source=source):
                log.info("run continued" if continued else "run started")
                yield run
        except BaseException as error:
            report.outcome = "failed"
            report.notes.append(f"{type(error).__name__}: {error}")
            # Over a lost connection nothing can be said, and `end_abandoned_runs` does so later.
            with suppress(psycopg.OperationalError):
                _end_run(run, began["run_id"], grows=grows)
            raise
        finally:
            _log_end(began["run_id"], report, logs.seconds_since(began_at))
        _end_run(run, began["run_id"], grows=grows)


def _is_paced(settings: Settings, source: str) -> bool:
    """Whether requests of the source have a limit, which holds over all processes."""
    return getattr(settings.connector_options(source), "requests_per_minute", None) is not None


def _end_run(run: SourceRun, run_id: int, *, grows: bool) -> None:
    """Store the report: after what is stored of an earlier stage, beside what shards have added meanwhile."""
    with run.connection.transaction():
        query(run.connection, "share_source", {"source_id": run.source_id})
        row = query(run.connection, "report_of_run", {"run_id": run_id}).fetchone()
        stored = RUN_REPORT.decode({"source": run.name, **(row["report"] if row else {})})
        whole = stored.followed_by(run.report) if grows else run.report.beside(stored)
        report = Jsonb(RUN_REPORT.encode(_without_purged(run, whole)))
        query(run.connection, "end_run", {"run_id": run_id, "outcome": whole.outcome, "report": report})


def _without_purged(run: SourceRun, report: SyncReport) -> SyncReport:
    """A report without the names of documents that were purged since the run began."""
    purged = run.forgotten(one for kept in report.samples.values() for one in kept)
    samples = {change: [one for one in kept if one not in purged] for change, kept in report.samples.items()}
    notes = [note for note in report.notes if not any(one in note for one in purged)]
    return msgspec.structs.replace(report, samples=samples, notes=notes)


def _log_end(run_id: int, report: SyncReport, seconds: float) -> None:
    level = {"complete": logging.INFO, "partial": logging.WARNING}.get(report.outcome, logging.ERROR)
    counts = {name: n for name, n in counts_of(report).items() if n}
    tracing.note(run=run_id, outcome=report.outcome, **counts)
    with logs.context(run=run_id, source=report.source):
        for note in report.notes:
            log.log(level, "note", note=note)
        log.log(level, "run ended", outcome=report.outcome, seconds=seconds, **counts)


def _find_continued_run(run: SourceRun) -> Row | None:
    """The newest run of the source, unless it failed or never ended: then there is nothing to go on from."""
    row = query(run.connection, "newest_run", {"source_id": run.source_id}).fetchone()
    return row if row and row["outcome"] in ("complete", "partial") else None


def end_abandoned_runs(database: Database, names: Iterable[str]) -> list[str]:
    """Mark runs of killed processes as failed; returns their sources. Living runs are left alone."""
    ended: list[str] = []
    with database.connect() as connection:
        for name in names:
            row = query(connection, "source_by_name", {"name": name}).fetchone()
            lock = advisory_lock(connection, source_lock(name), busy=f"source {name!r} is being synced")
            with suppress(UsageError), lock:
                if row and query(connection, "end_abandoned_runs", row).rowcount:
                    ended.append(name)
    return ended


def list_source(
    run: SourceRun,
    scope: Scope = Scope(),
    *,
    loading: Callable[[], None] | None = None,
    origin: SourceOrigin | None = None,
    defer: bool = False,
) -> None:
    """The first half of a run: groups, documents, raw bytes. `loading` is called before content is loaded.

    Deletions that wait for a person since an earlier run are told again. `origin` answers for the source, by
    default the source itself through its connector. With `defer` content is left to shards or the next run,
    where it can be loaded by others than this connector.
    """
    if origin is None:
        with closing(open_connector(run.settings, run.name, run.connection)) as connector:
            origin = LiveOrigin(run, connector, scope)
            list_source(run, scope, loading=loading, origin=origin, defer=defer)
        return
    if scope.full:
        forget_worked_off(run)
    before = newest_deletion(run.connection)
    with run.stage("groups"):
        sync_groups(run, origin, scope, began=origin.began)
    with run.stage("list and load"):
        SourceListing(run, origin, scope, loading=loading, defer=defer).run()
    waiting = waiting_deletions(run.connection, [run.name])
    run.report.waiting_deletes = sum(one.waiting for one in waiting)
    run.report.notes += [one.sentence for one in waiting if one.deletion_id <= before]


def answer_hints(run: SourceRun, scope: Scope) -> None:
    """At the end: what was hinted before the run began has been looked at, unless only a window was."""
    if not scope.window:
        forget_hints(run.connection, run.source_id)


def newest_report(connection: Pg, source: str) -> SyncReport | None:
    """What the newest run of a source reported, once it has ended; None before the first."""
    known = query(connection, "source_by_name", {"name": source}).fetchone()
    row = query(connection, "newest_run", known).fetchone() if known else None
    return RUN_REPORT.decode({"source": source, **row["report"]}) if row else None


def advance_source(run: SourceRun, embedders: Embedders, through: Stage = Stage.EMBEDDED) -> None:
    """The second half of a run: content that a listing left, parses, chunks and vectors, up to a stage."""
    load_wanted(run)
    if not run.settings.indexes_of(run.name) and through > Stage.PARSED:
        run.report.notes.append(f"no index takes source {run.name!r}: its documents are parsed, not chunked")
    targets = source_targets(run.connection, run.settings, run.name, embedders)
    Advance(run, targets, through).run()
