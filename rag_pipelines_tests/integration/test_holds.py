"""What is held is not removed on any of the ways on which documents are, each of which says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import Result

from rag_pipelines.errors import DatabaseError, UsageError
from rag_pipelines.index.promotion import collect_versions
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.holds import Hold, add_hold, list_holds, release_hold
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.sync.deletions import approve, list_deletions, park_removed_sources
from rag_pipelines_tests.integration.governed import Rows, days_ago
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def rows(workspace: Workspace) -> Rows:
    """Four rows, without a grace: what is deleted goes with the next collection."""
    made = Rows(workspace, grace="0s")
    made.put("a", label="Matter 4711")
    made.workspace.refresh()
    return made


def hold(rows: Rows, **what: Any) -> Hold:
    what = what or {"source": "docs", "document": "a"}
    return add_hold(rows.workspace.database, reason="matter 4711", actor="counsel", **what)


def collect(rows: Rows) -> tuple[int, int]:
    collected = collect_garbage(rows.workspace.database, rows.workspace.settings, whole=True)
    return collected.documents, collected.held


def drop_versions(rows: Rows) -> list[int]:
    """Drop every version that is not live."""
    workspace = rows.workspace
    workspace.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s", "spare": False}
    return collect_versions(workspace.database, "main", workspace.settings.index("main"))


def kept(rows: Rows) -> set[str]:
    return {row["external_id"] for row in rows.workspace.rows("SELECT external_id FROM rag.document")}


def blobs(rows: Rows) -> list[bytes]:
    store = BlobStore.of(rows.workspace.settings)
    return [store.get("raw", digest) for digest in store.digests("raw")]


def test_a_deleted_document_leaves_the_index_and_its_content_stays_until_the_release(rows: Rows) -> None:
    placed = hold(rows)
    rows.drop("a", "b")
    rows.workspace.ingest(list_all=True)
    assert rows.found() == {"c", "d"}

    assert collect(rows) == (1, 1)

    assert (kept(rows), rows.found()) == ({"a", "c", "d"}, {"c", "d"})
    assert any(b"albatross" in one for one in blobs(rows))
    release_hold(rows.workspace.database, placed.hold_id, reason="settled")
    assert collect(rows) == (1, 0)
    assert not any(b"albatross" in one for one in blobs(rows))


@pytest.mark.parametrize(
    "what",
    [
        {"source": "docs"},
        {"path": "a*"},
        {"path": "?"},
        {"label": "matter 4711"},
        {"source": "docs", "label": "MATTER 4711"},
        {"source": "docs", "document": "a"},
    ],
)
def test_whatever_a_hold_names_a_purge_is_refused_and_says_by_which(rows: Rows, what: dict[str, str]) -> None:
    hold(rows, **what)
    with pytest.raises(UsageError, match="held by hold 1 of counsel \\(matter 4711\\); nothing was removed"):
        purge_document(
            rows.workspace.database, rows.workspace.settings, "docs", "a", even_if_present=True, verify=True
        )
    assert rows.found() == {"a", "b", "c", "d"}
    rows.put("a", text="The albatross goes on.")
    assert rows.workspace.ingest().changes["changed"] == 1


@pytest.mark.parametrize(
    "what",
    [
        {"source": "other"},
        {"path": "a_"},
        {"path": "%"},
        {"label": "matter"},
        {"source": "docs", "path": "b"},
    ],
)
def test_a_hold_on_something_else_keeps_nothing_of_this(rows: Rows, what: dict[str, str]) -> None:
    hold(rows, **what)
    purged = purge_document(
        rows.workspace.database, rows.workspace.settings, "docs", "a", even_if_present=True
    )
    assert purged.removed["documents"] == 1


def test_retention_passes_over_what_is_held_and_says_so(rows: Rows) -> None:
    hold(rows)
    rows.source["retention"] = {"max_age": "7y"}
    for one in "ab":
        rows.put(one, modified_at=days_ago(3000))
    report = rows.workspace.ingest(list_all=True)
    assert report.samples["expired"] == ["b"]
    assert "1 documents are past their retention and stay, because they are held" in report.notes[0]
    assert rows.found() == {"a", "c", "d"}


def test_a_hold_takes_out_of_the_waiting_what_retention_has_parked(rows: Rows) -> None:
    rows.source.update(retention={"max_age": "7y"}, delete_guard={"share": 0.0, "documents": 1})
    rows.put("a", modified_at=days_ago(3000))
    assert rows.workspace.ingest().parked_deletes == 1
    hold(rows)
    assert rows.workspace.ingest().waiting_deletes == 0
    with rows.workspace.database.connection() as connection:
        assert list_deletions(connection) == []


def test_an_approved_deletion_hides_what_is_held_and_removes_nothing_of_it(rows: Rows) -> None:
    rows.source["delete_guard"] = {"share": 0.0, "documents": 1}
    hold(rows)
    rows.drop("a", "b")
    rows.workspace.ingest(list_all=True)
    with rows.workspace.database.connection() as connection:
        (waiting,) = list_deletions(connection)
    approve(rows.workspace.database, waiting.deletion_id, reason="gone")
    assert (rows.found(), collect(rows)) == ({"c", "d"}, (1, 1))


def test_a_source_that_left_the_configuration_keeps_what_is_held(rows: Rows) -> None:
    hold(rows)
    del rows.workspace.document["sources"]["docs"]
    rows.workspace.document["indexes"] = {}
    (parked,) = park_removed_sources(rows.workspace.database, rows.workspace.settings)
    approve(rows.workspace.database, parked.deletion_id, reason="retired")
    rows.workspace.rows("UPDATE rag.source SET grace = '0s' RETURNING 1")
    assert collect(rows) == (3, 1)
    collect(rows)
    assert (kept(rows), len(rows.workspace.rows("SELECT FROM rag.source"))) == ({"a"}, 1)


def test_a_dropped_version_takes_nothing_of_the_document_with_it(rows: Rows) -> None:
    hold(rows)
    rows.drop("a")
    rows.workspace.ingest(list_all=True)
    rows.workspace.publish()
    assert drop_versions(rows)
    collect(rows)
    assert rows.workspace.rows("SELECT FROM rag.chunk WHERE text LIKE '%%albatross%%'")


def test_bytes_that_a_held_document_had_before_stay_too(rows: Rows) -> None:
    placed = hold(rows)
    for one in "ab":
        rows.put(one, text=f"Another text of {one}.", modified_at=days_ago(0))
    rows.workspace.ingest()
    rows.workspace.publish()
    drop_versions(rows)
    collect(rows)
    assert any(b"albatross" in one for one in blobs(rows))
    assert not any(b"bittern" in one for one in blobs(rows))
    release_hold(rows.workspace.database, placed.hold_id, reason="settled")
    collect_garbage(rows.workspace.database, rows.workspace.settings)
    assert not any(b"albatross" in one for one in blobs(rows))


def test_a_document_that_is_moved_away_or_loses_its_label_stays_held(rows: Rows) -> None:
    hold(rows, label="matter 4711")
    rows.put("a", label="")
    rows.workspace.ingest(list_all=True)
    rows.drop("a")
    rows.workspace.ingest(list_all=True)
    assert collect(rows) == (0, 1)


def test_a_move_into_a_held_place_is_a_move(workspace: Workspace) -> None:
    workspace.write("free/a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.refresh()
    add_hold(workspace.database, reason="matter", path="held/*")
    (workspace.docs / "held").mkdir()
    (workspace.docs / "free/a.md").rename(workspace.docs / "held/a.md")
    report = workspace.ingest()
    assert (report.changes["moved"], workspace.stored()) == (1, {"held/a.md", "b.md"})


def test_what_forgets_to_look_is_refused_by_the_database(rows: Rows) -> None:
    hold(rows)
    for statement in ("DELETE FROM rag.document", "DELETE FROM rag.source"):
        with pytest.raises(DatabaseError, match="is held"):
            rows.workspace.rows(f"{statement} RETURNING 1")
    assert kept(rows) == {"a", "b", "c", "d"}


def test_a_hold_ends_by_itself_on_its_day(rows: Rows) -> None:
    placed = hold(rows, path="a", until=datetime.now(UTC) + timedelta(days=1))
    rows.drop("a")
    rows.workspace.ingest(list_all=True)
    assert collect(rows) == (0, 1)
    rows.workspace.rows("UPDATE rag.hold SET until = now() - interval '1 minute' RETURNING 1")
    assert collect(rows) == (1, 0)
    with rows.workspace.database.connection() as connection:
        assert list_holds(connection) == []
        (over,) = list_holds(connection, every=True)
    assert (over.hold_id, over.state) == (placed.hold_id, "over")


def test_another_hold_goes_on_when_one_is_released(rows: Rows) -> None:
    first = hold(rows)
    hold(rows, path="a")
    rows.drop("a")
    rows.workspace.ingest(list_all=True)
    release_hold(rows.workspace.database, first.hold_id, reason="settled")
    assert collect(rows) == (0, 1)


def test_commands_place_list_and_release_holds_and_the_audit_has_each(
    rows: Rows, call: Callable[..., Result]
) -> None:
    added = call(
        "hold", "add", "--path", "a*", "--reason", "matter 4711", "--by", "ann", "--until", "2099-01-01"
    )
    assert added.output == "hold 1 keeps 1 document so far\n"
    listed = json.loads(call("hold", "list", "--json").output)
    assert (listed[0]["documents"], listed[0]["deleted"], listed[0]["state"]) == (1, 0, "in force")
    assert "1 document held" in call("status").output
    released = call("hold", "release", "1", "--reason", "settled", "--by", "bob")
    assert released.output == "hold 1 is released\n"
    assert call("hold", "list").output == "no hold is in force\n"
    assert "settled" not in call("hold", "list", "--all").output
    audit = rows.workspace.rows(
        "SELECT actor, action FROM rag.audit WHERE subject = 'hold 1' ORDER BY audit_id"
    )
    assert [(row["actor"], row["action"]) for row in audit] == [("ann", "hold"), ("bob", "hold released")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reason", "x"], "names what it keeps"),
        (["--reason", " ", "--path", "a"], "need a reason"),
        (["--reason", "x", "--document", "a"], "SOURCE:ID"),
        (["--reason", "x", "--document", "docs:a", "--source", "other"], "SOURCE:ID of this source"),
        (["--reason", "x", "--path", "a", "--until", "2001-01-01"], "over already"),
    ],
)
def test_a_hold_that_cannot_be_meant_is_refused(
    rows: Rows, call: Callable[..., Result], arguments: list[str], words: str
) -> None:
    refused = call("hold", "add", *arguments)
    assert (refused.exit_code, words in refused.output) == (2, True), refused.output
