"""The commands about deletions and plans: what they print, what they change, how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from rag_pipelines.cli import ingest as ingest_command
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.errors import ThrottledError
from rag_pipelines_tests.integration.test_cli import objects
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]


@pytest.fixture
def parked(workspace: Workspace, call: Call) -> Workspace:
    """A workspace in which three of four documents are gone and wait for a decision."""
    workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 2}
    for name in ("heron", "stork", "crane", "ibis"):
        workspace.write(f"{name}.md", f"# {name}\n\nA {name} by the weir.")
    call("ingest")
    for name in ("heron", "stork", "crane"):
        (workspace.docs / f"{name}.md").unlink()
    result = call("ingest")
    assert result.exit_code == 0
    assert "3 of 4 documents are gone at the source" in result.stderr
    return workspace


def test_deletions_that_wait_are_listed_and_shown_with_their_documents(parked: Workspace, call: Call) -> None:
    (waiting,) = objects(call("deletes", "list", "--json"))
    assert (waiting["source"], waiting["cause"], waiting["waiting"]) == ("docs", "vanished", 3)
    assert "vanished" in call("deletes", "list").stdout
    shown = call("deletes", "show", str(waiting["deletion_id"])).stdout
    assert all(f"{name}.md" in shown for name in ("heron", "stork", "crane"))


def test_approving_needs_a_reason_and_then_hides_the_documents(parked: Workspace, call: Call) -> None:
    assert call("deletes", "approve", "1").exit_code == 2
    assert call("deletes", "approve", "1", "--reason", "   ").exit_code == 2
    done = call("deletes", "approve", "1", "--reason", "moved to the archive", "--by", "ann")
    assert done.stdout == "docs: 3 documents tombstoned (deletion 1)\n"
    assert parked.stored() == {"ibis.md"}
    assert call("deletes", "list").stdout == "no deletion waits for a decision\n"
    assert "moved to the archive" in call("deletes", "list", "--all").stdout


def test_what_was_decided_before_a_number_that_is_not_there_is_said(parked: Workspace, call: Call) -> None:
    done = call("deletes", "approve", "1", "7", "--reason", "moved to the archive")
    assert done.exit_code == 2
    assert done.stdout == "docs: 3 documents tombstoned (deletion 1)\n"
    assert "there is no deletion 7" in done.stderr


def test_rejecting_keeps_the_documents(parked: Workspace, call: Call) -> None:
    assert call("deletes", "reject", "1", "--reason", "broken export").stdout == (
        "docs: 3 documents kept (deletion 1)\n"
    )
    assert len(parked.stored()) == 4
    unknown = call("deletes", "reject", "7", "--reason", "no")
    assert unknown.exit_code == 2
    assert "there is no deletion 7; see `rag-pipelines deletes list --all`" in unknown.stderr


def test_an_ingest_of_everything_says_which_sources_are_configured_no_more(
    workspace: Workspace, call: Call
) -> None:
    workspace.write("heron.md", "# Heron\n\nA heron.")
    call("ingest")
    workspace.document["sources"] = {"birds": workspace.document["sources"]["docs"]}
    workspace.document["indexes"]["main"]["sources"] = "*"
    result = call("ingest")
    assert "docs is no longer configured: 1 document still served" in result.stderr
    assert objects(call("deletes", "list", "--json"))[0]["cause"] == "source_removed"
    assert "docs is no longer configured: 1 document still served" in call("ingest").stderr
    call("deletes", "reject", "1", "--reason", "it comes back next week")
    assert "no longer configured" not in call("ingest").stderr


def test_a_plan_is_applied_by_its_number(workspace: Workspace, call: Call) -> None:
    workspace.write("heron.md", "# Heron\n\nA heron.")
    shown = call("plan").stdout
    assert "rag-pipelines apply 1" in shown
    assert "1 added" in call("apply").stdout
    applied = call("apply", "1")
    assert applied.exit_code == 0
    assert "changes   1 added" in applied.stdout
    assert workspace.stored() == {"heron.md"}
    again = call("apply", "1")
    assert (again.exit_code, "plan 1 is applied" in again.stderr) == (2, True)
    assert call("apply").stdout == "no plan waits; make one: rag-pipelines plan\n"


def test_a_plan_that_does_not_fit_any_more_is_refused_with_the_difference(
    workspace: Workspace, call: Call
) -> None:
    workspace.write("heron.md", "# Heron\n\nA heron.")
    call("plan")
    workspace.write("stork.md", "# Stork\n\nA stork.")
    refused = call("apply", "1")
    assert refused.exit_code == 1
    assert "stork.md: planned no change, now added" in refused.stderr
    assert workspace.stored() == set()


def test_a_run_above_its_budget_is_parked_as_a_plan(workspace: Workspace, call: Call) -> None:
    workspace.document["sources"]["docs"]["budget"] = {"documents": 0}
    workspace.write("heron.md", "# Heron\n\nA heron.")
    refused = call("ingest")
    assert refused.exit_code == 1
    assert "1 documents added or changed, the budget is 0" in refused.stderr
    assert "above the budget" in call("plan").stdout
    assert workspace.stored() == set()
    assert call("apply", "2").exit_code == 0
    assert workspace.stored() == {"heron.md"}


def test_a_source_that_asks_to_slow_down_is_tried_again_after_the_others(
    workspace: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = workspace.folder / "other"
    other.mkdir()
    (other / "stork.md").write_text("# Stork\n\nA stork.")
    workspace.write("heron.md", "# Heron\n\nA heron.")
    source = dict(workspace.document["sources"]["docs"], options={"root": str(other)})
    workspace.document["sources"]["other"] = source
    order: list[str] = []
    listing = FilesystemConnector.items

    def items(self: FilesystemConnector, *arguments: Any) -> Any:
        order.append(self.source)
        if order == ["docs"]:
            raise ThrottledError("slow down", retry_after=7.0)
        return listing(self, *arguments)

    slept: list[float] = []
    monkeypatch.setattr(FilesystemConnector, "items", items)
    monkeypatch.setattr(ingest_command.time, "sleep", slept.append)
    result = call("ingest")
    assert (order, slept, result.exit_code) == (["docs", "other", "docs"], [7.0], 0)
    assert workspace.stored() == {"heron.md", "stork.md"}
