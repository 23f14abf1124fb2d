"""Pages of a PDF without text of their own, as the lines that optical character recognition finds on them.

What belongs here: which pages are read so, and recognised lines in the coordinates of a page. What does not:
pictures on pages with text (`pictures`), the engines (`parsing.ocr`), what becomes of the lines (`flow`,
`structure`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from rag_pipelines.parsing.base import Ocr, RecognisedLine
from rag_pipelines.parsing.pdf.lines import Box, Line
from rag_pipelines.parsing.pdf.page import Page

POINTS = 72.0
SAME_SIZE = 1.3
"""Letters whose line is up to so many times higher or lower than most on the page are of their size: a box
around recognised letters is as high as they happen to be."""


def needs_recognition(mupdf_page: Any, page: Page) -> bool:
    """Whether a page shows something and has no text, or more glyphs without a character than with one."""
    if page.lines:
        return page.unmapped > sum(len(line.text) for line in page.lines)
    return bool(mupdf_page.get_bboxlog())


def recognise_page(
    mupdf_page: Any, page: Page, options: Ocr, recognise: Callable[[bytes], list[RecognisedLine]]
) -> int:
    """Give `page` the lines on its picture; the characters of those that the engine is not sure of.

    The page has then the size at which a viewer shows it, and `page.recognised` the confidence of each line.
    """
    picture = mupdf_page.get_pixmap(dpi=options.dpi, alpha=False)
    points = POINTS / options.dpi
    page.width, page.height = picture.width * points, picture.height * points
    page.lines, page.unmapped = [], 0
    unsure = take_lines(page, recognise(picture.tobytes("png")), points, options.min_confidence)
    page.words = "\n".join(line.text for line in page.lines)
    return unsure


def take_lines(page: Page, found: Sequence[RecognisedLine], points: float, min_confidence: float) -> int:
    """Add the lines `found` in a picture to `page`; the characters of those that the engine is not sure of.

    `points` is the size of a dot of the picture.
    """
    sure = [line for line in found if line.confidence >= min_confidence]
    heights = [line.box[3] - line.box[1] for line in sure]
    usual = median(heights) if heights else 0.0
    for line, height in zip(sure, heights, strict=True):
        ordinary = usual / SAME_SIZE <= height <= usual * SAME_SIZE
        box = Box(*(side * points for side in line.box))
        page.lines.append(Line(line.text, box, (usual if ordinary else height) * points))
        page.recognised.append((box, line.confidence))
    return sum(len(line.text) for line in found) - sum(len(line.text) for line in sure)


def confidence_of(page: Page, box: Box) -> float | None:
    """How sure the engine is of the recognised lines inside `box`, on average; None where there are none."""
    inside = [confidence for line, confidence in page.recognised if box.holds(line)]
    return sum(inside) / len(inside) if inside else None
