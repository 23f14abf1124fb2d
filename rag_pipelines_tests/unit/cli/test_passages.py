"""How passages are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.cli.passages import snippet, term_pattern

TABLE = "Code | Meaning\n" + "\n".join(
    f"E-{number} | sensor {number} is tired" for number in range(4400, 4460)
)


@pytest.mark.parametrize(
    ("question", "text", "found"),
    [
        (
            "What does error E-4417 mean?",
            "E-4417 and E-4418 are errors; no meanness is meant",
            ["E-4417", "errors"],
        ),
        ("measuring ranges", "The measurement range; arrange", ["measurement", "range"]),
        ("who is it", "who it is", []),
        ("", "anything", []),
        ("c++ (fast)", "fast c", ["fast", "c"]),
    ],
)
def test_the_words_of_a_question_are_found_up_to_their_endings(
    question: str, text: str, found: list[str]
) -> None:
    pattern = term_pattern(question)
    assert (pattern.findall(text) if pattern else []) == found


def test_a_short_passage_is_shown_whole() -> None:
    assert snippet("A few words.", None) == "A few words."


def test_a_snippet_is_where_the_question_s_words_stand_and_keeps_the_lines_of_a_table() -> None:
    cut = snippet(TABLE, term_pattern("what is E-4442"), budget=120)
    assert "E-4442 | sensor 4442 is tired" in cut.splitlines()
    assert cut.startswith("…\n")
    assert cut.endswith("\n…")


def test_a_sentence_is_not_cut_where_the_budget_allows() -> None:
    text = "Nothing here. " * 40 + "The heron waits by the weir. " + "Nothing there. " * 40
    assert "The heron waits by the weir." in snippet(text, term_pattern("heron"))


@given(st.text(), st.text(max_size=60), st.integers(min_value=1, max_value=200))
def test_a_snippet_is_never_longer_than_its_budget_and_verbatim(
    text: str, question: str, budget: int
) -> None:
    cut = snippet(text, term_pattern(question), budget)
    core = cut if len(text) <= budget else cut.removeprefix("…").removesuffix("…").strip()
    assert len(cut) <= budget + len("…\n") + len("\n…")
    assert core in text
