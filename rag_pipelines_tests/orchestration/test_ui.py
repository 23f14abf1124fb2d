"""The web server that a person opens: it starts, loads the definitions, and shows the graph."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines_tests.integration.workspace import Workspace

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0

pytest.importorskip("dagster_webserver")


@pytest.fixture
def server(workspace: Workspace, tmp_path: Path) -> Iterator[str]:
    """The URL of a web server over the workspace, as `workspace.yaml` and `dagster.yaml` set it up."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text("utf-8"), "utf-8")
    environment = {**os.environ, "DAGSTER_HOME": str(home), "RAG_CONFIG": str(workspace.config_file)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(ROOT / "workspace.yaml")]
    log = (tmp_path / "server.log").open("wb")
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)], cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(process, url, tmp_path / "server.log")
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        log.close()


def test_the_web_server_shows_the_graph_of_assets(server: str):
    answer = _ask(
        server,
        """{ assetNodes { assetKey { path } groupName owners { ... on TeamAssetOwner { team } }
             isPartitioned dependencyKeys { path }
             assetChecksOrError { ... on AssetChecks { checks { name blocking } } } } }""",
    )

    nodes = {"/".join(node["assetKey"]["path"]): node for node in answer["assetNodes"]}
    assert set(nodes) == {
        "rag/raw_documents",
        "rag/completeness",
        "rag/parsed_documents",
        "rag/chunks",
        "rag/embeddings",
        "rag/key_figures",
        "rag/main/index_candidate",
        "rag/main/live_index",
    }
    assert nodes["rag/main/live_index"]["dependencyKeys"] == [{"path": ["rag", "main", "index_candidate"]}]
    assert nodes["rag/main/live_index"]["owners"] == [{"team": "search"}]
    assert nodes["rag/chunks"]["isPartitioned"]
    checks = nodes["rag/main/index_candidate"]["assetChecksOrError"]["checks"]
    assert {check["name"] for check in checks if not check["blocking"]} == {"canary"}
    assert {"recall", "row_parity"} <= {check["name"] for check in checks}


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{url}/server_info", timeout=5).read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the web server did not start:\n{log.read_text('utf-8', 'replace')}")


def _ask(url: str, query: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    answer = json.load(urllib.request.urlopen(request, timeout=30))
    assert "errors" not in answer, answer
    return answer["data"]
