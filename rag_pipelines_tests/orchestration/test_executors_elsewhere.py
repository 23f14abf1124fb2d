"""Celery, Ray and Kubernetes work off a stage, each where it is installed.

Tests start their services themselves. Of Kubernetes there is only its interface: a server that takes Jobs,
holds each to the schema of Kubernetes, and runs what its container would run as a process of this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from rag_pipelines.orchestration.names import INGEST_SOURCE
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import Shell, contents
from rag_pipelines_tests.orchestration.elsewhere import Parsing, parse

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0

STAGES = {
    "parse": {
        "queue": "parsers",
        "cpu": 0.25,
        "memory": "256MiB",
        "pod": {"node_selector": {"pool": "cpu"}},
    }
}


@pytest.fixture
def listed(divided: Workspace, shell: Shell) -> Workspace:
    """What `divided` has, listed and not yet parsed; the stage `parse` has a place of its own."""
    divided.document["execution"] = {"shards": 2, "stages": STAGES}
    shell.run(INGEST_SOURCE, "docs", asset_selection=[dg.AssetKey(["rag", "raw_documents"])])
    return divided


def assert_done_elsewhere(workspace: Workspace, shell: Shell, parsing: Parsing) -> None:
    """Other processes parsed the shards, to the rows that an undivided run in this process makes."""
    assert parsing.success
    assert set(parsing.processes) == {"0_of_2", "1_of_2"}
    assert os.getpid() not in parsing.processes.values()
    workspace.document["execution"] = {}
    again = shell.ingest("docs")
    shell.ingest("team-notes")
    assert shell.metadata(again, "parsed_documents")["documents_parsed"] == 0
    assert contents(workspace, "docs") == contents(workspace, "team-notes")


class Cluster(ThreadingHTTPServer):
    """The interface of Kubernetes for Jobs of the namespace `search`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ClusterHandler)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def take(self, job: dict[str, Any]) -> dict[str, Any]:
        """Start a Job; raises if it is not valid."""
        import kubernetes_validate

        kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
        name = job["metadata"]["name"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        self.jobs[name] = job
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", *container["args"]], env={**os.environ, **given}, cwd=ROOT
        )
        return job

    def look(self, name: str) -> dict[str, Any]:
        """A Job with its status."""
        code = self.processes[name].poll()
        state = "active" if code is None else "failed" if code else "succeeded"
        return {**self.jobs[name], "status": {state: 1}}


