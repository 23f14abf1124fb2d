"""Makes what the stages do now the expected results of the golden corpus, and pins their code.

    python tools/pin_stages.py            results that differ become the expected ones
    python tools/pin_stages.py --equal    code that changed without any result keeps its fingerprint
    python tools/pin_stages.py --new      code that changed results that the corpus lacks gets a new one

What belongs here: running it. What does not: the rules (`rag_pipelines_tests.golden.settling`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Run the golden tests so that they write; their exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--equal", action="store_const", const="equal", dest="mode", default="write")
    choice.add_argument("--new", action="store_const", const="new", dest="mode")
    mode = parser.parse_args().mode
    tests = "rag_pipelines_tests/golden/test_golden.py::test_write"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", tests]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "RAG_GOLDEN": mode}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
