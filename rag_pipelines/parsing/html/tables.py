"""HTML tables as rows of cells, with spans resolved.

What belongs here: the grid of a data table. What does not: telling data from layout tables
(`boilerplate`), anything outside a ``<table>``.

A cell that spans rows is repeated in each of them, so that every row can be read, and cut off, on its
own. A cell that spans columns stands in the first of them; in header rows it is repeated, so that every
column has its full header. Columns without any text are dropped. A table inside a cell is that cell's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rag_pipelines.parsing.html.text import text_of

if TYPE_CHECKING:
    from bs4.element import Tag

_MAX_COLUMNS = 1_000


class DataTable(NamedTuple):
    """A data table: equally long rows of cell texts, of which the first `header_rows` are headers."""

    rows: list[list[str]]
    header_rows: int
    caption: str


class _Cell(NamedTuple):
    text: str
    columns: int
    rows: int


def read_table(table: Tag) -> DataTable:
    """The grid of a data table."""
    caption = table.find("caption", recursive=False)
    rows = _rows(table)
    header_rows = _header_rows(rows)
    grid: list[dict[int, str]] = []
    pending: dict[int, tuple[int, _Cell]] = {}
    for number, row in enumerate(rows):
        line: dict[int, str] = {}
        column = 0
        for tag in _cells(row):
            column = _fill(line, pending, column)
            cell = _Cell(text_of(tag), _span(tag, "colspan", _MAX_COLUMNS), _span(tag, "rowspan", len(rows)))
            if column >= _MAX_COLUMNS:
                break
            _put(line, column, cell, repeat=number < header_rows)
            if cell.rows > 1:
                pending[column] = (cell.rows - 1, cell)
            column = min(column + cell.columns, _MAX_COLUMNS)
        while column <= max(pending, default=-1):
            column = _fill(line, pending, column) if column in pending else column + 1
        grid.append(line)
    used = sorted({column for line in grid for column in line})
    return DataTable(
        [[line.get(column, "") for column in used] for line in grid],
        header_rows,
        text_of(caption) if caption else "",
    )


def _fill(line: dict[int, str], pending: dict[int, tuple[int, _Cell]], column: int) -> int:
    """Repeat the cells from above that reach into this row at `column`; returns the next free column."""
    while column in pending:
        left, cell = pending.pop(column)
        _put(line, column, cell, repeat=False)
        if left > 1:
            pending[column] = (left - 1, cell)
        column += cell.columns
    return column


def _put(line: dict[int, str], column: int, cell: _Cell, *, repeat: bool) -> None:
    """Set a cell's text; empty cells take no memory."""
    if cell.text:
        for offset in range(min(cell.columns, _MAX_COLUMNS - column) if repeat else 1):
            line[column + offset] = cell.text


def _rows(table: Tag) -> list[Tag]:
    """The rows of the table itself, not of tables inside it: head, body and foot, wherever they stand."""
    parts: dict[str, list[Tag]] = {"thead": [], "tbody": [], "tfoot": []}
    for child in table.find_all(["tr", "thead", "tbody", "tfoot"], recursive=False):
        if child.name == "tr":
            parts["tbody"].append(child)
        else:
            parts[child.name].extend(child.find_all("tr", recursive=False))
    return [row for rows in parts.values() for row in rows]


def _cells(row: Tag) -> list[Tag]:
    return row.find_all(["td", "th"], recursive=False)


def _header_rows(rows: list[Tag]) -> int:
    """How many rows on top are headers: all of ``<thead>``, and rows of nothing but ``<th>``."""
    count = 0
    for row in rows:
        in_head = row.parent is not None and row.parent.name == "thead"
        cells = _cells(row)
        if not in_head and not (cells and all(cell.name == "th" for cell in cells)):
            break
        count += 1
    return count if count < len(rows) else min(count, 1)


def _span(tag: Tag, name: str, limit: int) -> int:
    """A ``rowspan`` or ``colspan`` between 1 and `limit`; a rowspan of 0 reaches to the end."""
    value = str(tag.get(name) or "1").strip()
    if not (value.isascii() and value.isdigit() and len(value) < 7):
        return 1
    return min(int(value) or (limit if name == "rowspan" else 1), max(limit, 1))
