"""How work that takes a while tells how far it is.

What belongs here: the listener's shape, and how long the rest takes. What does not: showing it (`cli.output`,
`orchestration.metadata`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with a stage name, how many are done, and how many there are (None where unknown)."""

PACE_SECONDS = 120.0
"""A stage goes on as fast as it went in so long: one that slows down says so."""


def no_progress(stage: str, done: int, total: int | None) -> None:
    """A progress listener that does not listen."""


class Pace:
    """How long the rest of each stage takes, as fast as it went lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, deque[tuple[float, int]]] = {}

    def seconds_left(self, stage: str, done: int, total: int | None) -> float | None:
        """Of a stage of which so much is done now; None as long as there is nothing to tell it from."""
        now, heard = self._clock(), self._heard.setdefault(stage, deque())
        heard.append((now, done))
        while now - heard[0][0] > PACE_SECONDS and len(heard) > 2:
            heard.popleft()
        since, done_then = heard[0]
        if total is None or done <= done_then:
            return None
        return (total - done) * (now - since) / (done - done_then)


def duration(seconds: float) -> str:
    """For people: ``40 s``, ``7 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
