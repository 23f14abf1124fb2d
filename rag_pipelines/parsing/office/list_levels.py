"""Numbered lists as Word counts them, whatever file they stand in.

What belongs here: counting the levels of a list, and putting the numbers into the text of a level. What does
not: reading the definitions (`docx_numbering`, `doc_numbering`), how a number is written (`numerals`).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from rag_pipelines.parsing.office.numerals import numeral

LEVELS = 9

_PLACE = re.compile(r"%([1-9])")


class Level(NamedTuple):
    """One level of a definition: `text` is ``%1.%2`` for "2.1"; a bullet has none.

    It begins anew where one of the first `restart` levels counts; None stands for all above it.
    """

    text: str = ""
    style: str = "decimal"
    start: int = 1
    legal: bool = False
    restart: int | None = None


class Counters:
    """How far each list of a document has counted."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, list[int | None]] = {}

    def next_label(
        self, identifier: Hashable, levels: Sequence[Level], level: int, starts: dict[int, int]
    ) -> str:
        """Counts one paragraph of a list; returns what stands in front of it, an empty string for a bullet.

        Args:
            identifier: the list; numberings of one list count together.
            levels: its `LEVELS` levels.
            level: that of the paragraph, from 0.
            starts: where levels begin anew when they count for the first time; what is used is taken away.
        """
        counts = self._counts.setdefault(identifier, [None] * LEVELS)
        for place in range(level):  # a level that is skipped counts as begun
            if counts[place] is None:
                counts[place] = levels[place].start
        before, start = counts[level], starts.pop(level, None)
        counts[level] = start if start is not None else levels[level].start if before is None else before + 1
        for deeper in range(level + 1, LEVELS):
            restart = levels[deeper].restart
            if restart is None or level < restart:
                counts[deeper] = None

        def value(match: re.Match[str]) -> str:
            place = int(match[1]) - 1
            count = counts[place]
            style = "decimal" if levels[level].legal else levels[place].style
            return numeral(levels[place].start if count is None else count, style)

        return _PLACE.sub(value, levels[level].text)
