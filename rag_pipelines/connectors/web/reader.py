"""Reads single addresses of a site: asked politely, redirects followed one by one, unchanged pages not sent.

What belongs here: requests, and what their answers mean for an address. What does not: which addresses
(`crawl`), what a page says (`pages`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import msgspec
import requests

from rag_pipelines.connectors.web.addresses import Scope, host_of, normalise
from rag_pipelines.connectors.web.guard import PublicTransport
from rag_pipelines.connectors.web.options import WebOptions
from rag_pipelines.connectors.web.robots import Robots
from rag_pipelines.errors import ForbiddenEntityError, MissingEntityError, TransientError, UsageError
from rag_pipelines.http.answers import is_login_page
from rag_pipelines.http.credentials import Anonymous, Credential
from rag_pipelines.http.session import HttpSession, Transport

HOPS = 5
"""Redirects from one address."""

_PERMANENT = frozenset({301, 308})
_REDIRECTS = _PERMANENT | {302, 303, 307}
_ROBOTS_BYTES = 5_000_000


class LeftError(MissingEntityError):
    """The address leads to a place that is not of this source, or that robots may not read."""


class Answer(msgspec.Struct, frozen=True):
    """What an address gave. `url` is where it was found, for good if it `moved`; `unchanged`: none sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    moved: bool = False
    unchanged: bool = False

    @property
    def media_type(self) -> str:
        """The declared type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class PageReader:
    """Reads addresses of one source; safe between threads.

    Args:
        transport: replaces clock, random numbers or shared state in tests (`Transport`'s arguments).
    """

    def __init__(self, options: WebOptions, scope: Scope, **transport: Any) -> None:
        self._options = options
        self._scope = scope
        first = (*options.sitemaps, *options.start)[0]
        login = options.authorization
        credential = Credential(first, login.get_secret_value()) if login else Anonymous(first)
        kind = Transport if options.private_addresses else PublicTransport
        made = kind(credential, options.patience, at_once=options.concurrent_loads, **transport)
        self._session = HttpSession(credential, made, options.verify)
        self._session.headers["User-Agent"] = options.user_agent
        self.traffic = made.traffic
        clock = transport.get("clock", time)
        self._robots = Robots(
            self._read_robots, options.user_agent, options.delay, clock, obey=options.robots == "obey"
        )

    def read(self, url: str, known: Mapping[str, str] | None = None) -> Answer:
        """What is at `url`, after redirects; `known` are headers that ask only for what changed since.

        Raises:
            MissingEntityError, GoneError: the site says that it is not there, or that it is elsewhere.
            ForbiddenEntityError: it may not be read, or leads to a login or to a private address.
            TooLargeDocumentError, UsageError, TransientError: it cannot be read.
        """
        at, moved, passing = url, False, False
        for _ in range(HOPS + 1):
            if not self._robots.allow(at):
                raise LeftError(f"robots.txt does not allow {at}")
            self._robots.await_turn(at)
            answer = self._get(at, known if at == url else None)
            if answer.status_code not in _REDIRECTS:
                place = url if passing else at
                unchanged = answer.status_code == 304
                return Answer(place, answer.headers, answer.content, moved and not passing, unchanged)
            passing = passing or answer.status_code not in _PERMANENT
            moved = True
            at = self._next_hop(at, answer.headers.get("Location", ""))
        raise UsageError(f"{url} is redirected more than {HOPS} times")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _next_hop(self, at: str, location: str) -> str:
        target = normalise(location, at)
        if target is None:
            raise UsageError(f"{at} redirects to {location[:200]!r}, which is no address")
        if is_login_page(target, "text/html"):
            raise ForbiddenEntityError(f"{at} redirects to the login {target}")
        if host_of(target) not in self._scope.hosts:
            raise LeftError(f"{at} has moved to {target}, which is not of this source")
        return target

    def _get(self, url: str, headers: Mapping[str, str] | None) -> requests.Response:
        request = requests.Request("GET", url, headers={"Accept": "*/*", **(headers or {})})
        return self._session.exchange(request, max_bytes=self._options.max_bytes, redirects=False)

    def _read_robots(self, url: str) -> bytes:
        at = url
        for _ in range(HOPS + 1):
            request = requests.Request("GET", at, headers={"Accept": "*/*"})
            answer = self._session.exchange(request, max_bytes=_ROBOTS_BYTES, redirects=False)
            if answer.status_code not in _REDIRECTS:
                return answer.content
            at = urljoin(at, answer.headers.get("Location", ""))
        raise TransientError(f"{url} is redirected more than {HOPS} times")
