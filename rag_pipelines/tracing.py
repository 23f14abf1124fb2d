"""Spans of what this process does, sent to an OpenTelemetry collector where one is configured.

What belongs here: opening spans, whose trace they are in, and sending them. What does not: which parts of the
work have one (each module says so where the work is), figures (`monitoring`), and records (`logs`).

Without `start` a span is one shared object that does nothing, and OpenTelemetry is not imported.

    with tracing.span("build", index="main") as span:
        ...
        span.set(rows=rows)

Attributes are facts about the work: names of the configuration, numbers, words of a fixed list. No span holds
text of questions or documents, names of documents, principals, or the message of an error, which may quote
any of them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

import msgspec

from rag_pipelines import logs
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = logs.get(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Value = str | bool | int | float
Kind = Literal["internal", "client", "server"]

DRAIN_SECONDS = 2.0
"""How long the end of a process waits until its last spans are taken; not at all where sending fails."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where spans go, as a configuration says it; what is None is left to OpenTelemetry's own variables.

    `endpoint` is the base of an OTLP/HTTP receiver, `sample` the share of traces that is kept where no caller
    has decided, and without `statements` SQL has no spans of its own.
    """

    endpoint: str | None = None
    headers: Mapping[str, str] = {}
    sample: float | None = None
    statements: bool = True
    service: str | None = None
    environment: str | None = None


class Span:
    """A stretch of work. This one is not traced, and does nothing."""

    __slots__ = ()
    recording: bool = False

    def set(self, attributes: Mapping[str, Value] | None = None, /, **own: Value | None) -> None:
        """Add `attributes` by their full names, and `own` ones under ``rag.``; None is left out."""

    def rename(self, name: str) -> None:
        """Give it the name that is only known at its end."""

    def fail(self, error: str) -> None:
        """Mark it as failed, by the kind of error: its class, or a status."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        pass


UNTRACED = Span()
"""What is not to be traced."""


class _TracedSpan(Span):
    """One that OpenTelemetry knows.

    On its end it says how much of its time was spent in none of the spans inside it.
    """

    __slots__ = ("_above", "_began", "_covered", "_covered_until", "_span", "_token", "_tracing", "recording")

    def __init__(
        self, tracing: _Tracing, name: str, kind: Kind, context: Context | None, given: dict[str, Value]
    ) -> None:
        self._tracing = tracing
        self._span = tracing.start_span(name, kind, context, given)
        self.recording = self._span.is_recording()

    def set(self, attributes: Mapping[str, Value] | None = None, /, **own: Value | None) -> None:
        if self.recording:
            self._span.set_attributes(_named(attributes, own))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, error: str) -> None:
        self._tracing.mark_failed(self._span, error)

    def __enter__(self) -> Self:
        self._token = self._tracing.enter(self._span)
        self._above = _current.get()
        _current.set(self)
        self._covered = 0.0
        self._began = self._covered_until = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ended = time.perf_counter()
        self._tracing.leave(self._token)
        _current.set(self._above)
        if self._above is not None:
            self._above.cover(self._began, ended)
        if self.recording:
            if self._covered:
                self._span.set_attribute(
                    "rag.unaccounted_ms", round(1000 * (ended - self._began - self._covered), 3)
                )
            if kind is not None and kind is not GeneratorExit:
                self.fail(kind.__name__)
        self._span.end()

    def cover(self, began: float, ended: float) -> None:
        """Count the time of a span inside this one, and what overlaps once."""
        self._covered += max(0.0, ended - max(began, self._covered_until))
        self._covered_until = max(self._covered_until, ended)


_current: ContextVar[_TracedSpan | None] = ContextVar("current span", default=None)


