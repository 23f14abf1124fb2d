"""What a first load and a sync without changes cost through each HTTP connector: seconds, requests, memory.

A double of the system runs in a process of its own and answers after `--latency` seconds. A source of
`--items` documents is listed and loaded into a catalogue in another one, and then once more unchanged.
Everything of a run's first half is done: groups, listing, loading, blob store, rows. With one load at a time
`--sample` documents stand for all of them, and seconds a document are compared. How much of the time
something waited for a processor says what seconds are worth: on a busy machine only CPU seconds are.

``zendesk`` and ``servicenow`` bring the text of their articles by the page, so half of their documents are
files, one below each article. All documents of a source are in one library, drive, base, section or site.

Run with::

    python benchmarks/connectors_at_scale.py --connector sharepoint --items 5000,50000 --loads 1,16
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import resource
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from history import Figures

from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.stages import list_source, source_run
from rag_pipelines_tests.connectors.google_drive_world import SharedDrives
from rag_pipelines_tests.connectors.servicenow_world import ServiceNowKnowledge
from rag_pipelines_tests.connectors.sharepoint_world import SharePoint
from rag_pipelines_tests.connectors.zendesk_world import ZendeskGuide
from rag_pipelines_tests.doubles.server import Server
from rag_pipelines_tests.doubles.web_site import WebSite
from rag_pipelines_tests.integration.workspace import Workspace

FIGURES = Figures("connectors_at_scale")
TEXT = "A sentence of a page that has something to say. " * 25
FILE = b"line of a plan\n" * 80
LINKS = 10
HEAD = (
    f"{'items':>7} {'loads':>5} {'pass':>9} {'seconds':>8} {'ms/item':>7} {'own CPU':>7} {'double’s':>8} "
    f"{'CPU lacked':>10} {'requests':>8} {'MB sent':>7} {'peak MB':>7} {'above start':>11}"
)


class Served(NamedTuple):
    """A double that runs, and the source that reads it."""

    double: Server
    connector: str
    options: dict[str, Any]


def sharepoint(items: int, folder: Path) -> Served:
    world = SharePoint(folder)
    for number in range(items):
        world.put(f"library/document-{number}.txt", f"{number} {TEXT}")
    return Served(world.double, world.kind, world.options())


def google_drive(items: int, folder: Path) -> Served:
    world = SharedDrives(folder)
    for number in range(items):
        world.put(f"drive/document-{number}.txt", f"{number} {TEXT}")
    return Served(world.double, world.kind, world.options())


def servicenow(items: int, folder: Path) -> Served:
    world = ServiceNowKnowledge(folder)
    for number in range(items // 2):
        world.put(f"base/article {number}", f"<p>{number} {TEXT}</p>")
        article = next(reversed(world.instance.tables["kb_knowledge"].values()))
        world.instance.attach(article, f"plan {number}.txt", b"%d %s" % (number, FILE))
    return Served(world.double, world.kind, {**world.options(), "page_size": 1000})


def zendesk(items: int, folder: Path) -> Served:
    world = ZendeskGuide(folder)
    for number in range(items // 2):
        world.put(f"section/article {number}", f"<p>{number} {TEXT}</p>")
        article = next(reversed(world.desk.articles.values()))
        world.desk.attach(article, f"plan {number}.txt", b"%d %s" % (number, FILE))
    world.publish()
    return Served(world.double, world.kind, {**world.options(), "page_size": 100, "attachments": True})


def web(items: int, folder: Path) -> Served:
    """Every page links ten others; the first is where to begin."""
    site = WebSite().start()
    for number in range(items):
        targets = ((number * 7 + step * 13) % items for step in range(1, LINKS + 1))
        links = " ".join(f"<a href='/p{target}'>page</a>" for target in targets)
        site.page(f"/p{number}", f"<h1>Page {number}</h1><p>{TEXT}</p>{links}")
    options = {
        "start": [site.url + "/p0"],
        "depth": 100,
        "private_addresses": True,
        "cache_dir": str(folder / "cache"),
    }
    return Served(site, "web", options)


SOURCES = {one.__name__: one for one in (sharepoint, google_drive, servicenow, zendesk, web)}


def serve(name: str, items: int, latency: float, told: Connection) -> None:
    """Run a double; each time it is asked, tell requests, bytes and CPU seconds since the last time."""
    with tempfile.TemporaryDirectory() as folder:
        double, connector, options = SOURCES[name](items, Path(folder))
        double.latency = latency
        told.send((connector, options))
        spent = time.process_time()
        while told.recv():
            told.send((len(double.log), sum(one.bytes for one in double.log), time.process_time() - spent))
            double.log.clear()
            spent = time.process_time()
        double.stop()


def ingest(connector: str, options: dict[str, Any], told: Connection) -> None:
    """List and load a source twice; tell seconds, CPU seconds and changes of each, and the memory in MB
    before and at its highest."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        server = EmbeddedServer(Path(folder) / "server", {"fsync": "off"})
        catalogue = Workspace(Path(folder), server.start())
        opened.callback(server.stop)
        opened.callback(catalogue.close)
        catalogue.database.migrate()
        source = catalogue.document["sources"]["docs"]
        source["connector"], source["options"] = connector, options
        told.send(peak())
        for _ in ("first", "again"):
            began, spent = time.perf_counter(), time.process_time()
            with source_run(catalogue.database, catalogue.settings, "docs") as run:
                list_source(run)
            assert run.report.outcome == "complete", run.report
            seconds, spent = time.perf_counter() - began, time.process_time() - spent
            told.send((seconds, spent, dict(run.report.changes), peak()))
            told.recv()


