"""What a run looks at: documents that may lack something, and all where they must become something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace


def fill_shelf(workspace: Workspace) -> None:
    """Two documents that lack nothing."""
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.refresh()


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


def chunked(workspace: Workspace) -> set[str]:
    """The documents that have chunks, all of which are embedded, under the chunker and the model of now."""
    rows = workspace.rows(
        "SELECT external_id FROM rag.document JOIN rag.document_chunks USING (document_id) "
        "JOIN rag.chunk_set_embedded USING (chunk_set_id) "
        "WHERE profile_id = (SELECT max(profile_id) FROM rag.profile WHERE kind = 'chunker') "
        "AND model_id = (SELECT max(profile_id) FROM rag.profile WHERE kind = 'model')"
    )
    return {row["external_id"] for row in rows}


def lose(workspace: Workspace, table: str) -> None:
    with workspace.database.connection() as connection:
        connection.execute(f"DELETE FROM rag.{table}")


@pytest.mark.parametrize("table", ["document_chunks", "chunk_set_embedded"])
def test_a_run_does_not_look_at_documents_that_lacked_nothing_and_a_full_one_does(
    shelf: Workspace, table: str
) -> None:
    lose(shelf, table)
    shelf.write("c.md", "# C\n\nGamma.")
    shelf.ingest()
    assert chunked(shelf) == {"c.md"}
    shelf.ingest(full=True)
    assert chunked(shelf) == {"a.md", "b.md", "c.md"}


def test_other_chunkers_and_models_are_for_all_documents(shelf: Workspace) -> None:
    shelf.document["profiles"]["chunking"] = {"default": {"max_tokens": 100}}
    shelf.ingest()
    assert chunked(shelf) == {"a.md", "b.md"}
    shelf.document["profiles"]["embedding"] = {"default": {"provider": "hash", "dimensions": 32}}
    shelf.ingest()
    assert chunked(shelf) == {"a.md", "b.md"}


def test_a_document_that_was_deleted_while_chunkers_changed_has_chunks_of_the_new_one(
    shelf: Workspace,
) -> None:
    (shelf.docs / "b.md").unlink()
    shelf.ingest()
    shelf.document["profiles"]["chunking"] = {"default": {"max_tokens": 100}}
    shelf.ingest()
    assert chunked(shelf) == {"a.md"}
    shelf.write("b.md", "# B\n\nBeta.")
    shelf.ingest()
    assert chunked(shelf) == {"a.md", "b.md"}


def test_numbers_of_another_server_say_nothing_of_what_changed(shelf: Workspace) -> None:
    """As in a database that was dumped there, and restored here."""
    with shelf.database.connection() as connection:
        connection.execute("UPDATE rag.worked_off SET upto = '999999999'")
        connection.execute("DELETE FROM rag.chunk_set_embedded")
    shelf.ingest()
    assert chunked(shelf) == {"a.md", "b.md"}
