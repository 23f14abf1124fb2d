"""When the next request of a credential may go out, and what a server says about that.

What belongs here: time arithmetic, and the state that requests of one credential share, here and, as a
protocol, with other processes. What does not: sending requests or judging answers (`session`, `answers`).

Headers: Retry-After is RFC 9110, 10.2.3; X-RateLimit-Remaining, -Reset (ISO 8601) are those of
https://developer.atlassian.com/cloud/jira/platform/rate-limiting/, X-RateLimit-Interval-Seconds those of
https://confluence.atlassian.com/doc/_ratelimiting_httpheaders-992678779.html. RateLimit-Remaining, -Reset (in
seconds) are those of draft-ietf-httpapi-ratelimit-headers-03, which Microsoft Graph and Zendesk send;
ServiceNow writes X-RateLimit-Reset as seconds since 1970.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple, Protocol

from rag_pipelines.http.throttle import (
    FIRST_DELAY,
    LONGEST_DELAY,
    Clock,
    TokenBucket,
    backoff,
    retry_after,
)

LONGEST_ASKED = 86_400.0
"""Seconds that a server can keep a credential waiting; a longer wait is taken for a slip of its own."""


@dataclass(frozen=True)
class Patience:
    """How long to try one request; all times in seconds.

    `total_timeout` bounds reading one body, however slowly it drips. `max_wait` bounds what all
    waits of one request add up to; `retries` are tries after the first.
    """

    retries: int = 6
    first_delay: float = FIRST_DELAY
    longest_delay: float = LONGEST_DELAY
    max_wait: float = 300.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    total_timeout: float = 300.0

    def backoff(self, attempt: int, rng: random.Random) -> float:
        """The wait after try `attempt` (from 1) failed."""
        return backoff(attempt, self.first_delay, self.longest_delay, rng)


BURST = 1.0
"""Seconds of a limit that may be made up for when nothing was asked for."""


class Moment(NamedTuple):
    """Seconds until a request may go out, which has that moment to itself; or, where these are not 0, seconds
    in which the server wants none, and the request has no moment yet."""

    wait: float
    held: float = 0.0


class SharedPace(Protocol):
    """The pace of credentials over several processes, each under a key of its own."""

    def take(self, key: str, per_minute: int | None, units: int = 1) -> Moment:
        """The next moment for a request that counts so many units, of a credential that may have so many in a
        minute."""

    def hold(self, key: str, seconds: float) -> None:
        """Let nothing out for `seconds`, from whatever process."""


def shared_key(host: str, credential: str) -> str:
    """What other processes know a credential by; slow to guess a password from."""
    return hashlib.scrypt(credential.encode(), salt=host.encode(), n=2**14, r=8, p=1, dklen=16).hex()


class Pacer:
    """When requests of one credential go out, and how many at once. Safe to share between threads.

    Args:
        host, credential: whose requests these are.
        shared: the pace that is kept with other processes, if any.
    """

    def __init__(
        self, host: str = "", credential: str = "", shared: Callable[[], SharedPace | None] = lambda: None
    ) -> None:
        self._host = host
        self._credential = credential
        self._shared = shared
        self._ready_at = float("-inf")
        self._not_before = float("-inf")
        self._lock = threading.Lock()
        self._free = threading.Condition()
        self._under_way = 0

    @contextmanager
    def turn(self, at_most: int) -> Iterator[None]:
        """Wait until fewer than `at_most` requests of the credential are under way; this is one meanwhile."""
        with self._free:
            self._free.wait_for(lambda: self._under_way < at_most)
            self._under_way += 1
        try:
            yield
        finally:
            with self._free:
                self._under_way -= 1
                self._free.notify_all()

    def hold(self, seconds: float, clock: Clock) -> None:
        """Let nothing out for `seconds`; never shortens what was asked before."""
        with self._lock:
            self._not_before = max(self._not_before, clock.monotonic() + seconds)
        if (shared := self._shared()) is not None and seconds > 0:
            shared.hold(self._key, seconds)

    def take(self, per_minute: int | None, clock: Clock) -> Moment:
        """The next moment for a request, of a credential that may send so many in a minute or, None, any."""
        if (shared := self._shared()) is not None:
            moment = shared.take(self._key, per_minute)
            with self._lock:
                self._not_before = max(self._not_before, clock.monotonic() + moment.held)
            return moment
        if per_minute is None:
            return Moment(0.0)
        with self._lock:
            now, step = clock.monotonic(), 60 / per_minute
            ready = max(self._ready_at, now - BURST)
            self._ready_at = ready + step
        return Moment(max(0.0, ready - now))

    @cached_property
    def _key(self) -> str:
        return shared_key(self._host, self._credential)

    def remaining(self, clock: Clock) -> float:
        """Seconds until a request may go out; 0 when it may now."""
        with self._lock:
            return max(0.0, self._not_before - clock.monotonic())


class Pacers:
    """The pacer of each (host, credential), so that sources with one credential wait together."""

    def __init__(self) -> None:
        self._pacers: dict[tuple[str, str], Pacer] = {}
        self._shared: list[SharedPace] = []
        self._lock = threading.Lock()

    def of(self, host: str, credential: str) -> Pacer:
        """That of a credential at a host."""
        with self._lock:
            key = (host, credential)
            if key not in self._pacers:
                self._pacers[key] = Pacer(host, credential, self.newest)
            return self._pacers[key]

    @contextmanager
    def share(self, pace: SharedPace) -> Iterator[None]:
        """Within it, keep to a pace with other processes."""
        self._shared.append(pace)
        try:
            yield
        finally:
            self._shared.remove(pace)

    def newest(self) -> SharedPace | None:
        """The pace that is kept with other processes now, if any."""
        return self._shared[-1] if self._shared else None


PACERS = Pacers()
"""Those of this process."""


class Quota:
    """Units that a credential may have in a minute: a bucket of this process or, where the pace is shared, a
    pace with others.

    Args:
        what: which of its quotas: requests, tokens.
    """

    def __init__(
        self, host: str, credential: str, what: str, per_minute: int, clock: Clock, pacers: Pacers = PACERS
    ) -> None:
        self._names = host, f"{what} of {credential}"
        self._per_minute = per_minute
        self._clock = clock
        self.pacers = pacers
        self._bucket = TokenBucket(per_minute, clock)

    def take(self, units: int) -> None:
        """Take `units`, waiting until they are there."""
        if (shared := self.pacers.newest()) is None:
            self._bucket.take(units)
        elif (wait := shared.take(self._key, self._per_minute, units).wait) > 0:
            self._clock.sleep(wait)

    @cached_property
    def _key(self) -> str:
        return shared_key(*self._names)


def requested_wait(status: int, headers: Mapping[str, str], clock: Clock) -> float | None:
    """Seconds that an answer asks for before the next request, or None if it asks for nothing.

    A server that has granted the last request says so on the answer to it, which saves a refusal.
    """
    seconds = retry_after(headers.get("Retry-After"), clock)
    remaining = (headers.get("X-RateLimit-Remaining"), headers.get("RateLimit-Remaining"))
    if seconds is None and (status == 429 or "0" in remaining):
        seconds = _until(headers.get("X-RateLimit-Reset"), clock)
        for name in ("RateLimit-Reset", "X-RateLimit-Interval-Seconds"):
            if seconds is None:
                seconds = retry_after(headers.get(name), clock)
    return None if seconds is None else min(seconds, LONGEST_ASKED)


def _until(moment: str | None, clock: Clock) -> float | None:
    if moment and moment.isdecimal():
        return max(0.0, float(moment) - clock.time())
    try:
        reset = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    return max(0.0, (reset if reset.tzinfo else reset.replace(tzinfo=UTC)).timestamp() - clock.time())
