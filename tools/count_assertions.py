"""Counts the tests and the assertions of a tree of tests, so that a faster suite can show that it lost none.

    python tools/count_assertions.py rag_pipelines_tests ../before/rag_pipelines_tests

What belongs here: counting by syntax. An assertion is an `assert` statement or a `pytest.raises`,
`pytest.warns` or `pytest.fail`; a test is a function named ``test_``, however many cases it has
(``pytest --collect-only -q`` counts those).
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

_CALLS = {"raises", "warns", "fail"}


def count(folder: Path) -> Counter[str]:
    """How many `files`, `tests` and `assertions` the Python files below `folder` have."""
    counted: Counter[str] = Counter()
    for path in folder.rglob("*.py"):
        counted["files"] += 1
        for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                counted["tests"] += node.name.startswith("test_")
            elif isinstance(node, ast.Assert):
                counted["assertions"] += 1
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                counted["assertions"] += node.value.id == "pytest" and node.attr in _CALLS
    return counted


def main() -> None:
    """Print the counts of each folder named on the command line."""
    print(f"{'files':>7} {'tests':>7} {'assertions':>11}")
    for name in sys.argv[1:] or ["rag_pipelines_tests"]:
        found = count(Path(name))
        print(f"{found['files']:>7,} {found['tests']:>7,} {found['assertions']:>11,}  {name}")


if __name__ == "__main__":
    main()