class _Tracing:
    """What `start` made: a tracer, and the functions of OpenTelemetry that spans need."""

    def __init__(self, provider: TracerProvider, *, statements: bool, failed: threading.Event) -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.provider = provider
        self.statements = statements
        self.failed = failed
        self._tracer = provider.get_tracer("rag_pipelines")
        self._context, self._trace = context, trace
        self._kinds = {kind.name.lower(): kind for kind in trace.SpanKind}
        self._propagator = TraceContextTextMapPropagator()

    def start_span(
        self,
        name: str,
        kind: Kind,
        context: Context | None,
        attributes: Mapping[str, Value],
        began: int | None = None,
    ) -> Any:
        return self._tracer.start_span(
            name,
            context,
            self._kinds[kind],
            attributes,
            start_time=began,
            record_exception=False,
            set_status_on_exception=False,
        )

    def enter(self, span: Any) -> Any:
        return self._context.attach(self._trace.set_span_in_context(span))

    def leave(self, token: Any) -> None:
        self._context.detach(token)

    def mark_failed(self, span: Any, error: str) -> None:
        span.set_attribute("error.type", error)
        span.set_status(self._trace.StatusCode.ERROR)

    def context_of(self, headers: Mapping[str, str]) -> Context | None:
        """That of the caller who sent these headers; None where they name none."""
        return self._propagator.extract(headers) if headers.get("traceparent") else None

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier


_tracing: _Tracing | None = None
_started = 0
_starting = threading.Lock()


def span(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    /,
    *,
    kind: Kind = "internal",
    caller: Mapping[str, str] | None = None,
    **own: Value | None,
) -> Span:
    """A span of the ``with`` block, inside the one that is open.

    Args:
        name: the same for all work of its kind; what differs from time to time is an attribute.
        attributes: by their full names, as OpenTelemetry's conventions have them.
        kind: ``client`` for a call of another system, ``server`` for the answer to one.
        caller: headers of whoever asked for the work, whose `traceparent` is continued.
        own: attributes under ``rag.``; None is left out.
    """
    if _tracing is None:
        return UNTRACED
    above = _current.get()
    if above is not None and not above.recording and caller is None:
        return UNTRACED
    context = _tracing.context_of(caller) if caller else None
    return _TracedSpan(_tracing, name, kind, context, _named(attributes, own))


def statement(name: str) -> Span:
    """The span of a query by its name, inside one that is kept; alone it has none."""
    if _tracing is None or not _tracing.statements:
        return UNTRACED
    above = _current.get()
    if above is None or not above.recording:
        return UNTRACED
    return _TracedSpan(
        _tracing, name, "client", None, {"db.system.name": "postgresql", "db.query.summary": name}
    )


