"""A receiver of telemetry on the loopback: OTLP/HTTP traces, OpenLineage events, and anything else by HTTP.

What belongs here: taking requests, and reading what is in them. What does not: assertions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """One span: `inside` is the number of the span around it."""

    name: str
    trace: str
    number: str
    inside: str
    attributes: Mapping[str, Any]
    failed: bool
    seconds: float


@dataclass
class Collector:
    """What came in: headers and bodies as they were sent. `answers` is the status of every answer."""

    url: str
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answers: int = 200
    silent: threading.Event = field(default_factory=threading.Event)
    """Until it is set nothing is answered; it is set but where a test clears it."""

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    @property
    def spans(self) -> list[Received]:
        """Every span, in the order of their ends."""
        return [
            Received(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes},
                span.status.code == span.status.STATUS_CODE_ERROR,
                (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            )
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """Who sent the first spans."""
        found = self.requests[0].resource_spans[0].resource.attributes
        return {one.key: one.value.string_value for one in found}

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every body as JSON."""
        return [json.loads(body) for body in self.bodies]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.bodies.append(body)
            collector.paths.append(self.path)
            collector.silent.wait()
            self.send_response(collector.answers)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    collector.silent.set()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.silent.set()
        server.shutdown()
        server.server_close()
        thread.join()
