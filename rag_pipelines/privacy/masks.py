"""A text with what was found replaced, and the way back from its offsets to those of the clear text.

What belongs here: texts. What does not: blocks and titles (`screen`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from rag_pipelines.privacy.kinds import Kind


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A finding in the text that is stored. `length` is that of what stood there in the clear text, which is
    `end - start` where nothing was masked."""

    kind: Kind
    start: int
    end: int
    score: float
    length: int


class MaskedText:
    """`clear` with masks in the place of `spans`: start, end and kind of each, in order, without overlaps."""

    def __init__(self, clear: str, spans: Sequence[tuple[int, int, Kind]]) -> None:
        pieces: list[str] = []
        at = 0
        for start, end, kind in spans:
            pieces += (clear[at:start], kind.mask)
            at = end
        self.text = "".join([*pieces, clear[at:]])
        self._starts = [start for start, _, _ in spans]
        self._ends = [end for _, end, _ in spans]
        growth = (len(kind.mask) - (end - start) for start, end, kind in spans)
        self._shifts = [0, *accumulate(growth)]

    def offset(self, clear: int) -> int:
        """Where the offset `clear` of the clear text is in `text`; inside a mask it is the mask's start."""
        number = bisect_right(self._starts, clear) - 1
        if number < 0:
            return clear
        if clear >= self._ends[number]:
            return clear + self._shifts[number + 1]
        return self._starts[number] + self._shifts[number]


def clear_span(places: Sequence[Place], start: int, end: int) -> tuple[int, int]:
    """Where a span of a masked text stands in the clear one; a mask that it touches counts in whole."""
    return _clear(places, start, after=False), _clear(places, end, after=True)


def _clear(places: Sequence[Place], offset: int, *, after: bool) -> int:
    shift = 0
    for place in places:
        if place.end <= offset:
            shift += place.length - (place.end - place.start)
        elif place.start < offset:
            return place.start + shift + (place.length if after else 0)
        else:
            break
    return offset + shift
