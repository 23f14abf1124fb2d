"""What hosts ask of robots, and the pace that they are read at.

What belongs here: robots.txt (RFC 9309, read by Protego) and Crawl-delay. What does not: directives inside of
pages (`pages`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from protego import Protego

from rag_pipelines.errors import RagError, TransientError
from rag_pipelines.http.throttle import Clock

_LONGEST_DELAY = 60.0
"""Seconds between two requests that a host may ask for."""


class Robots:
    """The rules of each host, read once.

    Args:
        read: the body of an address; raises as `http.session` does.
        delay: seconds between two requests to a host, at least.
    """

    def __init__(
        self, read: Callable[[str], bytes], agent: str, delay: float, clock: Clock, *, obey: bool
    ) -> None:
        self._read = read
        self._agent = agent
        self._delay = delay
        self._clock = clock
        self._obey = obey
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._rules: dict[str, Protego | RagError] = {}
        self._next: dict[str, float] = {}

    def allow(self, url: str) -> bool:
        """Whether `url` may be read. Raises `TransientError` where its host does not say.

        That such a host is closed for the time being is RFC 9309, 2.3.1.4.
        """
        if not self._obey:
            return True
        rules = self._rules_of(url)
        if isinstance(rules, RagError):
            raise TransientError(f"robots.txt of {urlsplit(url).netloc} cannot be read: {rules}")
        return bool(rules.can_fetch(url, self._agent))

    def await_turn(self, url: str) -> None:
        """Wait until the next request may go to the host of `url`."""
        host = urlsplit(url).netloc
        delay = self._delay
        rules = self._rules.get(host)
        if isinstance(rules, Protego):
            delay = min(max(delay, rules.crawl_delay(self._agent) or 0.0), _LONGEST_DELAY)
        if not delay:
            return
        with self._lock:
            now = self._clock.monotonic()
            turn = max(now, self._next.get(host, now))
            self._next[host] = turn + delay
        self._clock.sleep(turn - now)

    def _rules_of(self, url: str) -> Protego | RagError:
        parts = urlsplit(url)
        with self._lock:
            lock = self._locks.setdefault(parts.netloc, threading.Lock())
        with lock:
            if parts.netloc not in self._rules:
                self._rules[parts.netloc] = self._read_rules(f"{parts.scheme}://{parts.netloc}/robots.txt")
            return self._rules[parts.netloc]

    def _read_rules(self, url: str) -> Protego | RagError:
        try:
            return Protego.parse(self._read(url).decode("utf-8", "replace"))
        except TransientError as error:
            return error
        except RagError:
            # Refused or not there: everything is allowed (RFC 9309, 2.3.1.3).
            return Protego.parse("")
