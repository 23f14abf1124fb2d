"""Sends spans to an OpenTelemetry collector, by OTLP over HTTP, in batches and by a thread of its own.

What belongs here: where they go, which are kept, and what a collector that is away means. What does not: the
spans themselves (`tracing`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from rag_pipelines import logs, tracing
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

log = logs.get(__name__)

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


_sending: _Sending | None = None
_started = 0
_starting = threading.Lock()


def start(target: Target) -> None:
    """Send spans from now on, if a configuration or OpenTelemetry's variables say where to.

    Each `start` has its `stop`; where it was started already, it goes on as it is.

    Raises:
        UsageError: the configuration names an endpoint, and OpenTelemetry is not installed.
    """
    global _sending, _started
    with _starting:
        _started += 1
        if _sending is None and _is_wanted(target):
            _sending = _begin(target)


def stop() -> None:
    """End what `start` began, once every `start` has ended; what is not sent yet has `DRAIN_SECONDS`."""
    global _sending, _started
    with _starting:
        _started = max(_started - 1, 0)
        if _started or _sending is None:
            return
        ended, _sending = _sending, None
        tracing.use(None)
    ended.drain()


@contextmanager
def running(target: Target) -> Iterator[None]:
    """`start` and `stop` around a block."""
    start(target)
    try:
        yield
    finally:
        stop()


class _Sending:
    """What sends spans: it has to end what it has begun."""

    def __init__(self, provider: TracerProvider, failures: _Failures) -> None:
        self._provider = provider
        self._failures = failures

    def drain(self) -> None:
        """Send what is left, for as long as that is worth waiting for."""
        sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        until = time.monotonic() + DRAIN_SECONDS
        while sending.is_alive() and not self._failures.now.is_set() and time.monotonic() < until:
            sending.join(0.02)
        self._failures.close()


def _is_wanted(target: Target) -> bool:
    """Whether somebody says where to, and nobody that not."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if target.endpoint is not None:
        return True
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    return exporter == "otlp" and any(os.environ.get(name) for name in _ENDPOINTS)


def _begin(target: Target) -> _Sending | None:
    """Have spans made, and send them in batches; None where OpenTelemetry is not installed, and only a
    variable asks for it."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
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
    endpoint = target.endpoint and _signal_url(target.endpoint)
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(target.headers) or None)
    failures = _Failures()
    provider.add_span_processor(BatchSpanProcessor(_noticing(exporter, failures)))
    tracing.use(tracing.Tracer(provider, statements=target.statements))
    return _Sending(provider, failures)


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
            return tracing.number_of_trace() or super().generate_trace_id()

    return Numbers()


class _Failures(logging.Handler):
    """Hears of OpenTelemetry that spans cannot be sent, and says so once instead of at every try.

    `now` is set while the last try of the thread `sender` has failed. Whoever reads OpenTelemetry's own
    records goes on to get them.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.now = threading.Event()
        self.sender: int | None = None
        self._said = False
        self._heard = logging.getLogger("opentelemetry")
        self._heard.addHandler(self)
        self._propagated = self._heard.propagate
        self._heard.propagate = self._propagated and logging.getLogger().hasHandlers()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.sender:
            self.now.set()
        if not self._said:
            self._said = True
            log.warning("traces cannot be sent", reason=record.getMessage())

    def close(self) -> None:
        self._heard.removeHandler(self)
        self._heard.propagate = self._propagated
        super().close()


def _noticing(exporter: SpanExporter, failures: _Failures) -> SpanExporter:
    """The same exporter; where spans were taken, earlier failures are over."""
    send = exporter.export

    def export(spans: Any) -> Any:
        failures.sender = threading.get_ident()
        result = send(spans)
        if result.name == "SUCCESS":
            failures.now.clear()
        return result

    exporter.export = export  # type: ignore[method-assign]
    return exporter
