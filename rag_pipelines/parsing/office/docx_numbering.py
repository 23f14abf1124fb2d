"""The numbers that Word shows in front of headings and list items, which are not part of their text.

What belongs here: numbering definitions and their counters (ECMA-376 part 1, section 17.9). What does
not: which numbering a paragraph has (`docx_styles`).

They are kept because people refer to them ("as section 4.2 says"); bullets are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rag_pipelines.parsing.office.docx_styles import W, on

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element

LEVELS = 9

_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


class _Level(NamedTuple):
    """One level of a definition: `text` is ``%1.%2`` for "2.1"; a bullet has none."""

    text: str = ""
    style: str = "decimal"
    start: int = 1
    legal: bool = False


class Numbering:
    """The numbering definitions of one document, and how far each has counted."""

    def __init__(self, document: Document) -> None:
        self._levels: dict[str, list[_Level]] = {}
        self._abstract: dict[str, str] = {}
        self._starts: dict[str, dict[int, int]] = {}
        self._level_of_style: dict[tuple[str, str], int] = {}
        self._counters: dict[str, list[int | None]] = {}
        relations = document.part.rels.values()
        part = next((one.target_part for one in relations if one.reltype.endswith("/numbering")), None)
        if part is not None:
            self._read(part.element)

    def level_of_style(self, number: str, style: str) -> int | None:
        """The level of numbering `number` that is tied to a paragraph style."""
        return self._level_of_style.get((self._abstract.get(number, ""), style))

    def next_label(self, number: str, level: int) -> str:
        """Counts one paragraph; returns what stands in front of it, an empty string for a bullet."""
        abstract = self._abstract.get(number)
        levels = self._levels.get(abstract or "")
        if abstract is None or levels is None or not 0 <= level < LEVELS:
            return ""
        counters = self._counters.setdefault(abstract, [None] * LEVELS)
        for overridden, start in self._starts.pop(number, {}).items():
            counters[overridden] = start - 1
        before = counters[level]
        counters[level] = levels[level].start if before is None else before + 1
        counters[level + 1 :] = [None] * (LEVELS - level - 1)

        def value(match: re.Match[str]) -> str:
            place = int(match[1]) - 1
            count = counters[place]
            style = "decimal" if levels[level].legal else levels[place].style
            return _numeral(levels[place].start if count is None else count, style)

        return _PLACE.sub(value, levels[level].text)

    def _read(self, root: _Element) -> None:
        for definition in root.iterchildren(f"{W}abstractNum"):
            identifier = definition.get(f"{W}abstractNumId")
            levels = [_Level()] * LEVELS
            for element in definition.iterchildren(f"{W}lvl"):
                place = int(element.get(f"{W}ilvl") or 0)
                if 0 <= place < LEVELS:
                    levels[place] = _level(element)
                    if style := _value(element, "pStyle"):
                        self._level_of_style[identifier, style] = place
            self._levels[identifier] = levels
        for instance in root.iterchildren(f"{W}num"):
            number = instance.get(f"{W}numId")
            self._abstract[number] = _value(instance, "abstractNumId")
            self._starts[number] = {
                int(override.get(f"{W}ilvl") or 0) % LEVELS: int(start)
                for override in instance.iterchildren(f"{W}lvlOverride")
                if (start := _value(override, "startOverride"))
            }


def _level(element: _Element) -> _Level:
    style = _value(element, "numFmt") or "decimal"
    text = "" if style in ("bullet", "none") else _value(element, "lvlText")
    return _Level(text, style, int(_value(element, "start") or 1), on(element.find(f"{W}isLgl")))


def _value(element: _Element, name: str) -> str:
    child = element.find(f"{W}{name}")
    return "" if child is None else child.get(f"{W}val") or ""


def _numeral(number: int, style: str) -> str:
    if style in ("lowerLetter", "upperLetter") and number > 0:
        letter = chr(ord("a") + (number - 1) % 26) * min(1 + (number - 1) // 26, 10)
        return letter.upper() if style == "upperLetter" else letter
    if style in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = ""
        for value, letters in _ROMAN:
            roman += letters * (number // value)
            number %= value
        return roman.upper() if style == "upperRoman" else roman
    return f"{number:02d}" if style == "decimalZero" else str(number)
