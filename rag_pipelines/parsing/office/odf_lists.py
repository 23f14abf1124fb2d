"""The numbers in front of list items and headings of an OpenDocument file.

What belongs here: counting (OpenDocument 1.3 part 3, 5.3 and 19.880). What does not: how levels are
numbered (`odf_styles`), how a number is written (`numerals`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.numerals import numeral
from rag_pipelines.parsing.office.odf_names import TEXT, XML_ID
from rag_pipelines.parsing.office.odf_styles import LevelStyle, OdfStyles

if TYPE_CHECKING:
    from lxml.etree import _Element

_LEVELS = 10
_Counts = list[int | None]


class OdfLists:
    """The lists that are open while a document is read, and how far those before them counted."""

    def __init__(self, styles: OdfStyles) -> None:
        self._styles = styles
        self._open: list[str] = []
        self._counts: _Counts = [None] * _LEVELS
        self._pending: int | bool | None = False
        self._by_style: dict[str, _Counts] = {}
        self._by_id: dict[str, _Counts] = {}
        self._headings: _Counts = [None] * _LEVELS

    @property
    def level(self) -> int:
        """How many lists are open."""
        return len(self._open)

    def enter(self, element: _Element) -> None:
        """Begin a list: anew, or where it says so after the last one of its style or the one it names."""
        style = element.get(f"{TEXT}style-name") or (self._open[-1] if self._open else "")
        continues = element.get(f"{TEXT}continue-numbering") == "true"
        if not self._open:
            named = self._by_id.get(element.get(f"{TEXT}continue-list") or "")
            last = self._by_style.get(style) if continues else None
            self._counts = named or last or [None] * _LEVELS
            self._by_style[style] = self._counts
            if identifier := element.get(XML_ID):
                self._by_id[identifier] = self._counts
        elif self.level < _LEVELS and not continues:
            self._counts[self.level] = None
        self._open.append(style)

    def leave(self) -> None:
        """End the innermost list."""
        self._open.pop()
        self._pending = False

    def begin_item(self, item: _Element) -> None:
        """The first paragraph of `item` will be numbered; one of a list header will not."""
        start = item.get(f"{TEXT}start-value")
        self._pending = item.tag == f"{TEXT}list-item" and (int(start) if start else None)

    def take_label(self) -> str:
        """What stands in front of the next paragraph: a number once an item, nothing for a bullet."""
        if self._pending is False or not self._open or self.level > _LEVELS:
            return ""
        start, self._pending = self._pending, False
        levels = self._styles.lists.get(self._open[-1], {})
        return _count(self._counts, levels, self.level, start)

    def heading_label(self, heading: _Element, level: int) -> str:
        """The number of a heading outside of lists; an unnumbered one does not count."""
        if heading.get(f"{TEXT}is-list-header") == "true" or not 0 < level <= _LEVELS:
            return ""
        start = heading.get(f"{TEXT}start-value")
        return _count(self._headings, self._styles.outline, level, int(start) if start else None)


def _count(counts: _Counts, levels: dict[int, LevelStyle], level: int, start: int | None) -> str:
    """Count one more on `level` (from 1); returns the label."""
    for above in range(level - 1):
        if counts[above] is None:
            counts[above] = levels.get(above + 1, LevelStyle()).start
    style = levels.get(level, LevelStyle())
    before = counts[level - 1]
    counts[level - 1] = start if start is not None else style.start if before is None else before + 1
    counts[level:] = [None] * (_LEVELS - level)
    if not style.style:
        return ""
    shown = range(max(level - style.shown_levels, 0), level)
    numbers = [
        numeral(counts[place] or 0, kind) for place in shown if (kind := levels.get(place + 1, style).style)
    ]
    return f"{style.prefix}{'.'.join(numbers)}{style.suffix}".strip()
