"""Searching from an event loop: the same search, in a bounded number of threads.

What belongs here: threads, waiting and cancellation. What does not: searching (`search`).
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Self, TypeVar

from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.query.context import Order, PackedContext
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher

T = TypeVar("T")


class AsyncSearcher:
    """A `Searcher` for `async` code; one may be shared by several event loops.

    A caller that is cancelled, or that times out, goes on at once. If its search waited for a thread, it
    never begins; if it runs, it ends by itself, and only then is its place free again, so that slow searches
    cannot pile up behind callers who gave up.

    Args:
        searcher: what searches. It stays the caller's: `close` does not close it.
        threads: searches at a time; more than the database's `pool_size` only wait for connections.
        waiting: searches that may wait for a thread; one more is refused.
    """

    def __init__(self, searcher: Searcher, *, threads: int = 8, waiting: int = 100) -> None:
        if threads < 1 or waiting < 0:
            raise UsageError(f"received threads={threads}, waiting={waiting}; valid: from 1 and from 0")
        self._searcher = searcher
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._places = threading.BoundedSemaphore(threads + waiting)

    def check_tenant(self, tenant: str) -> None:
        """As `Searcher.check_tenant`, which asks the database at most once."""
        self._searcher.check_tenant(tenant)

    async def search(self, text: str, **asked: Any) -> Result:
        """What `Searcher.search` gives for the same arguments.

        Raises:
            UsageError: as there, or this searcher is closed.
            TransientError: as there, or too many searches are waiting, or this searcher was closed while this
                one waited; nothing was done.
        """
        return await self._in_thread(partial(self._searcher.search, text, **asked))

    async def pack(self, result: Result, max_tokens: int, *, order: Order = "relevance") -> PackedContext:
        """What `Searcher.pack` gives. Raises `UsageError` and `TransientError`, as `search` does."""
        return await self._in_thread(partial(self._searcher.pack, result, max_tokens, order=order))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise TransientError(
                "too many searches are waiting; try again, or give the searcher more threads"
            )
        try:
            future: Future[T] = self._pool.submit(contextvars.copy_context().run, work)
        except RuntimeError as error:
            self._places.release()
            raise UsageError("this searcher is closed") from error
        future.add_done_callback(lambda _: self._places.release())
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise TransientError("this searcher was closed before the search began") from None

    async def close(self) -> None:
        """Drop what waits, and wait for what runs."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
