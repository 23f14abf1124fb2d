"""Ranges of one document's canonical text, joined without repetition.

What belongs here: pure functions over offsets and text. What does not: hits, SQL, tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class TextRange(NamedTuple):
    """``canonical[start:end] == text``, offsets in code points."""

    start: int
    end: int
    text: str


def join_ranges(ranges: Iterable[TextRange]) -> TextRange:
    """One range over several of the same document; what they share stands in it once.

    Neighbouring chunks are cut at white space that belongs to neither. It is not known here, so a gap is
    filled with line ends, as many as it has characters: ``len(text) == end - start`` holds, and every
    character of a chunk is at its own offset.

    Raises:
        ValueError: there is no range.
    """
    ordered = sorted(ranges, key=lambda one: (one.start, -one.end))
    if not ordered:
        raise ValueError("there is no range to join")
    start, end, text = ordered[0]
    pieces = [text]
    for one in ordered[1:]:
        if one.end <= end:
            continue
        pieces.append("\n" * (one.start - end) if one.start > end else "")
        pieces.append(one.text[max(end - one.start, 0) :])
        end = one.end
    return TextRange(start, end, "".join(pieces))
