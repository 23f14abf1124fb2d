"""The columns of a page: rows of lines cut into strips one column wide, in reading order.

What belongs here: white space between columns. What does not: paragraphs (`flow`) and tables
(`tables`), which both work within a strip.

Rows are gathered from the top into a band as long as they leave a gutter free, a vertical strip with
text on both sides; a row that runs across it (a spanning heading, a table) ends the band. A band counts
as columns only if both sides are prose: at least three rows that fill their side. Everything else is
read row by row, so that the rows of a table that nobody recognises keep together.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator

from rag_pipelines.parsing.pdf.lines import Line, is_right_to_left

GUTTER = 6.0
"""Least width of a gutter in points."""

COLUMN_ROWS = 3
COLUMN_CHARACTERS = 14
COLUMN_FILL = 0.55
"""Prose: at least so many rows, with a median of so many characters, filling so much of the side."""

WIDE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]")
"""Chinese, Japanese and Korean characters, twice as wide as Latin ones."""

Row = list[Line]


def columns(page_rows: list[Row]) -> Iterator[list[Row]]:
    """Strips of rows in reading order, each one column wide."""
    plain: list[Row] = []
    for band in _bands(page_rows):
        gutter = _column_gutter(band)
        if gutter is None:
            plain.extend(band)
            continue
        if plain:
            yield plain
            plain = []
        left, right = _split(band, gutter)
        backwards = is_right_to_left(" ".join(line.text for row in band for line in row))
        for one_side in (right, left) if backwards else (left, right):
            yield from columns(one_side)
    if plain:
        yield plain


def _bands(page_rows: list[Row]) -> Iterator[list[Row]]:
    """Successions of rows that share a gutter, and the rows between them."""
    band: list[Row] = []
    covered: list[tuple[float, float]] = []
    for row in page_rows:
        own = _merge_spans([(line.box.x0, line.box.x1) for line in row])
        both = _merge_spans(covered + own)
        if band and len(both) == 1 and (len(covered) > 1 or len(own) > 1):
            yield band
            band, both = [], own
        band.append(row)
        covered = both
    if band:
        yield band


def _merge_spans(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What `spans` cover, as intervals at least a gutter apart, from the left."""
    result: list[tuple[float, float]] = []
    for left, right in sorted(spans):
        if result and left < result[-1][1] + GUTTER:
            result[-1] = result[-1][0], max(result[-1][1], right)
        else:
            result.append((left, right))
    return result


def _column_gutter(band: list[Row]) -> float | None:
    """Where the first column of prose with prose beside it ends, None if the band is no columns."""
    lines = [line for row in band for line in row]
    intervals = _merge_spans([(line.box.x0, line.box.x1) for line in lines])
    prose = [
        _is_prose([line for line in lines if left <= line.box.x0 and line.box.x1 <= right])
        for left, right in intervals
    ]
    for number, (_, end) in enumerate(intervals[:-1]):
        if prose[number] and prose[number + 1]:
            return end
    return None


def _split(band: list[Row], gutter: float) -> tuple[list[Row], list[Row]]:
    """The rows of the left and of the right side of a gutter."""
    left = [[line for line in row if line.box.x1 <= gutter] for row in band]
    right = [[line for line in row if line.box.x1 > gutter] for row in band]
    return [row for row in left if row], [row for row in right if row]


def _is_prose(lines: list[Line]) -> bool:
    if len(lines) < COLUMN_ROWS:
        return False
    width = max(line.box.x1 for line in lines) - min(line.box.x0 for line in lines)
    fill = statistics.median(line.box.width for line in lines) / max(width, 1.0)
    characters = statistics.median(len(line.text) * (2 if WIDE.search(line.text) else 1) for line in lines)
    return fill >= COLUMN_FILL and characters >= COLUMN_CHARACTERS
