"""Makes a candidate version: in full, or by catching up from a retired one.

What belongs here: the order of the steps of a build. What does not: which version it catches up from
(`base`), judging the result (`gates`), making it live (`promotion`).

The serving version is never written to. A full build loads, then indexes. A catch-up build takes over
the storage of the newest retired version with the same fingerprint and applies, in one transaction,
the documents that changed since that version's watermark: the oldest transaction that was still open
when it was loaded, so that rows committed out of order are never missed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, overload

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from rag_pipelines import logs, tracing
from rag_pipelines.embedding.cosines import measure_cosines
from rag_pipelines.errors import RagError, UsageError
from rag_pipelines.index.base import choose_base, count_changed
from rag_pipelines.index.departed import drop_departed
from rag_pipelines.index.estimate import WholeBuild
from rag_pipelines.index.gate_results import REQUIRED_GATES
from rag_pipelines.index.graph import choose_kind
from rag_pipelines.index.load import Load, look_out
from rag_pipelines.index.members import (
    SAMPLED_OF_CHANGE,
    SAMPLED_ROWS,
    count_expected,
    count_expected_after,
    count_on,
    count_rows,
    listed_since,
    measure_tokens,
    note_missing,
)
from rag_pipelines.index.memory import GraphMemory, build_memory, gigabytes
from rag_pipelines.index.parts import build_indexes
from rag_pipelines.index.spec import (
    BUILD_FIGURES,
    STORAGE_SPEC,
    BuildFigures,
    CosineRange,
    IndexKind,
    SourceGaps,
    StorageSpec,
)
from rag_pipelines.index.storage import Size, Storage, drop_tables
from rag_pipelines.index.versions import (
    IndexPlan,
    Version,
    begin_version,
    build_lock,
    hold_lease,
    index_lock,
    live_version,
    plan_index,
    version_by_id,
)
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import advisory_lock
from rag_pipelines.store.switches import refuse_read_only

log = logs.get(__name__)


@overload
def build_index(
    runtime: Runtime,
    name: str,
    *,
    full: bool = False,
    if_changed: Literal[False] = False,
    progress: Progress = no_progress,
) -> Version: ...


@overload
def build_index(
    runtime: Runtime,
    name: str,
    *,
    full: bool = False,
    if_changed: bool,
    progress: Progress = no_progress,
) -> Version | None: ...


def build_index(
    runtime: Runtime,
    name: str,
    *,
    full: bool = False,
    if_changed: bool = False,
    progress: Progress = no_progress,
) -> Version | None:
    """Build a candidate of the index `name` and return it, in the state ``built``.

    Args:
        full: load and index everything, even where a retired version could be caught up.
        if_changed: return None when the live version has the same fingerprint and nothing has changed.

    Raises:
        UsageError: another build of the index is running, or its sources hold nothing to index.
    """
    with tracing.span("build", index=name) as span, index_lock(runtime.database, name) as connection:
        refuse_read_only(connection, f"a build of index {name!r}")
        _fail_abandoned(connection, name)
        query(connection, "forget_other_server", {"index_name": name})
        plan = plan_index(connection, runtime.settings, name, runtime.embedders)
        if if_changed and _up_to_date(connection, plan):
            return None
        base = None if full else choose_base(connection, plan)
        if base is not None:
            plan = plan.indexed_as(base.spec.index.vector.index)
        version = _begin(connection, plan, base)
        span.set(version=version.version_id, build=version.kind)
        began = time.perf_counter()
        with logs.context(index=name, version=version.version_id):
            log.info("build started", kind=version.kind, base=base.version_id if base else None)
            try:
                if base is None:
                    _build_fully(runtime, connection, plan, version, progress)
                else:
                    _catch_up(connection, plan, version, base, progress)
            except BaseException as error:
                log.error(
                    "build failed",
                    seconds=logs.seconds_since(began),
                    error=type(error).__name__,
                    reason=str(error),
                )
                _give_up(connection, plan, version, base, error)
                raise
            built = version_by_id(connection, version.version_id)
            span.set(rows=built.row_count, documents=built.document_count)
            log.info(
                "build ended",
                seconds=logs.seconds_since(began),
                rows=built.row_count,
                documents=built.document_count,
            )
        return built


def pending_changes(
    runtime: Runtime,
    name: str,
) -> str | None:
    """What the live version of an index lacks, as a text that is equal as long as nothing more changes.

    None when it lacks nothing, and when its sources hold nothing yet.
    """
    with runtime.database.connection() as connection:
        plan = plan_index(connection, runtime.settings, name, runtime.embedders)
        row = query(connection, "newest_change", {"sources": list(plan.sources)}).fetchone()
        if row is None or row["newest"] is None or _up_to_date(connection, plan):
            return None
        return f"{plan.fingerprint}:{row['newest']}"


def fail_abandoned_builds(database: Database, names: Iterable[str]) -> list[int]:
    """Mark builds of killed processes as failed; returns their versions. Living builds are left alone."""
    failed: list[int] = []
    with database.connect() as connection:
        for name in names:
            lock = advisory_lock(connection, build_lock(name), busy=f"index {name!r} is being built")
            with suppress(UsageError), lock:
                failed += _fail_abandoned(connection, name)
    return failed


def storage_of(plan: IndexPlan, number: int) -> Storage:
    """The tables of a build of this index."""
    return Storage(number, plan.spec)


def _fail_abandoned(connection: Pg, name: str) -> list[int]:
    """Builds of killed processes: we hold their lock, so nobody is working on them."""
    rows = query(connection, "abandoned_builds", {"index_name": name}).fetchall()
    for row in rows:
        params = {"version_id": row["version_id"], "error": "its process ended before the build did"}
        query(connection, "fail_version", params)
    return [row["version_id"] for row in rows]


def _up_to_date(connection: Pg, plan: IndexPlan) -> bool:
    live = live_version(connection, plan.name)
    if live is None or live.fingerprint != plan.fingerprint:
        return False
    return count_changed(connection, plan, live.watermark) == 0


def _begin(connection: Pg, plan: IndexPlan, base: Version | None) -> Version:
    """The version's row; from here on its tables are this build's, and removals leave them to it."""
    spec = plan.spec
    if base:
        kept = ("average_length", "average_document_length", "cosines")
        spec = msgspec.structs.replace(spec, **{name: getattr(base.spec, name) for name in kept})
    params = {
        "index_name": plan.name,
        "fingerprint": plan.fingerprint,
        "kind": "full" if base is None else "catch_up",
        "base_version": base.version_id if base else None,
        "storage": base.storage if base else None,
        "chunker_id": plan.chunker_id,
        "model_id": plan.model_id,
        "params": Jsonb(STORAGE_SPEC.encode(spec)),
        "required_gates": list(REQUIRED_GATES),
    }
    return begin_version(connection, params)


def _source_params(plan: IndexPlan) -> dict[str, Any]:
    return {"sources": list(plan.sources), "chunker_id": plan.chunker_id, "model_id": plan.model_id}


def _weighting(plan: IndexPlan, base: Version) -> dict[str, Any]:
    lexical, spec = plan.settings.lexical, base.spec
    return {
        "average_length": float(spec.average_length or 0.0),
        "average_document_length": float(spec.average_document_length or 0.0),
        "k1": lexical.k1,
        "b": lexical.b,
    }


def _measure_cosines(runtime: Runtime, name: str) -> CosineRange | None:
    """How near the model of an index puts things; a model that cannot be had does not stop a build."""
    try:
        found = measure_cosines(runtime.embedders.of(runtime.settings.embedding_profile(name)))
    except RagError as error:
        log.warning("cosines of the model not measured", error=type(error).__name__, reason=str(error))
        return None
    return None if found is None else CosineRange(*found)


def _build_fully(
    runtime: Runtime, connection: Pg, plan: IndexPlan, version: Version, progress: Progress
) -> None:
    lexical, params = plan.settings.lexical, _source_params(plan)
    outset = look_out(connection, version, params)
    if not outset.expected.rows:
        raise UsageError(
            f"index {plan.name!r} would be empty: its sources ({', '.join(plan.sources)}) hold no "
            "embedded chunks; run `rag-pipelines ingest` first"
        )
    allowed, rows = build_memory(runtime.settings), outset.expected.rows
    plan = plan.indexed_as(choose_kind(plan.settings.vector, plan.spec, rows, allowed))
    storage = storage_of(plan, version.storage)
    progress = WholeBuild(
        progress, rows, None if storage.kind == "exact" else plan.spec.dimensions, plan.spec.index.part_count
    )
    _tell_memory(storage.kind, storage.graph_memory(rows, allowed))
    load = Load(
        runtime.database, connection, version, storage, params, lexical.k1, lexical.b, allowed, progress
    )
    expected, watermark, as_of, average, average_document = load.run(outset)
    memory = storage.graph_memory(expected.rows, allowed)
    held = build_indexes(runtime.database, connection, storage, memory, progress)
    if held is not None:
        log.warning("the rest of the graph was built on disk", rows=memory.rows, rows_in_memory=held)
    graph = {
        "graph_bytes": memory.needed,
        "build_memory": memory.allowed,
        "rows_in_memory": held,
    }
    spec = msgspec.structs.replace(
        plan.spec,
        average_length=average,
        average_document_length=average_document,
        cosines=_measure_cosines(runtime, plan.name),
    )
    with connection.transaction():
        hold_lease(connection, version)
        storage.protect(connection)
        gone = drop_departed(connection, storage.number)
        expected = Size(expected.documents - gone.documents, expected.rows - gone.rows)
        counted = _Counted(
            expected, count_rows(connection, storage), note_missing(connection, params, version)
        )
        _finish(connection, version, storage, counted, watermark, as_of, spec, graph)
    if gone.rows:
        storage.vacuum(connection)


def _tell_memory(kind: IndexKind, memory: GraphMemory) -> None:
    """Say before the work begins whether the graph fits, and what would make it fit."""
    if kind == "exact":
        log.info("no graph is built, searches compare all vectors", rows=memory.rows)
        return
    figures = {
        "index": kind,
        "rows": memory.rows,
        "needed": gigabytes(memory.needed),
        "allowed": gigabytes(memory.allowed),
    }
    if memory.fits:
        log.info("the graph fits into memory", **figures)
    else:
        log.warning("the graph does not fit into memory", **figures, advice=memory.words)


@tracing.spanned("catch up")
def _catch_up(connection: Pg, plan: IndexPlan, version: Version, base: Version, progress: Progress) -> None:
    """Apply what changed since `base`; a kill in the middle leaves `base` as it was."""
    storage, params = storage_of(plan, base.storage), _source_params(plan)
    since = {"sources": list(plan.sources), "watermark": base.watermark}
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        hold_lease(connection, version)
        watermark = _watermark(connection)
        query(connection, "collect_changed", since)
        query(connection, "add_departed", since)
        changed = _count_to_judge(connection, plan, base)
        if not changed:
            query(connection, "find_departed", None, storage.parts("vectors"))
        progress("catching up", 0, None)
        replaced = storage.catch_up(connection, params, _weighting(plan, base))
        query(connection, "note_changed", {"version_id": version.version_id})
        if changed:
            found = count_on(connection, storage, base, replaced)
            expected = count_expected_after(connection, params, storage, found)
            counted = _Counted(
                expected, found, note_missing(connection, params, version, base), base, changed
            )
        else:
            found, expected = count_rows(connection, storage), count_expected(connection, params)
            counted = _Counted(expected, found, note_missing(connection, params, version))
        query(connection, "consume_base", {"version_id": base.version_id})
        as_of = listed_since(connection, params)
        _finish(connection, version, storage, counted, watermark, as_of, version.spec)
    connection.isolation_level = None
    with connection.transaction():
        gone = drop_departed(connection, storage.number)
    if gone.rows:
        storage.vacuum(connection)
    if not changed:
        storage.analyze(connection)
    progress("catching up", 1, 1)


def _watermark(connection: Pg) -> str:
    row = query(connection, "snapshot").fetchone()
    assert row is not None
    return str(row["watermark"])


def _count_to_judge(connection: Pg, plan: IndexPlan, base: Version) -> int:
    """How many documents were caught up with since a version was judged in whole, with those in the table
    `changed`; 0 where it is time to judge in whole again."""
    row = query(connection, "count_changed").fetchone()
    assert row is not None
    gates, figures = plan.settings.gates, base.figures
    if figures.whole_at is None or datetime.now(UTC) - figures.whole_at > gates.whole_every:
        return 0
    changed = figures.changed + int(row["documents"])
    return changed if changed <= gates.whole_share * (base.document_count or 0) else 0


class _Counted(NamedTuple):
    """What a build should hold, what it holds, and what it lacks; and, where only what changed was looked at,
    the version that it goes back to and the documents caught up with since that was judged in whole."""

    expected: Size
    found: Size
    missing: dict[str, SourceGaps]
    base: Version | None = None
    changed: int = 0


@tracing.spanned("finish")
def _finish(
    connection: Pg,
    version: Version,
    storage: Storage,
    counted: _Counted,
    watermark: str,
    as_of: datetime | None,
    spec: StorageSpec,
    graph: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    base = counted.base
    sample = SAMPLED_OF_CHANGE if base else SAMPLED_ROWS
    mean_tokens, p95_tokens = measure_tokens(connection, storage, counted.found.rows, sample=sample)
    figures = BuildFigures(
        chunks=counted.found.rows,
        documents=counted.found.documents,
        mean_tokens=mean_tokens,
        p95_tokens=p95_tokens,
        expected_rows=counted.expected.rows,
        expected_documents=counted.expected.documents,
        missing=counted.missing,
        whole_at=base.figures.whole_at if base else datetime.now(UTC),
        changed=counted.changed,
        **graph,
    )
    query(
        connection,
        "finish_build",
        {
            "version_id": version.version_id,
            "watermark": watermark,
            "row_count": figures.chunks,
            "document_count": figures.documents,
            "statistics": Jsonb(BUILD_FIGURES.encode(figures)),
            "params": Jsonb(STORAGE_SPEC.encode(spec)),
            "as_of": as_of,
        },
    )


def _give_up(
    connection: Pg, plan: IndexPlan, version: Version, base: Version | None, error: BaseException
) -> None:
    """Mark the build as failed and drop what it made; a retired base keeps its storage.

    With a lost connection nothing can be said, and `fail_abandoned_builds` does so later.
    """
    with suppress(psycopg.OperationalError):
        connection.isolation_level = None
        params = {"version_id": version.version_id, "error": f"{type(error).__name__}: {error}"[:2000]}
        query(connection, "fail_version", params)
        with connection.transaction():
            if base is None:
                drop_tables(connection, version.storage)
            else:
                drop_departed(connection, base.storage)
