"""What one edited document costs at two sizes of a corpus, from the ingest to the collection of what is left.

What belongs here: synthetic documents of one chunk each, an index that was refreshed before (so that a
refresh catches up), and the time of each step. What does not: the model (vectors are those of `hash`), and
full builds.

A step whose cost follows the change has a ratio near 1; one that reads the corpus has that of the sizes.

    python benchmarks/refresh.py [--documents 2000 20000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

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
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("refresh")

WORDS = [f"word{number}" for number in range(5_000)]
SOURCE = INDEX = "notes"


def text(number: int, edition: int) -> str:
    """A document's text: other words in each edition."""
    chosen = random.Random(f"{number}/{edition}")
    return f"# Note {number}\n\n" + " ".join(chosen.choices(WORDS, k=60)) + "\n"


def configured(home: Path) -> Path:
    """A configuration of one folder and one index over it."""
    document = {
        "data_dir": str(home / "data"),
        "profiles": {"embedding": {"default": {"provider": "hash", "dimensions": 64}}},
        "sources": {
            SOURCE: {
                "connector": "filesystem",
                "options": {"root": str(home / SOURCE)},
                "access": "public",
            }
        },
        "indexes": {INDEX: {"sources": [SOURCE], "gates": {"min_recall": 0}}},
    }
    path = home / "rag.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


class Clock:
    """The seconds that each step took, every time."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    def time(self, step: str, act: Callable[[], Any]) -> Any:
        """Do something, and note how long it took."""
        began = time.perf_counter()
        result = act()
        self.taken.setdefault(step, []).append(time.perf_counter() - began)
        return result


def measure(documents: int, rounds: int) -> dict[str, float]:
    """The median seconds of each step after one document was edited."""
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="rag-refresh-") as folder:
        home = Path(folder)
        (home / SOURCE).mkdir()
        for number in range(documents):
            (home / SOURCE / f"{number}.md").write_text(text(number, 0), encoding="utf-8")
        with closing(open_runtime(load_config(configured(home)))) as runtime:
            for edition in range(rounds + 2):
                (home / SOURCE / "7.md").write_text(text(7, edition), encoding="utf-8")
                if edition < 2:
                    ingest(runtime, SOURCE)
                    check_source(runtime, SOURCE)
                    refresh_index(runtime, INDEX, full=True)
                else:
                    follow(runtime, clock)
    return {step: statistics.median(seconds) for step, seconds in clock.taken.items()}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, nargs=2, default=[2_000, 20_000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    small, large = (measure(size, arguments.rounds) for size in arguments.documents)
    small["all"], large["all"] = sum(small.values()), sum(large.values())
    print(f"{'step':<26}" + "".join(f"{size:>10,}" for size in arguments.documents) + "   ratio")
    for step, seconds in small.items():
        ratio = large[step] / seconds
        FIGURES.ratio(f"seconds of {step}, large / small", ratio)
        print(f"{step:<26}{seconds:>9.3f}s{large[step]:>9.3f}s {ratio:>7.2f}")
    FIGURES.record(documents=arguments.documents, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
