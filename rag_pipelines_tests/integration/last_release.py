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

_PROGRAM = """
import json, sys
from pathlib import Path
from rag_pipelines_tests.integration.workspace import Workspace

folder, url, ready, stop = sys.argv[1:]
workspace = Workspace(Path(folder), url)
workspace.write("pump.md", "# Pump\\n\\nThe pump needs oil.")
workspace.refresh()
searches, wrong = 0, []
while searches == 0 or not Path(stop).exists():
    try:
        if (found := workspace.paths("pump oil")) != {"pump.md"}:
            wrong.append(f"found {found}")
    except Exception as error:
        wrong.append(f"{type(error).__name__}: {error}")
    searches += 1
    Path(ready).touch()
workspace.write("valve.md", "# Valve\\n\\nThe valve is shut.")
workspace.refresh()
print(json.dumps({"searches": searches, "wrong": wrong, "after": sorted(workspace.paths("valve shut"))}))
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


def start(tree: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """A process of the last release: makes an index, searches it until told to stop, brings it up to date.

    The arguments are a workspace's folder, the URL of its database, a file that is there once it searches,
    and one that tells it to stop.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
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
