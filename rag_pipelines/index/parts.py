"""Builds the vector index of a version: one graph for each of its parts, several at a time.

What belongs here: sharing memory and cores among parts, and saying how far they are. What does not: the
statements (`storage`), how much memory a graph takes (`memory`), the other steps of a build (`load` and
`build`).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
import psycopg

from rag_pipelines import logs, tracing
from rag_pipelines.errors import DatabaseError, TransientError
from rag_pipelines.index.memory import GraphMemory, gigabytes
from rag_pipelines.index.slices import Slice, work_through
from rag_pipelines.index.storage import PARALLEL_ROWS, Storage
from rag_pipelines.progress import Progress
from rag_pipelines.store.database import Database, Pg, query

POLL_SECONDS = 0.5

STAGE = "building the vector index"

_NO_LONGER_FITS = re.compile(r"hnsw graph no longer fits into maintenance_work_mem after (\d+) tuples")
"""pgvector's notice, when it goes on building on disk."""

log = logs.get(__name__)


@tracing.spanned("indexing words and vectors")
def build_indexes(
    database: Database,
    connection: Pg,
    storage: Storage,
    memory: GraphMemory,
    progress: Progress,
    *,
    alone: bool = False,
) -> int | None:
    """Keys, the word index and the vector index, built after the load; in parallel for many rows.

    Args:
        alone: by one process all the same, because nobody waits.

    Returns:
        How many rows were in memory when a graph fitted no longer; None if all always did.
    """
    progress("indexing words", 0, memory.rows)
    storage.index_words(connection, memory.rows, alone=alone)
    progress("indexing words", memory.rows, memory.rows)
    held = None
    if storage.kind != "exact":
        held = build_graphs(database, connection, storage, memory, progress, alone=alone)
    storage.analyze(connection)
    storage.prewarm(connection)
    return held


@tracing.spanned(STAGE)
def build_graphs(
    database: Database,
    connection: Pg,
    storage: Storage,
    memory: GraphMemory,
    progress: Progress,
    *,
    alone: bool = False,
) -> int | None:
    """Build the graph of each part, as many at a time as the memory holds; see `build_indexes`."""
    parts = storage.part_slices(connection)
    rows = sum(part.rows for part in parts)
    memory = msgspec.structs.replace(memory, rows=max(part.rows for part in parts) * len(parts))
    at_once = 1 if alone else memory.at_once
    helpers = _helpers(at_once) if rows >= PARALLEL_ROWS and not alone else 0
    watch = _Watch(parts, progress)

    def build(own: Pg, part: Slice) -> int | None:
        began = time.perf_counter()
        with watch.watched(own, part):
            held = _build_graph(own, storage, part, memory.given, helpers)
        if len(parts) > 1:
            log.info(
                "a part has its graph",
                part=f"{part.first + 1} of {len(parts)}",
                rows=part.rows,
                memory=gigabytes(memory.given),
                seconds=logs.seconds_since(began),
            )
        return held

    results = []
    with (
        watch.reporting(database),
        closing(work_through(database, connection, parts, build, at_once)) as ended,
    ):
        for part, held in ended:
            results.append((part.rows, held))
    if all(held is None for _, held in results):
        return None
    return sum(of if held is None else held for of, held in results)


def _helpers(at_once: int) -> int:
    """Processes that help each of so many builds, with a core for each."""
    return max((os.cpu_count() or 1) // at_once - 1, 1 if at_once == 1 else 0)


def _build_graph(connection: Pg, storage: Storage, part: Slice, memory: int, helpers: int) -> int | None:
    """The same as `_index_vectors`, in one process where helpers have no memory to share."""
    try:
        return _index_vectors(connection, storage, part, memory, helpers)
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory) as error:
        # What processes share is in /dev/shm, 64 MB in a container; what one has alone is not.
        if not helpers:
            raise
        log.warning("no shared memory for a parallel build, one process builds", reason=str(error))
        return _index_vectors(connection, storage, part, memory, helpers=0)


def _index_vectors(connection: Pg, storage: Storage, part: Slice, memory: int, helpers: int) -> int | None:
    """Build a graph with so many bytes and helpers; how many rows it held when it fitted no longer."""
    held: list[int] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        if found := _NO_LONGER_FITS.search(notice.message_primary or ""):
            held.append(int(found[1]))

    connection.add_notice_handler(hear)
    try:
        with connection.transaction():
            storage.index_vectors(connection, part.first, memory, helpers)
    finally:
        connection.remove_notice_handler(hear)
    return held[0] if held else None


class _Watch:
    """How far the graphs are, asked by a session of its own while others build."""

    def __init__(self, parts: list[Slice], progress: Progress) -> None:
        self._parts = parts
        self._rows = sum(part.rows for part in parts)
        self._progress = progress
        self._lock = threading.Lock()
        self._building: dict[int, Slice] = {}
        self._done = dict.fromkeys((part.first for part in parts), 0)

    @contextmanager
    def watched(self, connection: Pg, part: Slice) -> Iterator[None]:
        """While the block runs, `connection` builds the graph of a part."""
        row = query(connection, "own_process").fetchone()
        assert row is not None
        with self._lock:
            self._building[row["pid"]] = part
        try:
            yield
        finally:
            with self._lock:
                del self._building[row["pid"]]
        with self._lock:
            self._done[part.first] = part.rows
        self._tell([part])

    @contextmanager
    def reporting(self, database: Database) -> Iterator[None]:
        """Ask and tell while the block runs."""
        ended = threading.Event()

        def watch() -> None:
            if ended.wait(POLL_SECONDS):
                return
            try:
                with database.connect() as connection:
                    while True:
                        self._look(connection)
                        if ended.wait(POLL_SECONDS):
                            return
            except (TransientError, DatabaseError):
                return

        watcher = threading.Thread(target=watch, name="index build progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _look(self, connection: Pg) -> None:
        with self._lock:
            building = dict(self._building)
        found = []
        for row in query(connection, "build_progress", {"pids": list(building)}):
            part = building[row["pid"]]
            with self._lock:
                if row["tuples_done"] > self._done[part.first]:
                    self._done[part.first] = min(row["tuples_done"], part.rows)
                    found.append(part)
        self._tell(found)

    def _tell(self, parts: list[Slice]) -> None:
        with self._lock:
            if len(self._parts) > 1:
                for part in parts:
                    stage = f"{STAGE}, part {part.first + 1} of {len(self._parts)}"
                    self._progress(stage, self._done[part.first], part.rows)
            if parts:
                self._progress(STAGE, sum(self._done.values()), self._rows)
