"""Plays histories of runs, builds, collections and purges that go on at once, and says which of them broke.

Usage: ``python benchmarks/histories.py [WORLDS] [FIRST]``, by default 200 worlds of five histories from 0.
Each number is a seed: what broke breaks again under the same one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEST = Path(__file__).parent.parent / "rag_pipelines_tests/integration/test_histories.py"


def main(worlds: str = "200", first: str = "0") -> int:
    """Play them through the test; its exit code is ours."""
    environment = {**os.environ, "RAG_WORLDS": worlds, "RAG_FIRST_WORLD": first}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TEST)]
    return subprocess.run(command, env=environment, cwd=TEST.parents[2]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
