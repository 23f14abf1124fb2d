"""Loads contents, several at once where their connector allows it.

What belongs here: how many loads are under way, and how many bytes they may bring. What does not: what is to
be loaded (`loading`), what a failure means (`origin`), and the pace that a server asks for (`http.pacing`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Generic, Self, TypeVar

from rag_pipelines.connectors.base import Item

T = TypeVar("T")


class Loads(Generic[T]):
    """Loads in threads, begun in the order in which they were asked for; leave it to end them.

    A load begins only when the sizes of those under way leave room for it in `budget` (bytes), or when it is
    the only one. An item of unknown size counts as its share of the budget. No load waits for the caller,
    who may write what one batch brought while the next one is loaded.

    Leaving it begins nothing more and waits for what is under way.
    """

    def __init__(self, load: Callable[[Item], T], at_once: int, budget: int) -> None:
        self._load = load
        self._share = budget // at_once
        self._room = budget
        self._under_way = 0
        self._next = threading.Lock()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="load")

    def begin(self, items: Sequence[Item]) -> list[Future[T]]:
        """What will be there of each of `items`, behind those that were asked for before."""
        return [self._pool.submit(copy_context().run, self._when_it_fits, item) for item in items]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _when_it_fits(self, item: Item) -> T:
        size = self._share if item.size is None else item.size
        with self._next, self._changed:
            self._changed.wait_for(lambda: size <= self._room or not self._under_way)
            self._room -= size
            self._under_way += 1
        try:
            return self._load(item)
        finally:
            with self._changed:
                self._room += size
                self._under_way -= 1
                self._changed.notify_all()
