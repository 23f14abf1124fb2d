"""Reads single addresses of a site: asked politely, redirects followed one by one, unchanged pages not sent.

What belongs here: requests, and what their answers mean for an address. What does not: which addresses
(`crawl`), what a page says (`pages`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

import msgspec
import requests

from rag_pipelines.connectors.web.addresses import Scope, host_of, normalise
from rag_pipelines.connectors.web.guard import PublicTransport
from rag_pipelines.connectors.web.options import WebOptions
from rag_pipelines.connectors.web.robots import Robots
from rag_pipelines.errors import (
    CredentialError,
    DocumentError,
    ForbiddenEntityError,
    MissingEntityError,
    TransientError,
    UsageError,
)
from rag_pipelines.http.answers import is_login_page
from rag_pipelines.http.credentials import Anonymous, Credential
from rag_pipelines.http.session import HttpSession, Transport

HOPS = 5
"""Redirects from one address."""

_PERMANENT = frozenset({301, 308})
_REDIRECTS = _PERMANENT | {302, 303, 307}
_UNTYPED = ("", "application/octet-stream", "binary/octet-stream", "application/download")
ROBOTS_BYTES = 512 * 1024
"""Of robots.txt that count; a crawler has to read 500 KiB at least (RFC 9309, 2.5)."""


Conditions = Callable[[str], Mapping[str, str]]


class LeftError(MissingEntityError):
    """The address leads to a place that is not of this source, or that robots may not read."""


class AwayError(ForbiddenEntityError):
    """The address leads for the time being to a place that is not of this source, or is not to be read."""


class Answer(msgspec.Struct, frozen=True):
    """What an address gave. `url` is where it was found, elsewhere if it `moved`, which is for now only if it
    is `passing`; `unchanged`: none sent, and if it is `unasked`, by nobody's word but a sitemap's."""

    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    moved: bool = False
    passing: bool = False
    unchanged: bool = False
    unasked: bool = False

    @property
    def media_type(self) -> str:
        """The declared type, without parameters."""
        declared = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if declared in _UNTYPED and self.body.startswith(b"%PDF-"):
            return "application/pdf"
        return declared


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
        self._login = credential
        kind = Transport if options.private_addresses else PublicTransport
        made = kind(
            credential,
            options.patience,
            at_once=options.concurrent_loads,
            per_minute=options.requests_per_minute,
            **transport,
        )
        self._session = HttpSession(credential, made, options.verify)
        self._session.headers["User-Agent"] = options.user_agent
        self.traffic = made.traffic
        clock = transport.get("clock", time)
        self._robots = Robots(
            self._read_robots, options.user_agent, options.delay, clock, obey=options.robots == "obey"
        )

    def read(self, url: str, known: Conditions = lambda url: {}, max_bytes: int | None = None) -> Answer:
        """What is at `url`, after redirects; `known` says with which headers to ask an address only for what
        changed since.

        `max_bytes` is that of the options unless given.

        Raises:
            MissingEntityError, GoneError: the site says that it is not there, or that it is elsewhere.
            ForbiddenEntityError: it may not be read, or leads to a login or to a private address.
            AwayError: a redirect that does not say that it is for good leads out of the site, or to what
                robots may not read.
            DocumentError: it is there and empty.
            TooLargeDocumentError, UsageError, TransientError: it cannot be read.
        """
        at, passing = url, False
        for _ in range(HOPS + 1):
            if not self._robots.allow(at):
                raise (AwayError if passing else LeftError)(f"robots.txt does not allow {at}")
            self._robots.await_turn(at)
            asked = known(at)
            answer = self._get(at, asked, max_bytes or self._options.max_bytes)
            if answer.status_code not in _REDIRECTS:
                unchanged = answer.status_code == 304
                if unchanged and not asked:
                    raise TransientError(f"{at} answered 304 to a question without a condition")
                if not (unchanged or answer.content):
                    raise DocumentError(f"{at} answered {answer.status_code} with nothing in it")
                moved = at != url
                return Answer(at, answer.headers, answer.content, moved, moved and passing, unchanged)
            passing = passing or answer.status_code not in _PERMANENT
            at = self._next_hop(at, answer.headers.get("Location", ""), passing=passing)
        raise UsageError(f"{url} is redirected more than {HOPS} times")

    def unasked(self, url: str) -> Answer:
        """As `read` of a page that is as it was. Raises what `read` does where robots may not read it."""
        if not self._robots.allow(url):
            raise LeftError(f"robots.txt does not allow {url}")
        return Answer(url, {}, unchanged=True, unasked=True)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _next_hop(self, at: str, location: str, *, passing: bool) -> str:
        target = normalise(location, at)
        if target is None:
            raise UsageError(f"{at} redirects to {location[:200]!r}, which is no address")
        if is_login_page(target, "text/html"):
            raise ForbiddenEntityError(f"{at} redirects to the login {target}")
        if host_of(target) not in self._scope.hosts and passing:
            raise AwayError(f"{at} is for now at {target}, which is not of this source")
        if host_of(target) not in self._scope.hosts:
            raise LeftError(f"{at} has moved to {target}, which is not of this source")
        return target

    def _get(self, url: str, headers: Mapping[str, str], max_bytes: int) -> requests.Response:
        request = requests.Request("GET", url, headers={"Accept": "*/*", **headers})
        try:
            return self._session.exchange(request, max_bytes=max_bytes, redirects=False)
        except CredentialError as error:
            if self._options.authorization and self._login.belongs_to(url):
                raise
            raise ForbiddenEntityError(f"it wants a login: {error}") from None

    def _read_robots(self, url: str) -> bytes:
        at = url
        for _ in range(HOPS + 1):
            request = requests.Request("GET", at, headers={"Accept": "*/*"})
            answer = self._session.exchange(request, max_bytes=ROBOTS_BYTES, redirects=False, cut=True)
            if answer.status_code not in _REDIRECTS:
                whole = len(answer.content) < ROBOTS_BYTES
                return answer.content if whole else answer.content.rpartition(b"\n")[0]
            at = urljoin(at, answer.headers.get("Location", ""))
        raise TransientError(f"{url} is redirected more than {HOPS} times")
