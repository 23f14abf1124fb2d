"""A source that cannot be listed fails, with its place named; one listed in part says what it lacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from rag_pipelines.connectors.file_trees import LocalTree
from rag_pipelines.errors import ForbiddenEntityError, TransientError, UnlistableError
from rag_pipelines_tests.integration.test_cli import objects
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("suites_run_here")

COMMANDS = [
    ("ingest",),
    ("ingest", "--full"),
    ("ingest", "--allow-deletes"),
    ("ingest", "--since", "2020-01-01"),
    ("plan",),
    ("apply", "1"),
    ("backfill",),
    ("verify",),
    ("source", "check"),
]


@pytest.fixture
def held(workspace: Workspace, call: Call) -> Workspace:
    """A workspace with two documents and a plan that nobody has applied."""
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("legal/b.md", "# B\n\nAlpha.")
    workspace.ingest()
    assert call("plan").exit_code == 0
    return workspace


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_root_that_is_missing_fails_the_command_and_is_named(
    held: Workspace, call: Call, command: tuple[str, ...]
) -> None:
    held.docs.rename(held.folder / "unmounted")
    result = call(*command)
    assert result.exit_code == 1
    assert str(held.docs) in result.stdout + result.stderr
    assert held.stored() == {"a.md", "legal/b.md"}


@pytest.mark.parametrize("what", ["a file", "no permission"])
def test_a_root_that_is_of_another_kind_or_may_not_be_read_fails_the_run(
    held: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "a file":
        shutil.rmtree(held.docs)
        held.docs.write_text("not a folder")
    else:
        close(monkeypatch, "")
    for command in (("ingest",), ("plan",), ("verify",)):
        result = call(*command)
        assert result.exit_code == 1
        assert "error: docs: source 'docs' cannot be listed: " in result.stderr
        assert str(held.docs) in result.stderr
    assert held.stored() == {"a.md", "legal/b.md"}
    assert objects(call("status", "--json"))["sources"][0]["last_run"] == "failed"


def test_a_root_that_cannot_be_read_for_a_while_is_a_passing_fault(
    held: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(monkeypatch, "", TransientError("the file server does not answer"))
    assert call("ingest").exit_code == 5
    assert call("plan").exit_code == 5
    assert call("verify").exit_code == 5


def test_the_failed_run_is_kept_with_its_reason_and_the_next_one_is_whole(held: Workspace) -> None:
    held.docs.rename(held.folder / "unmounted")
    with pytest.raises(UnlistableError, match="is gone or of another kind"):
        held.ingest()
    (run,) = held.rows("SELECT outcome, report FROM rag.run ORDER BY run_id DESC LIMIT 1")
    assert run["outcome"] == "failed"
    assert str(held.docs) in run["report"]["notes"][0]
    (held.folder / "unmounted").rename(held.docs)
    assert held.ingest().outcome == "complete"
    assert held.rows("SELECT 1 FROM rag.quarantine") == []


def test_a_source_that_fails_does_not_keep_the_others_from_being_planned_and_verified(
    held: Workspace, call: Call
) -> None:
    other = held.folder / "other"
    other.mkdir()
    (other / "c.md").write_text("# C\n\nAlpha.")
    first = held.document["sources"]["docs"]
    held.document["sources"]["zoo"] = {**first, "options": {"root": str(other)}}
    held.docs.rename(held.folder / "unmounted")
    for command in ("plan", "ingest", "verify"):
        result = call(command)
        assert result.exit_code == 1
        assert "error: docs: " in result.stderr
        assert "zoo" in result.stdout


FOLDER_SHUT = "legal could not be listed: "


def test_a_folder_that_cannot_be_read_leaves_the_run_incomplete_and_is_said(
    held: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(monkeypatch, "legal")
    for command in ("ingest", "plan"):
        result = call(command)
        assert result.exit_code == 3
        assert FOLDER_SHUT in result.stderr
        assert "nothing to do" not in result.stdout
    assert held.stored() == {"a.md", "legal/b.md"}
    verified = call("verify")
    assert verified.exit_code == 3
    assert "legal" in verified.stdout
    assert call("backfill").exit_code == 3


def test_a_window_over_a_folder_that_cannot_be_read_is_incomplete_and_one_over_a_whole_source_is_not(
    held: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("ingest", "--since", "2020-01-01").exit_code == 0
    close(monkeypatch, "legal")
    result = call("ingest", "--since", "2020-01-01")
    assert result.exit_code == 3
    assert FOLDER_SHUT in result.stderr


def test_a_listing_that_was_cut_short_ends_with_3(
    held: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag_pipelines.connectors.filesystem import FilesystemConnector

    items = FilesystemConnector.items
    monkeypatch.setattr(FilesystemConnector, "items", lambda self, *window: list(items(self, *window))[:-1])
    result = call("ingest")
    assert result.exit_code == 3
    assert "the listing was incomplete" in result.stderr


@pytest.mark.parametrize("kind", ["git", "records", "object store"])
def test_other_sources_whose_place_is_gone_fail_with_it_named(
    workspace: Workspace, call: Call, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "gone.jsonl"
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "git": ("git", {"repository": str(place)}),
        "records": ("records", {"path": str(place)}),
        "object store": ("filesystem", {"root": f"memory:/{place}"}),
    }
    connector, chosen = options[kind]
    workspace.document["sources"]["docs"] |= {"connector": connector, "options": chosen}
    for command in (("ingest",), ("plan",), ("verify",), ("source", "check")):
        result = call(*command)
        assert result.exit_code == 1, command
        assert "gone.jsonl" in result.stdout + result.stderr, command


def close(monkeypatch: pytest.MonkeyPatch, folder: str, error: Exception | None = None) -> None:
    """Make one folder unreadable, as for a user without permission (tests may run as root)."""
    listed = LocalTree.list

    def refusing(self: LocalTree, asked: str) -> Any:
        if asked == folder:
            raise error or ForbiddenEntityError(f"no permission to read '{self.root}/{folder}'")
        return listed(self, asked)

    monkeypatch.setattr(LocalTree, "list", refusing)
