"""Searches by what was quoted, by identifiers, and in several languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_pipelines.query.hits import Filters, Mode
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def library(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    """English and German texts, an audience, and identifiers."""
    made = Workspace(tmp_path, database_url)
    made.document["indexes"]["main"]["lexical"] = {"languages": {"de": "german"}}
    made.write("exact.md", "# Report\n\nThe board approved the quarterly report of the houses.")
    made.write("apart.md", "# Other\n\nThe report is not quarterly: it is a yearly report on many boards.")
    made.write("error.md", "# Errors\n\nOn E-4417 read /var/log/pump/UserService.log at once.")
    made.write("class.md", "# Classes\n\nClass E has 4417 members and no log.")
    made.write(
        "haus.md", "# Haus\n\nDer Vorstand hat die Häuser und die Gärten nicht vor dem Herbst besichtigt."
    )
    made.write("hr/.access.yaml", "allow: [group:hr]\n")
    made.write("hr/secret.md", "# Pay\n\nThe quarterly report says what everybody earns.")
    made.refresh()
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_a_hit_holds_every_quoted_phrase(library: Workspace, mode: str) -> None:
    assert library.paths('what of the "quarterly report"', mode=mode) == {"exact.md"}
    assert library.paths('"quarterly reports" "houses"', mode=mode) == {"exact.md"}
    assert library.paths('"quarterly report" "gardens"', mode=mode) == set()
    assert library.paths('"E-4417"', mode=mode) == {"error.md"}
    assert library.paths("„nicht vor dem Herbst“", mode=mode) == {"haus.md"}


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_a_phrase_finds_nothing_that_the_caller_may_not_see(library: Workspace, mode: str) -> None:
    assert library.paths('"what everybody earns"', mode=mode) == set()
    found = library.paths('"what everybody earns"', mode=mode, principals=["group:hr"])
    assert found == {"hr/secret.md"}


@pytest.mark.parametrize(
    ("question", "text", "found"),
    [
        ('"pre-authorization rules"', "The pre authorization rules of the plan.", True),
        ('"medical pre authorization"', "A medical pre-authorization is needed.", True),
        ('"medical pre-authorization"', "A medical pre authorization is needed.", True),
        ('"e-mail address"', "Give an email address.", True),
        ('"employee’s handbook"', "This is the employees handbook.", True),
        ('"input-output error"', "An input/output error occurs.", True),
        ('"U.S. offices"', "Closed are the US offices.", True),
        ('"runtime 3.11.2"', "Runtime v3.11.2 is needed.", True),
        ('"3,000 people"', "There are 3000 people.", True),
        ('"pre-authorization rules"', "Authorization rules come before.", False),
        ('"pre authorization"', "Pre and authorization.", False),
        ('"to-do list"', "Here is a list.", False),
        ('"employee handbook"', "The employee benefits handbook.", False),
    ],
)
def test_a_phrase_is_found_with_other_joints_and_never_with_other_words(
    library: Workspace, question: str, text: str, found: bool
) -> None:
    library.write("new.md", f"# New\n\n{text}")
    library.refresh()
    assert library.paths(question, mode="lexical") == ({"new.md"} if found else set())


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_what_a_missing_phrase_keeps_out_stands_apart_and_keeps_the_other_phrases(
    library: Workspace, mode: Mode
) -> None:
    found = library.result('board "quarterly report" "moon landing"', mode=mode)
    assert found.unquoted is not None
    assert found.hits == ()
    assert found.unquoted.phrases == ("moon landing",)
    assert {hit.path for hit in found.unquoted.hits} == {"exact.md"}
    assert found.notes == (
        'no passage that you may see holds the phrase "moon landing"; what was found without stands apart',
    )


def test_phrases_that_are_nowhere_together_are_left_out_together(library: Workspace) -> None:
    found = library.result('"quarterly report" "4417 members"', mode="lexical")
    assert found.unquoted is not None
    assert found.unquoted.phrases == ("quarterly report", "4417 members")
    assert {hit.path for hit in found.unquoted.hits} >= {"exact.md", "class.md"}
    assert "together the phrases" in found.notes[0]


def test_nothing_stands_apart_of_what_the_caller_may_not_see_or_filters_out(library: Workspace) -> None:
    found = library.result('earns "what everybody earns"', mode="lexical")
    assert found.unquoted is not None
    assert found.unquoted.hits == ()
    assert found.notes[0].endswith("nothing was found without either")
    only = Filters(path_prefix="haus")
    found = library.result('board "moon landing"', mode="hybrid", filters=only)
    assert found.unquoted is not None
    assert {hit.path for hit in found.unquoted.hits} == {"haus.md"}


def test_a_phrase_that_is_found_leaves_nothing_apart(library: Workspace) -> None:
    found = library.result('"quarterly report"', mode="hybrid")
    assert found.hits
    assert found.unquoted is None
    assert found.notes == ()


def test_stop_words_alone_find_nothing_by_words_and_the_answer_says_so(library: Workspace) -> None:
    found = library.result("what is the", mode="lexical")
    assert found.hits == ()
    assert found.notes[0].endswith("nothing was found by words")
    assert library.result("volcano", mode="lexical").notes == ()


def test_a_question_above_the_bound_is_cut_and_the_answer_says_so(library: Workspace) -> None:
    found = library.result("quarterly report " * 700, mode="lexical")
    assert {hit.path for hit in found.hits} == {"exact.md", "apart.md"}
    assert found.notes == ("of the question's 11,900 characters the first 9,995 were asked",)


def test_stop_words_and_a_lone_mark_ask_nothing(library: Workspace) -> None:
    assert library.paths('"the" quarterly report', mode="lexical") == {"exact.md", "apart.md"}
    assert library.paths('"quarterly report', mode="lexical") == {"exact.md", "apart.md"}


def test_quotes_mean_nothing_to_a_dense_search(library: Workspace) -> None:
    assert len(library.paths('"quarterly report"', mode="dense")) == 5


def test_an_identifier_is_first_as_typed_and_found_by_its_parts(library: Workspace) -> None:
    assert library.search("e-4417", mode="lexical")[0].path == "error.md"
    for question in ("userservice.log", "UserService", "users", "/VAR/LOG/pump/userservice.log"):
        assert library.search(question, mode="lexical")[0].path == "error.md"


def test_each_text_is_stemmed_in_its_language_and_so_is_the_question(library: Workspace) -> None:
    assert library.paths("welches Haus wurde mit dem Garten besichtigt", mode="lexical") == {"haus.md"}
    assert library.paths("which house", mode="lexical") == {"exact.md"}
