"""Work on a version's tables that is cut into slices: several sessions at once, one transaction a slice.

What belongs here: sharing slices out, and stopping all of them when one fails. What does not: the work
(`load`), and where slices are cut.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

import psycopg

from rag_pipelines.store.database import Database, Pg

SLICE_ROWS = 25_000
"""About so many rows of a version are one slice: seconds of work, and memory for so many at a time."""

MOST_SESSIONS = 16
"""At a time, however many cores there are: all of them write to one log."""

CANCEL_SECONDS = 1.0
"""So often sessions are told to stop, because one that was between two statements did not hear it."""


Result = TypeVar("Result")


class Slice(NamedTuple):
    """Numbers from `first` to `last`, with about so many `rows` of the version."""

    first: int
    last: int
    rows: int


def cut(first: int, last: int, rows: int) -> list[Slice]:
    """A range of numbers in even slices, as many as `rows` calls for."""
    count = max(min(-(-rows // SLICE_ROWS), last - first + 1), 1)
    edges = [first + (last - first + 1) * n // count for n in range(count + 1)]
    shares = [rows * n // count for n in range(count + 1)]
    return [Slice(edges[n], edges[n + 1] - 1, shares[n + 1] - shares[n]) for n in range(count)]


def session_count(slices: Sequence[Slice]) -> int:
    """How many sessions work on slices at a time."""
    return max(min(os.cpu_count() or 1, MOST_SESSIONS, len(slices)), 1)


def work_through(
    database: Database,
    connection: Pg,
    slices: Sequence[Slice],
    work: Callable[[Pg, Slice], Result],
    at_once: int | None = None,
) -> Generator[tuple[Slice, Result], None, None]:
    """Do `work` on each slice, and yield what each gave, in the order in which they end.

    There are `at_once` sessions; a single one's work is done on `connection`. When one slice fails, or the
    caller closes this, the others are stopped and waited for.
    """
    sessions = session_count(slices) if at_once is None else at_once
    if sessions == 1:
        for each in slices:
            yield each, work(connection, each)
        return
    free: SimpleQueue[Pg] = SimpleQueue()

    def act(each: Slice) -> Result:
        own = free.get()
        try:
            return work(own, each)
        finally:
            free.put(own)

    with ExitStack() as stack:
        opened = [stack.enter_context(database.connect()) for _ in range(sessions)]
        for own in opened:
            free.put(own)
        pool = stack.enter_context(ThreadPoolExecutor(sessions, thread_name_prefix="slice"))
        futures = {pool.submit(copy_context().run, act, each): each for each in slices}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _stop(opened, list(futures))
            raise


def _stop(opened: Sequence[Pg], futures: Sequence[Future[Result]]) -> None:
    """End what sessions are doing, and wait until they have."""
    while running := [future for future in futures if future.running()]:
        for own in opened:
            with suppress(psycopg.Error):
                own.cancel_safe(timeout=CANCEL_SECONDS)
        wait(running, timeout=CANCEL_SECONDS)
