"""What traces cost: an ingest, an ingest that finds nothing to do, and searches, with traces on and off.

What belongs here: the same work with traces sent to a collector on the loopback, with none, and by another
commit. What does not: how quick the work is (`ingest`, `search_latency`).

The three take turns, so that what else runs on the machine slows all alike. Processor seconds are of the
command with its workers and of the processes of the server, for searches of the process that searches and of
the server; the collector's own are not counted. Printed are medians of the rounds, and ratios to those of
"off".

    python benchmarks/tracing.py FOLDER [--before COMMIT] [--rounds 5] [--searches 300]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any

import psycopg
from history import Figures
from ingest import CONFIGURATION, Arm, median, seconds_of
from psycopg import conninfo
from rich.console import Console
from rich.table import Table
from trees import ROOT, tree_of

from rag_pipelines.store.embedded import EmbeddedServer

FIGURES = Figures("tracing")

TELEMETRY = 'telemetry: {{traces: {{endpoint: "URL"}}}}\n'

SEARCHES = """
import json, statistics, sys, time
import rag_pipelines
words = open(sys.argv[2]).read().split()
with rag_pipelines.open(sys.argv[1]) as rag:
    main, asked = rag.indexes["main"], 0
    for line in sys.stdin:
        walls, began = [], time.process_time()
        for _ in range(int(line)):
            asked += 1
            text = " ".join(words[(asked * 7 + n * 131) % len(words)] for n in range(4))
            at = time.perf_counter()
            main.search(text, tenant="default")
            walls.append(time.perf_counter() - at)
        print(json.dumps([time.process_time() - began, statistics.median(walls)]), flush=True)
"""
"""A process that searches so often for each line of its input, and says what that took."""


class TracedArm(Arm):
    """The command line of one tree, with traces sent to a collector or not."""

    def __init__(self, name: str, tree: Path, collector: str | None) -> None:
        super().__init__(name, tree)
        self.tree = tree
        self.configuration = CONFIGURATION + (TELEMETRY.replace("URL", collector) if collector else "")
        self.searched: list[tuple[float, float]] = []


def receive(told: Queue[int]) -> None:
    """A collector that takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.put(server.server_port)
    server.serve_forever()


def search_in_turns(arms: list[TracedArm], home: Path, server: Path, rounds: int, searches: int) -> None:
    """Processor seconds and the median wall seconds of searches, by arms that take turns."""
    words = home / "words"
    words.write_text(
        " ".join(Path(__file__).parent.parent.joinpath("docs/explanation/design.md").read_text().split())
    )
    with ExitStack() as running:
        processes = []
        for arm in arms:
            file = home / f"{arm.name}.yaml"
            process = running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", SEARCHES, str(file), str(words)],
                    env={**os.environ, "PYTHONPATH": str(arm.tree)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            processes.append((arm, process))
        for number in range(rounds + 1):
            for arm, process in processes if number % 2 else processes[::-1]:
                assert process.stdin is not None
                assert process.stdout is not None
                served = seconds_of(server)
                process.stdin.write(f"{searches}\n")
                process.stdin.flush()
                spent, wall = json.loads(process.stdout.readline())
                if number:
                    arm.searched.append((spent + seconds_of(server) - served, wall))
        for _, process in processes:
            assert process.stdin is not None
            process.stdin.close()


def report(arms: list[TracedArm], searches: int) -> None:
    off = next(arm for arm in arms if arm.name == "off")
    table = Table("", "processor s", "to off", "wall", "to off")
    for what in ("full", "no change"):
        for arm in arms:
            costs, base = (getattr(one, what.replace(" ", "_")) for one in (arm, off))
            mine, theirs = median(costs), median(base)
            ratios = mine.processor / theirs.processor, mine.wall / theirs.wall
            table.add_row(
                f"ingest, {what}, {arm.name}",
                f"{mine.processor:.3f}",
                f"{ratios[0]:.3f}",
                f"{mine.wall:.2f} s",
                f"{ratios[1]:.3f}",
            )
            if arm is not off:
                FIGURES.ratio(f"processor, {what}, {arm.name} to off", ratios[0])
    for arm in arms:
        spent, wall = (statistics.median(each) for each in zip(*arm.searched, strict=True))
        spent_off, wall_off = (statistics.median(each) for each in zip(*off.searched, strict=True))
        table.add_row(
            f"{searches} searches, {arm.name}",
            f"{spent:.3f}",
            f"{spent / spent_off:.3f}",
            f"{1000 * wall:.2f} ms",
            f"{wall / wall_off:.3f}",
        )
        if arm is not off:
            FIGURES.ratio(f"processor, searches, {arm.name} to off", spent / spent_off)
            FIGURES.ratio(f"p50, searches, {arm.name} to off", wall / wall_off)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the documents")
    parser.add_argument("--before", metavar="COMMIT", help="measure this commit beside it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--searches", type=int, default=300, help="in each round")
    arguments = parser.parse_args()
    told: Queue[int] = Queue()
    collector = Process(target=receive, args=(told,), daemon=True)
    collector.start()
    with ExitStack() as running:
        running.callback(collector.terminate)
        url = f"http://127.0.0.1:{told.get()}"
        arms = [TracedArm("off", ROOT, None), TracedArm("on", ROOT, url)]
        if arguments.before:
            arms.insert(0, TracedArm("before", running.enter_context(tree_of(arguments.before)), None))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        server = EmbeddedServer(folder, {"fsync": "off"})
        base = server.start()
        running.callback(server.stop)

        def database(name: str) -> str:
            with psycopg.connect(base, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return conninfo.make_conninfo(base, dbname=name)

        for number in range(arguments.rounds):
            for arm in arms if number % 2 else arms[::-1]:
                arm.run(folder, database(f"ingest_{arm.name}_{number}"), arguments.folder.resolve())
        home = Path(running.enter_context(tempfile.TemporaryDirectory()))
        searched = database("searched")
        for arm in arms:
            text = arm.configuration.format(
                home=home / "data", url=searched, folder=arguments.folder.resolve()
            )
            (home / f"{arm.name}.yaml").write_text(text)
        for command in (["ingest"], ["index", "build", "main"]):
            file = str(home / "off.yaml")
            subprocess.run(
                [sys.executable, "-m", "rag_pipelines.cli.main", "--config", file, *command],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                check=False,
            )
        search_in_turns(arms, home, folder, arguments.rounds * 3, arguments.searches)
        report(arms, arguments.searches)
    FIGURES.record(before=arguments.before, rounds=arguments.rounds, searches=arguments.searches)


if __name__ == "__main__":
    main()
