"""A `requests` session that reads well from a server that throttles, stalls and breaks off.

What belongs here: sending requests that read, trying again, time-outs, caps on bodies. What does not: who
asks and where a login may go (`credentials`), judging answers (`answers`), time arithmetic (`pacing`), or
anything one vendor only has. A client library is given an `HttpSession` and has its own retries
switched off: everything it reads comes through `Transport`, complete, or as an error of this project.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from rag_pipelines import logs, tracing
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    RagError,
    ThrottledError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.http.answers import HttpResponse, fault_of, is_login_page, place_of
from rag_pipelines.http.credentials import Credential, origin_of
from rag_pipelines.http.pacing import PACERS, Pacer, Pacers, Patience, requested_wait
from rag_pipelines.http.throttle import Clock

log = logs.get(__name__)

MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""Of one answer that is not a document, decompressed."""
_PIECE = 256 * 1024
LONG_WAIT = 1.0
"""Seconds; a longer wait is worth a warning."""
_USER_AGENT = "rag-pipelines"


@dataclass
class Traffic:
    """What went over the wire: tries (`requests`), those that were repeats (`retries`), seconds `waited`."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    waited: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, requests: int = 0, retries: int = 0, bytes: int = 0, waited: float = 0.0) -> None:
        """Count what one request took; safe between threads."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.bytes += bytes
            self.waited += waited


