"""Rows and columns that a sheet does not show.

What belongs here: which of them count as hidden, for all formats of sheets. What does not: reading them (each
format does) and leaving them out (`merged_cells`).

What was hidden by hand is left out, as hidden text is. What a filter or a folded group hides is data that one
click shows again: it is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field


@dataclass
class Hidden:
    """The hidden rows and columns of one sheet, counted from 0 as its rows come from the reader."""

    rows: set[int] = field(default_factory=set)
    columns: set[int] = field(default_factory=set)

    _ordered: list[int] = field(default_factory=list, init=False, repr=False)

    def shown(self, column: int) -> int:
        """The number of a column among those that are not hidden."""
        if len(self._ordered) != len(self.columns):
            self._ordered = sorted(self.columns)
        return column - bisect_left(self._ordered, column)

    def holds(self, row: int, column: int) -> bool:
        """Whether a cell is in one of them."""
        return row in self.rows or column in self.columns
