"""Copies a live version that has nothing beside it which the next refresh could catch up from.

What belongs here: whether a copy is wanted, and making it. What does not: catching up from it (`build`),
dropping it when it is of no use any more (`promotion`).

A version that was built in full has no retired one of its kind, and the live one is never written to. Its
rows, words and postings are copied as they are; the graph, which cannot be copied by SQL, is built by one
process, while searches go on. So what a second full build would do is done before somebody waits for it.
"""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from rag_pipelines import logs, tracing
from rag_pipelines.errors import RagError
from rag_pipelines.index.departed import drop_departed
from rag_pipelines.index.members import count_rows
from rag_pipelines.index.memory import build_memory
from rag_pipelines.index.parts import build_indexes
from rag_pipelines.index.spec import BUILD_FIGURES
from rag_pipelines.index.storage import drop_tables, storage_of_version
from rag_pipelines.index.versions import (
    Version,
    begin_version,
    hold_lease,
    index_lock,
    live_version,
    plan_index,
    version_by_id,
)
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Pg, query

log = logs.get(__name__)


@tracing.spanned("keep spare")
def keep_spare(runtime: Runtime, name: str, progress: Progress = no_progress) -> Version | None:
    """As `make_spare`; what stops it is a warning, because all that it costs is time of the next refresh."""
    try:
        return make_spare(runtime, name, progress)
    except RagError as error:
        log.warning("no spare made", index=name, error=type(error).__name__, reason=str(error))
        return None


def make_spare(runtime: Runtime, name: str, progress: Progress = no_progress) -> Version | None:
    """Copy the live version of the index `name`, unless `keep.spare` is off or the next refresh has something
    to catch up from, or would build in full all the same; the copy, in the state ``spare``.

    Raises:
        UsageError: a build or a collection of the index is running.
    """
    if not runtime.settings.index(name).keep.spare:
        return None
    with index_lock(runtime.database, name) as connection:
        plan = plan_index(connection, runtime.settings, name, runtime.embedders)
        live = live_version(connection, name)
        if live is None or live.fingerprint != plan.fingerprint:
            return None
        fitting = {"index_name": name, "fingerprint": plan.fingerprint}
        if query(connection, "catch_up_base", fitting).fetchone() is not None:
            return None
        version = begin_version(connection, _row_of_copy(live))
        began = time.perf_counter()
        with logs.context(index=name, version=version.version_id):
            try:
                _copy(runtime, connection, live, version, progress)
            except BaseException as error:
                _give_up(connection, version, error)
                raise
            log.info("spare made", seconds=logs.seconds_since(began), of=live.version_id)
        return version_by_id(connection, version.version_id)


def _copy(runtime: Runtime, connection: Pg, live: Version, version: Version, progress: Progress) -> None:
    """All that changes in `live` meanwhile is that purged documents leave it; the copy drops them at last."""
    original, storage = storage_of_version(live), storage_of_version(version)
    rows = live.row_count or 0
    progress("copying the live version", 0, rows)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        hold_lease(connection, version)
        storage.create(connection)
        storage.copy(connection, original)
    storage.index_lexical(connection)
    storage.index_rows(connection)
    progress("copying the live version", rows, rows)
    memory = storage.graph_memory(rows, build_memory(runtime.settings))
    build_indexes(runtime.database, connection, storage, memory, progress, alone=True)
    with connection.transaction():
        hold_lease(connection, version)
        storage.protect(connection)
        drop_departed(connection, storage.number)
        size = count_rows(connection, storage)
        figures = msgspec.structs.replace(live.figures, chunks=size.rows, documents=size.documents)
        params = {
            "version_id": version.version_id,
            "live_id": live.version_id,
            "row_count": size.rows,
            "document_count": size.documents,
            "statistics": Jsonb(BUILD_FIGURES.encode(figures)),
        }
        query(connection, "copy_gaps", params)
        query(connection, "finish_spare", params)


def _row_of_copy(live: Version) -> dict[str, object]:
    return {
        "index_name": live.index_name,
        "fingerprint": live.fingerprint,
        "kind": "copy",
        "base_version": live.version_id,
        "storage": None,
        "chunker_id": live.chunker_id,
        "model_id": live.model_id,
        "params": Jsonb(live.params),
        "required_gates": list(live.required_gates),
    }


def _give_up(connection: Pg, version: Version, error: BaseException) -> None:
    """Mark the copy as failed and drop what was made; over a lost connection the next build does."""
    with suppress(psycopg.OperationalError):
        params = {"version_id": version.version_id, "error": f"{type(error).__name__}: {error}"[:2000]}
        query(connection, "fail_version", params)
        with connection.transaction():
            drop_tables(connection, version.storage)