def spanned(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Every call of the function is a span."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if _tracing is None:
                return function(*args, **kwargs)
            with span(name):
                return function(*args, **kwargs)

        return call

    return decorate


def each(name: str, items: Iterable[T]) -> Iterator[T]:
    """The same items; waiting for each is a span."""
    iterator, end = iter(items), object()
    while True:
        with span(name):
            item = next(iterator, end)
        if item is end:
            return
        yield item  # type: ignore[misc]


def past(name: str, ended: int, seconds: float, /, **own: Value | None) -> None:
    """A span, inside the open one, of work that another process did.

    Args:
        ended: when, in nanoseconds since 1970.
    """
    above = _current.get()
    if _tracing is None or above is None or not above.recording:
        return
    _tracing.start_span(name, "internal", None, _named(None, own), ended - int(seconds * 1e9)).end(ended)


def note(attributes: Mapping[str, Value] | None = None, /, **own: Value | None) -> None:
    """Attributes of the open span: see `Span.set`."""
    if (current := _current.get()) is not None:
        current.set(attributes, **own)


def headers() -> Mapping[str, str]:
    """What tells whoever is asked now which trace the request is in: `traceparent`, where there is one."""
    return _tracing.headers() if _tracing is not None and _current.get() is not None else {}


def is_on() -> bool:
    """Whether spans are sent."""
    return _tracing is not None


_trace_of: ContextVar[str | None] = ContextVar("trace of", default=None)


@contextmanager
def trace_of(key: str) -> Iterator[None]:
    """What begins in the block without a caller is in one trace, for all processes with the same `key`."""
    token = _trace_of.set(key)
    try:
        yield
    finally:
        _trace_of.reset(token)


def start(target: Target, exporter: SpanExporter | None = None) -> None:
    """Send spans from now on, if a configuration or OpenTelemetry's variables say where to.

    Each `start` has its `stop`; where it was started already, it goes on as it is.

    Args:
        exporter: takes the spans instead, one by one, as they end.

    Raises:
        UsageError: the configuration names an endpoint, and OpenTelemetry is not installed.
    """
    global _tracing, _started
    with _starting:
        _started += 1
        if _tracing is None and (exporter is not None or _is_wanted(target)):
            _tracing = _make(target, exporter)


def stop() -> None:
    """End what `start` began, once every `start` has ended; what is not sent yet has `DRAIN_SECONDS`."""
    global _tracing, _started
    with _starting:
        _started = max(_started - 1, 0)
        if _started or _tracing is None:
            return
        ended, _tracing = _tracing, None
    sending = threading.Thread(target=ended.provider.shutdown, name="last spans", daemon=True)
    sending.start()
    until = time.monotonic() + DRAIN_SECONDS
    while sending.is_alive() and not ended.failed.is_set() and time.monotonic() < until:
        sending.join(0.02)


@contextmanager
def running(target: Target, exporter: SpanExporter | None = None) -> Iterator[None]:
    """`start` and `stop` around a block."""
    start(target, exporter)
    try:
        yield
    finally:
        stop()


def _named(attributes: Mapping[str, Value] | None, own: Mapping[str, Value | None]) -> dict[str, Value]:
    given = {f"rag.{name}": value for name, value in own.items() if value is not None}
    return {**attributes, **given} if attributes else given


def _is_wanted(target: Target) -> bool:
    """Whether somebody says where to, and nobody that not."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if target.endpoint is not None:
        return True
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    return exporter == "otlp" and any(os.environ.get(name) for name in _ENDPOINTS)


def _make(target: Target, exporter: SpanExporter | None) -> _Tracing | None:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        advice = f"{error}; install it with: pip install 'rag-pipelines[telemetry]'"
        if target.endpoint is not None:
            raise UsageError(advice) from error
        log.warning("traces are not sent", reason=advice)
        return None
    sample = target.sample
    provider = TracerProvider(
        sampler=None if sample is None else ParentBased(TraceIdRatioBased(sample)),
        resource=_resource(target),
        shutdown_on_exit=False,
        id_generator=_id_generator(),
    )
    failures = _Failures()
    if exporter is None:
        endpoint = target.endpoint and _signal_url(target.endpoint)
        sends = OTLPSpanExporter(endpoint=endpoint, headers=dict(target.headers) or None)
        provider.add_span_processor(BatchSpanProcessor(_noticing(sends, failures)))
        failures.listen()
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    return _Tracing(provider, statements=target.statements, failed=failures.event)


def _signal_url(endpoint: str) -> str:
    base = endpoint.rstrip("/")
    return base if base.endswith("/v1/traces") else f"{base}/v1/traces"


def _resource(target: Target) -> Any:
    from opentelemetry.sdk.resources import Resource

    from rag_pipelines import __version__

    told = {"service.version": __version__, "deployment.environment.name": target.environment}
    variables = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if target.service or not (os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in variables):
        told["service.name"] = target.service or "rag-pipelines"
    return Resource.create({name: value for name, value in told.items() if value is not None})


def _id_generator() -> Any:
    """Random numbers, but in a block of `trace_of`, whose traces have the number that its key gives."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Numbers(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            key = _trace_of.get()
            if key is None:
                return super().generate_trace_id()
            return int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])

    return Numbers()


class _Failures(logging.Handler):
    """Hears of OpenTelemetry that spans cannot be sent, and says so once instead of at every try."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.event = threading.Event()
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()
        if not self._said:
            self._said = True
            log.warning("traces cannot be sent", reason=record.getMessage())

    def listen(self) -> None:
        """Take the records of what sends, which go nowhere else any more."""
        for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [self], False


def _noticing(exporter: SpanExporter, failures: _Failures) -> SpanExporter:
    """The same exporter; where spans were taken, earlier failures are over."""
    send = exporter.export

    def export(spans: Any) -> Any:
        result = send(spans)
        if result.name == "SUCCESS":
            failures.event.clear()
        return result

    exporter.export = export  # type: ignore[method-assign]
    return exporter
