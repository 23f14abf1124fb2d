"""What it takes to list millions of documents and load nothing: time, memory, the size of the catalogue.

What belongs here: a simulated source that names ids and has no content; its first listing, which writes down
all of them as wanted, and a second one that finds nothing new. What does not: real systems
(`connectors_at_scale`), and loading.

Memory is that of the listing process, after each tenth; flat means that the last tenth needs no more than the
first.

    python benchmarks/listing_at_scale.py [--ids 1000000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from history import Figures

from rag_pipelines.connectors import registry
from rag_pipelines.connectors.base import Capabilities, Complete, Connector, Entry, Item, Options, Window
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.stages import list_source, source_run
from rag_pipelines_tests.integration.workspace import Workspace

FIGURES = Figures("listing_at_scale")
SIZES = ("wanted", "document", "source")


class SimulatedOptions(Options):
    """How many documents there are."""

    ids: int


class SimulatedConnector(Connector):
    """Names documents that nobody ever wrote."""

    kind = "simulated"
    capabilities = Capabilities()
    options_type = SimulatedOptions

    def check(self) -> list:
        return []

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        for number in range(self.options.ids):
            identity = f"library-{number % 1_000}/folder-{number % 97}/document-{number}.pdf"
            yield Item(
                external_id=identity,
                token=f"{number}-{number * 7919:x}",
                load=lambda: b"",
                reference={"id": number},
                name=identity.rsplit("/", 1)[-1],
                path=identity,
                url=f"https://files.example.com/{identity}",
                media_type="application/pdf",
                size=200_000,
            )
        yield Complete(self.options.ids)


def measure(ids: int, folder: Path) -> None:
    """List twice, saying what each took."""
    registry.BUILTIN["simulated"] = f"{__name__}:SimulatedConnector"
    server = EmbeddedServer(folder / "server", {"fsync": "off", "max_wal_size": "4GB"})
    catalogue = Workspace(folder, server.start())
    try:
        catalogue.database.migrate()
        source = catalogue.document["sources"]["docs"]
        source["connector"], source["options"] = "simulated", {"ids": ids}
        process, seconds = psutil.Process(), {}
        for pass_ in ("first", "again"):
            memory: list[float] = []

            def watch(stage: str, done: int, total: int | None, memory: list[float] = memory) -> None:
                if stage == "list" and done >= (len(memory) + 1) * ids / 10:
                    memory.append(process.memory_info().rss / 2**20)
                    print(f"{pass_}: {done:>12,} listed, {memory[-1]:7.1f} MB", flush=True)  # noqa: B023

            began, spent = time.perf_counter(), time.process_time()
            with source_run(catalogue.database, catalogue.settings, "docs", watch, beside_shards=True) as run:
                list_source(run, defer=True)
            seconds[pass_] = time.perf_counter() - began
            cpu = time.process_time() - spent
            print(
                f"{pass_}: {seconds[pass_]:,.0f} s, {ids / seconds[pass_]:,.0f} a second, "
                f"{cpu:,.0f} s of CPU here; {run.report.outcome}, {run.report.wanted:,} wanted"
            )
            FIGURES.ratio(f"memory of the last tenth by the first, {pass_}", memory[-1] / memory[0])
            FIGURES.context(f"{pass_}, seconds a million", seconds[pass_] / ids * 1e6)
        for table in SIZES:
            (row,) = catalogue.rows(f"SELECT pg_total_relation_size('rag.{table}') AS bytes")
            print(f"rag.{table}: {row['bytes'] / 2**20:,.0f} MB, {row['bytes'] / ids:,.0f} bytes a document")
            FIGURES.context(f"rag.{table}, bytes a document", row["bytes"] / ids)
    finally:
        catalogue.close()
        server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(arguments.ids, Path(temporary))
    FIGURES.record(ids=arguments.ids)