class _ClusterHandler(BaseHTTPRequestHandler):
    server: Cluster

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path.startswith("/apis/batch/v1/namespaces/search/jobs"), self.path
        try:
            self._answer(201, self.server.take(json.loads(body)))
        except Exception as error:
            self._answer(422, {"kind": "Status", "message": str(error)})

    def do_GET(self) -> None:
        name = self.path.removeprefix("/apis/batch/v1/namespaces/search/jobs/").partition("/")[0]
        self._answer(200, self.server.look(name))

    def log_message(self, format: str, *args: Any) -> None:
        """Keep still."""

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster whose pods are processes."""
    with Cluster() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
        for process in server.processes.values():
            process.kill()
            process.wait()


@pytest.mark.slow
def test_kubernetes_is_given_a_valid_job_for_each_shard_with_what_its_stage_asks_for(
    listed: Workspace, shell: Shell, cluster: Cluster, tmp_path: Path
):
    pytest.importorskip("dagster_k8s")
    pytest.importorskip("kubernetes_validate")
    address = f"http://127.0.0.1:{cluster.server_port}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "here", "cluster": {"server": address}}],
                "users": [{"name": "me", "user": {}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "current-context": "here",
            }
        )
    )
    home = tmp_path / "home-of-dagster"
    home.mkdir()
    launcher = {
        "service_account_name": "rag",
        "instance_config_map": "dagster-instance",
        "dagster_home": str(home),
        "job_namespace": "search",
        "load_incluster_config": False,
        "kubeconfig_file": str(kubeconfig),
    }
    overrides = {"run_launcher": {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": launcher}}
    options = {"job_image": "registry.example/rag:1.2", "env_secrets": ["rag-database"]}
    listed.document["execution"] |= {"executor": "k8s", "options": options}

    with dg.DagsterInstance.local_temp(str(home), overrides=overrides) as instance:
        parsing = parse(listed, instance)

    specs = {
        job["metadata"]["labels"]["dagster/op"]: job["spec"]["template"]["spec"]
        for job in cluster.jobs.values()
    }
    shards = [spec for step, spec in specs.items() if "parse_shard" in step]
    others = [spec for step, spec in specs.items() if "parse_shard" not in step]
    assert (len(shards), len(others)) == (2, 2)
    for spec in shards:
        (container,) = spec["containers"]
        assert container["image"] == "registry.example/rag:1.2"
        assert container["envFrom"] == [{"secretRef": {"name": "rag-database"}}]
        requests = {"cpu": "0.25", "memory": "268435456"}
        assert container["resources"] == {"requests": requests, "limits": {"memory": "268435456"}}
        assert spec["nodeSelector"] == {"pool": "cpu"}
    for spec in others:
        assert "nodeSelector" not in spec
    del listed.document["execution"]["executor"], listed.document["execution"]["options"]
    assert set(parsing.processes.values()) <= {process.pid for process in cluster.processes.values()}
    assert_done_elsewhere(listed, shell, parsing)


def test_the_job_of_the_documentation_is_valid_for_kubernetes():
    validate = pytest.importorskip("kubernetes_validate")
    page = (ROOT / "docs" / "how-to" / "several-machines.md").read_text("utf-8")
    job = yaml.safe_load(page.partition('```yaml title="work.yaml"\n')[2].partition("```")[0])

    validate.validate(job, validate.latest_version(), strict=True)

    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")


@pytest.mark.slow
def test_workers_of_celery_take_shards_from_the_queue_of_their_stage(
    listed: Workspace, shell: Shell, kept: dg.DagsterInstance, tmp_path: Path
):
    pytest.importorskip("dagster_celery")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    port = _free_port()
    broker = f"redis://127.0.0.1:{port}"
    options = {"broker": f"{broker}/0", "backend": f"{broker}/1"}
    listed.document["execution"] |= {"executor": "celery", "options": options}
    redis = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    celery = [sys.executable, "-m", "celery", "-A", "dagster_celery.app", "-b", options["broker"]]
    worker = [*celery, "--result-backend", options["backend"], "worker", "--pool", "solo", "-l", "INFO"]

    with (
        _running(redis, tmp_path / "redis.log", "Ready to accept connections"),
        _running([*worker, "-n", "light@%h", "-Q", "dagster"], tmp_path / "light.log", "ready.") as light,
        _running(
            [*worker, "-n", "parsers@%h", "-Q", "parsers"], tmp_path / "parsers.log", "ready."
        ) as parsers,
    ):
        parsing = parse(listed, kept)

    assert set(parsing.processes.values()) == {parsers}
    assert light != parsers
    assert_done_elsewhere(listed, shell, parsing)


@pytest.mark.slow
def test_ray_takes_a_job_for_each_shard(
    listed: Workspace, shell: Shell, kept: dg.DagsterInstance, tmp_path: Path
):
    pytest.importorskip("dagster_ray")
    pytest.importorskip("ray.job_submission")
    dashboard = _free_port()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    options = {
        "address": f"http://127.0.0.1:{dashboard}",
        "env_vars": [f"{name}={value}" for name, value in environment.items()],
    }
    listed.document["execution"] |= {"executor": "ray", "options": {"ray": options}}
    folder = f"/tmp/rag-ray-{os.getpid()}"  # what Ray puts sockets into has to have a short name
    settings = {
        "port": _free_port(),
        "dashboard-port": dashboard,
        "ray-client-server-port": _free_port(),
        "include-dashboard": "true",
        "num-cpus": 2,
        "temp-dir": folder,
    }
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    head = [*ray, *(f"--{name}={value}" for name, value in settings.items())]

    with _running(head, tmp_path / "ray.log", "Ray runtime started"):
        parsing = parse(listed, kept)

    shutil.rmtree(folder, ignore_errors=True)
    assert_done_elsewhere(listed, shell, parsing)


@contextmanager
def _running(command: list[str], log: Path, ready: str) -> Iterator[int]:
    """A program that says `ready` in its log; its process group ends with the block. Gives its pid."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait(lambda: ready in log.read_text("utf-8", "replace"), process, log)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{process.args} did not start:\n{log.read_text('utf-8', 'replace')}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
