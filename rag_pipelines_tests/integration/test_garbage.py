"""Collection: what nobody needs goes, what a version that can still be promoted shows stays."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from rag_pipelines.index.promotion import collect_versions, rollback
from rag_pipelines.retention.garbage import collect_garbage, purge_subject
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.lease import source_lease
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace


def blobs(workspace: Workspace) -> int:
    return len(list(Path(workspace.settings.data_dir, "blobs").rglob("*.zst")))


def fill_edited(workspace: Workspace) -> None:
    """A document that was published, then edited and published again."""
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.refresh()
    workspace.write("a.md", "# A\n\nOmega.")
    workspace.refresh()


@pytest.fixture
def edited(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_edited).lend() as lent:
        yield lent


def test_what_a_retired_version_shows_is_kept_for_a_rollback(edited: Workspace) -> None:
    collected = collect_garbage(edited.database, edited.settings)
    assert (collected.chunk_sets, collected.chunks, collected.vectors) == (0, 0, 0)
    rollback(edited.database, "main")
    assert edited.paths("alpha", mode="lexical") == {"a.md"}


def test_what_no_version_and_no_document_shows_is_collected(edited: Workspace) -> None:
    edited.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    collect_versions(edited.database, "main", edited.settings.index("main"))
    collected = collect_garbage(edited.database, edited.settings)
    assert (collected.chunk_sets, collected.chunks, collected.vectors, collected.parses) == (1, 1, 1, 1)
    assert collected.blobs == 2
    assert blobs(edited) == 4
    assert edited.paths("omega beta", k=10) == {"a.md", "b.md"}
    assert edited.ingest().changes == {"unchanged": 2}


def test_a_deleted_document_is_purged_from_everything_after_its_grace(edited: Workspace) -> None:
    (edited.docs / "a.md").unlink()
    edited.ingest()
    assert collect_garbage(edited.database, edited.settings).documents == 0
    edited.document["sources"]["docs"]["grace"] = "0s"
    collected = collect_garbage(edited.database, edited.settings)
    assert (collected.documents, collected.chunk_sets) == (1, 2)
    texts = edited.rows("SELECT text FROM rag.chunk")
    assert all("Beta" in row["text"] for row in texts)
    assert edited.rows("SELECT action, subject FROM rag.audit WHERE action = 'purge'") == [
        {"action": "purge", "subject": purge_subject("docs", "a.md")}
    ]
    assert edited.publish().document_count == 1


def test_terms_of_what_was_purged_are_no_longer_counted(edited: Workspace) -> None:
    (edited.docs / "a.md").unlink()
    edited.ingest()
    edited.document["sources"]["docs"]["grace"] = "0s"
    collect_garbage(edited.database, edited.settings)
    for storage in edited.rows("SELECT DISTINCT storage FROM rag.index_version"):
        found = f"SELECT 1 FROM rag.terms_{storage['storage']} WHERE term = ANY(%s)"
        ids = edited.rows(
            "SELECT rag.term_id('alpha') AS a, rag.term_id('omega') AS o, rag.term_id('beta') AS b"
        )[0]
        assert not edited.rows(found, [ids["a"], ids["o"]])
        assert edited.rows(found, [ids["b"]])


def test_a_source_that_left_the_configuration_is_purged_after_its_own_grace_and_forgotten(
    edited: Workspace,
) -> None:
    notes = edited.folder / "notes"
    notes.mkdir()
    (notes / "n.md").write_text("# N\n\nNu.")
    edited.document["sources"]["notes"] = {
        "connector": "filesystem",
        "options": {"root": str(notes)},
        "grace": "2d",
    }
    edited.ingest("notes")
    del edited.document["sources"]["notes"]
    with edited.database.connection() as connection:
        connection.execute(
            "UPDATE rag.document SET state = 'tombstoned', deleted_at = now() - interval '1 day' "
            "WHERE external_id = 'n.md'"
        )
    assert collect_garbage(edited.database, edited.settings).documents == 0

    with edited.database.connection() as connection:
        connection.execute(
            "UPDATE rag.document SET deleted_at = now() - interval '3 days' WHERE external_id = 'n.md'"
        )
    collected = collect_garbage(edited.database, edited.settings)

    assert (collected.documents, collected.sources) == (1, 1)
    assert edited.rows("SELECT name FROM rag.source") == [{"name": "docs"}]


def test_a_build_that_died_before_it_had_tables_stops_no_collection(edited: Workspace) -> None:
    with edited.database.connection() as connection:
        connection.execute(
            "CREATE TABLE dead AS SELECT * FROM rag.index_version LIMIT 1;"
            "UPDATE dead SET version_id = 99, storage = 99, state = 'building';"
            "INSERT INTO rag.index_version OVERRIDING SYSTEM VALUE SELECT * FROM dead"
        )
    assert collect_garbage(edited.database, edited.settings).chunk_sets == 0


def test_what_became_unreferenced_while_a_run_is_under_way_is_collected_after_it(edited: Workspace) -> None:
    edited.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    with source_lease(edited.database, "docs", "filesystem"):
        collect_versions(edited.database, "main", edited.settings.index("main"))
        during = collect_garbage(edited.database, edited.settings)
    after = collect_garbage(edited.database, edited.settings)

    assert (during.chunk_sets, during.vectors, during.blobs) == (0, 0, 0)
    assert (after.chunk_sets, after.vectors, after.blobs) == (1, 1, 2)


def test_what_was_unreferenced_before_a_run_began_is_collected_beside_it(edited: Workspace) -> None:
    edited.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    collect_versions(edited.database, "main", edited.settings.index("main"))
    with source_lease(edited.database, "docs", "filesystem"):
        collect_garbage(edited.database, edited.settings)
    with source_lease(edited.database, "docs", "filesystem"):
        collected = collect_garbage(edited.database, edited.settings)
    assert (collected.chunk_sets, collected.vectors, collected.blobs) == (1, 1, 2)


def test_a_collection_looks_at_what_lost_a_reference_and_a_whole_one_at_what_never_had_any(
    edited: Workspace,
) -> None:
    collect_garbage(edited.database, edited.settings)
    stray = BlobStore(edited.settings.blobs_url).put("raw", b"stored by a run that was killed")
    edited.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    collect_versions(edited.database, "main", edited.settings.index("main"))

    followed = collect_garbage(edited.database, edited.settings)
    assert (followed.chunk_sets, followed.vectors, followed.parses, followed.blobs) == (1, 1, 0, 1)
    assert BlobStore(edited.settings.blobs_url).holds("raw", stray)

    whole = collect_garbage(edited.database, edited.settings, whole=True)
    assert (whole.chunk_sets, whole.vectors, whole.parses, whole.blobs) == (0, 0, 0, 1)


def test_all_content_is_looked_at_when_it_was_not_for_the_time_that_the_settings_say(
    edited: Workspace,
) -> None:
    collect_garbage(edited.database, edited.settings)
    BlobStore(edited.settings.blobs_url).put("raw", b"stored by a run that was killed")
    assert collect_garbage(edited.database, edited.settings).blobs == 0
    edited.document["garbage"] = {"whole_every": "0s"}
    assert collect_garbage(edited.database, edited.settings).blobs == 1


def test_what_others_have_locked_is_collected_the_next_time(edited: Workspace) -> None:
    collect_garbage(edited.database, edited.settings)
    edited.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    collect_versions(edited.database, "main", edited.settings.index("main"))
    with edited.database.connection() as connection, connection.transaction():
        connection.execute("SELECT FROM rag.chunk_set FOR KEY SHARE")
        assert collect_garbage(edited.database, edited.settings).chunk_sets == 0
    assert collect_garbage(edited.database, edited.settings).chunk_sets == 1


def test_the_rule_that_text_had_goes_with_the_text(edited: Workspace) -> None:
    edited.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    for group, text in (("early", "Psi."), ("late", "Chi.")):
        edited.write("a.md.access.yaml", f"allow: [group:{group}]\n")
        edited.write("a.md", f"# A\n\n{text}")
        edited.refresh()
    collect_garbage(edited.database, edited.settings)
    rules = "SELECT named FROM rag.access_rule WHERE named <> '{}' ORDER BY named"
    assert edited.rows(rules) == [{"named": ["group:early"]}, {"named": ["group:late"]}]

    collect_versions(edited.database, "main", edited.settings.index("main"))
    collect_garbage(edited.database, edited.settings)
    assert edited.rows(rules) == [{"named": ["group:late"]}]


@pytest.mark.parametrize("seed", range(3))
def test_following_what_changed_leaves_nothing_that_a_look_at_everything_finds(
    edited: Workspace, seed: int
) -> None:
    luck = random.Random(seed)
    collect_garbage(edited.database, edited.settings)
    edited.document["sources"]["docs"]["grace"] = "0s"
    edited.document["sources"]["docs"]["delete_guard"] = {"share": 1.0}
    edited.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    names = [f"{letter}.md" for letter in "abcd"]
    for _ in range(24):
        name = luck.choice(names)
        path = edited.docs / name
        match luck.choice(
            ("write", "write", "share", "delete", "access", "build", "purge", "collect", "collect")
        ):
            case "write":
                edited.write(name, f"# {name}\n\nText {luck.randrange(4)}.\n\nMore {luck.randrange(3)}.")
            case "share":
                edited.write(name, "# Shared\n\nThe same everywhere.")
            case "delete":
                path.unlink(missing_ok=True)
            case "access":
                edited.write(f"{name}.access.yaml", f"allow: [group:{luck.choice('xyz')}]\n")
            case "build":
                edited.publish(full=luck.random() < 0.3)
            case "purge" if name in edited.stored():
                purge_document(edited.database, edited.settings, "docs", name, even_if_present=True)
            case "collect":
                collect_versions(edited.database, "main", edited.settings.index("main"))
                collect_garbage(edited.database, edited.settings)
        if luck.random() < 0.6:
            edited.ingest()
    edited.ingest()
    edited.publish(full=True)
    collect_versions(edited.database, "main", edited.settings.index("main"))
    collect_garbage(edited.database, edited.settings)
    rest = collect_garbage(edited.database, edited.settings, whole=True)
    assert not any(msgspec.structs.astuple(rest)), rest
    assert edited.rows("SELECT kind, key FROM rag.unreferenced") == []
