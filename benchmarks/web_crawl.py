"""A site read by the web connector: pages a second, requests, bytes and memory, and a second pass.

A local server holds `--pages` pages of which each links ten others, and answers after `--latency` seconds. It
is listed with one request at a time and with `--at-once`, and again without a change.

Run with::

    python benchmarks/web_crawl.py [--pages 2000] [--latency 0.03] [--at-once 16]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.connectors.base import Complete, Item
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines_tests.doubles.web_site import WebSite

FIGURES = Figures("web_crawl")
PROSE = "<p>" + "A sentence of a page that has something to say. " * 60 + "</p>"


def serve(pages: int, latency: float, told: Connection) -> None:
    """Run the site until the other side hangs up; tells requests and bytes when it is asked."""
    with WebSite(latency=latency) as site:
        for page in range(pages):
            links = "".join(f"<a href='/p{(page * 7 + n * 13) % pages}'>page</a> " for n in range(1, 11))
            site.page(f"/p{page}", f"<h1>Page {page}</h1>{PROSE}{links}")
        told.send(site.url)
        while told.recv():
            told.send((len(site.log), sum(one.bytes for one in site.log)))
            site.log.clear()


def crawl(url: str, at_once: int, folder: str, told: Connection) -> None:
    """One pass; tells seconds, documents and the peak of memory in MB."""
    options = {
        "start": [url + "/p0"],
        "depth": 100,
        "private_addresses": True,
        "concurrent_loads": at_once,
        "cache_dir": folder,
    }
    connector = make_connector("docs", "web", options)
    began = time.perf_counter()
    documents, complete = 0, False
    for entry in connector.items():
        documents += isinstance(entry, Item)
        complete = isinstance(entry, Complete) and entry.full
    seconds = time.perf_counter() - began
    connector.close()
    assert complete
    told.send((seconds, documents, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=2_000)
    parser.add_argument("--latency", type=float, default=0.03)
    parser.add_argument("--at-once", type=int, default=16)
    args = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = multiprocessing.Pipe()
    spawn.Process(target=serve, args=(args.pages, args.latency, theirs), daemon=True).start()
    url = ours.recv()
    table = Table("pass", "at once", "pages", "seconds", "pages/s", "requests", "MB sent", "peak MB")
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, at_once, cache in (
            ("first, one by one", 1, "one"),
            ("first", args.at_once, "many"),
            ("nothing changed", args.at_once, "many"),
        ):
            mine, other = multiprocessing.Pipe()
            process = spawn.Process(target=crawl, args=(url, at_once, str(Path(folder) / cache), other))
            process.start()
            seconds[name], pages, peak = mine.recv()
            process.join()
            ours.send(True)
            requests, sent = ours.recv()
            table.add_row(
                name, str(at_once), f"{pages:,}", f"{seconds[name]:.1f}", f"{pages / seconds[name]:.0f}",
                f"{requests:,}", f"{sent / 1e6:.2f}", f"{peak:.0f}",
            )  # fmt: skip
    ours.send(False)
    Console().print(table)
    FIGURES.ratio("times as fast", seconds["first, one by one"] / seconds["first"])
    FIGURES.ratio("second pass / first", seconds["nothing changed"] / seconds["first"])
    FIGURES.record(pages=args.pages, latency=args.latency, at_once=args.at_once)


if __name__ == "__main__":
    main()
