"""The numbers that Word shows in front of headings and list items, which are not part of their text.

What belongs here: numbering definitions (ECMA-376 part 1, section 17.9). What does not: which numbering a
paragraph has (`docx_styles`), counting (`list_levels`).

They are kept because people refer to them ("as section 4.2 says"); bullets are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.docx_styles import W, on
from rag_pipelines.parsing.office.list_levels import LEVELS, Counters, Level

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element


class Numbering:
    """The numbering definitions of one document, and how far each has counted."""

    def __init__(self, document: Document) -> None:
        self._levels: dict[str, list[Level]] = {}
        self._abstract: dict[str, str] = {}
        self._starts: dict[str, dict[int, int]] = {}
        self._replaced: dict[str, list[Level]] = {}
        self._level_of_style: dict[tuple[str, str], int] = {}
        self._counters = Counters()
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
        levels = self._replaced.get(number) or self._levels.get(abstract or "")
        if abstract is None or levels is None or not 0 <= level < LEVELS:
            return ""
        return self._counters.next_label(abstract, levels, level, self._starts[number])

    def _read(self, root: _Element) -> None:
        style_definitions: dict[str, str] = {}
        linked: dict[str, str] = {}
        for definition in root.iterchildren(f"{W}abstractNum"):
            identifier = definition.get(f"{W}abstractNumId")
            if style := _value(definition, "styleLink"):
                style_definitions[style] = identifier
            if style := _value(definition, "numStyleLink"):
                linked[identifier] = style
            levels = [Level()] * LEVELS
            for element in definition.iterchildren(f"{W}lvl"):
                place = int(element.get(f"{W}ilvl") or 0)
                if 0 <= place < LEVELS:
                    levels[place] = _level(element)
                    if style := _value(element, "pStyle"):
                        self._level_of_style[identifier, style] = place
            self._levels[identifier] = levels
        for instance in root.iterchildren(f"{W}num"):
            number = instance.get(f"{W}numId")
            abstract = _value(instance, "abstractNumId")
            self._abstract[number] = style_definitions.get(linked.get(abstract, ""), abstract)
            self._override(number, instance)

    def _override(self, number: str, instance: _Element) -> None:
        """Take up what one numbering changes of its definition: where levels start, or whole levels."""
        starts: dict[int, int] = {}
        for override in instance.iterchildren(f"{W}lvlOverride"):
            place = int(override.get(f"{W}ilvl") or 0) % LEVELS
            if start := _value(override, "startOverride"):
                starts[place] = int(start)
            if (level := override.find(f"{W}lvl")) is not None:
                levels = self._levels.get(self._abstract[number], [Level()] * LEVELS)
                own = self._replaced.setdefault(number, list(levels))
                own[place] = _level(level)
        self._starts[number] = starts


def _level(element: _Element) -> Level:
    formats = list(element.iter(f"{W}numFmt"))  # the last of alternatives is the one that every Word knows
    style = (formats[0].get(f"{W}format") or formats[-1].get(f"{W}val") or "") if formats else "decimal"
    text = "" if style in ("bullet", "none") else _value(element, "lvlText")
    start, restart = _value(element, "start"), _value(element, "lvlRestart")
    return Level(
        text, style, int(start or 1), on(element.find(f"{W}isLgl")), int(restart) if restart else None
    )


def _value(element: _Element, name: str) -> str:
    child = element.find(f"{W}{name}")
    return "" if child is None else child.get(f"{W}val") or ""
