"""Tables of old binary presentations: groups of shapes, of which each is a cell; sections are of [MS-ODRAW].

What belongs here: which groups are tables, and the rows and columns of their cells. What does not: the text
of a cell (`ppt_text`), records (`ppt`).
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

_PROPERTY_BYTES = 6
_TABLE_PROPERTIES, _IS_TABLE = 0x39F, 0x1
_NEAR = 3
"""Units of a group that edges may be apart and still be one: they are rounded."""
_MOST_PLACES = 50
"""Places in a table for each of its cells; one cell may cover as many."""


class Anchor(NamedTuple):
    """The edges of a shape, in units of its group (2.2.39)."""

    left: int
    top: int
    right: int
    bottom: int


def is_table(properties: memoryview, count: int) -> bool:
    """Whether the properties of a group say that it is a table (tableProperties, 2.3.22.1)."""
    held = properties[: len(properties) // _PROPERTY_BYTES * _PROPERTY_BYTES]
    entries = list(struct.iter_unpack("<HI", held))[:count]
    return any(name == _TABLE_PROPERTIES and value & _IS_TABLE for name, value in entries)


def read_anchor(data: memoryview) -> Anchor | None:
    """The place of a shape in its group, None where the record is cut short or the shape is a line."""
    if len(data) < struct.calcsize("<4i"):
        return None
    anchor = Anchor(*struct.unpack_from("<4i", data))
    return anchor if anchor.left < anchor.right and anchor.top < anchor.bottom else None


def grid(cells: Sequence[tuple[Anchor, str]]) -> list[list[str]]:
    """The rows of a table; a merged cell's text stands in every place it covers.

    Where the edges of cells have so little in common that they are no table, each cell is a row.
    """
    rows = _edges(anchor.top for anchor, _ in cells)
    columns = _edges(anchor.left for anchor, _ in cells)
    if len(rows) * len(columns) > _MOST_PLACES * len(cells):
        return [[text] for _, text in cells]
    table = [[""] * len(columns) for _ in rows]
    for anchor, text in cells:
        for row in _covered(rows, anchor.top, anchor.bottom):
            for column in _covered(columns, anchor.left, anchor.right):
                table[row][column] = f"{table[row][column]} {text}".strip()
    return table


def _edges(positions: Iterable[int]) -> list[int]:
    """The distinct ones of some positions, in order."""
    found = sorted(set(positions))
    return found[:1] + [place for before, place in pairwise(found) if place - before > _NEAR]


def _covered(edges: list[int], begin: int, end: int) -> range:
    """The numbers of the rows or columns from `begin` to `end`, at least the one at `begin`."""
    first = bisect_right(edges, begin) - 1
    return range(first, max(first + 1, bisect_left(edges, end - _NEAR)))
