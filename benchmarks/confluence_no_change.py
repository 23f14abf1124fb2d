"""What a sync costs when nothing has changed: requests, bytes, seconds, and work done again (none).

A double of Confluence is synced once; then twice more without a change: by the incremental poll, and by
a listing of everything, which is what deletes, moves and restrictions are seen by. Requests that read
contents (bodies, attachments) are counted apart, from the log of the server.

The exit status is 1 if anything was fetched, parsed, chunked or embedded again.

Run with::

    python benchmarks/confluence_no_change.py [--pages 5000] [--deployment cloud] [--latency 0.05]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines_tests.doubles.confluence import Double
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.confluence_sample import sample_site
from rag_pipelines_tests.doubles.sources import LOGINS, source_of
from rag_pipelines_tests.integration.workspace import Workspace

FIGURES = Figures("confluence_no_change")

KINDS = {"cloud": ConfluenceCloud, "data_center": ConfluenceDataCenter}
CONTENT = r"body-format=|body\.storage|/download|/media/"
"""Paths and queries that ask for contents."""


def sync(catalogue: Workspace, double: Double, table: Table, name: str) -> int:
    """One sync as a row of `table`; how much of the work of the first sync it did again."""
    double.log.clear()
    began = time.perf_counter()
    report = catalogue.ingest("wiki")
    seconds = time.perf_counter() - began
    work = (
        len(double.requests(CONTENT)),
        report.bytes_loaded,
        report.parsed,
        report.chunk_sets,
        report.embedded,
    )
    table.add_row(
        name, report.outcome, f"{len(double.log):,}", f"{sum(one.bytes for one in double.log) / 1e6:.2f}",
        f"{seconds:.2f}", f"{report.listed:,}", *(f"{count:,}" for count in work),
    )  # fmt: skip
    FIGURES.context(f"requests, {name}", len(double.log))
    FIGURES.ratio(f"work done again, {name}", sum(work))
    return sum(work)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pages", type=int, default=5_000)
    parser.add_argument("--deployment", choices=sorted(KINDS), default="cloud")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    site = sample_site(arguments.pages)
    table = Table(
        title=f"{arguments.deployment}: {arguments.pages:,} pages, {len(site.contents):,} documents"
    )
    table.add_column("sync")
    table.add_column("outcome")
    headings = ("requests", "MB", "seconds", "listed", "content requests", "bytes loaded", "parsed")
    for heading in (*headings, "chunked", "embedded"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory(prefix="rag-no-change-") as folder:
        home = Path(folder)
        server = EmbeddedServer(home / "postgres")
        with KINDS[arguments.deployment](site, logins=LOGINS, latency=arguments.latency) as double:
            sources = {"wiki": source_of("confluence", double, cloud=arguments.deployment == "cloud")}
            catalogue = Workspace(
                home / "work", server.start(), sources=sources, indexes={"main": {"sources": ["wiki"]}}
            )
            catalogue.database.migrate()
            sync(catalogue, double, table, "first")
            again = sync(catalogue, double, table, "no change, incremental")
            sources["wiki"]["full_listing"] = "0s"
            again += sync(catalogue, double, table, "no change, everything listed")
        catalogue.close()
        server.stop()
    Console().print(table)
    FIGURES.record(pages=arguments.pages, deployment=arguments.deployment, latency=arguments.latency)
    return 1 if again else 0


if __name__ == "__main__":
    sys.exit(main())
