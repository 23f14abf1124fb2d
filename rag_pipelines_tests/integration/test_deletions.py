"""Deletions above the guard wait for a person: what is served meanwhile, and what each decision does."""

from __future__ import annotations

import pytest

from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.store.lease import source_lease
from rag_pipelines.sync.deletions import (
    Deletion,
    approve,
    find_deletion,
    list_deletions,
    park_removed_sources,
    reject,
    waiting_documents,
)
from rag_pipelines_tests.integration.workspace import Workspace


def fill(workspace: Workspace, documents: int = 10) -> None:
    workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 3}
    for n in range(documents):
        workspace.write(f"{n}.md", f"# Doc {n}\n\nAlpha {n}.")
    workspace.refresh()


def remove(workspace: Workspace, *numbers: int) -> None:
    for n in numbers:
        (workspace.docs / f"{n}.md").unlink()


def parked(workspace: Workspace) -> Deletion:
    with workspace.database.connection() as connection:
        (deletion,) = list_deletions(connection)
    return deletion


def deletion(workspace: Workspace, number: int) -> Deletion:
    with workspace.database.connection() as connection:
        return find_deletion(connection, number)


def served(workspace: Workspace, word: str = "alpha") -> int:
    return len(workspace.paths(word, k=50, mode="lexical"))


def test_a_parked_deletion_is_listed_with_its_documents_and_they_are_served(workspace: Workspace) -> None:
    fill(workspace)
    remove(workspace, 0, 1, 2, 3, 4)
    workspace.ingest()
    found = parked(workspace)
    assert (found.source, found.cause, found.documents, found.known, found.waiting) == (
        "docs",
        "vanished",
        5,
        10,
        5,
    )
    with workspace.database.connection() as connection:
        waiting = waiting_documents(connection, found.deletion_id)
    assert [row["external_id"] for row in waiting] == [f"{n}.md" for n in range(5)]
    assert served(workspace) == 10


def test_a_decision_is_asked_for_once_and_later_deletions_are_counted_apart(workspace: Workspace) -> None:
    fill(workspace, 30)
    remove(workspace, *range(10))
    workspace.ingest()
    again = workspace.ingest()
    assert again.parked_deletes == 0
    remove(workspace, 11)
    below = workspace.ingest()
    assert below.changes["deleted"] == 1
    assert parked(workspace).waiting == 10
    assert served(workspace) == 29


def test_an_approved_deletion_hides_its_documents_from_the_next_query_on(workspace: Workspace) -> None:
    fill(workspace)
    remove(workspace, 0, 1, 2, 3, 4)
    workspace.ingest()
    number = parked(workspace).deletion_id
    approve(workspace.database, number, reason="the space was retired", actor="ann")
    assert served(workspace) == 5
    decided = deletion(workspace, number)
    assert (decided.state, decided.decided_by, decided.reason, decided.waiting) == (
        "approved",
        "ann",
        "the space was retired",
        0,
    )
    audit = workspace.rows(
        "SELECT actor, action, subject, detail FROM rag.audit WHERE action LIKE 'deletion%%'"
    )
    assert audit == [
        {
            "actor": "ann",
            "action": "deletion approved",
            "subject": f"deletion {number}",
            "detail": {"format": 1, "source": "docs", "documents": 5, "reason": "the space was retired"},
        }
    ]
    assert workspace.ingest().changes == {"unchanged": 5}


def test_a_rejected_deletion_is_served_on_and_not_asked_again(workspace: Workspace) -> None:
    fill(workspace)
    remove(workspace, 0, 1, 2, 3, 4)
    workspace.ingest()
    number = parked(workspace).deletion_id
    reject(workspace.database, number, reason="the export is broken")
    again = workspace.ingest()
    allowed = workspace.ingest(allow_deletes=True)
    assert (again.parked_deletes, "deleted" in again.changes, "deleted" in allowed.changes) == (
        0,
        False,
        False,
    )
    assert served(workspace) == 10
    approve(workspace.database, number, reason="it was right after all")
    assert served(workspace) == 5


def test_an_approval_is_taken_back_within_the_grace(workspace: Workspace) -> None:
    fill(workspace)
    remove(workspace, 0, 1, 2, 3, 4)
    workspace.ingest()
    number = parked(workspace).deletion_id
    approve(workspace.database, number, reason="the space was retired")
    workspace.publish()
    taken_back = reject(workspace.database, number, reason="it was another space")
    assert (taken_back.state, taken_back.waiting) == ("rejected", 5)
    workspace.publish()
    assert served(workspace) == 10
    workspace.ingest()
    assert served(workspace) == 10


def test_a_deletion_whose_documents_are_all_listed_again_is_withdrawn(workspace: Workspace) -> None:
    fill(workspace)
    remove(workspace, 0, 1, 2, 3, 4)
    workspace.ingest()
    number = parked(workspace).deletion_id
    for n in range(5):
        workspace.write(f"{n}.md", f"# Doc {n}\n\nAlpha {n}.")
    workspace.ingest()
    assert deletion(workspace, number).state == "withdrawn"
    with pytest.raises(UsageError, match="is withdrawn, no document waits"):
        approve(workspace.database, number, reason="too late")
    assert served(workspace) == 10


