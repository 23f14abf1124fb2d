"""Search: who may see what, which scores count, which version answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from rag_pipelines.errors import UsageError
from rag_pipelines.query.hits import Filters
from rag_pipelines.query.search import Searcher
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace


def fill_shelf(made: Workspace) -> None:
    """Two tenants, three audiences, a table over the budget, a document that uses a rare word."""
    made.document["sources"]["docs"]["access"] = "closed"
    made.document["sources"]["docs"]["options"]["url_prefix"] = "https://wiki.example/"
    made.write(".access.yaml", "allow: [everyone]\n")
    made.write(
        "guide.md", "---\nteam: field\n---\n# Guide\n\n## Setup\n\nMount the sensor with error code E-4417."
    )
    made.write("news.md", "# News\n\nThe sensor sensor sensor is popular.")
    made.write("hr/.access.yaml", "allow: [group:hr]\n")
    made.write("hr/pay.md", "# Pay\n\nThe sensor team has a salary band.")
    made.write("hr/board/.access.yaml", "allow: [group:board]\n")
    made.write("hr/board/plan.md", "# Plan\n\nThe sensor plan is secret.")
    made.write("deny/.access.yaml", "public: true\ndeny: [group:contractors]\n")
    made.write("deny/tools.md", "# Tools\n\nThe sensor tools.")
    made.write("other/.access.yaml", "public: true\ntenant: globex\n")
    made.write("other/globex.md", "# Globex\n\nThe sensor of another tenant.")
    rows = "\n".join(f"| P-{n:03} | sensor part {n} |" for n in range(120))
    made.write("parts.md", f"# Parts\n\n| number | name |\n|---|---|\n{rows}\n")
    made.refresh()


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


MODES = ("dense", "lexical", "hybrid")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("principals", "hidden"),
    [
        ([], {"hr/pay.md", "hr/board/plan.md"}),
        (["group:hr"], {"hr/board/plan.md"}),
        (["group:board"], {"hr/pay.md", "hr/board/plan.md"}),
        (["group:hr", "group:board"], set()),
        (["group:contractors"], {"hr/pay.md", "hr/board/plan.md", "deny/tools.md"}),
    ],
)
def test_a_caller_sees_exactly_what_every_clause_grants(
    shelf: Workspace, mode: str, principals: list[str], hidden: set[str]
) -> None:
    own = {"guide.md", "news.md", "hr/pay.md", "hr/board/plan.md", "deny/tools.md", "parts.md"}
    found = shelf.paths("sensor", principals=principals, mode=mode, k=100)
    assert found == own - hidden


@pytest.mark.parametrize("mode", MODES)
def test_no_search_crosses_tenants(shelf: Workspace, mode: str) -> None:
    assert shelf.paths("sensor", tenant="globex", mode=mode, k=100) == {"other/globex.md"}
    assert shelf.paths("sensor", tenant="nobody", mode=mode, k=100) == set()


def test_a_hit_carries_what_a_citation_needs(shelf: Workspace) -> None:
    hit = shelf.search("mount error code", mode="lexical", k=1)[0]
    assert hit.title == "Guide"
    assert "Setup" in hit.text
    assert hit.url == "https://wiki.example/guide.md"
    assert (hit.source, hit.external_id, hit.path) == ("docs", "guide.md", "guide.md")
    assert hit.end - hit.start == len(hit.text)
    assert hit.scores.fused > 0
    assert hit.as_of is not None
    assert hit.version == 1
    assert "Guide" in hit.citation


def test_a_part_of_a_table_comes_with_its_header(shelf: Workspace) -> None:
    hits = shelf.search("P-119", mode="lexical", k=3)
    assert "P-119" in hits[0].text
    assert hits[0].text.count("\n") < 100
    assert "number | name" in hits[0].context


def test_lexical_scores_are_bm25(shelf: Workspace) -> None:
    """Against the formula, on the tenant's own statistics (Robertson's BM25 with Lucene's idf)."""
    import math

    average = shelf.rows("SELECT params FROM rag.index_version")[0]["params"]["average_length"]
    rows = shelf.rows("SELECT count(*) AS n FROM rag.lexical_1 WHERE tenant = 'default'")[0]["n"]
    hits = {hit.path: hit for hit in shelf.search("popular", mode="lexical", k=5)}
    length = shelf.rows(
        "SELECT rag.text_length(words) AS n FROM rag.lexical_1 WHERE words @@ 'popular'::tsquery"
    )[0]["n"]
    idf = math.log(1 + (rows - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / average))
    assert hits["news.md"].scores.lexical == pytest.approx(expected, rel=1e-5)


def test_a_repeated_word_counts_more_but_not_in_proportion(shelf: Workspace) -> None:
    hits = {hit.path: hit.scores.lexical or 0 for hit in shelf.search("sensor", mode="lexical", k=100)}
    assert hits["deny/tools.md"] < hits["news.md"] < 3 * hits["deny/tools.md"]


