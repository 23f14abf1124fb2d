"""What one edited document costs at two sizes of a corpus, from the ingest to the collection of what is left.

What belongs here: synthetic documents of one chunk each, an index that was refreshed before (so that a
refresh catches up), and the time of each step. What does not: the model (vectors are those of `hash`), and
full builds.

A step whose cost follows the change has a ratio near 1; one that reads the corpus has that of the sizes. The
ratio is that of processor seconds, of this process, its workers and its server: on a machine that does other
work too, only they repeat. A folder has to be looked through whole; a repository says what changed.

    python benchmarks/refresh.py [--documents 2000 20000] [--rounds 5] [--source folder|repository]
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml
from history import Figures

from rag_pipelines.config import load_config
from rag_pipelines.gates.judge import GATES, validate_version
from rag_pipelines.gates.refresh import refresh_index
from rag_pipelines.gates.subject import Subject
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import collect_versions, promote
from rag_pipelines.index.storage import storage_of_version
from rag_pipelines.quality.runner import check_source
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.runtime import Runtime, open_runtime
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("refresh")

WORDS = [f"word{number}" for number in range(5_000)]
SOURCE = INDEX = "notes"


def text(number: int, edition: int) -> str:
    """A document's text: other words in each edition."""
    chosen = random.Random(f"{number}/{edition}")
    return f"# Note {number}\n\n" + " ".join(chosen.choices(WORDS, k=60)) + "\n"


def connection_of(home: Path, source: str) -> dict[str, Any]:
    """The connector of a source of this kind, with its options."""
    if source == "folder":
        return {"connector": "filesystem", "options": {"root": str(home / SOURCE)}}
    return {"connector": "git", "options": {"repository": str(home / SOURCE), "history_limit": 0}}


def configured(home: Path, source: str) -> Path:
    """A configuration of one source and one index over it."""
    document = {
        "data_dir": str(home / "data"),
        "profiles": {"embedding": {"default": {"provider": "hash", "dimensions": 64}}},
        "sources": {SOURCE: {**connection_of(home, source), "access": "public"}},
        "indexes": {INDEX: {"sources": [SOURCE], "gates": {"min_recall": 0}}},
    }
    path = home / "rag.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def keep(home: Path, source: str) -> None:
    """What was written becomes what the source holds."""
    if source == "repository":
        who = ["-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com"]
        for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "Edition"]):
            subprocess.run(["git", "-C", str(home / SOURCE), *command], check=True)


class Spent(NamedTuple):
    """Seconds that a step took: of the clock, and of processors."""

    wall: float
    cpu: float


class Clock:
    """What each step took, every time. `server` is the process of the server of the database."""

    def __init__(self, server: psutil.Process) -> None:
        self.spent: dict[str, list[Spent]] = {}
        self._server = server

    def time(self, step: str, act: Callable[[], Any]) -> Any:
        """Do something, and note what it took."""
        others, own, began = self._others(), time.process_time(), time.perf_counter()
        result = act()
        wall, own = time.perf_counter() - began, time.process_time() - own
        self.spent.setdefault(step, []).append(Spent(wall, own + self._others() - others))
        return result

    def _others(self) -> float:
        """Processor seconds of what this process has started, and of the server with all of its processes."""
        workers = psutil.Process().children(recursive=True)
        backends = self._server.children(recursive=True)
        return sum(_used(one) for one in (*workers, self._server, *backends)) + _ended()


def _ended() -> float:
    """Of this process' workers that ended."""
    times = psutil.Process().cpu_times()
    return times.children_user + times.children_system


def _used(process: psutil.Process) -> float:
    """Of a process and of what it started that has ended."""
    try:
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0


def measure(documents: int, rounds: int, source: str) -> dict[str, Spent]:
    """The median time, and the mean of the processor seconds, of each step after one document was edited."""
    with tempfile.TemporaryDirectory(prefix="rag-refresh-") as folder:
        home = Path(folder)
        (home / SOURCE).mkdir()
        for number in range(documents):
            (home / SOURCE / f"{number}.md").write_text(text(number, 0), encoding="utf-8")
        with closing(open_runtime(load_config(configured(home, source)))) as runtime:
            server = EmbeddedServer(runtime.settings.postgres_dir)
            clock = Clock(psutil.Process(server.status().pid))
            for edition in range(rounds + 3):
                (home / SOURCE / "7.md").write_text(text(7, edition), encoding="utf-8")
                keep(home, source)
                if edition < 2:
                    ingest(runtime, SOURCE)
                    check_source(runtime, SOURCE)
                    refresh_index(runtime, INDEX, full=True)
                else:
                    follow(runtime, clock)
        server.stop()
    return {step: summarised(spent[1:]) for step, spent in clock.spent.items()}


def summarised(spent: list[Spent]) -> Spent:
    """Processors are read by the hundredth of a second, so their mean says more than their median."""
    return Spent(statistics.median(one.wall for one in spent), statistics.mean(one.cpu for one in spent))


def follow(runtime: Runtime, clock: Clock) -> None:
    """Bring catalogue and index up to date."""
    index, database = runtime.settings.index(INDEX), runtime.database
    clock.time("ingest", lambda: ingest(runtime, SOURCE))
    clock.time("quality suites", lambda: check_source(runtime, SOURCE))
    version = clock.time("build", lambda: build_index(runtime, INDEX, if_changed=True))
    assert version.kind == "catch_up", version
    with database.connect() as connection:
        subject = Subject(connection, version, index, storage_of_version(version))
        for gate in GATES:
            clock.time(f"gate {gate.__name__}", partial(gate, subject))
    validate_version(runtime, INDEX, version.version_id)
    clock.time("promote", lambda: promote(database, INDEX, version.version_id))
    clock.time("collect versions", lambda: collect_versions(database, INDEX, index))
    clock.time("collect garbage", lambda: collect_garbage(database, runtime.settings))


def summed(steps: Mapping[str, Spent]) -> Spent:
    """All of them together."""
    return Spent(sum(one.wall for one in steps.values()), sum(one.cpu for one in steps.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, nargs=2, default=[2_000, 20_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--source", choices=("folder", "repository"), default="folder")
    arguments = parser.parse_args()
    small, large = (measure(size, arguments.rounds, arguments.source) for size in arguments.documents)
    small["all"], large["all"] = summed(small), summed(large)
    print(
        f"{'step':<26}"
        + "".join(f"{size:>10,} cpu{'':<6}wall" for size in arguments.documents)
        + "   ratio of cpu"
    )
    for step, spent in small.items():
        more = large[step]
        ratio = more.cpu / max(spent.cpu, 0.001)
        FIGURES.ratio(f"processor seconds of {step}, large / small", ratio)
        FIGURES.context(f"processor seconds of {step}, large", more.cpu)
        figures = "".join(f"{one.cpu:>13.3f}s{one.wall:>9.3f}s" for one in (spent, more))
        print(f"{step:<26}{figures} {ratio:>8.2f}")
    FIGURES.record(**vars(arguments))


if __name__ == "__main__":
    main()
