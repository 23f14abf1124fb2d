"""The database goes away during a command: a transient failure in one line, and the next run is right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from rag_pipelines.cli import main
from rag_pipelines.cli.invocation import ExitCode
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines_tests.integration.lost_sessions import Killer
from rag_pipelines_tests.integration.workspace import Workspace

POINTS = 10
"""Moments of each command at which its session is ended, spread over all that it asks of the server."""


LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (WARNING|ERROR) +[\w.]+: ")


@pytest.fixture
def killer(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killer]:
    made = Killer(workspace.url, monkeypatch)
    yield made
    made.close()


def fill(workspace: Workspace, edition: int) -> None:
    for n in range(3):
        text = f"The pump number {n} needs oil, says edition {edition}."
        workspace.write(f"{n}.md", f"# Manual {n}\n\n{text}\n\n## More\n\nOf word{n}.")


def assert_passing_fault(found: Result) -> None:
    """One line says so, after what the log says; there is no traceback."""
    assert found.exit_code == ExitCode.TRANSIENT, found.output
    said = [line for line in found.stderr.splitlines() if not LOG_LINE.match(line)]
    assert len(said) == 1, found.stderr
    assert said[0].startswith("error: ")
    assert "Postgres" in said[0]


@pytest.mark.parametrize("command", [("ingest",), ("index", "build", "main", "--full")], ids=" ".join)
@pytest.mark.parametrize("part", range(2))
def test_a_session_that_ends_is_a_passing_fault_and_the_next_run_is_right(
    part: int, command: tuple[str, ...], workspace: Workspace, call: Callable[..., Result], killer: Killer
) -> None:
    def run(*arguments: str) -> None:
        found = call(*arguments)
        assert found.exit_code == ExitCode.OK, found.output

    workspace.document["indexes"]["main"]["keep"] = {"spare": False}  # a copy that fails is a warning
    fill(workspace, 0)
    run("ingest")
    fill(workspace, 1)
    killer.arm(None)
    run(*command)
    total = killer.calls
    for point in range(part, POINTS, 2):
        fill(workspace, 2 + point)
        killer.arm(1 + point * (total - 1) // (POINTS - 1))
        found = call(*command)
        assert_passing_fault(found)
        killer.arm(None)
        run("status")
        assert workspace.rows("SELECT FROM rag.index_version WHERE state = 'building'") == []
        assert workspace.rows("SELECT FROM rag.run WHERE finished_at IS NULL") == []
        run(*command)
    run("ingest")
    run("index", "build", "main")
    assert workspace.paths("pump oil") == {"0.md", "1.md", "2.md"}
    run("verify")


def test_a_server_that_dies_is_a_passing_fault_and_the_run_after_its_return_is_right(
    server_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer(server_folder / "server")
    workspace = Workspace(tmp_path, server.start())
    workspace.database.migrate()
    killer = Killer(workspace.url, monkeypatch)
    killer.kill = lambda _: kill_server(server)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main.app, ["--config", str(workspace.config_file), *arguments])

    try:
        fill(workspace, 0)
        for at, command in ((60, ("ingest",)), (30, ("index", "build", "main"))):
            killer.arm(at)
            assert_passing_fault(call(*command))
            killer.arm(None)
            assert_passing_fault(call("status"))
            server.start()
            again = call(*command)
            assert again.exit_code == ExitCode.OK, again.output
        workspace.close()
        workspace.database = Database(workspace.url)
        assert [row["state"] for row in workspace.rows("SELECT state FROM rag.index_version ORDER BY 1")] == [
            "failed",
            "live",
            "spare",
        ]
        assert workspace.paths("pump oil") == {"0.md", "1.md", "2.md"}
    finally:
        workspace.close()
        killer.close()
        server.stop()


def kill_server(server: EmbeddedServer) -> None:
    """Kill the postmaster, and wait until it and its sessions are gone."""
    pid = server.status().pid
    assert pid is not None
    process = psutil.Process(pid)
    everything = [process, *process.children()]
    process.kill()
    psutil.wait_procs(everything, timeout=30)
