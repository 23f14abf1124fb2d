"""The gate `completeness`: what the catalogue has and a candidate lacks keeps it from going live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from typer.testing import Result

from rag_pipelines.connectors.base import Entry, Item, Window
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.errors import GateError
from rag_pipelines.index.gate_results import Gate, gates_of
from rag_pipelines.index.promotion import Override, promote
from rag_pipelines.index.versions import Version
from rag_pipelines_tests.integration.test_cli import objects
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]


class Killed(BaseException):
    """The process of a run ends where it stands."""


@pytest.fixture
def six(workspace: Workspace) -> Workspace:
    """A workspace with six documents that are processed in batches of two."""
    workspace.document["limits"]["batch_documents"] = 2
    for n in range(6):
        workspace.write(f"{n}.md", f"# Doc {n}\n\nAlpha {n}.")
    return workspace


def after_a_batch(monkeypatch: pytest.MonkeyPatch, action: Callable[[], Any]) -> None:
    """Call `action` once, in the next run, when its first batch of documents is committed."""
    from rag_pipelines.sync import advance

    commit, left = advance.commit, [action]

    def committed(*arguments: Any, **options: Any) -> int:
        lost = commit(*arguments, **options)
        if left:
            left.pop()()
        return lost

    monkeypatch.setattr(advance, "commit", committed)


def kill() -> None:
    raise Killed


def completeness(workspace: Workspace, version: Version) -> Gate:
    with workspace.database.connection() as connection:
        return next(gate for gate in gates_of(connection, version.version_id) if gate.gate == "completeness")


def test_a_build_in_the_middle_of_a_first_ingest_may_not_go_live_and_says_what_it_lacks(
    six: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Version] = []

    def build() -> None:
        built.append(six.build())
        six.validate(built[0])

    after_a_batch(monkeypatch, build)
    six.ingest()
    gate = completeness(six, built[0])
    assert (gate.passed, gate.observed, gate.threshold) == (False, pytest.approx(4 / 6, abs=1e-6), 0.0)
    assert gate.detail["missing"] == 4
    with pytest.raises(GateError, match=r"completeness failed: docs: 4 of 6 documents .*4 not parsed") as no:
        promote(six.database, "main", built[0].version_id)
    assert "a run over it is under way since" in str(no.value)

    version = six.publish()
    assert version.document_count == 6
    assert completeness(six, version).passed


def test_a_build_after_a_killed_ingest_knows_that_no_run_is_under_way(
    six: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_a_batch(monkeypatch, kill)
    with pytest.raises(Killed):
        six.ingest()
    six.validate(version := six.build())
    with pytest.raises(GateError, match=r"docs: 4 of 6 documents .*4 not parsed.*rag-pipelines ingest docs"):
        promote(six.database, "main", version.version_id)
    assert "under way" not in str(completeness(six, version).detail)


def test_a_build_in_the_middle_of_a_later_listing_lacks_what_is_loaded_and_not_parsed(
    six: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a catch-up build too: the version that it starts from was whole."""
    six.refresh()
    six.write("0.md", "# Doc 0\n\nAlpha, changed.")
    six.refresh()
    six.document["indexes"]["main"]["full_build_share"] = 1.0
    for n in range(6, 10):
        six.write(f"{n}.md", f"# Doc {n}\n\nBeta {n}.")
    items = FilesystemConnector.items

    def listed(self: FilesystemConnector, window: Window = Window()) -> Iterator[Entry]:
        for entry in items(self, window):
            if isinstance(entry, Item) and entry.external_id == "9.md":
                yield msgspec.structs.replace(entry, load=kill)
            else:
                yield entry

    monkeypatch.setattr(FilesystemConnector, "items", listed)
    with pytest.raises(Killed):
        six.ingest()
    version = six.build()
    assert version.kind == "catch_up"
    assert six.validate(version)["completeness"] is False
    assert completeness(six, version).detail["sources"] == {"docs": {"not_parsed": 2}}
    assert len(six.paths("alpha beta", k=50)) == 6, "the live version serves on"


def test_documents_that_failed_and_blank_files_are_not_missed(six: Workspace) -> None:
    six.write("bad.pdf", b"%PDF-1.7\nthis is not a pdf")
    six.write("blank.md", b"")
    six.ingest()
    version = six.publish()
    gate = completeness(six, version)
    assert (gate.passed, gate.detail["documents"], gate.detail["missing"]) == (True, 8, 0)


def test_a_document_that_changed_and_waits_is_behind_and_not_missed(
    six: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    six.refresh()
    for n in range(6):
        six.write(f"{n}.md", f"# Doc {n}\n\nGamma {n}.")
    after_a_batch(monkeypatch, kill)
    with pytest.raises(Killed):
        six.ingest()
    assert completeness(six, six.publish()).detail["missing"] == 0


def test_a_share_may_be_missing_where_the_configuration_says_so(
    six: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    six.document["indexes"]["main"]["gates"]["max_missing_share"] = 0.7
    after_a_batch(monkeypatch, kill)
    with pytest.raises(Killed):
        six.ingest()
    version = six.publish()
    assert (version.state, version.document_count) == ("live", 2)
    assert completeness(six, version).detail["missing"] == 4


def test_an_incomplete_version_goes_live_by_somebodys_decision_with_a_reason(
    six: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_a_batch(monkeypatch, kill)
    with pytest.raises(Killed):
        six.ingest()
    version = six.build()
    six.validate(version)
    decision = Override(["completeness"], "ann", "the rest of the archive takes three days")
    assert promote(six.database, "main", version.version_id, override=decision).state == "live"
    (kept,) = six.rows("SELECT detail FROM rag.audit WHERE action = 'override'")
    assert "4 of 6 documents" in kept["detail"]["refusals"][0]


def test_a_candidate_of_an_earlier_release_keeps_its_own_gates(six: Workspace) -> None:
    six.ingest()
    version = six.build()
    with six.database.connection() as connection:
        connection.execute(
            "UPDATE rag.index_version SET required_gates = array_remove(required_gates, 'completeness'), "
            "statistics = statistics - 'missing'"
        )
    assert "completeness" not in six.validate(version)
    assert promote(six.database, "main", version.version_id).state == "live"


def test_the_command_says_how_many_documents_are_missing_and_ends_with_1(
    six: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_a_batch(monkeypatch, kill)
    with pytest.raises(Killed):
        six.ingest()
    result = call("index", "build", "main")
    assert result.exit_code == 1
    assert "gate completeness failed: docs: 4 of 6 documents" in result.stderr
    assert objects(call("status", "--json"))["indexes"][0]["live_version"] is None


def test_a_source_that_was_never_listed_completely_is_named(six: Workspace, call: Call) -> None:
    six.document["sources"]["later"] = {
        **six.document["sources"]["docs"],
        "options": {"root": str(six.folder)},
    }
    six.document["indexes"]["main"]["sources"] = "*"
    six.ingest()
    result = call("index", "build", "main")
    assert result.exit_code == 0
    assert "note: source later has never been listed completely: the version may lack" in result.stderr
