"""How the text of an OpenDocument file looks, as far as its words depend on it.

What belongs here: raised and hidden characters, symbol fonts, hidden pages and sheets, and the styles of
lists. What does not: counting list items (`odf_lists`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rag_pipelines.parsing.office.odf_names import OFFICE, PRESENTATION, STYLE, SVG, TABLE, TEXT
from rag_pipelines.text.symbol_fonts import is_symbol_font

if TYPE_CHECKING:
    from lxml.etree import _Element

_NUMBER, _OUTLINE = f"{TEXT}list-level-style-number", f"{TEXT}outline-level-style"
_FONT_FAMILY = "{urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0}font-family"
_MOST_BASES = 20

# The first character of a number format that shows its first numbers (19.500).
_FORMATS: Final = {
    "1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman",
    "①": "decimalEnclosedCircle", "一": "chineseCounting", "壹": "chineseLegalSimplified",
    "甲": "ideographTraditional", "子": "ideographZodiac", "ア": "aiueo", "イ": "iroha", "가": "ganada",
    "ㄱ": "chosung", "일": "koreanCounting", "א": "hebrew1", "أ": "arabicAlpha", "ا": "arabicAlpha",
    "ก": "thaiLetters", "๑": "thaiNumbers", "१": "hindiNumbers", "١": "arabicIndic", "а": "russianLower",
    "А": "russianUpper", "α": "lowerGreek", "Α": "upperGreek",
}  # fmt: skip
_WORDS: Final = {"1st": "ordinal", "One": "cardinalText", "First": "ordinalText", "01": "decimalZero"}


class Look(NamedTuple):
    """How characters are shown; `font` is kept only where it is a symbol font."""

    raised: bool = False
    hidden: bool = False
    font: str | None = None


class LevelStyle(NamedTuple):
    """How one level of a list is numbered; a bullet has no `style`, a level without numbers an empty one."""

    style: str | None = None
    prefix: str = ""
    suffix: str = ""
    shown_levels: int = 1
    start: int = 1


UPRIGHT: Final = Look()


class OdfStyles:
    """The styles of one document, from its content and from the styles it shares."""

    def __init__(self, *roots: _Element) -> None:
        self.parents: dict[str | None, str | None] = {}
        self.hidden: set[str | None] = set()
        self.lists: dict[str, dict[int, LevelStyle]] = {}
        self.outline: dict[int, LevelStyle] = {}
        self.pages: dict[str | None, dict[str, str]] = {}
        self._own_looks: dict[str | None, _Element] = {}
        self._looks: dict[str | None, Look] = {}
        self._faces: dict[str | None, str] = {}
        for root in roots:
            for face in root.iterfind(f"{OFFICE}font-face-decls/{STYLE}font-face"):
                family = (face.get(f"{SVG}font-family") or "").strip("'\"")
                self._faces[face.get(f"{STYLE}name")] = family
            for group in ("styles", "automatic-styles"):
                for style in root.iterfind(f"{OFFICE}{group}/*"):
                    self._take(style)

    def look(self, name: str | None) -> Look:
        """How text of the style `name` looks; a style that says nothing looks as the one it is based on."""
        if name is None:
            return UPRIGHT
        if name not in self._looks:
            self._looks[name] = self._read_look(name)
        return self._looks[name]

    def _take(self, style: _Element) -> None:
        name = style.get(f"{STYLE}name")
        if style.tag == f"{STYLE}style":
            self.parents[name] = style.get(f"{STYLE}parent-style-name")
            if (properties := style.find(f"{STYLE}text-properties")) is not None:
                self._own_looks[name] = properties
            if style.find(f"{STYLE}table-properties[@{TABLE}display='false']") is not None:
                self.hidden.add(name)
            if (page := style.find(f"{STYLE}drawing-page-properties")) is not None:
                self.pages[name] = {str(key): str(value) for key, value in page.items()}
                if page.get(f"{PRESENTATION}visibility") == "hidden":
                    self.hidden.add(name)
        elif style.tag == f"{TEXT}list-style" and name is not None:
            self.lists[name] = dict(map(_level_style, style))
        elif style.tag == f"{TEXT}outline-style":
            self.outline = dict(map(_level_style, style))

    def _read_look(self, name: str) -> Look:
        line: list[str] = []
        place: str | None = name
        while place is not None and place not in line and len(line) < _MOST_BASES:
            line.append(place)
            place = self.parents.get(place)
        look = UPRIGHT
        for style in reversed(line):
            properties = self._own_looks.get(style)
            if properties is not None:
                look = self._apply(properties, look)
        return look

    def _apply(self, properties: _Element, look: Look) -> Look:
        position = properties.get(f"{STYLE}text-position")
        if position is not None:
            look = look._replace(raised=_is_raised(position))
        display = properties.get(f"{TEXT}display")
        if display is not None:
            look = look._replace(hidden=display == "none")
        name = properties.get(f"{STYLE}font-name")
        font = self._faces.get(name, name) or properties.get(_FONT_FAMILY)
        if font is not None:
            font = font.strip("'\"")
            look = look._replace(font=font if is_symbol_font(font) else None)
        return look


def _is_raised(position: str) -> bool:
    """Whether a text position ("super 58%", "33% 58%") is above the line (20.384)."""
    height = (position.split() or [""])[0]
    return height == "super" or (height.endswith("%") and height.strip("0%.") != "" and height[0] != "-")


def _level_style(element: _Element) -> tuple[int, LevelStyle]:
    level = int(element.get(f"{TEXT}level") or 1)
    if element.tag not in (_NUMBER, _OUTLINE):
        return level, LevelStyle()
    shown = element.get(f"{STYLE}num-format") or ""
    style = _WORDS.get(shown) or _FORMATS.get(shown[:1], "decimal" if shown else "")
    return level, LevelStyle(
        style,
        element.get(f"{STYLE}num-prefix") or "",
        element.get(f"{STYLE}num-suffix") or "",
        int(element.get(f"{TEXT}display-levels") or 1),
        int(element.get(f"{TEXT}start-value") or 1),
    )
