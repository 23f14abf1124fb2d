"""What an ingest of a folder costs, and one that finds nothing to do, beside those of another commit.

What belongs here: the command line as a user calls it, on an empty database each round, the model replaced by
a hash. What does not: peers, and one format alone (`pdf_speed`).

Processor seconds are of the command with its workers (`user`, `sys`) and of the processes of the server. They
say more than wall seconds where other things run on the machine; commits take turns, so that what else runs
slows both alike. Printed are medians of the rounds, and whether both commits stored the same chunks.

With `--privacy` the same documents are ingested by a source that screens them as well, in each of its modes.

    python benchmarks/ingest.py FOLDER [--before COMMIT] [--privacy detect mask] [--rounds 5]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psycopg
from history import Figures
from psycopg import conninfo
from rich.console import Console
from rich.table import Table
from trees import ROOT, tree_of

from rag_pipelines.store.embedded import EmbeddedServer

FIGURES = Figures("ingest")
NO_CHANGE_RUNS = 3
TICKS = os.sysconf("SC_CLK_TCK")

CONFIGURATION = """
data_dir: {home}
database: {{url: "{url}"}}
profiles: {{embedding: {{default: {{provider: hash}}}}}}
sources: {{docs: {{connector: filesystem, options: {{root: "{folder}"}}, access: public}}}}
indexes: {{main: {{sources: [docs]}}}}
"""

CHUNKS = """
SELECT set.key::text, chunk.ordinal, chunk.input_key::text, chunk.text, chunk.links::text
FROM rag.chunk JOIN rag.chunk_set set USING (chunk_set_id) ORDER BY 1, 2
"""


class Cost(NamedTuple):
    """Seconds of one command."""

    wall: float
    user: float
    sys: float
    server: float

    @property
    def processor(self) -> float:
        return self.user + self.sys + self.server


class Arm:
    """The command line of one tree."""

    configuration = CONFIGURATION

    def __init__(self, name: str, tree: Path) -> None:
        self.name = name
        self._tree = tree
        self.full: list[Cost] = []
        self.no_change: list[Cost] = []
        self.chunks = ""

    def run(self, server: Path, url: str, folder: Path) -> None:
        """One round on the empty database at `url`."""
        with tempfile.TemporaryDirectory() as home:
            file = Path(home) / "rag.yaml"
            file.write_text(self.configuration.format(home=f"{home}/data", url=url, folder=folder))
            self._call(server, file, "status")
            self.full.append(self._call(server, file, "ingest"))
            self._call(server, file, "ingest")
            self.no_change += [self._call(server, file, "ingest") for _ in range(NO_CHANGE_RUNS)]
        with psycopg.connect(url) as connection:
            rows = connection.execute(CHUNKS).fetchall()
        self.chunks = hashlib.sha256(repr(rows).encode()).hexdigest()

    def _call(self, server: Path, file: Path, command: str) -> Cost:
        before, served, began = resource.getrusage(resource.RUSAGE_CHILDREN), seconds_of(server), time.time()
        done = subprocess.run(
            [sys.executable, "-m", "rag_pipelines.cli.main", "--config", str(file), command],
            env={**os.environ, "PYTHONPATH": str(self._tree)},
            capture_output=True,
            text=True,
            check=False,
        )
        wall, after = time.time() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (0, 3):
            sys.exit(f"{command} of {self.name} failed:\n{done.stdout}{done.stderr}")
        user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
        return Cost(wall, user, system, seconds_of(server) - served)


def screening(mode: str) -> Arm:
    """This tree, with a source that screens its documents in a mode of privacy profiles."""
    arm = Arm(mode, ROOT)
    profile = f"profiles: {{{{privacy: {{{{staff: {{{{mode: {mode}}}}}}}}}, embedding:"
    arm.configuration = CONFIGURATION.replace("profiles: {{embedding:", profile).replace(
        "access: public", "access: public, privacy: staff"
    )
    return arm


def seconds_of(server: Path) -> float:
    """Processor seconds of a server's processes until now, those that have ended included (Linux only)."""
    postmaster = int(next(server.rglob("postmaster.pid")).read_text().split()[0])
    return sum(seconds for parent, pid, seconds in processes() if postmaster in (parent, pid))


def processes() -> Iterator[tuple[int, int, float]]:
    """Parent, number, and processor seconds of every process with those of its ended children (proc(5))."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(fields[1]), int(file.parent.name), sum(map(int, fields[11:15])) / TICKS


def median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def report(arms: list[Arm]) -> None:
    """Print the medians, and note them."""
    table = Table("", *Cost._fields, "processor")
    for arm in arms:
        for what, costs in (("full", arm.full), ("no change", arm.no_change)):
            middle = median(costs)
            table.add_row(f"{what}, {arm.name}", *(f"{x:.2f}" for x in (*middle, middle.processor)))
            if arm.name == "now":
                FIGURES.context(f"processor s, {what}", middle.processor)
    Console().print(table)
    if arms[0].name == "before":
        for what in ("full", "no_change"):
            before, now = (median(getattr(arm, what)).processor for arm in arms[:2])
            FIGURES.ratio(f"speed beside the other commit, {what}", before / now)
        print("chunks are", "the same" if arms[0].chunks == arms[1].chunks else "other ones")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the documents")
    parser.add_argument("--before", metavar="COMMIT", help="measure this commit beside it")
    parser.add_argument("--privacy", nargs="*", default=[], choices=("detect", "mask"), help="screen as well")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with ExitStack() as running:
        arms = [Arm("now", ROOT)]
        if arguments.before:
            arms.insert(0, Arm("before", running.enter_context(tree_of(arguments.before))))
        arms += [screening(mode) for mode in arguments.privacy]
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        server = EmbeddedServer(folder, {"fsync": "off"})
        url = server.start()
        running.callback(server.stop)
        for number in range(arguments.rounds):
            for arm in arms if number % 2 else arms[::-1]:
                name = f"ingest_{arm.name}_{number}"
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {name}")
                arm.run(folder, conninfo.make_conninfo(url, dbname=name), arguments.folder.resolve())
    report(arms)
    documents = sum(1 for path in arguments.folder.rglob("*") if path.is_file())
    FIGURES.record(before=arguments.before, documents=documents, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
