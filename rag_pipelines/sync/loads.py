"""Loads contents, several at once where their connector allows it.

What belongs here: how many loads are under way, and how many bytes they may bring. What does not: what is to
be loaded (`loading`), what a failure means (`origin`), and the pace that a server asks for (`http.pacing`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from rag_pipelines.connectors.base import Item

T = TypeVar("T")


def load_contents(
    items: Sequence[Item], load: Callable[[Item], T], at_once: int, budget: int
) -> Generator[tuple[int, T]]:
    """The place of each of `items` with what `load` made of it, as they come; in order, one at a time.

    A load begins only when the sizes of those under way leave room for it in `budget` (bytes), or when it is
    the only one. An item of unknown size counts as its share of the budget.

    Raises what `load` raises, when no other load is under way any more.
    """
    if at_once <= 1 or len(items) < 2:
        yield from ((place, load(item)) for place, item in enumerate(items))
        return
    share = budget // at_once
    sizes = [share if item.size is None else item.size for item in items]
    ahead = deque(range(len(items)))
    under_way: dict[Future[T], int] = {}
    room = budget
    pool = ThreadPoolExecutor(min(at_once, len(items)), thread_name_prefix="load")
    try:
        while ahead or under_way:
            while ahead and len(under_way) < at_once and (sizes[ahead[0]] <= room or not under_way):
                place = ahead.popleft()
                room -= sizes[place]
                under_way[pool.submit(copy_context().run, load, items[place])] = place
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                place = under_way.pop(future)
                room += sizes[place]
                yield place, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
