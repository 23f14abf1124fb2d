"""Kept results: given again only while a search would find the same, whatever changes in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rag_pipelines.connectors.base import Group
from rag_pipelines.index.promotion import promote, rollback
from rag_pipelines.model import CLOSED, PUBLIC, AccessRule
from rag_pipelines.query import statement
from rag_pipelines.query.caching import state_of
from rag_pipelines.query.filters import Equals
from rag_pipelines.query.hits import Filters, Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.database import Pg
from rag_pipelines.store.documents import AccessRules
from rag_pipelines.store.principals import replace_groups
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]

CACHE = {"cache": {"results": "8 MB"}}
TENANTS = ("default", "other")
CALLERS = ((), ("user:ann",), ("user:bob", "group:b"))
RULES = (
    PUBLIC,
    CLOSED,
    AccessRule((("group:a",),)),
    AccessRule((("group:b", "user:bob"),)),
    AccessRule((("group:a",), ("group:b",))),
    AccessRule((), ("group:a",)),
)
DOCUMENTS = 6


def fill_shelf(made: Workspace) -> None:
    """Kites for everybody in two tenants, and an index whose searches are kept."""
    made.document |= {"query": CACHE}
    docs = made.document["sources"]["docs"]
    root = made.folder / "theirs"
    root.mkdir()
    made.document["sources"]["theirs"] = {**docs, "options": {"root": str(root)}, "tenant": "other"}
    made.document["indexes"]["main"]["sources"] = "*"
    for number in range(DOCUMENTS):
        made.write(f"kite{number}.md", f"# Kite {number}\n\nA kite with {number} tails flies.")
        (root / f"kite{number}.md").write_text(f"# Kite {number}\n\nTheir kite with {number} tails flies.")
    made.ingest()
    made.ingest("theirs")
    made.publish()


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


@pytest.fixture
def database_url(shelf: Workspace) -> str:
    return shelf.url


@pytest.fixture
def searcher(shelf: Workspace) -> Iterator[Searcher]:
    made = Searcher(shelf.database, shelf.settings, "main")
    yield made
    made.close()


def ask(searcher: Searcher, tenant: str = "default", **options: Any) -> Result:
    return searcher.search("kite flies", **{"tenant": tenant, "k": 20, **options})


def plain(result: Result) -> Result:
    """What a result says, without how long it took and whether it was kept."""
    return msgspec.structs.replace(result, embed_ms=0.0, search_ms=0.0, cached=False)


def paths(result: Result) -> set[str]:
    return {hit.path for hit in result.hits}


def test_the_same_question_is_answered_again_without_searching(searcher: Searcher) -> None:
    first, second = ask(searcher), ask(searcher)
    assert (first.cached, second.cached) == (False, True)
    assert plain(first) == plain(second)
    assert len(first.hits) == DOCUMENTS
    assert second.embed_ms == 0


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"},
        {"principals": ["user:ann"]},
        {"mode": "lexical"},
        {"k": 3},
        {"filters": Filters(path_prefix="kite1")},
        {"filters": Equals("metadata.n", True)},
    ],
    ids=str,
)
def test_nothing_is_kept_for_another_question_or_caller(searcher: Searcher, other: dict[str, Any]) -> None:
    ask(searcher)
    ask(searcher, filters=Equals("metadata.n", 1))
    assert not ask(searcher, **other).cached
    assert ask(searcher, **other).cached


def test_the_order_of_principals_does_not_matter(searcher: Searcher) -> None:
    ask(searcher, principals=["user:ann", "group:b"])
    assert ask(searcher, principals=["group:b", "user:ann", "everyone"]).cached


def test_by_default_no_result_is_kept(shelf: Workspace) -> None:
    del shelf.document["query"]
    searcher = Searcher(shelf.database, shelf.settings, "main")
    results = [ask(searcher), ask(searcher)]
    searcher.close()
    assert not any(result.cached for result in results)
    assert results[0].embed_ms > results[1].embed_ms == 0


def test_a_searcher_that_judges_a_version_keeps_nothing(shelf: Workspace) -> None:
    judging = Searcher(shelf.database, shelf.settings, "main", version=1)
    results = [ask(judging), ask(judging)]
    judging.close()
    assert not any(result.cached or not result.embed_ms for result in results)


def test_what_was_answered_without_a_stage_is_not_kept(shelf: Workspace) -> None:
    shelf.document["indexes"]["main"]["stages"] = {"rerank": {"model": "no/such-model"}}
    searcher = Searcher(shelf.database, shelf.settings, "main")
    assert not [result for result in (ask(searcher), ask(searcher)) if result.cached]
    searcher.close()


def delete_a_file(shelf: Workspace) -> None:
    (shelf.docs / "kite0.md").unlink()
    shelf.ingest()


def close_a_file(shelf: Workspace) -> None:
    shelf.write("kite0.md.access.yaml", "allow: ['group:board']")
    shelf.ingest()


def rename_a_file(shelf: Workspace) -> None:
    (shelf.docs / "kite0.md").rename(shelf.docs / "moved.md")
    shelf.ingest()


def edit_and_publish(shelf: Workspace) -> None:
    shelf.write("kite0.md", "# Balloon\n\nA balloon.")
    shelf.ingest()
    shelf.publish()


@pytest.mark.parametrize("change", [delete_a_file, close_a_file, rename_a_file, edit_and_publish])
def test_a_change_at_the_source_holds_for_the_next_search(
    shelf: Workspace, searcher: Searcher, change: Callable[[Workspace], None]
) -> None:
    theirs = ask(searcher, "other")
    assert "kite0.md" in paths(ask(searcher))
    change(shelf)
    found = ask(searcher)
    assert not found.cached
    assert "kite0.md" not in paths(found) or found.hits[-1].path == "kite0.md"
    assert ask(searcher).cached
    assert ask(searcher, "other").cached is (theirs.version == found.version)


def test_a_promotion_and_a_rollback_hold_for_the_next_search(shelf: Workspace, searcher: Searcher) -> None:
    shelf.write("kite9.md", "# Kite 9\n\nA new kite flies.")
    shelf.ingest()
    candidate = shelf.build()
    shelf.validate(candidate)
    assert "kite9.md" not in paths(ask(searcher))
    promote(shelf.database, "main", candidate.version_id)
    assert "kite9.md" in paths(ask(searcher))
    rollback(shelf.database, "main")
    assert "kite9.md" not in paths(ask(searcher))


def tombstone(connection: Pg, path: str) -> None:
    connection.execute("UPDATE rag.document SET state = 'tombstoned' WHERE path = %s", (path,))


def test_a_change_counts_from_its_commit_however_long_it_takes(shelf: Workspace, searcher: Searcher) -> None:
    """What is searched while a transaction is open must not outlive its commit."""
    with psycopg.connect(shelf.url) as writer:
        tombstone(writer, "kite1.md")
        assert "kite1.md" in paths(ask(searcher))
        assert ask(searcher).cached
        writer.commit()
    assert "kite1.md" not in paths(ask(searcher))


def test_a_change_between_reading_the_state_and_searching_is_not_hidden_by_what_is_kept(
    shelf: Workspace, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_changed(connection: Pg, *asked: Any) -> Any:
        found = state_of(connection, *asked)
        with shelf.database.connection() as writer:
            writer.execute("UPDATE rag.document SET state = 'present' WHERE path = 'kite1.md'")
        return found

    with shelf.database.connection() as connection:
        tombstone(connection, "kite1.md")
    monkeypatch.setattr("rag_pipelines.query.search.state_of", then_changed)
    assert "kite1.md" in paths(ask(searcher))
    monkeypatch.undo()
    with shelf.database.connection() as connection:
        tombstone(connection, "kite1.md")
    assert "kite1.md" not in paths(ask(searcher))


@pytest.fixture
def without_results(shelf: Workspace) -> Iterator[Searcher]:
    """A searcher that keeps no result, but what its callers may see."""
    del shelf.document["query"]
    with Searcher(shelf.database, shelf.settings, "main") as made:
        yield made


def close_to_all_but(shelf: Workspace, group: str) -> None:
    with shelf.database.transaction() as connection:
        rule = AccessRules(connection).id_of(AccessRule(((group,),)))
        connection.execute("UPDATE rag.document SET access_id = %s WHERE path = 'kite1.md'", (rule,))


def put_members(shelf: Workspace, *members: str) -> None:
    with shelf.database.transaction() as connection:
        row = connection.execute("SELECT source_id FROM rag.source WHERE name = 'docs'").fetchone()
        assert row is not None
        replace_groups(
            connection, row["source_id"], [Group(principal="group:a", members=members)], datetime.now(UTC)
        )


@pytest.mark.parametrize("few", [statement.FEW_CHUNKS, 1], ids=["compared", "walked"])
def test_a_right_that_is_taken_or_given_is_in_force_for_the_next_search(
    shelf: Workspace, without_results: Searcher, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(statement, "FEW_CHUNKS", few)
    close_to_all_but(shelf, "group:a")
    for members, seen in (((), False), (("user:ann",), True), ((), False), (("user:ann",), True)):
        put_members(shelf, *members)
        for _ in range(2):
            assert ("kite1.md" in paths(ask(without_results, principals=["user:ann"]))) is seen
    close_to_all_but(shelf, "group:b")
    assert "kite1.md" not in paths(ask(without_results, principals=["user:ann"]))


def test_a_right_that_is_taken_after_it_was_looked_up_is_not_in_force_for_that_search(
    shelf: Workspace, without_results: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = statement.VersionSearch._scope

    def then_taken(self: statement.VersionSearch, *asked: Any) -> Any:
        found = look_up(self, *asked)
        with shelf.database.connection() as writer:
            tombstone(writer, "kite1.md")
        return found

    assert "kite1.md" in paths(ask(without_results))
    monkeypatch.setattr(statement.VersionSearch, "_scope", then_taken)
    assert "kite1.md" not in paths(ask(without_results))


@pytest.mark.parametrize(
    ("kept", "found"),
    [({}, 0), ({"changes": -1}, DOCUMENTS), ({"started": datetime(2026, 1, 1, tzinfo=UTC)}, DOCUMENTS)],
    ids=["as it is", "of another count", "of another server"],
)
def test_what_is_kept_of_a_caller_counts_on_the_server_and_at_the_count_that_it_is_of(
    without_results: Searcher, monkeypatch: pytest.MonkeyPatch, kept: dict[str, Any], found: int
) -> None:
    look_up = statement.VersionSearch._scope
    wrong = {"rules": "{}", "documents": "{}", **kept}
    monkeypatch.setattr(statement.VersionSearch, "_scope", lambda *asked: look_up(*asked)._replace(**wrong))
    assert len(ask(without_results).hits) == found


def test_writers_never_wait_for_one_another_to_count(shelf: Workspace) -> None:
    """Three transactions over one tenant at once; each counts, in whatever order they commit."""
    with shelf.database.connection() as connection:
        before = state_of(connection, "main", "default").changes
        writers = [psycopg.connect(shelf.url) for _ in range(3)]
        for number, writer in enumerate(writers):
            writer.execute("SET LOCAL lock_timeout = '2s'")
            tombstone(writer, f"kite{number}.md")
        counts = []
        for writer in (writers[1], writers[2], writers[0]):
            writer.commit()
            writer.close()
            counts.append(state_of(connection, "main", "default").changes)
    assert before < counts[0] < counts[1] < counts[2]


def test_what_is_rolled_back_does_not_count_and_what_follows_in_the_transaction_does(
    shelf: Workspace, searcher: Searcher
) -> None:
    ask(searcher)
    with psycopg.connect(shelf.url) as writer:
        with writer.transaction(force_rollback=True):
            tombstone(writer, "kite1.md")
        writer.commit()
        assert ask(searcher).cached
        with writer.transaction(force_rollback=True):
            tombstone(writer, "kite1.md")
        tombstone(writer, "kite2.md")
        writer.commit()
    assert "kite2.md" not in paths(ask(searcher))


numbers = st.integers(0, DOCUMENTS - 1)
tenants = st.sampled_from(TENANTS)
directories = st.dictionaries(
    st.sampled_from(["group:a", "group:b"]), st.sets(st.sampled_from(["user:ann", "user:bob", "group:a"]))
)
changes = st.one_of(
    st.tuples(st.just("access"), tenants, numbers, st.sampled_from(RULES)),
    st.tuples(st.just("state"), tenants, numbers, st.sampled_from(["present", "missing", "tombstoned"])),
    st.tuples(st.just("former"), tenants, numbers, st.none() | st.sampled_from(RULES)),
    st.tuples(st.just("tenant"), tenants, numbers, tenants),
    st.tuples(st.just("author"), tenants, numbers, st.sampled_from(["Ann", "Bob"])),
    st.tuples(st.just("groups"), tenants, directories),
    st.tuples(st.just("listed"), tenants),
    st.tuples(st.just("version")),
    st.tuples(st.just("nothing")),
)  # fmt: skip


ADMITTED = [
    ("access", "default", 0, RULES[2]),
    ("groups", "default", {"group:a": {"user:ann"}}),
    ("groups", "default", {}),
    ("gone", "default", DOCUMENTS - 1),
]
"""Somebody joins and leaves a group, a document goes for good: random histories seldom have this in a row."""


class World:
    """An index of two versions, and searchers that keep results, or only what callers may see."""

    def __init__(self, shelf: Workspace, role: str) -> None:
        self.shelf = shelf
        shelf.publish(full=True)
        with shelf.database.connection() as connection:
            admit_reader(connection, role)
        self.keeping = [Searcher(shelf.database, shelf.settings, "main")]
        shelf.document["database"]["reader_url"] = as_role(shelf.url, role)
        self.keeping.append(Searcher(shelf.database, shelf.settings, "main"))
        del shelf.document["query"], shelf.document["database"]["reader_url"]
        self.keeping.append(Searcher(shelf.database, shelf.settings, "main"))
        self.fresh = Searcher(shelf.database, shelf.settings, "main")
        self.kept = 0

    def change(self, kind: str, tenant: str = "", *what: Any) -> None:
        """One thing happens, in one transaction."""
        if kind == "version":
            rollback(self.shelf.database, "main")
        elif kind != "nothing":
            with self.shelf.database.transaction() as connection:
                getattr(self, f"_{kind}")(connection, {"source": self.source_of(tenant)}, *what)

    def source_of(self, tenant: str) -> str:
        return "docs" if tenant == "default" else "theirs"

    def _document(self, connection: Pg, params: dict[str, Any], number: int, assignment: str) -> None:
        connection.execute(
            f"UPDATE rag.document SET {assignment} WHERE path = %(path)s AND source_id = "  # type: ignore[arg-type]
            "(SELECT source_id FROM rag.source WHERE name = %(source)s)",
            {**params, "path": f"kite{number}.md"},
        )

    def _access(self, connection: Pg, params: dict[str, Any], number: int, rule: AccessRule) -> None:
        rule_id = AccessRules(connection).id_of(rule)
        self._document(connection, {**params, "rule": rule_id}, number, "access_id = %(rule)s")

    def _state(self, connection: Pg, params: dict[str, Any], number: int, state: str) -> None:
        self._document(connection, {**params, "state": state}, number, "state = %(state)s")

    def _tenant(self, connection: Pg, params: dict[str, Any], number: int, tenant: str) -> None:
        self._document(connection, {**params, "tenant": tenant}, number, "tenant = %(tenant)s")

    def _gone(self, connection: Pg, params: dict[str, Any], number: int) -> None:
        path = f"kite{number}.md"
        connection.execute("DELETE FROM rag.document WHERE path = %s", (path,))

    def _author(self, connection: Pg, params: dict[str, Any], number: int, author: str) -> None:
        self._document(connection, {**params, "author": author}, number, "author = %(author)s")

    def _former(self, connection: Pg, params: dict[str, Any], number: int, rule: AccessRule | None) -> None:
        former = None if rule is None else AccessRules(connection).id_of(rule)
        connection.execute(
            "UPDATE rag.document_content c SET access_id = %s, tenant = CASE WHEN %s::int IS NULL THEN NULL "
            "ELSE d.tenant END FROM rag.document d JOIN rag.source s USING (source_id) "
            "WHERE c.document_id = d.document_id AND d.path = %s AND s.name = %s",
            (former, former, f"kite{number}.md", params["source"]),
        )

    def _groups(self, connection: Pg, params: dict[str, Any], directory: dict[str, set[str]]) -> None:
        row = connection.execute(
            "SELECT source_id FROM rag.source WHERE name = %(source)s", params
        ).fetchone()
        assert row is not None
        listed = [Group(principal=name, members=tuple(sorted(who))) for name, who in directory.items()]
        replace_groups(connection, row["source_id"], listed, datetime.now(UTC))
        connection.execute(
            "DELETE FROM rag.principal_group WHERE source_id = %s AND principal <> ALL(%s)",
            (row["source_id"], list(directory)),
        )

    def _listed(self, connection: Pg, params: dict[str, Any]) -> None:
        connection.execute("UPDATE rag.source SET listed_at = now() WHERE name = %(source)s", params)

    def compare(self) -> None:
        """Every caller finds the same with and without what is kept."""
        for tenant in TENANTS:
            for principals in CALLERS:
                with patch.object(statement, "SCOPES_KEPT", 0):
                    expected = plain(ask(self.fresh, tenant, principals=principals))
                for searcher in self.keeping:
                    found = ask(searcher, tenant, principals=principals)
                    self.kept += found.cached
                    assert plain(found) == expected, (tenant, principals)

    def close(self) -> None:
        for searcher in (*self.keeping, self.fresh):
            searcher.close()


def test_whatever_changes_a_kept_result_is_what_a_search_would_find(
    shelf: Workspace, reader_role: str
) -> None:
    world = World(shelf, reader_role)

    @settings(max_examples=20, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @example(ADMITTED)
    @given(st.lists(changes, min_size=4, max_size=6))
    def check(history: list[tuple[Any, ...]]) -> None:
        for change in history:
            world.change(*change)
            world.compare()

    try:
        check()
    finally:
        world.close()
    assert world.kept > 100


def test_the_login_of_searches_reads_no_table_of_counts(shelf: Workspace, reader_role: str) -> None:
    with shelf.database.connection() as connection:
        admit_reader(connection, reader_role)
    with psycopg.connect(as_role(shelf.url, reader_role), autocommit=True) as reader:
        assert reader.execute("SELECT changes > 0 FROM rag.search_state('main', 'default')").fetchone() == (
            True,
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT FROM rag.tenant_change")
