"""The code of the last release, run in processes of its own on a database of this test's.

What belongs here: getting that code and calling it. What does not: assertions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

RELEASE = "0.1.0"
COMMIT = "aa163c0b8909d2b1284d29421a770b46d0eaed25"
"""The last commit of that release; a tag from 0.2.0 on."""

_ROOT = Path(__file__).parents[2]

_VERBS = """
import json, sys, time
from pathlib import Path
from rag_pipelines_tests.integration.workspace import Workspace

folder, url, verb, *rest = sys.argv[1:]
workspace = Workspace(Path(folder), url)
if verb == "refresh":
    workspace.refresh()
    print(json.dumps(sorted(workspace.paths(rest[0]))))
elif verb == "serve":
    ready, stop = map(Path, rest[1:])
    wrong, searches = [], 0
    expected = workspace.paths(rest[0])
    ready.touch()
    while not stop.exists():
        try:
            found = workspace.paths(rest[0])
            if found != expected:
                wrong.append(f"found {found}")
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
        searches += 1
    print(json.dumps({"searches": searches, "wrong": wrong}))
workspace.close()
"""


def checkout(folder: Path) -> Path:
    """The tree of the last release below `folder`; skips where the history is not at hand."""
    made = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", COMMIT, "rag_pipelines", "rag_pipelines_tests", "sql"],
        capture_output=True,
    )
    if made.returncode != 0:
        pytest.skip(f"needs commit {COMMIT[:7]} ({RELEASE}) in the history: {made.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def start(tree: Path, workspace: Path, url: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of the last release doing `arguments` (see `_VERBS`) on a workspace's folder and database."""
    return subprocess.Popen(
        [sys.executable, "-c", _VERBS, str(workspace), url, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> Any:
    """What the process printed, when it has ended well."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)
