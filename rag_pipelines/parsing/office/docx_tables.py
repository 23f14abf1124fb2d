"""Tables of a Word document: their grid, and whether they hold data at all.

What belongs here: rows, cells and merging (ECMA-376 part 1, 17.4). What does not: the text of a cell
(`docx_text`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.docx_styles import W, on
from rag_pipelines.parsing.office.docx_text import parts

if TYPE_CHECKING:
    from lxml.etree import _Element


def is_frame(rows: list[_Element], is_heading: Callable[[_Element], bool]) -> bool:
    """Whether a table lays out a page: it is one cell, or sections with their headings stand in its cells.

    A heading alone in its cell is the label of a row or column, so it makes no frame; only where at least
    half of the cells in use hold a heading with text below it, or where the table is one column with
    headings, is the table read as the text it is.
    """
    by_row = [list(parts(row, "tc")) for row in rows]
    cells = [cell for row in by_row for cell in row]
    if len(cells) <= 1:
        return True
    headed = [cell for cell in cells if any(is_heading(one) for one in cell.iter(f"{W}p"))]
    if not headed:
        return False
    if all(len(row) <= 1 for row in by_row):
        return True
    used = sum(1 for cell in cells if _filled_paragraphs(cell))
    return 2 * sum(1 for cell in headed if _filled_paragraphs(cell) > 1) >= used


def grid(rows: list[_Element], text_of: Callable[[_Element], str]) -> Iterator[list[str]]:
    """The rows as text; a merged cell's text stands in every place it covers."""
    above: list[str] = []
    for row in rows:
        line = [""] * _number(row.find(f"{W}trPr/{W}gridBefore"))
        for cell in parts(row, "tc"):
            properties = cell.find(f"{W}tcPr")
            span = merge = None
            if properties is not None:
                span, merge = properties.find(f"{W}gridSpan"), properties.find(f"{W}vMerge")
            if merge is not None and merge.get(f"{W}val") != "restart" and len(line) < len(above):
                text = above[len(line)]
            else:
                text = text_of(cell)
            line.extend([text] * max(1, _number(span)))
        yield line
        above = line


def header_rows(table: _Element, rows: list[_Element]) -> int:
    """The rows marked to repeat on each page; else the first where the table's look sets it apart."""
    marked = 0
    while marked < len(rows) and on(rows[marked].find(f"{W}trPr/{W}tblHeader")):
        marked += 1
    if marked or len(rows) < 2:
        return marked if marked < len(rows) else 0
    look = table.find(f"{W}tblPr/{W}tblLook")
    if look is None:
        return 0
    first = look.get(f"{W}firstRow")
    return int(first in ("1", "true", "on") if first else bool(int(look.get(f"{W}val") or "0", 16) & 0x20))


def _filled_paragraphs(cell: _Element) -> int:
    return sum(1 for one in cell.iter(f"{W}p") if any(text.text for text in one.iter(f"{W}t")))


def _number(element: _Element | None) -> int:
    """The numeric value of a property, bounded by the 63 columns a Word table may have."""
    return 0 if element is None else min(int(element.get(f"{W}val") or 0), 63)
