"""A copy of a version that was built in full, so that the refresh after it need not build in full again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rag_pipelines.gates.refresh import refresh_index
from rag_pipelines.index.promotion import collect_versions, rollback
from rag_pipelines.index.spare import make_spare
from rag_pipelines.index.storage import TABLES
from rag_pipelines.index.versions import Version
from rag_pipelines.retention.purge import purge_document
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

BIRDS = ("avocet", "bittern", "curlew", "dunlin")


def fill_shelf(workspace: Workspace) -> None:
    """A version that was built in full, with a copy of it."""
    for bird in BIRDS:
        workspace.write(f"{bird}.md", f"# {bird.title()}\n\nThe {bird} wades.\n\nIt nests on the ground.")
    workspace.document["indexes"]["main"]["full_build_share"] = 1.0
    workspace.ingest()
    refresh(workspace, full=True)


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


def refresh(workspace: Workspace, *, full: bool = False) -> Version:
    version = refresh_index(workspace.runtime, "main", full=full)
    assert version is not None
    return version


def states(workspace: Workspace) -> list[tuple[str, str]]:
    rows = workspace.rows("SELECT kind, state FROM rag.index_version ORDER BY version_id")
    return [(row["kind"], row["state"]) for row in rows]


def purge(workspace: Workspace, name: str) -> None:
    purge_document(workspace.database, workspace.settings, "docs", name, even_if_present=True)


def test_the_first_refresh_after_a_full_build_catches_up_from_the_copy(shelf: Workspace) -> None:
    shelf.write("avocet.md", "# Avocet\n\nThe avocet sweeps its bill.")
    shelf.ingest()
    version = refresh(shelf)
    assert version.kind == "catch_up"
    assert states(shelf) == [("full", "retired"), ("copy", "dropped"), ("catch_up", "live")]
    assert shelf.paths("sweeps", mode="lexical") == {"avocet.md"}
    assert shelf.paths("wades", mode="lexical") == {"bittern.md", "curlew.md", "dunlin.md"}
    rollback(shelf.database, "main")
    assert shelf.paths("sweeps", mode="lexical") == set()


def test_a_copy_finds_what_its_original_finds(shelf: Workspace) -> None:
    kept = {
        kind: [shelf.rows(f"SELECT t::text FROM rag.{kind}_{n} t ORDER BY 1") for n in (1, 2)]
        for kind in TABLES
    }
    assert all(original == copy and original for original, copy in kept.values())


def test_a_rollback_is_not_to_the_copy(shelf: Workspace) -> None:
    shelf.document["profiles"]["chunking"] = {"default": {"max_tokens": 100}}
    shelf.ingest()
    refresh(shelf)
    assert rollback(shelf.database, "main").kind == "full"


def test_what_is_purged_leaves_the_copy(shelf: Workspace) -> None:
    (shelf.docs / "avocet.md").unlink()
    purge(shelf, "avocet.md")
    assert not shelf.rows("SELECT FROM rag.lexical_2 WHERE words @@ 'avocet'")
    assert len(shelf.rows("SELECT FROM rag.documents_2")) == 3
    shelf.write("bittern.md", "# Bittern\n\nThe bittern booms.")
    shelf.ingest()
    version = refresh(shelf)
    assert (version.kind, version.document_count) == ("catch_up", 3)


def test_what_is_purged_while_the_copy_is_made_is_not_in_it(shelf: Workspace) -> None:
    shelf.document["profiles"]["chunking"] = {"default": {"max_tokens": 100}}
    shelf.document["indexes"]["main"]["keep"] = {"spare": False}
    shelf.ingest()
    refresh(shelf)
    shelf.document["indexes"]["main"]["keep"] = {"spare": True}
    asked: list[str] = []

    def act(stage: str, done: int, total: int | None) -> None:
        if not asked:
            asked.append(stage)
            return
        if len(asked) == 1:
            asked.append(stage)
            purge(shelf, "avocet.md")

    copy = make_spare(shelf.runtime, "main", act)
    assert copy is not None
    assert not shelf.rows(f"SELECT FROM rag.lexical_{copy.storage} WHERE words @@ 'avocet'")
    assert copy.document_count == 3


def test_a_copy_of_a_version_of_another_kind_than_the_live_one_is_dropped(shelf: Workspace) -> None:
    shelf.document["profiles"]["chunking"] = {"default": {"max_tokens": 100}}
    shelf.document["indexes"]["main"]["keep"] = {"spare": False}
    shelf.ingest()
    refresh(shelf)
    assert collect_versions(shelf.database, "main", shelf.settings.index("main")) == [2]
    assert states(shelf) == [("full", "retired"), ("copy", "dropped"), ("full", "live")]


def test_no_copy_is_made_where_a_retired_version_is_of_the_kind_of_the_live_one(shelf: Workspace) -> None:
    for text in ("booms", "hides"):
        shelf.write("bittern.md", f"# Bittern\n\nThe bittern {text}.")
        shelf.ingest()
        refresh(shelf)
    assert make_spare(shelf.runtime, "main") is None
    assert [kind for kind, _ in states(shelf)] == ["full", "copy", "catch_up", "catch_up"]
