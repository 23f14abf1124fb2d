"""Requests of a listing made several at once, their answers taken in order.

What belongs here: reading ahead in threads. What does not: loading contents (`sync.loads`), and the pace that
a server asks for (`http.pacing`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


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
