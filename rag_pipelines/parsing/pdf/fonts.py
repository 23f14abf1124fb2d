"""What the fonts of a PDF say that is not so: sizes in units of their own, numbers of glyphs as characters.

What belongs here: judging a font by the text that MuPDF reads with it. What does not: symbol fonts, whose
characters are known (`forms`), and the places of glyphs (`glyphs`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rag_pipelines.parsing.pdf.lines import MARKER

UNMAPPED = "\ufffd"
"""What MuPDF gives for a glyph that the file maps to no character."""

OTHER_UNITS = 3.0
"""Lines are up to twice as high as their font is large; one that is higher has its size in other units."""

SMALL = 3.0
"""Font size in points above which nobody asks how high the glyphs are."""

STRAIGHT = 0.01
"""A line whose direction differs more from that of the page has a box that is higher than its letters."""

CONTROLS, PRIVATE = 0.04, 0.5
"""A font with so many control characters among its letters, or characters of private use, names its glyphs by
numbers, which MuPDF takes for characters."""

FEWEST_CHARACTERS = 24
"""A font with fewer characters on a page is not judged: it may be one of bullets."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_OF_PRIVATE_USE = re.compile("[\ue000-\uefff\uf100-\uf8ff]")
"""Without those in whose place symbol fonts have Latin letters and signs."""
_NOT_SPACE = re.compile(r"\S")


def size_of(span: dict[str, Any], direction: tuple[float, float]) -> float:
    """The font size of a span; as high as its glyphs are, where a Type 3 font draws them in other units.

    The size is a factor only, of what the matrix of such a font makes of its glyphs (ISO 32000-1, 9.6.5).
    """
    size: float = span["size"]
    if size > SMALL:
        return size
    left, top, right, bottom = span["bbox"]
    dx, dy = map(abs, direction)
    height: float = bottom - top if dx > dy else right - left
    return height if height > OTHER_UNITS * size and min(dx, dy) < STRAIGHT else size


def take_out_garbled(lines: Iterator[dict[str, Any]]) -> None:
    """Put U+FFFD in the place of each character of the fonts on a page whose characters are none."""
    of_font: dict[str, list[dict[str, Any]]] = {}
    controls, private = Counter[str](), Counter[str]()
    for line in lines:
        for number, span in enumerate(line["spans"]):
            text: str = span["text"]
            of_font.setdefault(span["font"], []).append(span)
            if not text.isprintable():
                head = text.split(maxsplit=1)[0] if number == 0 and text.strip() else ""
                controls[span["font"]] += len(_CONTROL.findall(text)) - (MARKER.fullmatch(head) is not None)
                private[span["font"]] += len(_OF_PRIVATE_USE.findall(text))
    for font in controls:
        spans = of_font[font]
        count = sum(len(span["text"]) for span in spans)
        if count >= FEWEST_CHARACTERS and (
            controls[font] > CONTROLS * count or private[font] > PRIVATE * count
        ):
            for span in spans:
                span["text"] = _NOT_SPACE.sub(UNMAPPED, _CONTROL.sub(UNMAPPED, span["text"]))
