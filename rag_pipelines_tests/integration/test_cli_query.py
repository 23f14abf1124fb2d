"""``rag-pipelines query``: composed filters, how a search came about, and what a model is given to read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import Result

from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]
WEIR = "# Herons\n\nThe grey heron waits by the [weir](https://river.example/weir) for eels."
BARN = "# Owls\n\nThe owl waits in the barn for mice."


def fill_birds(made: Workspace) -> None:
    """Two pages, live."""
    made.write("river/heron.md", WEIR)
    made.write("farm/owl.md", BARN)
    made.refresh()


@pytest.fixture
def workspace(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_birds).lend() as lent:
        yield lent


@pytest.fixture
def birds(workspace: Workspace) -> Workspace:
    return workspace


def found(call: Call, *arguments: str) -> Any:
    return json.loads(call("query", "who waits", "--json", *arguments).stdout)


def test_a_composed_filter_narrows_a_query(birds: Workspace, call: Call) -> None:
    inside = found(call, "--filter", '{"field": "path", "prefix": "river/"}')
    outside = found(call, "--filter", '{"not": {"field": "path", "prefix": "river/"}}')
    assert [hit["path"] for hit in inside["hits"]] == ["river/heron.md"]
    assert [hit["path"] for hit in outside["hits"]] == ["farm/owl.md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filter", "path=river"], "--filter is not JSON"),
        (["--filter", '{"field": "path", "like": "x"}'], "--filter: received"),
        (
            ["--filter", '{"field": "path", "prefix": "x"}', "--path", "river"],
            "--filter excludes --source, --path",
        ),
    ],
)
def test_a_filter_that_cannot_be_used_is_told(
    birds: Workspace, call: Call, arguments: list[str], message: str
) -> None:
    said = call("query", "who waits", *arguments)
    assert said.exit_code == 2
    assert message in said.output


def test_an_explanation_shows_scores_stages_and_the_route(birds: Workspace, call: Call) -> None:
    birds.document["indexes"]["main"]["stages"] = {
        "rewriting": {"synonyms": [["heron", "egret"]]},
        "boosts": {"authority": [{"factor": 3, "path_prefix": "farm/"}]},
        "rerank": {"model": "no/such-model"},
    }
    said = call("query", "egret by the weir", "--explain")
    assert said.exit_code == 0
    for part in ("dense", "lexical", "fused", "boosts", "rerank", "synonym: egret → heron",
                 "all that the caller may see was compared", "1 of 2 candidates have a factor",
                 "answered without it"):  # fmt: skip
        assert part in said.output
    answer = found(call)
    assert [step["stage"] for step in answer["steps"]] == ["boosts", "rerank"]
    assert answer["route"] == {"exact": True, "thorough": True}


def test_a_hit_and_a_citation_say_where_links_of_their_text_lead(birds: Workspace, call: Call) -> None:
    answer = found(call, "--context", "200")
    links = {hit["path"]: hit["links"] for hit in answer["hits"]}
    weir = [{"text": "weir", "target": "https://river.example/weir"}]
    assert links == {"river/heron.md": weir, "farm/owl.md": []}
    cited = {one["citation"]["title"]: one["citation"]["links"] for one in answer["context"]["passages"]}
    assert cited == {"Herons": weir, "Owls": []}


def test_a_context_is_what_a_model_is_given_to_read(birds: Workspace, call: Call) -> None:
    said = call("query", "who waits by the weir", "--context", "200")
    assert "[1] Herons\n" in said.stdout
    assert "[2] Owls\n" in said.stdout
    assert "not judged" in said.stderr
    context = found(call, "--context", "200")["context"]
    assert context["text"].startswith("[1] ")
    assert (context["answerable"], context["left_out"], len(context["passages"])) == (None, 0, 2)
    assert call("query", "who waits", "--context", "1").stdout == ""


def test_what_was_found_without_a_missing_phrase_is_shown_apart(birds: Workspace, call: Call) -> None:
    said = call("query", 'heron "on the moon"')
    assert said.exit_code == 0
    assert 'note: no passage that you may see holds the phrase "on the moon"' in " ".join(said.stderr.split())
    _, apart = said.stdout.split("without the quoted phrases:")
    assert "Herons" in apart
    told = json.loads(call("query", 'heron "on the moon"', "--json").stdout)
    assert told["hits"] == []
    assert told["unquoted"]["hits"][0]["citation"] == "Herons"
