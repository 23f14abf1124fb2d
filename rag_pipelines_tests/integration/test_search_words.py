"""Searches by what was quoted, by identifiers, and in several languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
