"""What loading contents several at once saves where a server takes its time, and what memory it takes.

A server of another process answers after `--latency` seconds. A source of `--documents` documents is listed
and loaded into a catalogue with one load at a time and with `--at-once`; then one ten times as large with the
latter, for its memory. Everything of the first stage is done: listing, loading, blob store, rows.

Run with::

    python benchmarks/concurrent_loads.py [--documents 2000] [--latency 0.03] [--at-once 16]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Complete, Connector, Entry, Finding, Item, Window
from rag_pipelines.connectors.rest import HttpOptions, RestClient
from rag_pipelines.http.credentials import Credential
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.stages import list_source, source_run
from rag_pipelines_tests.doubles.server import Answer, Server
from rag_pipelines_tests.integration.workspace import Workspace

FIGURES = Figures("concurrent_loads")
PAGE = 500
LOGIN = "Bearer of-the-benchmark"
BODY = b"<p>" + b"words of a page, " * 120 + b"</p>"


def serve(latency: float, told: Connection) -> None:
    """Run the server until the other side hangs up."""
    with Server(logins={LOGIN: "reader"}, latency=latency) as server:
        server.route("/pages", lambda request: {"next": request.number("at", 0) + PAGE})
        server.route(
            "/page/{name}",
            lambda request, name: Answer(200, name.encode() + BODY, {"Content-Type": "text/html"}),
        )
        told.send(server.url)
        told.recv()


class Pages(Connector):
    """Lists as many pages as it is told, `PAGE` with each request."""

    kind = "pages"
    options_type = HttpOptions

    def __init__(self, url: str, documents: int, at_once: int) -> None:
        super().__init__("docs", HttpOptions(concurrent_loads=at_once))
        self._documents = documents
        self._client = RestClient(url, self.options, Credential(url, LOGIN))

    def check(self) -> list[Finding]:
        return []

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        for start in range(0, self._documents, PAGE):
            self._client.get_json("pages", {"at": start})
            for number in range(start, min(start + PAGE, self._documents)):
                load = partial(self._client.get_bytes, f"page/{number}", 1_000_000)
                yield Item(external_id=f"page/{number}", token="1", load=load, media_type="text/html")
        yield Complete(self._documents)

    def close(self) -> None:
        self._client.close()


def load(url: str, documents: int, at_once: int) -> tuple[float, float]:
    """Seconds of the first load of everything, and the peak of memory in MB, in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_load, args=(url, documents, at_once, theirs)
    )
    process.start()
    answer: tuple[float, float] = ours.recv()
    process.join()
    return answer


def _load(url: str, documents: int, at_once: int, told: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "server", {"fsync": "off"})
        catalogue = Workspace(Path(folder), server.start())
        catalogue.database.migrate()
        connector: Any = lambda settings, source: Pages(url, documents, at_once)  # noqa: E731
        with mock.patch.object(Settings, "connector", connector):
            began = time.perf_counter()
            with source_run(catalogue.database, catalogue.settings, "docs") as run:
                list_source(run)
            seconds = time.perf_counter() - began
            assert run.report.changes == {"added": documents}, run.report
        told.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
        catalogue.database.close()
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--at-once", type=int, default=16)
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(args.latency, theirs), daemon=True
    )
    server.start()
    url = ours.recv()
    table = Table("documents", "at once", "seconds", "ms a document", "peak MB")
    figures = {}
    for documents, at_once in (
        (args.documents, 1),
        (args.documents, args.at_once),
        (10 * args.documents, args.at_once),
    ):
        seconds, peak = figures[documents, at_once] = load(url, documents, at_once)
        table.add_row(
            f"{documents:,}",
            str(at_once),
            f"{seconds:.1f}",
            f"{1000 * seconds / documents:.2f}",
            f"{peak:.0f}",
        )
    ours.send("done")
    Console().print(table)
    one, many = figures[args.documents, 1], figures[args.documents, args.at_once]
    FIGURES.ratio("times as fast", one[0] / many[0])
    FIGURES.ratio("memory at ten times as many", figures[10 * args.documents, args.at_once][1] / many[1])
    FIGURES.context("seconds, one at a time", one[0])
    FIGURES.context("seconds, at once", many[0])
    FIGURES.record(documents=args.documents, latency=args.latency, at_once=args.at_once)


if __name__ == "__main__":
    main()
