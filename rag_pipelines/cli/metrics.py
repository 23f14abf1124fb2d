"""``rag-pipelines metrics``: sources and indexes as figures for Prometheus."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import say
from rag_pipelines.cli.ports import require_port
from rag_pipelines.errors import UsageError


def metrics(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Answer scrapes on this port; 0 takes a free one."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Print the figures of sources and indexes in Prometheus' text format, or answer scrapes with --port.

    They are computed from the database when they are asked for. `serve` gives them with its own.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest, start_http_server
    except ImportError as error:
        raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[metrics]'") from error
    from rag_pipelines.monitoring.catalogue import CatalogueMetrics

    if port is not None:
        require_port(host, port)
    chosen = invocation(context)
    registry = CollectorRegistry()
    registry.register(CatalogueMetrics(chosen.database, chosen.settings))
    if port is None:
        typer.echo(generate_latest(registry).decode(), nl=False)
        return
    server, thread = start_http_server(port, host, registry)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    say(f"metrics on http://{host}:{server.server_port}/metrics")
    try:
        stopped.wait()
    finally:
        server.shutdown()
        thread.join()
