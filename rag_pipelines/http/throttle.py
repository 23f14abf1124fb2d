"""Keeping calls to a remote system within its limits, and waiting well when it refuses.

What belongs here: time arithmetic with a clock that tests replace. What does not: HTTP.
"""

from __future__ import annotations

import random
import threading
from datetime import UTC
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Protocol

FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0


class Clock(Protocol):
    """Time in seconds, as the module `time` gives it."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class TokenBucket:
    """Lets `per_minute` units pass in a minute. Full at first, so a minute's worth may pass at once.

    Thread-safe. Units are taken on credit and the taker waits until they would have been there, so
    takers are served in order and a demand above a whole bucket waits instead of hanging.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        self._level = self._capacity
        self._filled_at = clock.monotonic()
        self._lock = threading.Lock()

    def take(self, units: int) -> None:
        """Take `units`, waiting until they are there."""
        with self._lock:
            now = self._clock.monotonic()
            grown = self._level + (now - self._filled_at) * self._per_second
            self._level = min(self._capacity, grown) - units
            self._filled_at = now
            wait = -self._level / self._per_second
        if wait > 0:
            self._clock.sleep(wait)


def backoff(
    attempt: int,
    first: float = FIRST_DELAY,
    longest: float = LONGEST_DELAY,
    rng: random.Random | ModuleType = random,
) -> float:
    """Seconds to wait after try `attempt` (from 1) failed: exponential with full jitter.

    After M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog (2015).
    """
    return rng.uniform(0, min(longest, first * 2 ** (attempt - 1)))


def retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or an HTTP date), or None."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - clock.time())
