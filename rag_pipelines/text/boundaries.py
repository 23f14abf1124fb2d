"""Where a text may be cut: patterns of the places, and the choice of the last good one.

What belongs here: pure functions over a string and offsets. What does not: tokens, blocks, budgets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
LINE = re.compile(r"\n\s*")
CELL = re.compile(r" \| ")
SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])")
WORD = re.compile(r"\s+")

PROSE = (SENTENCE, WORD)
CODE = (BLANK_LINE, LINE, WORD)
ROW = (CELL, WORD)
ANY = (BLANK_LINE, LINE, SENTENCE, WORD)

_UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")

LEAST_FILL = 1 / 3
"""A better kind of place is taken only if the piece is at least this full; else a lesser kind is tried."""


def last_cut(text: str, start: int, limit: int, places: Sequence[re.Pattern[str]]) -> int | None:
    """The offset in (start, limit] at which to cut, or None where no place lies there.

    `places` are tried best first; of each kind the last place before `limit` counts.
    """
    fallback = None
    least = start + (limit - start) * LEAST_FILL
    for place in places:
        cut = None
        for match in place.finditer(text, start, limit):
            cut = match.end()
        if cut is not None and cut > start:
            if cut >= least:
                return cut
            fallback = cut
    return fallback


def first_cut(text: str, start: int, limit: int, places: Sequence[re.Pattern[str]]) -> int | None:
    """The first offset in [start, limit) that stands directly behind a place, best kind first; or None."""
    for place in places:
        for match in place.finditer(text, max(0, start - 1), limit):
            if start <= match.end() < limit:
                return match.end()
    return None


def join_pieces(first: str, second: str) -> str:
    """Two successive pieces of a line or a paragraph as one text: no space between Chinese or Japanese."""
    unspaced = bool(first and second) and _UNSPACED.match(first[-1]) and _UNSPACED.match(second[0])
    return f"{first}{second}" if unspaced else f"{first} {second}"


def strip(text: str, start: int, end: int) -> tuple[int, int]:
    """The range without the white space at its ends; empty where there is nothing else."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    return (start + left, start + len(piece.rstrip())) if left < len(piece) else (end, end)


def sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The sentences of a range, without the white space between them."""
    spans = []
    at = start
    for match in SENTENCE.finditer(text, start, end):
        spans.append(strip(text, at, match.end()))
        at = match.end()
    spans.append(strip(text, at, end))
    return [(first, last) for first, last in spans if first < last]