@pytest.mark.parametrize(
    "question",
    [
        "the",
        "'; DROP TABLE rag.document; --",
        "a\\b'c",
        "sensor & | ! ( )",
        "\u202e\ud800x",
        "E-4417",
        "x" * 9000,
        "x" * 10_001,
    ],
)
def test_any_question_is_answered_or_finds_nothing(shelf: Workspace, question: str) -> None:
    for mode in MODES:
        shelf.search(question, mode=mode)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(path_prefix="deny/"), {"deny/tools.md"}),
        (Filters(sources=("docs",), path_prefix="news"), {"news.md"}),
        (Filters(until=datetime(2000, 1, 1, tzinfo=UTC)), set()),
    ],
)
def test_filters_narrow_every_mode(shelf: Workspace, filters: Filters, expected: set[str]) -> None:
    for mode in MODES:
        assert shelf.paths("sensor", mode=mode, filters=filters, k=100) == expected


def test_k_hits_come_back_where_k_exist_even_behind_a_narrow_filter(workspace: Workspace) -> None:
    for n in range(400):
        workspace.write(f"{'rare' if n % 40 == 0 else 'common'}/{n}.md", f"# D{n}\n\nWord{n} alpha.")
    workspace.document["indexes"]["main"]["vector"] = {"ef_search": 10}
    workspace.refresh()
    hits = workspace.search("alpha", mode="dense", k=10, filters=Filters(path_prefix="rare/"))
    assert len(hits) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": " "}, "question is empty"),
        ({"text": "?!"}, "question is empty"),
        ({"k": 0}, "between 1 and 1000"),
        ({"mode": "fuzzy"}, "valid: dense, lexical, hybrid"),
        ({"tenant": ""}, "needs a tenant"),
        ({"filters": Filters(sources=("nope",))}, "no source 'nope'; valid: docs"),
    ],
)
def test_a_bad_argument_is_named_with_what_is_valid(shelf: Workspace, arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shelf.search(**{"text": "sensor", **arguments})


def test_an_index_without_a_live_version_says_what_to_do(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="rag-pipelines index build main"):
        workspace.search("alpha")


def test_a_version_is_read_with_its_own_model_after_the_configuration_changed(shelf: Workspace) -> None:
    before = [hit.path for hit in shelf.search("sensor", mode="dense")]
    shelf.document["profiles"]["embedding"]["default"] = {"provider": "hash", "dimensions": 64}
    searcher = Searcher(shelf.database, shelf.settings, "main")
    after = [hit.path for hit in searcher.search("sensor", tenant="default", mode="dense").hits]
    searcher.close()
    assert after == before


def test_rank_fusion_is_a_setting(shelf: Workspace) -> None:
    shelf.document["indexes"]["main"]["fusion"] = {"method": "rrf", "dense_weight": 0.5, "rrf_k": 60}
    searcher = Searcher(shelf.database, shelf.settings, "main")
    hits = searcher.search("popular sensor", tenant="default", k=3).hits
    searcher.close()
    for hit in hits:
        expected = 0.5 / (60 + (hit.scores.dense_rank or 0))
        if hit.scores.lexical:
            expected += 0.5 / (60 + (hit.scores.lexical_rank or 0))
        assert hit.scores.fused == pytest.approx(expected)


@pytest.mark.parametrize("question", ["what does error E-4417 mean?", "e-4417", "E4417"])
def test_an_identifier_is_found_as_typed(workspace: Workspace, question: str) -> None:
    for n in range(30):
        workspace.write(
            f"{n}.md", f"# Error list {n}\n\nE {n}: error E-{n + 100} means that part FS-{n}-B is broken."
        )
    workspace.write("right.md", "# Field notes\n\nThe display shows E-4417 when the battery is low.")
    workspace.refresh()
    assert workspace.search(question, mode="lexical")[0].path == "right.md"


def test_a_candidate_can_be_searched_before_it_is_live(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha heron.")
    live = workspace.refresh()
    workspace.write("b.md", "# B\n\nAlpha stork.")
    workspace.ingest()
    candidate = workspace.build()
    searchers = {
        version.version_id: Searcher(
            workspace.database, workspace.settings, "main", version=version.version_id
        )
        for version in (live, candidate)
    }
    found = {
        number: {hit.path for hit in searcher.search("alpha", tenant="default").hits}
        for number, searcher in searchers.items()
    }
    assert found == {live.version_id: {"a.md"}, candidate.version_id: {"a.md", "b.md"}}
    assert workspace.paths("alpha") == {"a.md"}
    with pytest.raises(UsageError, match="there is no index version 99"):
        Searcher(workspace.database, workspace.settings, "main", version=99).search("x", tenant="default")
