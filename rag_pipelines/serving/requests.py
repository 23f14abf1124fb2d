"""What happens to every request whatever its route: an id, its body read within bounds, headers, a log line.

What belongs here: the outermost layer. What does not: logins (`service`) and routes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_pipelines import tracing
from rag_pipelines.serving.problems import Problem

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

access_log = logging.getLogger("rag_pipelines.serving.access")
log = logging.getLogger(__name__)


class Requests:
    """The ASGI application around `app`.

    `max_body` says how many bytes a request may bring. `answered` is told the route, status, seconds and
    problem of every answer. A route adds what the log line is to say beyond that to ``scope["told"]``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: Callable[[Scope, Headers], int],
        time_limit: timedelta,
        answered: Callable[[str, int, float, str | None], None],
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._seconds = time_limit.total_seconds()
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id"))
        scope.update(request_id=request_id, told={}, problem=None)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = MutableHeaders(scope=message)
                sent["X-Request-ID"] = request_id
                for name, value in SAFE_HEADERS.items():
                    sent[name] = value
                sent.setdefault("Cache-Control", "no-store")
            await send(message)

        with _traced(scope, headers) as span:
            try:
                body = await self._body(headers, receive, self._max_body(scope, headers))
                await self._app(scope, _replay(body, receive), answer)
            except Problem as problem:
                scope["problem"] = problem.slug
                await problem.response(request_id)(scope, receive, answer)
            except Exception:
                log.exception("request %s failed", request_id)
                scope["problem"] = "internal"
                if status:
                    raise
                crash = Problem(500, "internal", "unexpected error; the log has it under the request's id")
                await crash.response(request_id)(scope, receive, answer)
            finally:
                self._note(scope, status, time.perf_counter() - began, span)

    async def _body(self, headers: Headers, receive: Receive, most: int) -> bytes:
        """The whole body. Raises `Problem` where it is too large or too slow."""
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "unreadable-body", "the connection closed before the body ended")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise _too_large(most)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            detail = f"the body did not arrive within {self._seconds:g} s"
            raise Problem(408, "slow-body", detail, headers={"Connection": "close"}) from None

    def _note(self, scope: Scope, status: int, seconds: float, span: tracing.Span) -> None:
        route = getattr(scope.get("route"), "path", None) or "unknown"
        _describe(span, scope, route, status)
        self._answered(route, status, seconds, scope["problem"])
        line: dict[str, Any] = {
            "request_id": scope["request_id"],
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 1),
            **scope["told"],
        }
        if scope["problem"]:
            line["problem"] = scope["problem"]
        access_log.info(json.dumps(line))


def _too_large(most: int) -> Problem:
    detail = f"the body is too large; valid: up to {most:,} bytes"
    return Problem(413, "body-too-large", detail, headers={"Connection": "close"})


def _traced(scope: Scope, headers: Headers) -> tracing.Span:
    """The span of a caller's request, in the trace that it names; probes and scrapes have none."""
    if not scope["path"].startswith("/v1/"):
        return tracing.UNTRACED
    return tracing.span("HTTP", kind="server", caller=headers)


def _describe(span: tracing.Span, scope: Scope, route: str, status: int) -> None:
    """What was asked and how it ended; of what the log is told, nothing about the caller."""
    if not span.recording:
        return
    told = scope["told"]
    about: dict[str, tracing.Value] = {"http.route": route, "http.response.status_code": status}
    if route != "unknown":
        span.rename(f"{scope['method']} {route}")
        about["http.request.method"] = scope["method"]
    kept = {name: told.get(name) for name in ("index", "version", "mode", "k", "hits")}
    span.set(about, request_id=scope["request_id"], problem=scope["problem"], **kept)
    if status >= 500:
        span.fail(str(status))


def _request_id(given: str | None) -> str:
    """The caller's id for the request where it is one, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _replay(body: bytes, receive: Receive) -> Receive:
    """A channel that gives a body that was read already, then what the connection says."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
