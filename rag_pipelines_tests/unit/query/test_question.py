"""What a question quotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.query.question import QUOTED, phrases


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ('the "quarterly report" of spring', ("quarterly report",)),
        ("die „neue Satzung“ lesen", ("neue Satzung",)),
        ("a „nowy statut” of Poland", ("nowy statut",)),
        ("la « nouvelle loi » et «l’ancienne»", ("nouvelle loi", "l’ancienne")),
        ("die »neue Satzung« lesen", ("neue Satzung",)),
        ("the “quarterly report”", ("quarterly report",)),
        ('("in brackets")', ("in brackets",)),
        ('"one" and "two words"', ("one", "two words")),
        ('"twice" is "twice"', ("twice",)),
        ('"E-4417"', ("E-4417",)),
        ('公司的"带薪年假"制度', ("带薪年假",)),
        ("「出張旅費」と『宿泊費』の上限", ("出張旅費", "宿泊費")),
        ("＂报销单据＂在哪里", ("报销单据",)),
    ],
)
def test_what_stands_between_quotation_marks_is_a_phrase(question: str, quoted: tuple[str, ...]) -> None:
    assert phrases(question) == quoted


@pytest.mark.parametrize(
    "question",
    [
        "plain words",
        'an "unbalanced mark',
        "an “unbalanced mark",
        'a 5" pipe on a 6" pipe',
        "it's the users' guide",
        '"" and " "',
        'only "?!" signs',
        "",
    ],
)
def test_a_mark_without_its_other_is_a_plain_character(question: str) -> None:
    assert phrases(question) == ()


@given(st.text(alphabet='ab 5"“”„«»?', max_size=60))
def test_a_phrase_stands_in_the_question_as_it_was_typed(question: str) -> None:
    for phrase in phrases(question):
        assert phrase in question
        assert phrase == phrase.strip() != ""
    assert len(phrases(question)) <= len(QUOTED.findall(question))