class Transport(HTTPAdapter):
    """Sends a request that reads until its answer is complete, or raises what the answer stands for.

    That is a GET, or a POST that its sender says changes nothing (`reads`): a search, a batch of GETs. A
    login that can be renewed is, once, where it was refused.

    urllib3's `Retry` sees an answer's head only and knows nothing of other requests, so a body that
    breaks off and a throttled credential are beyond it; hence this loop, over an adapter that
    does not retry.
    """

    def __init__(
        self,
        credential: Credential,
        patience: Patience = Patience(),
        *,
        clock: Clock = time,
        rng: random.Random | None = None,
        pacers: Pacers = PACERS,
        at_once: int = 8,
        per_minute: int | None = None,
    ) -> None:
        """`at_once` bounds the requests of the credential that are under way, from whatever transport, and
        `per_minute` those that go out in a minute, where the pace is shared from whatever process.
        """
        super().__init__(max_retries=0, pool_maxsize=at_once)
        self.traffic = Traffic()
        self._credential = credential
        self._patience = patience
        self._clock = clock
        self._rng = rng or random.Random()
        self._pacers = pacers
        self._at_once = at_once
        self._per_minute = per_minute

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        size: int | None = None,
        reads: bool = False,
        cut: bool = False,
    ) -> requests.Response:
        """The answer with its whole body; `stream` and `timeout` are ignored in favour of `Patience`.

        `max_bytes` and `size` are those of `HttpSession.get_bytes`, `cut` that of `HttpSession.exchange`.
        """
        if request.method != "GET" and not (request.method == "POST" and reads):
            raise UsageError(f"a connector only reads; {request.method} is not allowed")
        url = request.url or ""
        place = place_of(url)
        wants_json = "json" in str(request.headers.get("Accept", ""))
        if wants_json and not self._credential.belongs_to(url):
            raise CredentialError(
                f"{place_of(self._credential.url)} redirects to {place}, where the login is not sent: set "
                "url to where the site answers, or keep single sign-on from standing in front of it"
            )
        request.headers.update(tracing.headers())
        pacer = self._pacers.of(urlsplit(url).netloc, self._credential.identity)
        waited, renewed, turn = 0.0, False, ExitStack()
        for attempt in itertools.count(1):
            waited += self._await_turn(pacer, turn, place, self._patience.max_wait - waited)
            self.traffic.add(requests=1, retries=int(attempt > 1))
            try:
                response = self._exchange(request, place, verify, cert, proxies, max_bytes, cut)
                self._judge(response, url, wants_json, pacer)
                _check_size(response, place, size)
                return response
            except CredentialError:
                turn.close()
                if renewed or not self._credential.renew(request):
                    raise
                renewed = True
                log.info("login renewed", host=urlsplit(url).netloc)
            except TransientError as error:
                delay = self._patience.backoff(attempt, self._rng)
                if isinstance(error, ThrottledError):
                    pacer.hold(delay + (error.retry_after or 0), self._clock)
                    delay = 0.0
                turn.close()
                if attempt > self._patience.retries or waited + delay > self._patience.max_wait:
                    log.warning("request given up", tries=attempt, waited=round(waited, 1), reason=str(error))
                    raise
                log.info("request retried", attempt=attempt, wait=round(delay, 1), reason=str(error))
                self._sleep(delay)
                waited += delay
            finally:
                turn.close()
        raise AssertionError("unreachable")

    def _await_turn(self, pacer: Pacer, turn: ExitStack, place: str, budget: float) -> float:
        """Wait until the credential may be used again, and begin a turn; the seconds that was held back for.

        Whoever has waited for a turn looks again: another request may have been told to wait meanwhile.
        """
        waited = 0.0
        while True:
            while (wait := pacer.remaining(self._clock)) > 0:
                if waited + wait > budget:
                    raise ThrottledError(
                        f"{place}: the server asks to wait {wait:,.0f} s, more than max_wait leaves "
                        f"({budget - waited:,.0f} s)",
                        wait,
                    )
                self._sleep(wait)
                waited += wait
            turn.enter_context(pacer.turn(self._at_once))
            if not pacer.remaining(self._clock):
                moment = pacer.take(self._per_minute, self._clock)
                if not moment.held:
                    if moment.wait:
                        self._clock.sleep(moment.wait)
                        self.traffic.add(waited=moment.wait)
                    return waited
            turn.close()

    def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            if seconds > LONG_WAIT:
                log.warning(
                    "waiting for the server", host=urlsplit(self._credential.url).netloc, seconds=seconds
                )
            self._clock.sleep(seconds)
            self.traffic.add(waited=seconds)

    def _exchange(
        self,
        request: requests.PreparedRequest,
        place: str,
        verify: bool | str,
        cert: Any,
        proxies: Mapping[str, str] | None,
        max_bytes: int | None,
        cut: bool,
    ) -> requests.Response:
        """One try. Errors of the library are replaced, not chained: their frames hold the credential."""
        timeout = (self._patience.connect_timeout, self._patience.read_timeout)
        try:
            response = super().send(request, True, timeout, verify, cert, proxies)
            try:
                body = self._body(response, place, max_bytes, cut)
            finally:
                self.traffic.add(bytes=response.raw.tell())
                response.close()
        except requests.exceptions.SSLError as error:
            raise _tls_fault(place, error) from None
        except (requests.RequestException, HTTPError, OSError) as error:
            raise TransientError(f"{place} did not answer: {_reason(error)}") from None
        response.raw = io.BytesIO(body)
        return response

    def _judge(self, response: requests.Response, url: str, wants_json: bool, pacer: Pacer) -> None:
        """Raise what the answer stands for; note what it says about the next request."""
        status, headers = response.status_code, response.headers
        wait = requested_wait(status, headers, self._clock)
        if wait:
            pacer.hold(wait, self._clock)
        answer = HttpResponse(url, status, headers, response.content, wants_json, self._credential.secrets)
        if (fault := fault_of(answer, wait)) is not None:
            raise fault

    def _body(self, response: requests.Response, place: str, max_bytes: int | None, cut: bool) -> bytes:
        """The decompressed body. `read1` returns after each packet, so a slow drip meets the time limit."""
        deadline = self._clock.monotonic() + self._patience.total_timeout
        limit = MAX_ANSWER_BYTES if max_bytes is None else max_bytes
        body = bytearray()
        while piece := response.raw.read1(_PIECE, decode_content=True):
            body += piece
            if len(body) > limit and cut:
                return bytes(body[:limit])
            if len(body) > limit and max_bytes is not None:
                raise TooLargeDocumentError(
                    f"{place} has more than {limit:,} bytes; raise max_bytes or exclude it"
                )
            if len(body) > limit:
                raise UsageError(f"{place} answered with more than {limit:,} bytes; lower page_size")
            if self._clock.monotonic() > deadline:
                raise TransientError(
                    f"{place} sent {len(body):,} bytes in {self._patience.total_timeout:g} s and was not done"
                )
        return bytes(body)


