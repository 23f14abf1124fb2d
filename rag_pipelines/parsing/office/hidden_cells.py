"""Rows and columns that a sheet does not show.

What belongs here: which of them count as hidden, for all formats of sheets. What does not: reading them (each
format does) and leaving them out (`merged_cells`).

What was hidden by hand is left out, as hidden text is. What a filter or a folded group hides is data that one
click shows again: it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Hidden:
    """The hidden rows and columns of one sheet, counted from 0 as its rows come from the reader."""

    rows: set[int] = field(default_factory=set)
    columns: set[int] = field(default_factory=set)

    def holds(self, row: int, column: int) -> bool:
        """Whether a cell is in one of them."""
        return row in self.rows or column in self.columns
