"""The words of old binary Excel workbooks, as xlrd opens them.

What belongs here: the cells of text. What does not: numbers and dates, which show otherwise than they are
stored.
"""

from __future__ import annotations

from typing import Any

_TEXT_CELL, _VISIBLE = 1, 0


def text(book: Any) -> str:
    """The texts in the cells of the visible sheets."""
    return "\n".join(
        value
        for sheet in book.sheets()
        if sheet.visibility == _VISIBLE
        for row in range(sheet.nrows)
        for kind, value in zip(sheet.row_types(row), sheet.row_values(row), strict=True)
        if kind == _TEXT_CELL
    )
