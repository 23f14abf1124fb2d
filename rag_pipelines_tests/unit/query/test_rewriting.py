"""Synonyms and spelling, without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rag_pipelines.config.query import RewritingSettings
from rag_pipelines.query.hits import Change
from rag_pipelines.query.rewriting import Synonyms, Vocabulary, mend, plain_words

GROUPS = (("PTO", "paid time off", "vacation"), ("C++", "cpp"))
WORDS = {"insurance": 40, "assurance": 3, "policy": 9, "police": 30, "deductible": 5, "straße": 4}


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("How much PTO do I get?", "How much PTO do I get? (paid time off vacation)"),
        ("paid  time\noff rules", "paid  time\noff rules (PTO vacation)"),
        ("vacation or pto", "vacation or pto (paid time off)"),
        ("a C++ guide", "a C++ guide (cpp)"),
        ("the ptolemaic system", "the ptolemaic system"),
        ('exactly "PTO" please', 'exactly "PTO" please'),
        ("nothing of it", "nothing of it"),
    ],
)
def test_a_phrase_brings_its_synonyms_along(question: str, asked: str) -> None:
    assert Synonyms(GROUPS).expand(question).text == asked


def test_what_was_added_is_told() -> None:
    changes = Synonyms(GROUPS).expand("cpp").changes
    assert changes == (Change("synonym", "cpp", "C++"),)


@given(st.text(max_size=40))
def test_any_question_stays_in_front(text: str) -> None:
    assert Synonyms(GROUPS).expand(text).text.startswith(text)
    assert Synonyms(()).expand(text).text == text


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("insurence", "insurance"),
        ("nisurance", "insurance"),
        ("polcy", "policy"),
        ("polic", "police"),
        ("deductable", "deductible"),
        ("strasse", "straße"),
        ("xylophone", None),
    ],
)
def test_the_nearest_word_has_the_fewest_edits_then_the_most_passages(
    typed: str, nearest: str | None
) -> None:
    assert next(iter(Vocabulary(WORDS).near(typed)), None) == nearest


def test_identifiers_quotes_and_short_words_are_left_as_typed() -> None:
    text = 'find "exakt phrase" in setup.cfg for FS-220-B at ann@example.com or v2beta the abc deducible'
    assert plain_words(text) == ["find", "deducible"]
    mended = mend('deducible in deducible.txt and "deducible"', {"deducible": "deductible"})
    assert mended.text == 'deductible in deducible.txt and "deducible"'


@pytest.mark.parametrize("group", [["pto"], ["PTO", "pto"]])
def test_a_group_of_one_phrase_is_refused(group: list[str]) -> None:
    with pytest.raises(ValidationError, match="two or more different phrases"):
        RewritingSettings(synonyms=(group,))  # type: ignore[arg-type]
