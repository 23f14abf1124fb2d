"""What a sync costs where every fifth answer is a fault: requests, time, and that nothing is lost.

One double of Confluence is read twice into empty catalogues, once without faults and once in a storm of
throttling, server errors, time-outs, closed connections and truncated bodies; then, with the storm still
on, pages are edited and trashed and everything is listed again. Back-off waits are shortened by the
options `retry_delay` and `read_timeout`, not by patching.

The exit status is 1 if a sync did not end complete, took twice the requests, or if a document is missing,
wrongly deleted, or not what it is without faults.

Run with::

    python benchmarks/confluence_storm.py [--pages 5000] [--share 0.2] [--deployment cloud]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines_tests.doubles.confluence import Double
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.confluence_sample import sample_site
from rag_pipelines_tests.doubles.confluence_state import PAGE, Site
from rag_pipelines_tests.doubles.sources import LOGINS, source_of
from rag_pipelines_tests.integration.workspace import Workspace

FIGURES = Figures("confluence_storm")

MOST_REQUESTS = 2.0
KINDS = {"cloud": ConfluenceCloud, "data_center": ConfluenceDataCenter}


def another_database(url: str) -> str:
    """The URL of a new database on the server of `url`."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE stormy")
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/stormy?{query}"


def workspace(folder: Path, url: str, double: Double) -> Workspace:
    """One source that lists everything in each run."""
    sources = {
        "wiki": source_of("confluence", double, cloud=isinstance(double, ConfluenceCloud), full_listing="0s")
    }
    made = Workspace(folder, url, sources=sources, indexes={"main": {"sources": ["wiki"]}})
    made.database.migrate()
    return made


def change(site: Site) -> tuple[int, int]:
    """Edit every 50th page and trash every 100th; how many that are."""
    pages = [one for one in site.contents.values() if one.type == PAGE]
    for page in pages[::50]:
        site.edit(page.id, f"<p>Edited {page.id}</p>")
    for page in pages[25::100]:
        site.trash(page.id)
    return len(pages[::50]), len(pages[25::100])


def sync(catalogue: Workspace, double: Double, table: Table, name: str, calm: int) -> tuple[int, bool]:
    """One sync as a row of `table`; the requests it took, and whether it ended well."""
    double.log.clear()
    double.faults.met.clear()
    began = time.perf_counter()
    report = catalogue.ingest("wiki")
    seconds = time.perf_counter() - began
    requests = len(double.log)
    alive = sum(double.site.alive(one) for one in double.site.contents.values())
    stored = len(catalogue.stored())
    table.add_row(
        name, report.outcome, f"{requests:,}", f"{requests / (calm or requests):.2f}",
        f"{sum(double.faults.met.values()):,}", f"{sum(one.bytes for one in double.log) / 1e6:.1f}",
        f"{seconds:.1f}", f"{stored:,} of {alive:,}", str(report.changes.get("deleted", 0)),
    )  # fmt: skip
    well = report.outcome == "complete" and not report.failed and stored == alive
    return requests, well and requests < MOST_REQUESTS * (calm or requests)


def differing(calm: Workspace, stormy: Workspace) -> int:
    """Documents of one catalogue whose bytes are not those of the other, or that it does not hold."""
    statement = "SELECT external_id, raw_sha256 FROM rag.document WHERE state <> 'tombstoned'"
    held = [
        {(one["external_id"], bytes(one["raw_sha256"])) for one in c.rows(statement)} for c in (calm, stormy)
    ]
    return len(held[0] ^ held[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pages", type=int, default=5_000)
    parser.add_argument("--share", type=float, default=0.2, help="of requests that meet a fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deployment", choices=sorted(KINDS), default="cloud")
    arguments = parser.parse_args()
    site = sample_site(arguments.pages)
    table = Table(title=f"{arguments.deployment}: {arguments.pages:,} pages, {arguments.share:.0%} faults")
    for heading in ("sync", "outcome", "requests", "ratio", "faults", "MB", "seconds", "stored", "deleted"):
        table.add_column(heading, justify="left" if heading in ("sync", "outcome") else "right")
    with tempfile.TemporaryDirectory(prefix="rag-storm-") as folder:
        home = Path(folder)
        server = EmbeddedServer(home / "postgres")
        url = server.start()
        with KINDS[arguments.deployment](site, logins=LOGINS) as double:
            calm = workspace(home / "calm", url, double)
            stormy = workspace(home / "stormy", another_database(url), double)
            first, _ = sync(calm, double, table, "first, calm", 0)
            double.faults.storm(arguments.share, arguments.seed)
            stormy_first, well = sync(stormy, double, table, "first, storm", first)
            met = dict(double.faults.met)
            different = differing(calm, stormy)
            edited, trashed = change(site)
            double.faults.clear()
            again, _ = sync(calm, double, table, "changes, calm", 0)
            double.faults.storm(arguments.share, arguments.seed + 1)
            stormy_again, well_again = sync(stormy, double, table, "changes, storm", again)
        different += differing(calm, stormy)
        calm.close()
        stormy.close()
        server.stop()
    console = Console()
    console.print(table)
    console.print(f"{edited} pages were edited and {trashed} trashed between the two syncs.")
    console.print("faults of the first sync: " + ", ".join(f"{name} {met[name]}" for name in sorted(met)))
    console.print(f"documents that differ from those read without faults: {different}")
    FIGURES.ratio("requests in the storm / calm, first", stormy_first / first)
    FIGURES.ratio("requests in the storm / calm, changes", stormy_again / again)
    FIGURES.record(pages=arguments.pages, share=arguments.share, deployment=arguments.deployment)
    return 0 if well and well_again and not different else 1


if __name__ == "__main__":
    sys.exit(main())
