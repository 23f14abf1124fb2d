"""How long it takes from a folder of documents to the first answer: `init`, `refresh`, `query`.

What belongs here: the three commands as a person calls them in a fresh folder, once with an empty model cache
and once with what the first time left in it. What does not: what an ingest costs (`ingest`).

    python benchmarks/first_answer.py [FOLDER] [--question "who decides about deletions?"]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from history import Figures
from trees import ROOT

from rag_pipelines.store.embedded import EmbeddedServer

FIGURES = Figures("first_answer")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "docs")
    parser.add_argument("--question", default="who decides about deletions?")
    given = parser.parse_args()
    documents = sum(file.is_file() for file in given.folder.rglob("*"))
    used = []
    with tempfile.TemporaryDirectory() as cache:
        for when in ("the first folder", "a second folder"):
            wall, processor = first_answer(given.folder.resolve(), given.question, cache, when)
            used.append(processor)
            FIGURES.context(f"{when}: seconds", wall)
            FIGURES.context(f"{when}: processor seconds", processor)
    FIGURES.ratio("processor seconds, second folder of the first", used[1] / used[0])
    FIGURES.record(documents=documents)


def first_answer(documents: Path, question: str, cache: str, when: str) -> tuple[float, float]:
    """Wall and processor seconds of the commands together; those of the database are not counted."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "PYTHONPATH": str(ROOT)}
    environment.pop("RAG_CONFIG", None)
    commands = (["init", str(documents), "--access", "public"], ["refresh"], ["query", question, "-k", "1"])
    total, used = 0.0, _children()
    with tempfile.TemporaryDirectory() as home:
        try:
            for words in commands:
                began = time.perf_counter()
                program = [sys.executable, "-m", "rag_pipelines.cli.main", *words]
                done = subprocess.run(program, cwd=home, env=environment, stdout=subprocess.PIPE, check=True)
                took = time.perf_counter() - began
                if not done.stdout.strip():
                    sys.exit(f"{words[0]} printed nothing: there is no answer whose time could be told")
                print(f"{when}: {words[0]:<8} {took:6.1f} s", flush=True)
                total += took
        finally:
            EmbeddedServer(Path(home) / ".rag" / "postgres").stop()
    spent = _children() - used
    print(f"{when}: first answer after {total:.1f} s ({spent:.1f} s of the processor)\n", flush=True)
    return total, spent


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
