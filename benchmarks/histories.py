"""Plays histories of runs, builds, collections and purges that go on at once, and says which of them broke.

Usage: ``python benchmarks/histories.py [HISTORIES] [FIRST]`` (by default 1000, from 0). Each number is a seed:
what broke breaks again under the same one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEST = Path(__file__).parent.parent / "rag_pipelines_tests/integration/test_histories.py"


def main(histories: str = "1000", first: str = "0") -> int:
    """Play them through the test; its exit code is ours."""
    environment = {**os.environ, "RAG_HISTORIES": histories, "RAG_FIRST_HISTORY": first}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TEST)]
    return subprocess.run(command, env=environment, cwd=TEST.parents[2]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
