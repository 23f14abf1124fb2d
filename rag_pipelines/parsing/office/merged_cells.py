"""Merged cells of a sheet, so that each row can be read, and cut off, on its own.

What belongs here: bringing the text of a merged cell into the places that it covers and that are shown. What
does not: reading which cells are merged or hidden (each format does) and telling header rows (`sheets`).

The text stands in every row that the cell covers. In a row it stands once, in the cell's first column; the
other columns hold a `Covered`, from which a header row takes the text for each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from rag_pipelines.parsing.office.hidden_cells import Hidden

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


@dataclass
class _Open:
    """A merged cell that reaches into the next row; its text stands in `column`. `told`: in a row before."""

    merge: Merge
    column: int
    text: str
    beside: Covered
    told: bool = False


Row = Mapping[int, str]
"""What the cells of a row hold, by their column from 0; those that hold nothing need not be in it, so that a
cell far from the others costs no more than one beside them."""

Rows = Iterable[tuple[int, Row]]
"""Rows with their numbers from 0, in ascending order; those that are shown and hold nothing need not be
among them."""

Merges = Mapping[int, Sequence[Merge]]
"""Merged cells by their first row."""

NONE_MERGED: Merges = MappingProxyType({})


def by_first_row(merges: Iterable[Merge]) -> Merges:
    found: dict[int, list[Merge]] = defaultdict(list)
    for merge in merges:
        found[merge.first_row].append(merge)
    return found


def spread(
    rows: Rows, merges: Merges, hidden: Hidden, leave_out: Callable[[str], None]
) -> Iterator[tuple[int, Row]]:
    """The rows with merged cells in every place they cover; rows that hold nothing else are left out.
    Of two that begin in the same cell, which no program writes, the upper one counts.

    Hidden rows and columns are not among them: `leave_out` gets what they hold. A merged cell that begins in
    one and reaches out of it is shown where it reaches. Rows and columns that are left out do not count in
    the numbers of those after them. `merges` and `hidden` are asked for each row when that row has come, so a
    reader may fill them on the way.
    """
    reaching: list[_Open] = []
    following = left_out = 0
    for number, row in _with_reached(rows, reaching):
        end = max((one.merge.last_row + 1 for one in reaching), default=0)
        left_out += max(min(end, number) - following, 0)
        following = number + 1
        reaching[:] = [one for one in reaching if one.merge.last_row >= number]
        is_hidden = number in hidden.rows
        left_out += is_hidden
        if not reaching and number not in merges:
            if is_hidden:
                _leave_out(row.values(), leave_out)
            else:
                yield number - left_out, _without_columns(row, hidden, leave_out)
            continue
        line = dict(row)
        for one in reaching:
            repeated = len(one.text) <= _MAX_REPEATED and one.column not in hidden.columns
            _cover(line, one, "" if one.told and not repeated else one.text)
        opened = list(_opened(line, merges.get(number, ()), hidden, {one.column for one in reaching}))
        repeats = bool(reaching) and not opened and all(one.told for one in reaching)
        reaching += opened
        places = {one.column for one in reaching}
        if is_hidden:
            _leave_out((cell for column, cell in line.items() if column not in places), leave_out)
        else:
            shown = _without_columns(line, hidden, leave_out)
            if not repeats or _has_own_text(line, places | hidden.columns):
                yield number - left_out, shown
            else:
                left_out += 1
            for one in reaching:
                one.told = True
        _leave_out((one.text for one in reaching if _ends(one, number) and not one.told), leave_out)
        reaching[:] = [one for one in reaching if not _ends(one, number)]
    _leave_out((one.text for one in reaching if not one.told), leave_out)


def _with_reached(rows: Rows, reaching: Sequence[_Open]) -> Iterator[tuple[int, Row]]:
    """The rows, and with them the blank one in which a merged cell that began in a hidden row is shown."""
    following = 0
    for number, row in rows:
        if number > following and not all(one.told for one in reaching):
            yield following, {}
        yield number, row
        following = number + 1


def header_cells(row: Iterable[str]) -> list[str]:
    """A header row with the text of merged cells in each column that they cover."""
    return [cell.text if isinstance(cell, Covered) else cell for cell in row]


def _opened(
    line: dict[int, str], merges: Iterable[Merge], hidden: Hidden, taken: set[int]
) -> Iterator[_Open]:
    """The merged cells with text that begin in a row, in none of the columns `taken`, each covering its
    places there."""
    for merge in merges:
        text = line.get(merge.first_column, "")
        if text and not text.isspace() and merge.first_column not in taken:
            places = range(merge.first_column, _end(merge))
            column = next((place for place in places if place not in hidden.columns), merge.first_column)
            one = _Open(merge, column, text, Covered(text))
            _cover(line, one, text)
            yield one


def _cover(line: dict[int, str], one: _Open, text: str) -> None:
    line.update(dict.fromkeys(range(one.merge.first_column, _end(one.merge)), one.beside))
    line[one.column] = text


def _end(merge: Merge) -> int:
    return min(merge.last_column + 1, merge.first_column + _MAX_COLUMNS)


def _ends(one: _Open, number: int) -> bool:
    return one.merge.last_row <= number


def _has_own_text(line: Row, places: set[int]) -> bool:
    return any(cell and not cell.isspace() for column, cell in line.items() if column not in places)


def _without_columns(row: Row, hidden: Hidden, leave_out: Callable[[str], None]) -> Row:
    """The cells of a row that are not in a hidden column, by their column among those that are shown."""
    if not hidden.columns:
        return row
    _leave_out((cell for column, cell in row.items() if column in hidden.columns), leave_out)
    return {hidden.shown(column): cell for column, cell in row.items() if column not in hidden.columns}


def _leave_out(cells: Iterable[str], leave_out: Callable[[str], None]) -> None:
    if text := "\n".join(filter(None, cells)):
        leave_out(text)
