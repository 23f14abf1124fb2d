"""Callers whom no group and no rule of the tenant knows: they see what is public, or nothing, by setting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from rag_pipelines.connectors.base import Group
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.principals import replace_groups
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]


def fill_shelf(made: Workspace) -> None:
    """A page for all, one for a user and a group, one denied to a user, and a directory of groups."""
    made.write("open.md", "# Kites\n\nA kite flies.")
    made.write("pay.md", "# Pay\n\nA kite costs forty crowns.")
    made.write("pay.md.access.yaml", "allow: ['user:ann', 'group:hr']")
    made.write("gift.md", "# Gift\n\nA kite for all but one.")
    made.write("gift.md.access.yaml", "public: true\ndeny: ['user:bob']")
    made.refresh()
    with made.database.connection() as connection:
        replace_groups(
            connection, 1, [Group(principal="group:all", members=("user:cat",))], datetime.now(UTC)
        )


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


@pytest.fixture
def database_url(shelf: Workspace) -> str:
    return shelf.url


def seen(shelf: Workspace, *principals: str, tenant: str = "default") -> set[str]:
    searcher = Searcher(shelf.database, shelf.settings, "main")
    try:
        return {hit.path for hit in searcher.search("kite", tenant=tenant, principals=principals).hits}
    finally:
        searcher.close()


def test_by_default_whoever_is_unknown_sees_what_is_public(shelf: Workspace) -> None:
    assert seen(shelf) == seen(shelf, "user:nobody") == {"open.md", "gift.md"}


@pytest.mark.parametrize("login", ["owner", "reader"])
def test_by_setting_they_see_nothing_and_everybody_else_what_they_may(
    shelf: Workspace, reader_role: str, login: str
) -> None:
    shelf.document["query"] = {"unknown_user": "nothing"}
    if login == "reader":
        with shelf.database.connection() as connection:
            admit_reader(connection, reader_role)
        shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    assert seen(shelf) == seen(shelf, "user:nobody") == seen(shelf, "everyone") == set()
    assert seen(shelf, "user:ann") == seen(shelf, "group:hr") == {"open.md", "gift.md", "pay.md"}
    assert seen(shelf, "user:cat") == seen(shelf, "group:all") == {"open.md", "gift.md"}
    assert seen(shelf, "user:bob") == {"open.md"}


def test_who_is_known_to_one_tenant_is_unknown_to_another(shelf: Workspace) -> None:
    shelf.document["query"] = {"unknown_user": "nothing"}
    with shelf.database.connection() as connection:
        connection.execute("UPDATE rag.document SET tenant = 'other' WHERE path = 'open.md'")
    assert seen(shelf, "user:ann", tenant="other") == set()
    assert seen(shelf, "user:ann") == {"gift.md", "pay.md"}


def test_a_rule_that_no_document_has_any_more_knows_nobody(shelf: Workspace) -> None:
    shelf.document["query"] = {"unknown_user": "nothing"}
    (shelf.docs / "pay.md").unlink()
    shelf.ingest()
    assert seen(shelf, "user:ann") == set()
