"""A spreadsheet's grid to blocks: which cells are a table, which its title and header, which a remark.

What belongs here: finding tables in rows of displayed text. What does not: reading any file format;
`xlsx`, `xls` and `odf` bring the rows.

Blank rows part tables, unless figures follow that stand under the columns above (statements put a blank
row below their header). Blank columns part them only where a table of its own begins on the right:
values that stand apart from their labels must stay in one row with them, in statements as in forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import unlinked
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.office.hidden_cells import Hidden
from rag_pipelines.parsing.office.merged_cells import (
    NONE_MERGED,
    Covered,
    Merges,
    Row,
    Rows,
    header_cells,
    spread,
)

MAX_HEADER_ROWS = 3
MAX_BLANK_ROWS = 2
_MIN_SIDE_COLUMNS = 2
_FEW_ROWS, _PROSE_CHARACTERS = 3, 60
_VALUE = re.compile(r"[^\w%]*\d[\d.,:/\s-]*\s?[%\w]{0,3}\W?|\s*[-–—]\s*")
_LETTER = re.compile(r"[^\W\d_]")
_YEAR = re.compile(r"(?:19|20)\d\d")


def add_sheet(
    builder: DocumentBuilder,
    name: str,
    rows: Rows,
    *,
    max_characters: int,
    merges: Merges = NONE_MERGED,
    hidden: Hidden | None = None,
) -> bool:
    """Add a sheet: its name as a heading, then its tables and remarks from top to bottom.

    Rows are taken one at a time; only those since the last blank row are held. Says whether there was
    anything, and so a heading.

    Raises:
        TooLargeDocumentError: a table grows past `max_characters`.
    """
    has_heading = False
    shown = spread(rows, merges, hidden or Hidden(), partial(builder.leave_out, LeftOut.HIDDEN))
    for band in _bands(shown, max_characters):
        for part in _split_columns(band):
            for table in _bands(enumerate(part), max_characters):
                if not has_heading:
                    builder.add(BlockKind.HEADING, name, level=1)
                    has_heading = True
                _add_part(builder, _trim(table))
    return has_heading


def comment(author: str | None, row: int, column: int, text: str) -> str:
    """A comment on a cell, whose row and column count from 0, as text that stands below its sheet."""
    letters, number = "", column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return f"Comment{f' by {author}' if author else ''} on {letters}{row + 1}: {text}"


def _bands(rows: Rows, max_characters: int) -> Iterator[list[Row]]:
    """Runs of rows that belong together, without the blank ones."""
    band: list[Row] = []
    columns: set[int] = set()
    following = size = 0
    for number, row in rows:
        used = _used_columns_of(row)
        if not used:
            continue
        blanks = number - following
        following = number + 1
        if band and blanks and not (blanks <= MAX_BLANK_ROWS and _are_figures_under(columns, row, used)):
            yield band
            band, columns, size = [], set(), 0
        band.append(row)
        columns |= used
        size += sum(map(len, row.values()))
        if size > max_characters:
            raise TooLargeDocumentError(
                f"a table above {max_characters:,} characters; raise limits.max_characters to accept it"
            )
    if band:
        yield band


def _are_figures_under(columns: set[int], row: Row, used: set[int]) -> bool:
    return len(used) > 1 and (used <= columns or used - columns == {0}) and not _is_words(row.values())


def _split_columns(band: list[Row]) -> Iterator[list[Row]]:
    """The tables of a band that lie side by side."""
    used = _used_columns(band)
    starts = [place for place, column in enumerate(used) if place == 0 or column > used[place - 1] + 1]
    parts: list[list[int]] = []
    for start, end in zip(starts, [*starts[1:], len(used)], strict=True):
        run = used[start:end]
        if parts and (len(parts[-1]) < _MIN_SIDE_COLUMNS or not _is_table_of_its_own(band, parts[-1], run)):
            parts[-1] += run
        else:
            parts.append(run)
    if len(parts) == 1:
        yield band
        return
    for part in parts:
        first, last = part[0], part[-1] + 1
        yield [{column: cell for column, cell in row.items() if first <= column < last} for row in band]


def _is_table_of_its_own(band: list[Row], left: list[int], columns: list[int]) -> bool:
    """Whether `columns` begin with a row of names, and it is not just more of the table on the `left`.

    It is not when words, no figures, stand in its first column; when its names repeat those on the left;
    or when the left is past its own header where this one begins.
    """
    rows = [(_cells(row, left), _cells(row, columns)) for row in band]
    rows = [row for row in rows if any(row[1])]
    beside, names = rows[0]
    if len(columns) < _MIN_SIDE_COLUMNS or not all(map(_LETTER.search, names)) or not _is_words(names):
        return False
    first = [cells[0] for _, cells in rows if cells[0]]
    return (
        2 * sum(map(_is_value, first)) < len(first)
        or not set(names).isdisjoint(beside)
        or not any(beside)
        or not _is_words(beside)
    )


def _cells(row: Row, columns: list[int]) -> list[str]:
    found = (row.get(column, "") for column in columns)
    return [cell and cell.strip() for cell in found]


def _trim(rows: list[Row]) -> list[list[str]]:
    """The rows with the columns that hold something, all of one width."""
    used = _used_columns(rows)
    return [_cells(row, used) for row in rows]


def _used_columns(rows: list[Row]) -> list[int]:
    used: set[int] = set()
    for row in rows:
        used |= _used_columns_of(row)
    return sorted(used)


def _used_columns_of(row: Row) -> set[int]:
    return {column for column, cell in row.items() if cell and not cell.isspace()}


def _add_part(builder: DocumentBuilder, rows: list[list[str]]) -> None:
    """Add one part: a table, lone cells above it as captions, or a column of remarks as paragraphs."""
    if len(rows[0]) == 1:
        texts = [row[0] for row in rows]
        if len(texts) <= _FEW_ROWS or sum(map(len, texts)) > _PROSE_CHARACTERS * len(texts):
            for text in texts:
                builder.add(BlockKind.PARAGRAPH, text)
            return
    titles = 0
    while len(rows[0]) > 1 and titles < len(rows) - 1 and _is_title(rows[titles], rows[titles + 1]):
        builder.add(BlockKind.CAPTION, "".join(rows[titles]))
        titles += 1
    table = rows[titles:]
    count = _header_rows(table)
    builder.add_table([*map(header_cells, table[:count]), *table[count:]], header_rows=count)


def _is_title(row: list[str], below: list[str]) -> bool:
    """Whether `row` is one lone cell, which is not the name of a column of figures."""
    lone = [column for column, cell in enumerate(row) if cell]
    return len(lone) == 1 and (lone[0] == 0 or not _is_value(below[lone[0]]))


def _header_rows(rows: list[list[str]]) -> int:
    """How many of the first rows head the table.

    The first, if all its cells are words or years; and the rows below it as long as the row above has
    gaps, which means that it groups columns that are named further down.
    """
    if len(rows) < 2 or not _is_words(rows[0]):
        return 0
    count = 1
    for number in range(1, min(MAX_HEADER_ROWS, len(rows) - 1)):
        row = rows[number]
        if all(rows[number - 1][1:]) or not _is_words(row):
            break
        if all(row[1:]):
            count = number + 1
        elif not all(cell or isinstance(cell, Covered) for cell in row[1:]):
            break
    return count


def _is_words(row: Iterable[str]) -> bool:
    return not any(cell and _is_value(cell) and not _YEAR.fullmatch(cell) for cell in row)


def _is_value(cell: str) -> bool:
    return _VALUE.fullmatch(unlinked(cell)) is not None
