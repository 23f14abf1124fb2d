"""Superscripts are kept apart from what they stand behind, and what is one word stays one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.text.superscripts import note_mark, raised


@pytest.mark.parametrize(
    ("before", "text", "line"),
    [
        ("10", "6", "10^6"),
        ("m", "2", "m^2"),
        ("10", "-3", "10^-3"),
        ("10", "−3", "10^−3"),
        ("(a+b)", "2", "(a+b)^2"),
        ("Ca", "2+", "Ca^2+"),
        ("Na", "+", "Na^+"),
        ("x", "n", "x^n"),
        ("2", "n", "2^n"),
        ("x", "n+1", "x^(n+1)"),
        ("2", "3·k", "2^(3·k)"),
        ("12.3", "ab", "12.3^ab"),
    ],
)
def test_a_power_stands_behind_a_caret(before: str, text: str, line: str):
    assert before + raised(before, text) == line


@pytest.mark.parametrize(
    ("before", "text", "line"),
    [
        ("5", "1", "5^1"),
        ("profit", "4", "profit^4"),
        ("Smith", "1, 2", "Smith^1, 2"),
        ("costs 5.", "3", "costs 5.^3"),
        ("Smith^1,", "2", "Smith^1,^2"),
        ("word", "*", "word*"),
        ("word", "[1]", "word[1]"),
        ("5", "see note", "5 see note"),
    ],
)
def test_a_note_mark_does_not_run_into_its_word(before: str, text: str, line: str):
    assert before + raised(before, text) == line


@pytest.mark.parametrize(
    ("before", "text", "line"),
    [
        ("the 1", "st", "the 1st"),
        ("le 2", "e", "le 2e"),
        ("le XIX", "e", "le XIXe"),
        ("n", "o", "no"),
        ("M", "me", "Mme"),
        ("the (n+1)", "th", "the (n+1)th"),
        ("C", "++", "C++"),
        ("Acme", "TM", "Acme™"),
    ],
)
def test_raised_letters_of_a_word_stay_one_with_it(before: str, text: str, line: str):
    assert before + raised(before, text) == line


@pytest.mark.parametrize("before", ["in ", "in (", "10^", "10\n"])
def test_a_number_that_stands_apart_gets_no_caret(before: str):
    assert raised(before, "14") == "14"


@pytest.mark.parametrize("before", ["", "  "])
def test_a_note_mark_at_the_start_of_a_line_is_kept_apart_from_the_note(before: str):
    assert raised(before, "1") + "Source" == "1 Source"
    assert raised(before, "†") + "Source" == "† Source"
    assert raised(before, "Figures") + "." == "Figures."


def test_white_space_around_a_superscript_stays():
    assert raised("10", "6 ") == "^6 "
    assert raised("10", " 6") == " 6"
    assert raised("10", " ") == " "


def test_a_known_note_mark_stands_in_brackets():
    assert note_mark(" 1 ") == "[1]"
    assert note_mark("[1]") == "[1]"
    assert note_mark("(a)") == "(a)"
    assert note_mark(" ") == ""


@given(before=st.text(max_size=8), digits=st.text("0123456789", min_size=1, max_size=4))
def test_a_raised_number_never_becomes_part_of_the_number_before_it(before: str, digits: str):
    line = f"{before}7{raised(f'{before}7', digits)}"

    assert not line.endswith(f"7{digits}")


@given(before=st.text(max_size=8), text=st.text(st.characters(max_codepoint=0x2000), max_size=12))
def test_no_character_of_a_superscript_is_lost_or_turned_around(before: str, text: str):
    written = iter(raised(before, text).replace("™", "TM").replace("℠", "SM").casefold())

    assert all(character in written for character in text.strip().casefold())
