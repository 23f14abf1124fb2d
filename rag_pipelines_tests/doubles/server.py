"""A threaded HTTP server on a free loopback port, on which a vendor's double registers its routes.

What belongs here: sockets, routing, the check of the login, latency, hooks and the log of requests.
What does not: any vendor's paths or answers, and faults (`faults`).
"""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from rag_pipelines_tests.doubles.faults import Faults


@dataclass(frozen=True)
class Request:
    """One request. `path` is below the context path and decoded, `query` holds every value of a name."""

    method: str
    target: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""
    user: str | None = None
    """Whose login it came with, as `Server.logins` says."""

    def one(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def number(self, name: str, default: int) -> int:
        return int(self.one(name) or default)

    def list(self, name: str) -> list[str]:
        """Every value of a query parameter that is repeated, separated by commas, or both."""
        return [value for given in self.query.get(name, []) for value in given.split(",") if value]


@dataclass(frozen=True)
class Answer:
    """What a route answers; a route may also return JSON, for status 200."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json", **(headers or {})})


def redirect(location: str, status: int = 302) -> Answer:
    return Answer(status, b"", {"Location": location})


Route = Callable[..., Any]
"""Takes a `Request` and the path's parameters by name; returns an `Answer` or JSON."""


@dataclass
class Logged:
    """One request as it is answered: `bytes` are those of the body, `fault` is the name of what it met,
    `connection` the client's port, equal for requests over one connection."""

    method: str
    path: str
    query: str
    authorization: str | None
    connection: int
    fault: str | None = None
    status: int = 0
    bytes: int = 0


class Wire:
    """The client's end of one request, for a route's answer or for a fault."""

    def __init__(self, handler: BaseHTTPRequestHandler, logged: Logged, stopping: threading.Event) -> None:
        self._handler = handler
        self._logged = logged
        self._stopping = stopping

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer; the connection stays open."""
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.write(body)

    def send_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers as given; how the body ends is up to the caller, who closes."""
        self._head(status, {**headers, "Connection": "close"})

    def write(self, data: bytes) -> None:
        self._logged.bytes += len(data)
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def close(self) -> None:
        self._handler.close_connection = True

    def wait_until_gone(self, seconds: float) -> bool:
        """Wait until the client has closed its end (True), `seconds` are over, or the server stops."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            readable, _, _ = select.select([self._handler.connection], [], [], min(left, 0.05))
            if readable and not self._handler.connection.recv(1, socket.MSG_PEEK):
                return True
        return self._stopping.is_set()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self._logged.status = status
        lines = [f"HTTP/1.1 {status} {'OK' if status < 400 else 'Fault'}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._handler.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


class Server:
    """A vendor's server. Use it as a context manager, or call `start` and `stop`.

    Args:
        context: the path that everything is below, as ``/confluence``.
        logins: accepted Authorization headers and whose they are; None lets everybody in. A test may
            change it while the server runs (a token that expires).
        latency: seconds before each answer.
        tls: speak HTTPS with this certificate.
    """

    def __init__(
        self,
        context: str = "",
        logins: Mapping[str, str] | None = None,
        latency: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.context = context
        self.logins = None if logins is None else dict(logins)
        self.latency = latency
        self.faults = Faults()
        self.log: list[Logged] = []
        self.lock = threading.RLock()
        """Held while a route answers; a test that edits the double's state takes it too."""
        self._routes: list[tuple[str, re.Pattern[str], Route]] = []
        self._hooks: list[tuple[int, re.Pattern[str], Callable[[], None]]] = []
        self._tls = tls
        self._stopping = threading.Event()
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def route(self, path: str, handler: Route, method: str = "GET") -> None:
        """Answer `path` by `handler`; ``{name}`` stands for one segment, ``{name*}`` for the rest."""
        pattern = re.sub(r"\\{(\w+)\\\*\\}", r"(?P<\1>.+)", re.escape(path))
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)
        self._routes.append((method, re.compile(pattern + "/?"), handler))

    def before(self, nth: int, hook: Callable[[], None], path: str = "") -> None:
        """Call `hook` just before the `nth` request from now whose path holds the pattern `path`."""
        with self.lock:
            self._hooks.append((nth, re.compile(path), hook))

    @property
    def origin(self) -> str:
        """``http://127.0.0.1:port``, without the context path."""
        assert self._http is not None, "the server is not started"
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return self.origin + self.context

    def requests(self, path: str = "") -> list[Logged]:
        """The requests so far whose path or query holds the regular expression `path`."""
        return [entry for entry in self.log if re.search(path, f"{entry.path}?{entry.query}")]

    def start(self) -> Self:
        self._stopping.clear()
        self._http = _HttpServer(("127.0.0.1", 0), self._handler())
        if self._tls is not None:
            self._http.socket = self._tls.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()
            self._http = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                server._serve(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """The log of requests is `Server.log`."""

        return Handler

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = self._request(handler)
        self._run_hooks(request)
        fault = self.faults.choose(request)
        logged = Logged(
            request.method,
            request.path,
            urlsplit(request.target).query,
            request.headers.get("Authorization"),
            handler.client_address[1],
            None if fault is None else type(fault).__name__,
        )
        self.log.append(logged)
        wire = Wire(handler, logged, self._stopping)
        if self.latency:
            time.sleep(self.latency)
        try:
            if fault is None:
                answer = self._answer(request)
                wire.send(answer.status, answer.headers, answer.body)
            else:
                fault.apply(wire, lambda: self._answer(request))
        except OSError:
            wire.close()

    def _request(self, handler: BaseHTTPRequestHandler) -> Request:
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("Content-Length") or 0)
        authorization = handler.headers.get("Authorization", "")
        return Request(
            method=handler.command,
            target=handler.path,
            path=unquote(parts.path).removeprefix(self.context),
            query=parse_qs(parts.query, keep_blank_values=True),
            headers=handler.headers,  # type: ignore[arg-type]
            body=handler.rfile.read(length) if length else b"",
            user=None if self.logins is None else self.logins.get(authorization),
        )

    def _answer(self, request: Request) -> Answer:
        if not urlsplit(request.target).path.startswith(self.context + "/"):
            return json_answer({"message": f"nothing is outside of {self.context}"}, 404)
        if self.logins is not None and request.user is None:
            return json_answer({"message": "Client must be authenticated to access this resource."}, 401)
        for method, pattern, handler in self._routes:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                with self.lock:
                    answer = handler(request, **match.groupdict())
                return answer if isinstance(answer, Answer) else json_answer(answer)
        return json_answer({"message": f"no route for {request.method} {request.path}"}, 404)

    def _run_hooks(self, request: Request) -> None:
        with self.lock:
            due, kept = [], []
            for nth, pattern, hook in self._hooks:
                left = nth - 1 if pattern.search(request.target) else nth
                (kept.append((left, pattern, hook)) if left else due.append(hook))
            self._hooks = kept
            for hook in due:
                hook()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
