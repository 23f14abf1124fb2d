"""The columns of a page: rows of lines cut into strips one column wide, in reading order.

What belongs here: white space between columns. What does not: paragraphs (`flow`) and tables
(`tables`), which both work within a strip.

Rows are gathered from the top into a band as long as they leave a gutter free, a vertical strip with
text on both sides; a row that runs across it (a spanning heading, a table) ends the band. A band counts
as columns if both sides are prose: at least three rows that fill their side. It counts as columns, too, if
one side is prose whose sentences run on past what stands beside them (bullets, a listing, the labels of a
figure): the cells of a row begin or end together, and the lines of columns do not. And it does if both sides
are lists, or follow distances of their own between lines. Everything else is read row by row, so that the
rows of a table that nobody recognises keep together.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Iterator

from rag_pipelines.parsing.pdf.lines import WIDE, Line, is_right_to_left

GUTTER = 6.0
"""Least width of a gutter in points."""

COLUMN_ROWS = 3
COLUMN_CHARACTERS = 14
COLUMN_FILL = 0.55
"""Prose: at least so many rows, with a median of so many characters, filling so much of the side."""

RUNNING_ROWS = 5
RUNNING_CHARACTERS = 25
RUNNING_FILL = 0.75
"""The same for prose beside something else, which has to be beyond doubt."""

RUN_ON = 0.4
"""The share of rows with text on both sides in which the sentence of such prose runs on."""

SHORT_LINE = 0.25
"""A line of prose that leaves this share of its column free ends its paragraph."""

PARAGRAPH_GAP = 0.75
"""White space between groups of lines, in font sizes."""

ROWS_APART = 6
"""So many lines on each side show whether they are level."""

SAME_LEVEL = 0.12
"""Lines whose middles or lower edges differ by fewer font sizes are level."""

LEVEL = 0.5
"""The share of lines of the shorter side below which level ones are so by chance."""

DENSE = 0.6
"""The share of lines that follow the one above closely, as in a column and not in a table."""

_BULLET = re.compile(r"[•‣◦▪▫●○■□▶➢➤✓✔·\ue000-\uf8ff] ?\S")
_LOWER_START = re.compile(r"[^\W\d_A-Z\u00c0-\u00de\u0391-\u03a9\u0410-\u042f]")
_SENTENCE_END = re.compile(r"[.!?:;…。！？]['\"»”’)\]]*$")
_FIGURES = re.compile(r"[\s$€£¥%()+\-–.,/\d]+")

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
    """Where the first column with a column beside it ends, None if the band is no columns."""
    lines = [line for row in band for line in row]
    intervals = _merge_spans([(line.box.x0, line.box.x1) for line in lines])
    if len(intervals) < 2:
        return None
    sides = [
        [line for line in lines if left <= line.box.x0 and line.box.x1 <= right] for left, right in intervals
    ]
    prose = [_is_prose(side, COLUMN_ROWS, COLUMN_CHARACTERS, COLUMN_FILL) for side in sides]
    for number, (_, end) in enumerate(intervals[:-1]):
        if prose[number] and prose[number + 1]:
            return end
    for _, end in intervals[:-1]:
        if _are_no_rows(*_split(band, end)):
            return end
    if not any(prose):
        return None
    running = [
        is_one and _is_prose(side, RUNNING_ROWS, RUNNING_CHARACTERS, RUNNING_FILL)
        for is_one, side in zip(prose, sides, strict=True)
    ]
    for number, (_, end) in enumerate(intervals[:-1]):
        left, right = _split(band, end)
        if (running[number] and _stands_apart(left, right)) or (
            running[number + 1] and _stands_apart(right, left)
        ):
            return end
    return None


def _are_no_rows(left: list[Row], right: list[Row]) -> bool:
    """Whether the lines on both sides are no cells of common rows: they are lists, or each side has distances
    of its own between lines, so that few stand level."""
    if min(len(left), len(right)) < COLUMN_ROWS:
        return False
    if _is_bulleted(left) and _is_bulleted(right):
        return True
    ones, others = ([row[0] for row in side] for side in (left, right))
    top, bottom = max(ones[0].box.y0, others[0].box.y0), min(ones[-1].box.y1, others[-1].box.y1)
    ones, others = ([line for line in side if top <= line.box.middle <= bottom] for side in (ones, others))
    if min(len(ones), len(others)) < ROWS_APART or not (_is_dense(ones) and _is_dense(others)):
        return False
    level = sum(any(_is_level(one, other) for other in others) for one in ones)
    return level < LEVEL * min(len(ones), len(others))


def _is_bulleted(side: list[Row]) -> bool:
    """Whether the lines of a column begin with bullets, or go on below one."""
    marks = [_BULLET.match(row[0].text) is not None for row in side]
    return sum(marks) >= COLUMN_ROWS and 3 * sum(marks) >= len(marks)


def _is_dense(lines: list[Line]) -> bool:
    gaps = [
        below.box.y0 - above.box.y1 < PARAGRAPH_GAP * above.size for above, below in itertools.pairwise(lines)
    ]
    return sum(gaps) >= DENSE * len(gaps)


def _is_level(one: Line, other: Line) -> bool:
    near = SAME_LEVEL * min(one.size, other.size)
    return abs(one.box.middle - other.box.middle) < near or abs(one.box.y1 - other.box.y1) < near


def _stands_apart(prose: list[Row], beside: list[Row]) -> bool:
    """Whether the lines beside a column of prose are no cells of its rows."""
    if len(beside) < COLUMN_ROWS or all(_FIGURES.fullmatch(line.text) for row in beside for line in row):
        return False
    lines = [row[0] for row in prose]
    right = max(line.box.x1 for line in lines)
    full = right - SHORT_LINE * (right - min(line.box.x0 for line in lines))
    runs_on = [False, *(_runs_on(above, line, full) for above, line in itertools.pairwise(lines))]
    level = [_at_height(lines, row[0]) for row in beside]
    shared = [number for number in level if number is not None]
    if not shared or sum(runs_on[number] for number in shared) < RUN_ON * len(shared):
        return False
    groups, cells = _groups(beside), _groups(prose)
    if len(groups) == 1:
        return True
    if len(groups) == len(cells) and all(map(_level, cells, groups)):
        return False
    goes_on = [False, *(_goes_on(above, line, full) for above, line in itertools.pairwise(lines)), False]
    together = 0
    for group in groups:
        first, last = _at_height(lines, group[0]), _at_height(lines, group[-1])
        begins = first is not None and not goes_on[first]
        ends = last is not None and not goes_on[last + 1]
        together += begins or ends
    return 2 * together <= len(groups)


def _groups(one_side: list[Row]) -> list[list[Line]]:
    """The first lines of rows, parted where there is white space between them."""
    groups: list[list[Line]] = []
    for row in one_side:
        line = row[0]
        if groups and line.box.y0 - groups[-1][-1].box.y1 < PARAGRAPH_GAP * line.size:
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _level(cell: list[Line], other: list[Line]) -> bool:
    """Whether the middle of one group lies beside the other."""
    middle = (other[0].box.y0 + other[-1].box.y1) / 2
    return cell[0].box.y0 <= middle <= cell[-1].box.y1


def _runs_on(above: Line, line: Line, full: float) -> bool:
    """Whether a sentence goes on from one line of prose, which is full from `full` points, to the next."""
    return _goes_on(above, line, full) and _LOWER_START.match(line.text) is not None


def _goes_on(above: Line, line: Line, full: float) -> bool:
    """Whether a sentence may go on: near, behind a full line that does not end one, if with a capital."""
    near = line.box.y0 - above.box.y1 < PARAGRAPH_GAP * line.size and above.box.x1 >= full
    return near and not _SENTENCE_END.search(above.text)


def _at_height(lines: list[Line], other: Line) -> int | None:
    """The number of the line that stands level with `other`."""
    for number, line in enumerate(lines):
        if abs(line.box.middle - other.box.middle) < 0.5 * line.size:
            return number
    return None


def _split(band: list[Row], gutter: float) -> tuple[list[Row], list[Row]]:
    """The rows of the left and of the right side of a gutter, each from the top: what stands beside a row in
    large type may begin above the row before it."""
    left = [[line for line in row if line.box.x1 <= gutter] for row in band]
    right = [[line for line in row if line.box.x1 > gutter] for row in band]
    return _from_the_top(left), _from_the_top(right)


def _from_the_top(side: list[Row]) -> list[Row]:
    return sorted((row for row in side if row), key=lambda row: row[0].box.y0)


def _is_prose(lines: list[Line], rows: int, characters: int, fill: float) -> bool:
    if len(lines) < rows:
        return False
    width = max(line.box.x1 for line in lines) - min(line.box.x0 for line in lines)
    if statistics.median(line.box.width for line in lines) < fill * max(width, 1.0):
        return False
    lengths = (len(line.text) * (2 if WIDE.search(line.text) else 1) for line in lines)
    return statistics.median(lengths) >= characters
