"""What keeps one caller, or all of them together, from taking more than there is.

What belongs here: the rate of a caller, and bounded work in threads. What does not: sizes of a request,
which its schema and `requests` check.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")

CALLERS_KEPT = 100_000
"""Callers whose rate is remembered; beyond, those not seen for longest begin anew."""


class BusyError(Exception):
    """All threads are taken and the queue in front of them is full."""


class RateLimit:
    """A token bucket for each caller: `burst` requests at once, `per_minute` in the long run.

    For one event loop: it has no lock. `clock` gives seconds.
    """

    def __init__(
        self,
        per_minute: float,
        burst: int,
        *,
        callers: int = CALLERS_KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_minute / 60
        self._burst = burst
        self._callers = callers
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Count one request; 0 if it is within the limit, else the seconds until one would be."""
        now = self._clock()
        left, at = self._buckets.pop(caller, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._buckets[caller] = (left if wait else left - 1, now)
        if len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
        return wait


class Workers:
    """Blocking work beside the event loop: `size` calls at a time, `waiting` more in front of them.

    A call that takes too long is given up by its caller; its thread ends when it ends, and only then is its
    place free again. So slow work cannot pile up behind time-outs.
    """

    def __init__(self, size: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="serving")
        self._places = size + waiting
        self.taken = 0

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """The result of `work`, done in a thread.

        Raises:
            BusyError: there is no place left; nothing was done.
            TimeoutError: it has not ended after `seconds`, waiting included.
        """
        if self.taken >= self._places:
            raise BusyError
        self.taken += 1
        loop = asyncio.get_running_loop()
        future = self._pool.submit(copy_context().run, work)

        def leave(_: Future[T]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._leave)

        future.add_done_callback(leave)
        return await asyncio.wait_for(asyncio.wrap_future(future), seconds)

    def _leave(self) -> None:
        self.taken -= 1

    def close(self) -> None:
        """Take nothing more and drop what waits; what runs ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def caller_address(host: str) -> str:
    """The part of an address that one caller has: all of IPv4, the network (/64) of IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


def whole_seconds(wait: float) -> str:
    """The value of ``Retry-After``."""
    return str(max(1, math.ceil(wait)))
