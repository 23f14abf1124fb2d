"""Runs a finding in a virtual environment of its own, in a folder that is removed afterwards.

What belongs here: what every finding does. What does not: any library's behaviour.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path


def finding(requirements: Sequence[str], probe: Callable[[], None]) -> None:
    """Install `requirements` into a temporary environment and run `probe` there; ends the process.

    `probe` prints what it sees and raises `AssertionError` where that is not what the finding says. The
    status is 0 if the behaviour is as described, 1 if it changed, 2 if it could not be tried.
    """
    if os.environ.get("FINDING_FOLDER"):
        try:
            probe()
        except AssertionError as changed:
            sys.exit(f"the behaviour has changed: {changed}")
        print("as described")
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="finding-") as folder:
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        if subprocess.run(install, check=False).returncode:
            print(f"could not be tried: {', '.join(requirements)} cannot be installed", file=sys.stderr)
            sys.exit(2)
        print(f"with {', '.join(requirements)}", flush=True)
        inside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        inside |= {"FINDING_FOLDER": folder, "DAGSTER_DISABLE_TELEMETRY": "true"}
        done = subprocess.run([python, os.path.abspath(sys.argv[0])], cwd=folder, env=inside, check=False)
    sys.exit(done.returncode)
