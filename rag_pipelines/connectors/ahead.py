"""Reading ahead: requests of a listing several at once, a listing before it is asked for, texts before their
load.

What belongs here: what runs ahead, and what keeps it until it is wanted. What does not: loading contents
(`sync.loads`), and the pace that a server asks for (`http.pacing`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")
K = TypeVar("K")


def read_ahead(read: Callable[[S], T], things: Iterable[S], at_once: int) -> Generator[T]:
    """What `read` makes of each of `things`, in their order, with up to `at_once` of them under way.

    `things` are taken no further ahead than that. Raises what `read` raises, at its place, when no other one
    is under way any more.
    """
    rest = iter(things)
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="ahead")
    try:
        under_way: deque[Future[T]] = deque()
        while True:
            for one in islice(rest, at_once - len(under_way)):
                under_way.append(pool.submit(copy_context().run, read, one))
            if not under_way:
                return
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def run_ahead(values: Generator[T], piece: int) -> Generator[T]:
    """`values`, made by a thread of their own, which is one `piece` of them ahead and making the next one.

    What they raise is raised at its place. Closing waits for the value that is being made, and closes them.
    """

    def made() -> tuple[list[T], BaseException | None]:
        some: list[T] = []
        try:
            some.extend(islice(values, piece))
        except BaseException as error:
            return some, error
        return some, None

    pool = ThreadPoolExecutor(1, thread_name_prefix="listing")
    context = copy_context()
    ahead = pool.submit(context.run, made)
    try:
        while True:
            some, error = ahead.result()
            if error is None and some:
                ahead = pool.submit(context.run, made)
            yield from some
            if error is not None:
                raise error
            if not some:
                return
    finally:
        pool.submit(context.run, values.close).result()
        pool.shutdown()


class Kept(Generic[K, T]):
    """What was read for a batch before its items are loaded, given out once; safe between threads.

    Batches are read one ahead of those that are loaded: what was kept for the batch before the last one is
    given up, so that what nobody loads does not stay.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: dict[K, T] = {}
        self._last: dict[K, T] = {}

    def keep(self, read: Mapping[K, T]) -> None:
        """Keep what was read for the next batch."""
        with self._lock:
            self._before, self._last = self._last, dict(read)

    def take(self, key: K) -> T | None:
        """What was read for `key`, or None."""
        with self._lock:
            return self._last.pop(key) if key in self._last else self._before.pop(key, None)
