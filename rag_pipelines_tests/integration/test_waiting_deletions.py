"""Deletions that wait for a person are said by whatever concerns their source, until somebody decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rag_pipelines.cli import main
from rag_pipelines.sync.deletions import list_deletions, reject
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_cli import objects
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("suites_run_here")

SAID = "3 documents are gone at the source and still served; decide with `rag-pipelines deletes approve 1`"

COMMANDS = [
    ("ingest",),
    ("ingest", "--since", "2020-01-01"),
    ("plan",),
    ("apply", "1"),
    ("backfill",),
    ("quality",),
    ("status",),
    ("verify",),
    ("index", "build", "main"),
]


def fill_parked(made: Workspace) -> None:
    """Three of four documents are gone and wait for a decision, and there is a plan."""
    made.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 2}
    for name in ("heron", "stork", "crane", "ibis"):
        made.write(f"{name}.md", f"# {name}\n\nA {name} by the weir.")
    made.refresh()
    for name in ("heron", "stork", "crane"):
        (made.docs / f"{name}.md").unlink()
    assert made.ingest().parked_deletes == 3
    assert CliRunner().invoke(main.app, ["--config", str(made.config_file), "plan"]).exit_code == 0


@pytest.fixture
def workspace(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_parked).lend() as lent:
        yield lent


@pytest.fixture
def parked(workspace: Workspace) -> Workspace:
    return workspace


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_waits_is_said_by_every_command_that_concerns_the_source(
    parked: Workspace, call: Call, command: tuple[str, ...]
) -> None:
    result = call(*command)
    assert f"docs: {SAID}" in result.stderr
    assert "nothing to do" not in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_is_said_once_it_is_decided(parked: Workspace, call: Call, command: tuple[str, ...]) -> None:
    reject(parked.database, 1, reason="the export is broken")
    assert "gone at the source" not in call(*command).stderr


def test_a_later_run_counts_what_waits_and_what_it_parked_itself_apart(parked: Workspace) -> None:
    again = parked.ingest()
    assert (again.parked_deletes, again.waiting_deletes) == (0, 3)
    assert any(SAID in note for note in again.notes)


def test_status_counts_what_nobody_has_decided_and_no_more(parked: Workspace, call: Call) -> None:
    def counts() -> tuple[int, int]:
        (source,) = objects(call("status", "--json"))["sources"]
        return source["parked_deletes"], source["kept_deletes"]

    assert counts() == (3, 0)
    reject(parked.database, 1, reason="the export is broken")
    assert counts() == (0, 3)


def test_what_was_kept_by_a_decision_is_not_complete(parked: Workspace, call: Call) -> None:
    assert call("verify").exit_code == 3
    reject(parked.database, 1, reason="the export is broken")
    verified = call("verify", "--json")
    assert verified.exit_code == 3
    (catalogue, *_) = objects(verified)["docs"]["certificates"]
    (drift,) = catalogue["drift"]
    assert (drift["kind"], drift["documents"]) == ("kept", 3)
    assert "deletes list --all" in call("verify").stdout


def without_source(workspace: Workspace) -> None:
    """Another configuration of the same database, with another source."""
    other = workspace.folder / "other"
    other.mkdir()
    (other / "wren.md").write_text("# Wren\n\nA wren by the weir.")
    workspace.document["sources"] = {
        "birds": {**workspace.document["sources"]["docs"], "options": {"root": str(other)}}
    }
    workspace.document["indexes"]["main"]["sources"] = "*"


def test_a_configuration_that_lacks_the_source_keeps_what_waits_under_its_own_name(
    parked: Workspace, call: Call
) -> None:
    without_source(parked)
    for _ in range(2):
        said = call("ingest").stderr
        assert f"docs: {SAID}" in said
        assert "docs is no longer configured: 1 document still served; decide with" in said
        assert "no longer configured: 3" not in said
    waiting: list[dict[str, Any]] = objects(call("deletes", "list", "--json"))
    assert {(one["cause"], one["waiting"]) for one in waiting} == {("vanished", 3), ("source_removed", 1)}
    said = call("status").stderr
    assert f"docs: {SAID}" in said
    assert "docs is no longer configured: 1 document still served" in said


def test_an_index_over_all_sources_keeps_what_waits_when_the_source_leaves_the_configuration(
    parked: Workspace, call: Call
) -> None:
    """Whatever the deletion waits for, and before anything was parked: no build decides on it."""
    (parked.docs / "ibis.md").unlink()
    parked.document["sources"]["docs"]["delete_guard"] = {"share": 0.0, "documents": 1}
    parked.write("robin.md", "# Robin\n\nA robin by the weir.")
    parked.ingest()
    without_source(parked)
    parked.ingest("birds")
    result = call("index", "build", "main", "--full")
    assert f"docs: {SAID}" in result.stderr
    assert parked.paths("weir", k=50) == {
        "heron.md", "stork.md", "crane.md", "ibis.md", "robin.md", "wren.md",
    }  # fmt: skip


def test_the_reports_of_commands_for_programs_hold_what_waits(parked: Workspace, call: Call) -> None:
    (report,) = objects(call("ingest", "--json"))["sources"]
    assert report["waiting_deletes"] == 3
    (waiting,) = objects(call("status", "--json"))["deletions"]
    assert (waiting["source"], waiting["cause"], waiting["waiting"]) == ("docs", "vanished", 3)
    with parked.database.connection() as connection:
        assert [one.deletion_id for one in list_deletions(connection)] == [1]
