"""Ranges of one text, joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.query.ranges import TextRange, join_ranges


def cut(text: str, start: int, end: int) -> TextRange:
    return TextRange(start, end, text[start:end])


@given(st.data())
def test_ranges_that_cover_a_text_in_any_order_give_it_back_once(data: st.DataObject) -> None:
    text = data.draw(st.text(min_size=1, max_size=60))
    places = st.integers(0, len(text))
    extra = data.draw(st.lists(st.tuples(places, places).map(sorted), max_size=6))
    middle = data.draw(places)
    spans = [(0, middle), (middle, len(text)), *extra]
    ranges = data.draw(st.permutations([cut(text, start, end) for start, end in spans]))
    assert join_ranges(ranges) == (0, len(text), text)


def test_a_gap_keeps_every_character_at_its_offset() -> None:
    text = "First part.\n\nSecond part."
    whole = join_ranges([cut(text, 13, 25), cut(text, 0, 11)])
    assert whole == (0, 25, text)


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="no range"):
        join_ranges([])
