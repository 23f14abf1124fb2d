"""Merged cells of a sheet, so that each row can be read, and cut off, on its own.

What belongs here: bringing the text of a merged cell into the places that it covers. What does not: reading
which cells are merged (each format does) and telling header rows (`sheets`).

The text stands in every row that the cell covers. In a row it stands once, in the cell's first column; the
other columns hold a `Covered`, from which a header row takes the text for each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

_MAX_COLUMNS = 256
_MAX_REPEATED = 500
"""Longer texts stand in the first row only: they are prose, not the label of the rows beside them."""


class Merge(NamedTuple):
    """The first and last row and column that a merged cell covers, counted from 0."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


class Covered(str):
    """An empty place beside the text of a merged cell; `text` is that text."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Covered:
        place = super().__new__(cls)
        place.text = text
        return place


class _Open(NamedTuple):
    """A merged cell that reaches into the next row."""

    merge: Merge
    text: str
    beside: Covered


Merges = Mapping[int, Sequence[Merge]]
"""Merged cells by their first row."""

NONE_MERGED: Merges = MappingProxyType({})


def by_first_row(merges: Iterable[Merge]) -> Merges:
    found: dict[int, list[Merge]] = defaultdict(list)
    for merge in merges:
        found[merge.first_row].append(merge)
    return found


def spread(rows: Iterable[Sequence[str]], merges: Merges) -> Iterator[Sequence[str]]:
    """The rows with merged cells in every place they cover; rows that hold nothing else are left out.

    `merges` is asked for each row when that row has come, so a reader may fill it on the way.
    """
    reaching: list[_Open] = []
    for number, row in enumerate(rows):
        if not reaching and number not in merges:
            yield row
            continue
        line = list(row)
        above = bool(reaching)
        for merge, text, beside in reaching:
            _cover(line, merge, text if len(text) <= _MAX_REPEATED else "", beside)
        for merge in merges.get(number, ()):
            text = line[merge.first_column] if merge.first_column < len(line) else ""
            if text and not text.isspace():
                beside = Covered(text)
                _cover(line, merge, text, beside)
                reaching.append(_Open(merge, text, beside))
                above = False
        if not above or _has_own_text(line, reaching):
            yield line
        reaching = [one for one in reaching if one.merge.last_row > number]


def header_cells(row: Sequence[str]) -> list[str]:
    """A header row with the text of merged cells in each column that they cover."""
    return [cell.text if isinstance(cell, Covered) else cell for cell in row]


def _cover(line: list[str], merge: Merge, text: str, beside: Covered) -> None:
    first = merge.first_column
    end = min(merge.last_column + 1, first + _MAX_COLUMNS)
    line.extend([""] * (end - len(line)))
    line[first] = text
    line[first + 1 : end] = [beside] * (end - first - 1)


def _has_own_text(line: list[str], reaching: list[_Open]) -> bool:
    from_above = {one.merge.first_column for one in reaching}
    return any(cell and not cell.isspace() for column, cell in enumerate(line) if column not in from_above)
