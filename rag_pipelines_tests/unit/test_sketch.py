"""Sketches of texts: what they tell alike, and how far their estimate is off."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.errors import UsageError
from rag_pipelines.text.sketch import BANDS, BITS, Sketch, bits_apart, similarities, sketch_of, words_of

VOCABULARY = [f"word{number}" for number in range(3_000)]


def sketch(text: str) -> Sketch:
    """The sketch of a text with words."""
    made = sketch_of(text)
    assert made is not None
    return made


def jaccard(first: str, second: str) -> float:
    """The share of three words in a row that both texts have, counted."""
    one, other = (set(zip(words, words[1:], words[2:])) for words in (first.split(), second.split()))  # noqa: B905
    return len(one & other) / len(one | other)


def alike(first: str, second: str) -> float:
    return float(similarities([sketch(first).bits], [sketch(second).bits])[0, 0])


def test_the_words_count_and_not_how_they_are_set() -> None:
    plain = sketch("The Notice\n\nPay within 30 days, please.")
    assert sketch("the notice | pay within | 30 days please") == plain
    assert sketch("The notice\n\nPay within 31 days, please.").words_key != plain.words_key


def test_the_order_of_words_is_part_of_the_text() -> None:
    assert sketch("pay the bill then eat").words_key != sketch("then eat pay the bill").words_key


def test_numbers_are_compared_apart_from_their_order() -> None:
    first = sketch("Pay 100 within 30 days, by rule A7.")
    assert sketch("By rule A7 pay within 30 days the sum of 100.").numbers_key == first.numbers_key
    assert sketch("Pay 100 within 14 days, by rule A7.").numbers_key != first.numbers_key


@pytest.mark.parametrize("text", ["", " \n", "…!?", "***"])
def test_a_text_without_words_has_no_sketch(text: str) -> None:
    assert sketch_of(text) is None


def test_signs_of_scripts_without_spaces_are_words() -> None:
    assert words_of("版本2 ready か") == ["版", "本", "2", "ready", "か"]
    text = "".join(chr(0x4E00 + 7 * number) for number in range(200))
    assert alike(text, text[:195]) > 0.9
    assert alike(text, text[::-1]) < 0.2


def test_the_estimate_is_near_what_is_counted() -> None:
    rng = random.Random(5)
    errors = []
    for _ in range(200):
        words = rng.choices(VOCABULARY, k=rng.choice((40, 200, 800)))
        edited = list(words)
        for at in rng.sample(range(len(words)), k=rng.randrange(len(words) // 10)):
            edited[at] = rng.choice(VOCABULARY)
        first, second = " ".join(words), " ".join(edited)
        errors.append(alike(first, second) - jaccard(first, second))
    assert abs(sum(errors)) / len(errors) < 0.01
    assert (sum(error**2 for error in errors) / len(errors)) ** 0.5 < 0.04


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_alike_to_itself_in_full_and_fits_its_row(text: str) -> None:
    made = sketch_of(text)
    if made is not None:
        assert (len(made.bits) * 8, len(made.bands)) == (BITS, BANDS)
        assert all(-(2**31) <= band < 2**31 for band in made.bands)
        assert similarities([made.bits], [made.bits]) == 1
        assert sketch_of(text) == made


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(UsageError, match=r"pip install 'rag-pipelines\[duplicates\]'"):
        sketch_of("some words")


def test_bits_that_may_differ_are_those_of_the_similarity() -> None:
    zero, other = bytes(BITS // 8), (2 ** bits_apart(0.85) - 1).to_bytes(BITS // 8, "big")
    more = (2 ** (bits_apart(0.85) + 1) - 1).to_bytes(BITS // 8, "big")
    near, far = similarities([zero], [other, more])[0]
    assert near >= 0.85 > far
