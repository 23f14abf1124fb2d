"""What a question quotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.errors import UsageError
from rag_pipelines.query.question import MAX_QUESTION, QUOTED, phrases, read_question, readings


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


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b\u200b", "\0", "\ufeff\u2060", "?!", "— …", "\u0301", "\u200d"]
)
def test_a_question_in_which_nothing_can_be_asked_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the question is empty"):
        read_question(text)


@pytest.mark.parametrize("text", ["E-4417", "§", "7", "🙂", "\u200bpay\u200b", "年", "C++"])
def test_one_letter_digit_or_symbol_is_a_question(text: str) -> None:
    asked, notes = read_question(text)
    assert (asked, notes) == (text.replace("\u200b", ""), ())


def test_a_long_question_is_cut_between_words_and_its_asker_is_told() -> None:
    asked, notes = read_question("meals " * 3_000)
    assert asked == ("meals " * 3_000)[: MAX_QUESTION - 4].rstrip()
    assert notes == ("of the question's 18,000 characters the first 9,995 were asked",)
    assert read_question("x" * MAX_QUESTION) == ("x" * MAX_QUESTION, ())
    assert len(read_question("x" * 20_000)[0]) == MAX_QUESTION


@pytest.mark.parametrize(
    ("phrase", "also"),
    [
        ("pre-authorization form", {"pre authorization form", "preauthorization form"}),
        ("the pre authorization", {"the pre-authorization"}),
        ("employee’s handbook", {"employees handbook"}),
        ("U.S.A. office", {"USA office"}),
        ("v3.11.2", {"3.11.2"}),
        ("since 3.11", {"since v3.11"}),
        ("12,345,000 euros", {"12345000 euros"}),
        ("in-house pre-checks", {"in house pre checks", "in-house pre checks", "in house pre-checks"}),
    ],
)
def test_a_phrase_may_be_written_with_other_joints(phrase: str, also: set[str]) -> None:
    written = readings(phrase)
    assert written[0].text == phrase
    assert also <= {one.text for one in written}


@given(st.text(alphabet="ab-'’.,v3 &", max_size=40))
def test_no_way_to_write_a_phrase_has_other_letters(phrase: str) -> None:
    letters = sorted(filter(str.isalnum, phrase))
    for one in readings(phrase):
        assert sorted(filter(str.isalnum, one.text)) in (
            letters,
            sorted([*letters, "v"]),
            sorted("".join(letters).replace("v", "", 1)),
        )
    assert len({one.text for one in readings(phrase)}) == len(readings(phrase))
