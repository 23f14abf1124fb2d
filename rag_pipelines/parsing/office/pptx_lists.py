"""Bullets and numbers in front of the paragraphs of a slide.

What belongs here: where a paragraph's bullet comes from (its own properties, its shape, layout, master), and
what an automatic number reads as (ECMA-376 part 1, 21.1.2.4 and 20.1.10.61). What does not: the text of a
paragraph (`ooxml_text`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rag_pipelines.parsing.office.numerals import numeral
from rag_pipelines.parsing.office.ooxml_text import A

if TYPE_CHECKING:
    from lxml.etree import _Element
    from pptx.slide import Slide

_NUMBER = f"{A}buAutoNum"
_BULLETS = (f"{A}buChar", f"{A}buBlip")
_NO_BULLET = f"{A}buNone"

# How the names of ST_TextAutonumberScheme begin and end.
_NUMERALS = (
    ("arabicDb", "decimalFullWidth"), ("arabic1Minus", "arabicAlpha"), ("arabic2Minus", "arabicAbjad"),
    ("arabic", "decimal"), ("romanLc", "lowerRoman"), ("romanUc", "upperRoman"), ("alphaLc", "lowerLetter"),
    ("alphaUc", "upperLetter"), ("circleNum", "decimalEnclosedCircle"), ("ea1Cht", "taiwaneseCounting"),
    ("ea1", "chineseCounting"), ("hebrew2", "hebrew2"), ("thaiAlpha", "thaiLetters"),
    ("thaiNum", "thaiNumbers"), ("hindiAlpha1", "hindiConsonants"), ("hindiAlpha", "hindiVowels"),
    ("hindiNum", "hindiNumbers"),
)  # fmt: skip
_FORMS = (("ParenBoth", "({})"), ("ParenR", "{})"), ("Period", "{}."), ("Minus", "{}-"))


class Bullet(NamedTuple):
    """A bullet, or a number of `scheme` counted from `start`."""

    scheme: str = ""
    start: int = 1


class Numbers:
    """The numbers of one shape's paragraphs, which each level counts for itself."""

    def __init__(self) -> None:
        self._counted: dict[int, tuple[Bullet, int]] = {}

    def next_label(self, level: int, bullet: Bullet | None) -> str:
        """Counts a paragraph; what stands in front of it, an empty string for a bullet or nothing.

        A level goes on counting behind deeper ones, and begins anew behind a paragraph above it or one of
        its own without such a number.
        """
        before = self._counted.get(level)
        self._counted = {place: count for place, count in self._counted.items() if place < level}
        if bullet is None or not bullet.scheme:
            return ""
        number = before[1] + 1 if before is not None and before[0] == bullet else bullet.start
        self._counted[level] = bullet, number
        style = next((style for head, style in _NUMERALS if bullet.scheme.startswith(head)), "decimal")
        form = next((form for tail, form in _FORMS if bullet.scheme.endswith(tail)), "{}")
        return form.format(numeral(number, style))


def bullet_of(slide: Slide, shape: Any, paragraph: Any) -> Bullet | None:
    """The bullet or number that a viewer shows before the paragraph."""
    tag = f"{A}lvl{paragraph.level + 1}pPr"
    places = [paragraph._p.find(f"{A}pPr"), _level(shape._element.find(f".//{A}lstStyle"), tag)]
    if shape.is_placeholder:
        index = shape.placeholder_format.idx
        layout: Any = slide.slide_layout
        inherited = [one for one in layout.placeholders if one.placeholder_format.idx == index]
        kinds = {one.placeholder_format.type for one in inherited} | {shape.placeholder_format.type}
        inherited += [one for one in layout.slide_master.placeholders if one.placeholder_format.type in kinds]
        places += [_level(one._element.find(f".//{A}lstStyle"), tag) for one in inherited]
        if _is_body(shape):
            places.append(_level(layout.slide_master._element.find(".//{*}bodyStyle"), tag))
    for properties in places:
        if properties is not None:
            if properties.find(_NO_BULLET) is not None:
                return None
            if (number := properties.find(_NUMBER)) is not None:
                return Bullet(number.get("type") or "arabicPeriod", int(number.get("startAt") or 1))
            if any(properties.find(bullet) is not None for bullet in _BULLETS):
                return Bullet()
    return None


def _level(style: _Element | None, tag: str) -> _Element | None:
    return None if style is None else style.find(tag)


def _is_body(shape: Any) -> bool:
    from pptx.enum.shapes import PP_PLACEHOLDER

    return shape.placeholder_format.type in (PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT)
