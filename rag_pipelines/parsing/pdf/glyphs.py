"""The text of a line from the places of its glyphs, where MuPDF's own reading of it is in doubt.

What belongs here: glyphs printed twice, words without a space between them, words set wide, and ligatures
of Arabic, which only the places of single glyphs show. What does not: lines that are in no doubt (`page`),
because asking for every glyph takes several times as long as asking for lines.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

SAME_GLYPH = 0.5
"""The same character again within so much of its own width is one glyph printed twice, to look bold or to
throw a shadow."""

SAME_NARROW_GLYPH = 0.18
"""The same for narrow ones, in font sizes."""

WORD_GAP = 0.075
"""A gap wider than the usual one of its line by so many font sizes is a space. MuPDF asks for 0.15 more
than none, but tight lines have narrower spaces, and in words set wide every gap is as wide."""

GAP_BESIDE_SPACES = 0.3
"""The same where the font has a space and the line uses it."""

GLYPHS_PER_SPACE = 12
"""Words are not longer on average: a line with fewer spaces does without the font's space."""

FEWEST_GAPS = 4
"""A line with fewer gaps has no usual one."""

_LONG_WORD = re.compile(r"[a-zA-Z\u00c0-\u052f]{22}")
_SINGLE_LETTERS = re.compile(r"(?<!\S)(?:\w ){4}")
_ARABIC = re.compile("[\u0620-\u064a\u066e-\u06d3]{2}")
_DOUBLED = re.compile(r"(?:([^\W_])\1){3}")


def in_doubt(text: str) -> bool:
    """Whether the glyphs of a line should be asked, for its long word, single, doubled or Arabic letters."""
    if not text.isascii() and _ARABIC.search(text):
        return True
    return len(text) > 5 and bool(
        _LONG_WORD.search(text) or _SINGLE_LETTERS.search(text) or _DOUBLED.search(text)
    )


def read_glyphs(line: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans of a line of MuPDF's ``rawdict``, with the ``text`` that the places of the glyphs show."""
    spans: list[dict[str, Any]] = line["spans"]
    if any(_ARABIC.search("".join([char["c"] for char in span["chars"]])) for span in spans):
        for span in spans:
            span["text"] = "".join(_ligatures_in_order(span["chars"]))
        return spans
    for span in spans:
        span["text"] = ""
    glyphs = list(_printed_once(_glyphs(line)))
    gaps = list(_gaps(glyphs))
    unspaced = [gap.width for gap in gaps if not gap.space]
    spaces = len(gaps) - len(unspaced)
    usual = statistics.median(unspaced) if len(unspaced) >= FEWEST_GAPS else None
    least = GAP_BESIDE_SPACES if GLYPHS_PER_SPACE * spaces >= len(unspaced) else WORD_GAP
    for gap in gaps:
        wide = gap.made_up if usual is None else gap.width > max(usual, 0.0) + least
        gap.glyph.span["text"] += (" " if gap.space or wide else "") + gap.glyph.text
    if glyphs and glyphs[-1].text.isspace():
        glyphs[-1].span["text"] += " "
    return spans


def _ligatures_in_order(chars: list[dict[str, Any]]) -> Iterator[str]:
    """The characters of a span written right to left, those of one glyph in the order of their word.

    MuPDF turns such a span around character by character. Of a glyph for two letters (lam and alef) the
    second has no width, and comes out before the first. Where it stands at the end of the character before
    it, it is of that glyph, and the span is not turned.
    """
    waiting: list[str] = []
    end: float | None = None
    for char in chars:
        left, _, right, _ = char["bbox"]
        if left == right and char["c"].isalpha() and (waiting or left != end):
            waiting.append(char["c"])
            continue
        end = right
        yield char["c"]
        yield from reversed(waiting)
        waiting.clear()
    yield from reversed(waiting)


class _Glyph(NamedTuple):
    """A character between two places along its line; `made_up` spaces are MuPDF's own."""

    text: str
    start: float
    end: float
    across: float
    size: float
    made_up: bool
    span: dict[str, Any]


class _Gap(NamedTuple):
    """What lies before a glyph: a space of the font or one made up by MuPDF, and its width in font sizes."""

    glyph: _Glyph
    space: bool
    made_up: bool
    width: float


def _glyphs(line: dict[str, Any]) -> Iterator[_Glyph]:
    dx, dy = line["dir"]
    along = 0 if abs(dx) >= abs(dy) else 1
    forward = line["dir"][along] >= 0
    for span in line["spans"]:
        size = max(span["size"], 1.0)
        for char in span["chars"]:
            start, end = char["bbox"][along], char["bbox"][along + 2]
            if not forward:
                start, end = -end, -start
            yield _Glyph(
                char["c"], start, end, char["origin"][1 - along], size, char.get("synthetic", False), span
            )


def _printed_once(glyphs: Iterator[_Glyph]) -> Iterator[_Glyph]:
    """The glyphs without those that stand where the same character stands already."""
    seen: defaultdict[str, list[_Glyph]] = defaultdict(list)
    for glyph in glyphs:
        near = max(SAME_GLYPH * (glyph.end - glyph.start), SAME_NARROW_GLYPH * glyph.size)
        if not any(
            abs(other.start - glyph.start) < near and abs(other.across - glyph.across) < 0.3 * glyph.size
            for other in seen[glyph.text]
        ):
            seen[glyph.text].append(glyph)
            yield glyph


def _gaps(glyphs: list[_Glyph]) -> Iterator[_Gap]:
    before: _Glyph | None = None
    space = made_up = False
    for glyph in glyphs:
        if glyph.text.isspace():
            space |= not glyph.made_up
            made_up |= glyph.made_up
            continue
        width = (glyph.start - before.end) / glyph.size if before else 0.0
        yield _Gap(glyph, space, made_up, width)
        before, space, made_up = glyph, False, False
