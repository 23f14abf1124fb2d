"""Spans of what this process does, for OpenTelemetry.

What belongs here: opening spans, and whose trace they are in. What does not: sending them (`otlp`), which
parts of the work have one (each module says so where the work is), figures (`monitoring`), records (`logs`).

As long as nobody sends them, a span is one object that does nothing, and OpenTelemetry is not imported.

    with tracing.span("build", index="main") as span:
        ...
        span.set(rows=rows)

Attributes are facts about the work: names of the configuration, numbers, words of a fixed list. No span holds
text of questions or documents, names of documents, principals, or the message of an error, which may quote
any of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

P = ParamSpec("P")
T = TypeVar("T")

Value = str | bool | int | float
Kind = Literal["internal", "client", "server"]


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


BRIEF = 0.001
"""Seconds below which a statement has no span of its own; its time counts as accounted for."""

UNTRACED = Span()
"""What is not to be traced."""


class _TracedSpan(Span):
    """One that OpenTelemetry knows.

    On its end it says how much of its time was spent in none of the spans inside it.
    """

    __slots__ = ("_above", "_began", "_covered", "_covered_until", "_span", "_token", "_tracer", "recording")

    def __init__(
        self, tracer: Tracer, name: str, kind: Kind, context: Context | None, given: dict[str, Value]
    ) -> None:
        self._tracer = tracer
        self._span = tracer.start_span(name, kind, context, given)
        self.recording = self._span.is_recording()

    def set(self, attributes: Mapping[str, Value] | None = None, /, **own: Value | None) -> None:
        if self.recording:
            self._span.set_attributes(_named(attributes, own))

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, error: str) -> None:
        self._tracer.mark_failed(self._span, error)

    def __enter__(self) -> Self:
        self._token = self._tracer.enter(self._span)
        self._above = _current.get()
        _current.set(self)
        self._covered = 0.0
        self._began = self._covered_until = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ended = time.perf_counter()
        self._tracer.leave(self._token)
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


class _Statement(Span):
    """A query, of which OpenTelemetry hears at its end: a run asks thousands, most of them brief."""

    __slots__ = ("_above", "_began", "_name", "_tracer")

    def __init__(self, tracer: Tracer, name: str, above: _TracedSpan) -> None:
        self._tracer, self._name, self._above = tracer, name, above

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ended = time.perf_counter()
        self._above.cover(self._began, ended)
        seconds = ended - self._began
        if seconds < BRIEF and kind is None:
            return
        now = time.time_ns()
        about = {"db.system.name": "postgresql", "db.query.summary": self._name}
        span = self._tracer.start_span(self._name, "client", None, about, now - int(seconds * 1e9))
        if kind is not None:
            self._tracer.mark_failed(span, kind.__name__)
        span.end(now)


_current: ContextVar[_TracedSpan | None] = ContextVar("current span", default=None)


class Tracer:
    """Makes spans that `provider` takes, with the functions of OpenTelemetry that this needs.

    Without `statements` queries have no spans of their own.
    """

    def __init__(self, provider: TracerProvider, *, statements: bool) -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.statements = statements
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


_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Make spans from now on, or none."""
    global _tracer
    _tracer = tracer


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
    if (tracer := _tracer) is None:
        return UNTRACED
    above = _current.get()
    if above is not None and not above.recording and caller is None:
        return UNTRACED
    context = tracer.context_of(caller) if caller else None
    return _TracedSpan(tracer, name, kind, context, _named(attributes, own))


def statement(name: str) -> Span:
    """The span of a query by its name, inside one that is kept; alone it has none, and neither has one that
    took less than `BRIEF` and did not fail."""
    if (tracer := _tracer) is None or not tracer.statements:
        return UNTRACED
    above = _current.get()
    if above is None or not above.recording:
        return UNTRACED
    return _Statement(tracer, name, above)


def spanned(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Every call of the function is a span."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if _tracer is None:
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
    tracer, above = _tracer, _current.get()
    if tracer is None or above is None or not above.recording:
        return
    tracer.start_span(name, "internal", None, _named(None, own), ended - int(seconds * 1e9)).end(ended)


def note(attributes: Mapping[str, Value] | None = None, /, **own: Value | None) -> None:
    """Attributes of the open span: see `Span.set`."""
    if (current := _current.get()) is not None:
        current.set(attributes, **own)


def headers() -> Mapping[str, str]:
    """What tells whoever is asked now which trace the request is in: `traceparent`, where there is one."""
    tracer = _tracer
    return {} if tracer is None or _current.get() is None else tracer.headers()


def is_on() -> bool:
    """Whether spans are sent."""
    return _tracer is not None


_trace_of: ContextVar[str | None] = ContextVar("trace of", default=None)


@contextmanager
def trace_of(key: str) -> Iterator[None]:
    """What begins in the block without a caller is in one trace, for all processes with the same `key`."""
    token = _trace_of.set(key)
    try:
        yield
    finally:
        _trace_of.reset(token)


def number_of_trace() -> int | None:
    """The 128 bits that the block of `trace_of` gives to a trace; None outside of one."""
    key = _trace_of.get()
    return None if key is None else int.from_bytes(hashlib.sha256(key.encode()).digest()[:16])


def _named(attributes: Mapping[str, Value] | None, own: Mapping[str, Value | None]) -> dict[str, Value]:
    given = {f"rag.{name}": value for name, value in own.items() if value is not None}
    return {**attributes, **given} if attributes else given
