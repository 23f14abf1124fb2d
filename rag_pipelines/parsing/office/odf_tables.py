"""The frame of an OpenDocument table or sheet: its rows and columns, and which of them are hidden.

What belongs here: the elements around cells (OpenDocument 1.3 part 3, 9.1). What does not: what a cell shows
(`odf_cells`) and making blocks of rows (`odf`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.odf_names import TABLE

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_COLUMNS = 16_384
_ROW, _COLUMN = f"{TABLE}table-row", f"{TABLE}table-column"
_ROW_GROUP, _COLUMN_GROUP = f"{TABLE}table-row-group", f"{TABLE}table-column-group"
_AROUND_ROWS = {f"{TABLE}table-header-rows", _ROW_GROUP, f"{TABLE}table-rows"}
_AROUND_COLUMNS = {f"{TABLE}table-header-columns", _COLUMN_GROUP, f"{TABLE}table-columns"}


def number_of(element: _Element, name: str) -> int:
    """How often an element is repeated or how far it spans, by the attribute ``table:number-{name}``."""
    return int(element.get(f"{TABLE}number-{name}") or 1)


def rows_of(table: _Element) -> Iterator[_Element]:
    """The rows of a table, also those in groups and headers, but not those of tables in its cells."""
    return _inside(table, _ROW, _AROUND_ROWS)


def is_hidden_row(row: _Element) -> bool:
    """Whether a row is hidden, neither by a filter (19.749) nor in a group that a click unfolds."""
    return row.get(f"{TABLE}visibility") == "collapse" and not _is_in(row, _ROW_GROUP)


def hidden_columns(table: _Element) -> Iterator[int]:
    """The columns of a sheet, from 0, that are hidden and in no group."""
    first = 0
    for column in _inside(table, _COLUMN, _AROUND_COLUMNS):
        end = min(first + number_of(column, "columns-repeated"), MAX_COLUMNS)
        if column.get(f"{TABLE}visibility") == "collapse" and not _is_in(column, _COLUMN_GROUP):
            yield from range(first, end)
        first = end


def _inside(table: _Element, tag: str, around: set[str]) -> Iterator[_Element]:
    for child in table.iterchildren():
        if child.tag == tag:
            yield child
        elif child.tag in around:
            yield from _inside(child, tag, around)


def _is_in(element: _Element, group: str) -> bool:
    """Whether a row or column of a table is in a group of it."""
    parent = element.getparent()
    while parent is not None and parent.tag != f"{TABLE}table":
        if parent.tag == group:
            return True
        parent = parent.getparent()
    return False
