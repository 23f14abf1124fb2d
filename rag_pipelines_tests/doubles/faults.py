"""What may go wrong between a server and its client, on purpose: at the nth request, or at random.

What belongs here: the faults and the choice of which request meets one. What does not: routes and
answers of a vendor, which a fault may withhold or spoil but never makes up.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.server import Answer, Request, Wire

LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>Log in - Example SSO</title></head><body><form class='login-form' "
    "method='post'><input name='user'><input name='password' type='password'></form></body></html>"
)
PROXY_PAGE = "<html><head><title>Just a moment</title></head><body>The gateway is busy.</body></html>"


class Fault:
    """Answers a request in place of the server; `answer` makes what the server would have said."""

    def apply(self, wire: Wire, answer: Callable[[], Answer]) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Status(Fault):
    """An error status. `headers` may hold Retry-After; `retry_after` is short for that."""

    status: int
    retry_after: str | float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"message": "a fault of the test"}'
    content_type: str = "application/json"

    def apply(self, wire: Wire, answer: Callable[[], Answer]) -> None:
        headers = {"Content-Type": self.content_type, **self.headers}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        wire.send(self.status, headers, self.body.encode())


def html_page(status: int = 200, page: str = LOGIN_PAGE) -> Status:
    """A web page where JSON was asked for: single sign-on, or a proxy (`PROXY_PAGE`)."""
    return Status(status, body=page, content_type="text/html; charset=UTF-8")


@dataclass(frozen=True)
class Close(Fault):
    """The connection closes without an answer."""

    def apply(self, wire: Wire, answer: Callable[[], Answer]) -> None:
        wire.close()


@dataclass(frozen=True)
class Truncate(Fault):
    """The body breaks off after `share` of it. `framing` is how its end is told.

    "length": Content-Length promises more; "chunked": the last chunk is missing; "close": nothing
    promises anything, the connection just ends (HTTP/1.0).
    """

    share: float = 0.5
    framing: str = "length"

    def apply(self, wire: Wire, answer: Callable[[], Answer]) -> None:
        whole = answer()
        part = whole.body[: int(len(whole.body) * self.share)]
        headers = dict(whole.headers)
        if self.framing == "length":
            headers["Content-Length"] = str(len(whole.body))
        elif self.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
            part = b"%x\r\n%s" % (len(whole.body), part)
        wire.send_head(whole.status, headers)
        wire.write(part)
        wire.close()


@dataclass(frozen=True)
class Hang(Fault):
    """Nothing comes until the client gives up, or `seconds` have gone by."""

    seconds: float = 60.0

    def apply(self, wire: Wire, answer: Callable[[], Answer]) -> None:
        wire.wait_until_gone(self.seconds)
        wire.close()


@dataclass(frozen=True)
class Drip(Fault):
    """The body comes byte by byte, one each `pause` seconds, until the client gives up."""

    pause: float = 0.02

    def apply(self, wire: Wire, answer: Callable[[], Answer]) -> None:
        whole = answer()
        wire.send_head(whole.status, {**whole.headers, "Content-Length": str(len(whole.body))})
        for byte in whole.body:
            if wire.wait_until_gone(self.pause):
                break
            wire.write(bytes([byte]))
        wire.close()


@dataclass(frozen=True)
class Oversized(Fault):
    """A JSON body of `size` bytes, compressed with gzip where `compressed`."""

    size: int
    compressed: bool = False

    def apply(self, wire: Wire, answer: Callable[[], Answer]) -> None:
        import gzip

        body = b'{"results": ["' + b"x" * (self.size - 17) + b'"]}'
        headers = {"Content-Type": "application/json"}
        if self.compressed:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        wire.send(200, headers, body)


STORM: tuple[Fault, ...] = (
    Status(429, retry_after=0),
    Status(429),
    Status(500),
    Status(502, body=PROXY_PAGE, content_type="text/html"),
    Status(503, retry_after=0),
    Status(504),
    Hang(),
    Close(),
    Truncate(),
    Truncate(framing="chunked"),
    Truncate(framing="close"),
)
"""The transient failures of a bad day, each as likely as the others."""


@dataclass
class _Scripted:
    fault: Fault
    pattern: re.Pattern[str]
    skip: int
    times: int


class Faults:
    """Chooses the fault of each request. `met` counts those that had one, by the fault's name."""

    def __init__(self) -> None:
        self.met: dict[str, int] = {}
        self._scripted: list[_Scripted] = []
        self._share = 0.0
        self._kinds: tuple[Fault, ...] = ()
        self._random = random.Random()
        self._lock = threading.Lock()

    def script(self, fault: Fault, nth: int = 1, path: str = "", times: int = 1) -> None:
        """Let the `nth` request from now whose path (and query) holds the regular expression `path`
        meet `fault`, and the `times` - 1 that follow it."""
        with self._lock:
            self._scripted.append(_Scripted(fault, re.compile(path), nth - 1, times))

    def storm(self, share: float, seed: int, kinds: Iterable[Fault] = STORM) -> None:
        """Let `share` of the requests meet one of `kinds`, by chance."""
        with self._lock:
            self._share, self._kinds, self._random = share, tuple(kinds), random.Random(seed)

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._scripted, self._share = [], 0.0

    def choose(self, request: Request) -> Fault | None:
        with self._lock:
            fault = self._choose(request.target)
            if fault is not None:
                name = f"{fault.status}" if isinstance(fault, Status) else type(fault).__name__
                self.met[name] = self.met.get(name, 0) + 1
            return fault

    def _choose(self, target: str) -> Fault | None:
        chosen: Fault | None = None
        for entry in self._scripted:
            if not entry.pattern.search(target):
                continue
            if entry.skip:
                entry.skip -= 1
            elif entry.times and chosen is None:
                entry.times -= 1
                chosen = entry.fault
        if chosen is None and self._share and self._random.random() < self._share:
            chosen = self._random.choice(self._kinds)
        return chosen