def peak() -> float:
    """The most memory that this process has held, in MB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024


def waited() -> float:
    """Seconds in which something on this machine waited for a processor, so far (Linux: PSI)."""
    pressure = Path("/proc/pressure/cpu")
    found = re.search(r"some .*total=(\d+)", pressure.read_text()) if pressure.exists() else None
    return int(found[1]) / 1e6 if found else float("nan")


class Cost(NamedTuple):
    """What one pass took; `double` is the CPU of the double, `spent` that of the ingesting process, `waited`
    the share of its time in which something waited for a processor."""

    seconds: float
    spent: float
    double: float
    waited: float
    requests: int
    sent: int
    peak: float


def measure(name: str, items: int, latency: float, loads: int) -> tuple[float, Cost, Cost]:
    """Memory before, the first pass and the second."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = multiprocessing.Pipe()
    serving = spawn.Process(target=serve, args=(name, items, latency, theirs), daemon=True)
    serving.start()
    connector, options = ours.recv()
    mine, other = multiprocessing.Pipe()
    options = {**options, "concurrent_loads": loads, "read_timeout": 60.0}
    reading = spawn.Process(target=ingest, args=(connector, options, other), daemon=True)
    reading.start()
    before = mine.recv()
    costs = []
    for changed in (items, 0):
        began = waited()
        seconds, spent, changes, held = mine.recv()
        busy = (waited() - began) / seconds
        assert sum(n for change, n in changes.items() if change != "unchanged") == changed, changes
        ours.send(True)
        requests, sent, double = ours.recv()
        costs.append(Cost(seconds, spent, double, min(busy, 1.0), requests, sent, held))
        mine.send(True)
    reading.join()
    ours.send(False)
    serving.join()
    return before, costs[0], costs[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connector", choices=sorted(SOURCES), required=True)
    parser.add_argument("--items", default="5000,50000", help="numbers of documents")
    parser.add_argument("--latency", type=float, default=0.03, help="seconds before each answer")
    parser.add_argument("--loads", default="1,16", help="loads at once")
    parser.add_argument("--sample", type=int, default=2_000, help="documents at most with one load at a time")
    args = parser.parse_args()
    sizes, loads = ([int(one) for one in given.split(",")] for given in (args.items, args.loads))
    runs = [(min(args.sample, *sizes), 1)] if 1 in loads else []
    runs += [(items, at_once) for at_once in loads if at_once > 1 for items in sizes]
    print(f"{args.connector}, {1000 * args.latency:g} ms")
    print(HEAD)
    found: dict[tuple[int, int], tuple[float, Cost, Cost]] = {}
    for items, at_once in runs:
        before, first, again = found[items, at_once] = measure(args.connector, items, args.latency, at_once)
        for what, cost in (("first", first), ("no change", again)):
            print(
                f"{items:7,} {at_once:5} {what:>9} {cost.seconds:8.1f} {1000 * cost.seconds / items:7.2f} "
                f"{cost.spent:7.1f} {cost.double:8.1f} {cost.waited:10.0%} {cost.requests:8,} "
                f"{cost.sent / 1e6:7.2f} {cost.peak:7.0f} {cost.peak - before:11.0f}",
                flush=True,
            )
    if 1 in loads:
        one = found[runs[0]][1].seconds / runs[0][0]
        for items, at_once in runs[1:]:
            FIGURES.ratio(
                f"times as fast, {items} at {at_once}", one * items / found[items, at_once][1].seconds
            )
    for at_once in loads:
        if at_once > 1 and len(sizes) > 1:
            few, many = (found[size, at_once][1].peak for size in (sizes[0], sizes[-1]))
            FIGURES.ratio(f"memory at {sizes[-1] / sizes[0]:g} times as many, {at_once}", many / few)
    for (items, at_once), (_, first, again) in found.items():
        FIGURES.context(f"seconds, {items} at {at_once}", first.seconds)
        FIGURES.context(f"seconds without changes, {items} at {at_once}", again.seconds)
        FIGURES.context(f"requests without changes, {items} at {at_once}", again.requests)
    FIGURES.record(connector=args.connector, items=args.items, latency=args.latency, loads=args.loads)


if __name__ == "__main__":
    main()