def test_a_parked_document_that_turns_up_elsewhere_was_moved(workspace: Workspace) -> None:
    fill(workspace)
    kept = {n: (workspace.docs / f"{n}.md").read_bytes() for n in range(5)}
    remove(workspace, *kept)
    workspace.ingest()
    for n, data in kept.items():
        workspace.write(f"moved/{n}.md", data)
    report = workspace.ingest()
    assert report.changes == {"unchanged": 5, "moved": 5}
    assert served(workspace) == 10


def test_deletions_allowed_by_a_run_close_the_decision(workspace: Workspace) -> None:
    fill(workspace)
    remove(workspace, 0, 1, 2, 3, 4)
    workspace.ingest()
    number = parked(workspace).deletion_id
    assert workspace.ingest(allow_deletes=True).changes["deleted"] == 5
    assert deletion(workspace, number).state == "approved"


def test_a_decision_needs_a_reason_and_a_source_that_is_at_rest(workspace: Workspace) -> None:
    fill(workspace)
    remove(workspace, 0, 1, 2, 3, 4)
    workspace.ingest()
    number = parked(workspace).deletion_id
    with pytest.raises(UsageError, match="needs a reason"):
        approve(workspace.database, number, reason=" ")
    with (
        source_lease(workspace.database, "docs", "filesystem"),
        pytest.raises(UsageError, match="is being synced"),
    ):
        approve(workspace.database, number, reason="now")
    assert parked(workspace).waiting == 5
    with pytest.raises(UsageError, match="there is no deletion 99"):
        approve(workspace.database, 99, reason="what")


def test_what_the_source_still_holds_is_not_deleted_by_a_listing_that_skipped_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(workspace)
    listed = workspace.rows("SELECT listed_at FROM rag.source")
    remove(workspace, 8, 9)
    monkeypatch.setattr(FilesystemConnector, "existing", lambda self, ids: {"9.md"} & set(ids))
    report = workspace.ingest()
    assert (report.outcome, report.changes["deleted"]) == ("partial", 1)
    assert any(
        "1 documents were not listed although they still exist, such as 9.md" in note for note in report.notes
    )
    assert served(workspace) == 9
    assert workspace.rows("SELECT listed_at FROM rag.source") == listed
    monkeypatch.undo()
    assert workspace.ingest().changes["deleted"] == 1


def test_nothing_is_deleted_when_the_source_cannot_be_asked_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: FilesystemConnector, ids: object) -> set[str]:
        raise TransientError("connection refused")

    fill(workspace)
    remove(workspace, 9)
    monkeypatch.setattr(FilesystemConnector, "existing", fails)
    report = workspace.ingest()
    assert (report.outcome, "deleted" in report.changes) == ("partial", False)
    assert any("connection refused" in note for note in report.notes)
    assert served(workspace) == 10


def test_a_source_that_leaves_the_configuration_is_served_until_it_is_decided(
    workspace: Workspace,
) -> None:
    workspace.document["indexes"]["main"]["sources"] = "*"
    fill(workspace)
    other = dict(workspace.document["sources"]["docs"], options={"root": str(workspace.folder / "other")})
    (workspace.folder / "other").mkdir()
    (workspace.folder / "other" / "beta.md").write_text("# Beta\n\nBeta and alpha.")
    workspace.document["sources"]["other"] = other
    workspace.ingest("other")
    workspace.publish()
    assert served(workspace, "beta") == 1

    del workspace.document["sources"]["other"]
    (found,) = park_removed_sources(workspace.database, workspace.settings)
    assert (found.source, found.cause, found.waiting) == ("other", "source_removed", 1)
    assert park_removed_sources(workspace.database, workspace.settings) == [found], "told again, parked once"
    workspace.publish(full=True)
    assert served(workspace, "beta") == 1

    approve(workspace.database, found.deletion_id, reason="the folder was given up")
    assert served(workspace, "beta") == 0
    workspace.publish(full=True)
    assert served(workspace, "beta") == 0


def test_a_source_that_comes_back_takes_its_documents_back(workspace: Workspace) -> None:
    fill(workspace, 2)
    sources = workspace.document["sources"]
    workspace.document["sources"] = {"new": dict(sources["docs"])}
    workspace.document["indexes"]["main"]["sources"] = ["new"]
    park_removed_sources(workspace.database, workspace.settings)
    workspace.document["sources"] = sources
    workspace.document["indexes"]["main"]["sources"] = ["docs"]
    number = parked(workspace).deletion_id
    assert workspace.ingest().changes == {"unchanged": 2}
    assert deletion(workspace, number).state == "withdrawn"


def test_a_folder_that_leaves_the_configuration_is_deleted_by_the_same_guard(workspace: Workspace) -> None:
    fill(workspace)
    for n in range(4):
        workspace.write(f"old/{n}.txt", f"Gamma {n}.")
    workspace.refresh()
    workspace.document["sources"]["docs"]["options"]["exclude"] = ["old/**"]
    report = workspace.ingest()
    assert report.parked_deletes == 4
    assert served(workspace, "gamma") == 4


def test_the_grace_of_a_source_is_kept_for_when_it_is_configured_no_more(workspace: Workspace) -> None:
    workspace.document["sources"]["docs"] |= {"grace": "3d", "tenant": "acme"}
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.ingest()
    rows = workspace.rows("SELECT tenant, extract(day FROM grace)::int AS days FROM rag.source")
    assert rows == [{"tenant": "acme", "days": 3}]
