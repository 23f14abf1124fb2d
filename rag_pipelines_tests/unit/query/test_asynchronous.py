"""Searching from an event loop: bounded, and safe to cancel."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any, cast

import pytest

from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.query.asynchronous import AsyncSearcher
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="")


class Slow:
    """A searcher that answers when it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[str] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def search(self, text: str, **asked: Any) -> Result:
        """An empty result, or the error that the text names."""
        self.asked.append((text, asked))
        self.requests.append(REQUEST.get())
        self.begun.release()
        assert self.may_end.acquire(timeout=20)
        if text == "wrong":
            raise UsageError("wrong")
        return Result(text, 1, "hybrid", (), 0.0, 0.0)

    async def has_begun(self) -> None:
        """Returns when one more search is in a thread."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=20)


@pytest.fixture
def slow() -> Slow:
    return Slow()


def asynchronous(slow: Slow, threads: int = 1, waiting: int = 1) -> AsyncSearcher:
    return AsyncSearcher(cast(Searcher, slow), threads=threads, waiting=waiting)


def test_it_gives_what_the_searcher_gives_and_raises_what_it_raises(slow: Slow) -> None:
    async def check() -> None:
        slow.may_end.release(2)
        REQUEST.set("r1")
        async with asynchronous(slow) as searcher:
            assert (await searcher.search("a", tenant="acme", k=3)).index == "a"
            with pytest.raises(UsageError, match="wrong"):
                await searcher.search("wrong", tenant="acme")
        assert slow.asked == [("a", {"tenant": "acme", "k": 3}), ("wrong", {"tenant": "acme"})]
        assert slow.requests == ["r1", "r1"]

    asyncio.run(check())


def test_no_more_run_at_once_than_threads_and_no_more_wait_than_may(slow: Slow) -> None:
    async def check() -> None:
        async with asynchronous(slow, threads=2, waiting=1) as searcher:
            tasks = [asyncio.create_task(searcher.search(text)) for text in "abc"]
            await slow.has_begun()
            await slow.has_begun()
            assert not slow.begun.acquire(blocking=False)
            with pytest.raises(TransientError, match="too many searches are waiting"):
                await searcher.search("d")
            slow.may_end.release(3)
            assert [result.index for result in await asyncio.gather(*tasks)] == ["a", "b", "c"]
            slow.may_end.release()
            assert (await searcher.search("e")).index == "e"

    asyncio.run(check())


def test_a_cancelled_search_that_waits_never_begins_and_its_place_is_free(slow: Slow) -> None:
    async def check() -> None:
        async with asynchronous(slow) as searcher:
            running = asyncio.create_task(searcher.search("runs"))
            await slow.has_begun()
            waiting = asyncio.create_task(searcher.search("waits"))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            next_one = asyncio.create_task(searcher.search("next"))
            await asyncio.sleep(0)
            slow.may_end.release(2)
            await asyncio.gather(running, next_one)
        assert [text for text, _ in slow.asked] == ["runs", "next"]

    asyncio.run(check())


def test_a_cancelled_search_that_runs_keeps_its_place_until_it_ends(slow: Slow) -> None:
    async def check() -> None:
        async with asynchronous(slow, waiting=0) as searcher:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await searcher.search("long")
            with pytest.raises(TransientError):
                await searcher.search("next")
            slow.may_end.release()
        assert [text for text, _ in slow.asked] == ["long"]

    asyncio.run(check())


def test_closing_waits_for_what_runs_and_drops_what_waits(slow: Slow) -> None:
    async def check() -> None:
        searcher = asynchronous(slow)
        running, waiting = (asyncio.create_task(searcher.search(text)) for text in ("runs", "waits"))
        await slow.has_begun()
        closing = asyncio.create_task(searcher.close())
        with pytest.raises(TransientError, match="closed before the search began"):
            await waiting
        assert not closing.done()
        slow.may_end.release()
        assert (await running).index == "runs"
        await closing
        with pytest.raises(UsageError, match="closed"):
            await searcher.search("late")

    asyncio.run(check())


def test_senseless_bounds_are_refused(slow: Slow) -> None:
    with pytest.raises(UsageError, match="received threads=0, waiting=1"):
        asynchronous(slow, threads=0)
