"""``rag-pipelines serve`` as a process: what it prints, how it starts, how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import httpx
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.config import DEMO_CONFIG, load_config
from rag_pipelines.serving.auth import Logins, digest
from rag_pipelines_tests.integration.workspace import Workspace

SERVE = [sys.executable, "-c", "from rag_pipelines.cli import run; run()", "serve", "--port", "0"]


def test_a_new_key_comes_with_its_digest() -> None:
    told = CliRunner().invoke(main.app, ["serve", "--new-key"]).output
    key, sha256 = (line.rsplit(" ", 1)[1] for line in told.strip().splitlines())
    assert digest(key) == sha256
    assert len(key) > 40


def test_the_keys_that_the_demos_configuration_names_are_those_of_its_tenants() -> None:
    logins = Logins(load_config(DEMO_CONFIG, {}).serving)
    assert logins.of_key("demo-acme").tenant == "acme-sensors"
    assert logins.of_key("demo-brightwater").tenant == "brightwater"


def test_a_configuration_without_logins_is_refused(workspace: Workspace) -> None:
    done = CliRunner().invoke(main.app, ["--config", str(workspace.config_file), "serve"])
    assert done.exit_code == 2
    assert "no way to log in" in done.output


def test_a_process_serves_logs_and_ends_when_it_is_told_to(workspace: Workspace) -> None:
    workspace.write("a.md", "# Herons\n\nThe heron waits by the weir.\n")
    workspace.refresh()
    workspace.document["serving"] = {"anonymous": {"tenant": "default"}}
    command = [*SERVE, "--config", str(workspace.config_file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            running = (re.search(r"running on (http://\S+)", line) for line in process.stderr)
            address = next(found[1] for found in running if found)
            answer = httpx.post(f"{address}/v1/search", json={"query": "heron"}, timeout=30)
            assert [hit["path"] for hit in answer.json()["hits"]] == ["a.md"]
            assert httpx.get(f"{address}/readyz").json()["ready"]
        finally:
            process.send_signal(signal.SIGTERM)
        lines = process.stderr.read().splitlines()
        process.wait(30)
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    assert [(line["route"], line["status"]) for line in logged] == [("/v1/search", 200), ("/readyz", 200)]
    assert not any("Traceback" in line for line in lines)
    assert process.returncode in (0, -signal.SIGTERM)
