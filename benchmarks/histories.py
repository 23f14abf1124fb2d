"""Plays histories of runs, builds, collections and purges that go on at once, and says which of them broke.

What belongs here: playing more of them than the suite does, through its own test. What does not: the
histories (`rag_pipelines_tests/integration/histories.py`). A world plays five on one database; its number is
a seed: what broke breaks again under the same one.

    python benchmarks/histories.py [--worlds 200] [--first 0]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from history import Figures

FIGURES = Figures("histories")

TEST = Path(__file__).parent.parent / "rag_pipelines_tests/integration/test_histories.py"


def main() -> int:
    """Play them through the test; its exit code is ours."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the number of the first world")
    arguments = parser.parse_args()
    worlds = {"RAG_WORLDS": str(arguments.worlds), "RAG_FIRST_WORLD": str(arguments.first)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TEST)]
    began = time.perf_counter()
    code = subprocess.run(command, env={**os.environ, **worlds}, cwd=TEST.parents[2]).returncode
    FIGURES.ratio("every world held", float(code == 0))
    FIGURES.context("seconds", time.perf_counter() - began)
    FIGURES.record(worlds=arguments.worlds, first=arguments.first)
    return code


if __name__ == "__main__":
    sys.exit(main())
