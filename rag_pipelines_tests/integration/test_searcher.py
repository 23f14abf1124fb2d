"""The searcher around its statement: limits that its database has, and sources that a tenant may know of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.query.filters import Equals, Filter, Not
from rag_pipelines.query.hits import Filters
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]


def fill_shelf(made: Workspace) -> None:
    """A page in a live index over the sources of two tenants."""
    made.document["sources"]["theirs"] = {**made.document["sources"]["docs"], "tenant": "other"}
    made.document["indexes"]["main"]["sources"] = "*"
    made.write("kite.md", "# Kites\n\nA kite flies.")
    made.refresh()


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


@pytest.fixture
def database_url(shelf: Workspace) -> str:
    return shelf.url


@pytest.mark.parametrize("login", ["owner", "reader"])
def test_a_search_is_given_up_when_its_callers_time_is_over(
    shelf: Workspace, reader_role: str, login: str
) -> None:
    if login == "reader":
        with shelf.database.connection() as connection:
            admit_reader(connection, reader_role)
        shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    hurried = shelf.database.with_server_settings({"statement_timeout": "1ms"})
    searcher = Searcher(hurried, shelf.settings, "main")
    with pytest.raises(TransientError, match="statement timeout"):
        searcher.search("kite", tenant="default")
    searcher.close()


@pytest.mark.parametrize("named", ["theirs", "nobodys"])
@pytest.mark.parametrize("composed", [True, False])
def test_a_source_of_another_tenant_is_as_unknown_as_one_that_there_is_not(
    shelf: Workspace, named: str, composed: bool
) -> None:
    narrowing: Filter | Filters = Not(Equals("source", named)) if composed else Filters(sources=(named,))
    with pytest.raises(UsageError, match=f"index 'main' has no source '{named}'; valid: docs$"):
        shelf.search("kite", filters=narrowing)
