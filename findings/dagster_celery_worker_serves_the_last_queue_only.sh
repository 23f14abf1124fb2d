#!/usr/bin/env bash
# dagster-celery: a worker that is started for several queues serves the last of them only.
#
# Library    dagster-celery 0.29.27, celery 5.7.0
# Behaviour  `dagster-celery worker start -q a -q b` says in its help that several `-q` may be given, and starts
#            `celery worker -Q a -Q b`. Celery's `-Q` takes one list, so the last one counts.
# Seen       The command that is started names both queues; Celery parses it to the queue `b` alone. With
#            `-q a,b` both are served.
# Who        Anybody whose stages have queues of their own: the steps of the others wait for ever, and no error
#            is shown. The documentation of executors starts Celery itself, with one list.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'dagster==1.13.27' 'dagster-celery==0.29.27' \
    'celery==5.7.0' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

import os
import subprocess
from unittest.mock import patch


def served(*options: str) -> list[str]:
    """The queues that a worker serves which is started with these options of `dagster-celery`."""
    from celery import Celery
    from celery.bin.base import CLIContext
    from celery.bin.worker import worker
    from click.testing import CliRunner
    from dagster_celery.cli import worker_start_command

    with patch.object(subprocess, "check_call") as started:
        CliRunner().invoke(worker_start_command, ["-A", "dagster_celery.app", *options], catch_exceptions=False)
    command = started.call_args.args[0]
    arguments = command[command.index("worker") + 1 :]
    with worker.make_context("worker", list(arguments), obj=CLIContext(Celery(), True, None)) as context:
        return list(context.params["queues"])


os.environ["DAGSTER_HOME"] = os.getcwd()
several, joined = served("-q", "a", "-q", "b"), served("-q", "a,b")
print(f"-q a -q b   serves {several}")
print(f"-q a,b      serves {joined}")
assert several == ["b"], several
assert joined == ["a", "b"], joined
PYTHON
venv/bin/python probe.py || exit 1
echo "as described"
