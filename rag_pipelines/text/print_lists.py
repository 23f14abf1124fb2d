"""Lists as printers wrote them: lines in a font of one width, whose columns are parted by blanks.

What belongs here: whether lines are such a list, and its rows. What does not: where the lines come from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from statistics import median

FEWEST_LINES, FEWEST_COLUMNS = 4, 3
"""Fewer are as often prose that happens to stand so."""

GUTTER = 2
"""Characters that are blank in every line between two columns."""

MOST_BESIDE = 2
"""Lines above and below a list that may not be of it: a title, a sum across columns."""

LONGEST_CELL = 30
"""Characters of most cells; longer ones are prose in columns."""

FILLED, WIDE_ROWS = 0.5, 0.8
"""The share of cells with text, and of lines that have text in two columns."""

_RULE = re.compile(r"[-=_+|*. ]{3,}")
_FIGURE = re.compile(r"\d")


def find_list(lines: Sequence[str]) -> tuple[range, list[list[str]], int] | None:
    """The lines that are a list, its rows, and how many of these are its header; None where there is none.

    Lines of strokes below the header are no rows. Without them the first row is a header if it alone has no
    figures.
    """
    lines = [line.expandtabs().rstrip() for line in lines]
    for beside in range(2 * MOST_BESIDE + 1):
        for above in range(max(0, beside - MOST_BESIDE), min(beside, MOST_BESIDE) + 1):
            taken = range(above, len(lines) - (beside - above))
            if found := _rows([lines[number] for number in taken]):
                return (taken, *found)
    return None


def _rows(lines: Sequence[str]) -> tuple[list[list[str]], int] | None:
    written = [line for line in lines if line and not _RULE.fullmatch(line)]
    if len(written) < FEWEST_LINES:
        return None
    columns = _columns(written)
    if len(columns) < FEWEST_COLUMNS:
        return None
    rows = [[line[left:right].strip() for left, right in columns] for line in written]
    cells = [cell for row in rows for cell in row if cell]
    two = sum(sum(map(bool, row)) > 1 for row in rows)
    if len(cells) < FILLED * len(rows) * len(columns) or two < WIDE_ROWS * len(rows):
        return None
    if median(map(len, cells)) > LONGEST_CELL:
        return None
    return rows, _header_rows(lines, rows)


def _columns(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Where columns begin, and where the next one does: what is blank in all lines lies between them."""
    width = max(map(len, lines))
    blank = [all(line[place : place + 1] in ("", " ") for line in lines) for place in range(width)]
    starts = [0]
    place = 0
    for is_blank, run in groupby(blank):
        length = len(list(run))
        if is_blank and length >= GUTTER and place:
            starts.append(place + length)
        place += length
    return list(zip(starts, [*starts[1:], width], strict=True))


def _header_rows(lines: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    above = 0
    for line in lines[: len(rows) // 2 + 1]:
        if line and _RULE.fullmatch(line):
            if above:
                return above
        else:
            above += bool(line)
    figures = [any(map(_FIGURE.search, row)) for row in rows]
    return int(not figures[0] and all(figures[1:]))