class HttpSession(requests.Session):
    """A session for one site and one credential; give it to a client library, or call `get_bytes`."""

    def __init__(self, credential: Credential, transport: Transport, verify: bool | str = True) -> None:
        super().__init__()
        if isinstance(verify, str) and not os.path.exists(verify):
            raise ConfigError(
                f"ca_bundle: received {verify!r}, which does not exist; give a file in PEM format"
            )
        self.auth = credential
        self.verify = verify
        self.max_redirects = 5
        self.headers["User-Agent"] = _USER_AGENT
        self.mount("https://", transport)
        self.mount("http://", transport)
        self._environment: dict[tuple[Any, ...], dict[str, Any]] = {}

    def get_bytes(
        self, url: str, max_bytes: int, size: int | None = None, auth: Credential | None = None
    ) -> bytes:
        """The content at `url`, at most `max_bytes` of it decompressed; `TooLargeDocumentError` is above.

        `size` is how many bytes a listing promised: it tells whether a body whose end no header marks,
        because the connection just closes after it, is whole. `auth` replaces the session's login.
        """
        request = requests.Request("GET", url, headers={"Accept": "*/*"}, auth=auth)
        response = self.exchange(request, max_bytes=max_bytes, size=size)
        if response.history and is_login_page(response.url, response.headers.get("Content-Type", "")):
            raise CredentialError(
                f"{place_of(url)} redirects to the login page {place_of(response.url)}: renew the token"
            )
        return response.content

    def exchange(
        self,
        request: requests.Request,
        *,
        max_bytes: int | None = None,
        size: int | None = None,
        reads: bool = False,
        redirects: bool = True,
        cut: bool = False,
    ) -> requests.Response:
        """The complete answer to `request`, with this session's login unless it has an `auth` of its own.

        Args:
            max_bytes: as in `get_bytes`; by default an answer is at most `MAX_ANSWER_BYTES` long.
            reads: this POST changes nothing. It is not redirected.
            redirects: whether redirects are followed; otherwise they are the answer.
            cut: of a longer body the first `max_bytes` are the answer.
        """
        prepared = self._prepared(request)
        settings = self.merge_environment_settings(prepared.url, {}, None, self.verify, None)
        follow = redirects and not reads
        return self.send(
            prepared, max_bytes=max_bytes, size=size, reads=reads, cut=cut, allow_redirects=follow, **settings
        )

    def _prepared(self, request: requests.Request) -> requests.PreparedRequest:
        """As `prepare_request`, of a request without files, hooks or cookies of its own.

        To merge what neither has costs requests as much as everything else of it.
        """
        prepared = requests.PreparedRequest()
        prepared.prepare(
            method=request.method,
            url=request.url,
            headers={**self.headers, **request.headers},
            params=request.params,
            data=request.data,
            json=request.json,
            auth=request.auth or self.auth,
            cookies=self.cookies.copy(),
        )
        return prepared

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        try:
            return super().send(request, **kwargs)
        except requests.RequestException as error:
            raise UsageError(
                f"{place_of(request.url or '')} cannot be read: {type(error).__name__} after a redirect"
            ) from None

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: bool | None, verify: Any, cert: Any
    ) -> Any:
        """The environment's proxies and CA certificates; what `verify` says explicitly is stronger.

        They are read once for each site: going through all variables takes as long as a small request.
        """
        key = (origin_of(str(url)), stream, verify, cert)
        if key not in self._environment:
            found = dict(super().merge_environment_settings(url, {}, stream, verify, cert))
            self._environment[key] = found if self.verify is True else {**found, "verify": self.verify}
        settings = self._environment[key]
        return {**settings, "proxies": {**settings["proxies"], **(proxies or {})}}

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """A redirect elsewhere loses the credential, and no other is taken from a .netrc file."""
        if self.should_strip_auth(response.request.url or "", prepared_request.url or ""):
            prepared_request.headers.pop("Authorization", None)


def _check_size(response: requests.Response, place: str, size: int | None) -> None:
    headers, received = response.headers, len(response.content)
    marked = "Content-Length" in headers or "Transfer-Encoding" in headers
    if size is not None and response.status_code == 200 and not marked and received < size:
        raise TransientError(f"{place} broke off after {received:,} of {size:,} bytes")


def _tls_fault(place: str, error: Exception) -> RagError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UsageError(
            f"the certificate of {place} is not trusted: {_reason(error)}; give its CA as ca_bundle"
        )
    return TransientError(f"{place} did not answer: {_reason(error)}")


def _reason(error: Exception) -> str:
    """The innermost reason, without the pool and the URL that the outer messages repeat."""
    inner: Any = error
    while (
        deeper := getattr(inner, "reason", None) or next(iter(getattr(inner, "args", ())), None)
    ) and isinstance(deeper, Exception):
        inner = deeper
    return f"{type(inner).__name__}: {inner}"[:300]
