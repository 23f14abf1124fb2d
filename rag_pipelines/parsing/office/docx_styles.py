"""What a paragraph of a Word document is, from its style, outline level and numbering, and how runs look.

What belongs here: the meaning of Word's styles. What does not: the text of paragraphs.

Built-in styles are known by their English name in every language version of Word ("heading 1" is the
stored name of "Überschrift 1"); styles a company made are followed to the style they are based on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from rag_pipelines.model import BlockKind
from rag_pipelines.text.symbol_fonts import is_symbol_font

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element

W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
TABLE_OF_CONTENTS: Final = "table of contents"

Role = tuple[BlockKind | str, int | None]
"""The kind of block (or `TABLE_OF_CONTENTS`) and its level."""

_PLAIN: Role = (BlockKind.PARAGRAPH, None)
_NAMED: tuple[tuple[re.Pattern[str], BlockKind | str], ...] = (
    (re.compile(r"title"), BlockKind.TITLE),
    (re.compile(r"heading ([1-9])"), BlockKind.HEADING),
    (re.compile(r"toc [1-9]|toc heading|table of figures"), TABLE_OF_CONTENTS),
    (re.compile(r"caption"), BlockKind.CAPTION),
    (re.compile(r"(?:intense )?quote|block ?quote|quotations?"), BlockKind.QUOTE),
    (
        re.compile(r"(?:source ?)?code(?: block)?|html preformatted|preformatted text|macro(?: text)?"),
        BlockKind.CODE,
    ),
    (re.compile(r"list (?:bullet|number|continue) ?([2-5])?"), BlockKind.LIST_ITEM),
)


_PROMPT_STYLE = "placeholder text"
_MEASURE = re.compile(r"(-?\d+(?:\.\d+)?)(pt)?")
_RAISED_HALF_POINTS = 5
"""A run moved up by so much (`w:position`) stands over the line like a superscript."""


class Look(NamedTuple):
    """How the characters of a run are shown; `font` is kept only where it is a symbol font."""

    raised: bool = False
    hidden: bool = False
    font: str | None = None


UPRIGHT: Final = Look()


class Styles:
    """The paragraph and character styles of one document."""

    def __init__(self, document: Document) -> None:
        self._elements: dict[str, _Element] = {}
        self._characters: dict[str, _Element] = {}
        self._roles: dict[str, Role] = {}
        self._looks: dict[str, Look] = {}
        self._numberings: dict[str, tuple[str, int | None]] = {}
        self._default = ""
        for style in document.styles.element.iterchildren(f"{W}style"):
            if style.get(f"{W}type") == "paragraph":
                self._elements[style.get(f"{W}styleId")] = style
                if style.get(f"{W}default") in ("1", "true"):
                    self._default = style.get(f"{W}styleId")
            elif style.get(f"{W}type") == "character":
                self._characters[style.get(f"{W}styleId")] = style
        self._is_plain = all(self._look_of_style(name) == UPRIGHT for name in self._elements)
        self._prompts = {name for name, style in self._characters.items() if _name(style) == _PROMPT_STYLE}

    def role(self, paragraph: _Element) -> Role:
        """What `paragraph` is. A heading stays one when it is numbered; a number 0 takes numbering away."""
        properties = paragraph.find(f"{W}pPr")
        if properties is None:
            return self._role_of_style(self._default)
        style = properties.find(f"{W}pStyle")
        role = self._role_of_style(self._default if style is None else style.get(f"{W}val"))
        if role[0] in (BlockKind.PARAGRAPH, BlockKind.LIST_ITEM):
            return _own_role(properties, role) or role
        return role

    def numbering(self, paragraph: _Element) -> tuple[str, int | None, str]:
        """The numbering of `paragraph` (an empty string for none), its level if said, and its style."""
        properties = paragraph.find(f"{W}pPr")
        if properties is None:
            return (*self._numbering_of_style(self._default), self._default)
        style = properties.find(f"{W}pStyle")
        style_id = self._default if style is None else style.get(f"{W}val") or ""
        own = properties.find(f"{W}numPr")
        number, level = (None, None) if own is None else _numbering(own)
        if number is None:
            number, styled = self._numbering_of_style(style_id)
            level = styled if level is None else level
        return number, level, style_id

    def special_runs(self, root: _Element) -> set[_Element]:
        """The runs below `root` that may look other than their paragraphs; all others look like these."""
        found: set[_Element] = set()
        tags = (f"{W}{name}" for name in ("vertAlign", "position", "vanish", "rStyle", "rFonts"))
        for element in root.iter(*tags):
            if element.tag == f"{W}rFonts" and not is_symbol_font(_font(element)):
                continue
            if element.tag == f"{W}rStyle" and self._look_of_style(element.get(f"{W}val") or "") == UPRIGHT:
                continue
            run = element.getparent().getparent()
            if run is not None and run.tag == f"{W}r":
                found.add(run)
        return found

    def look_of_paragraph(self, paragraph: _Element) -> Look:
        """How runs look that say nothing of their own."""
        if self._is_plain:
            return UPRIGHT
        style = paragraph.find(f"{W}pPr/{W}pStyle")
        return self._look_of_style(self._default if style is None else style.get(f"{W}val") or "")

    def look(self, run: _Element, base: Look) -> Look:
        """How `run` looks in a paragraph whose runs look like `base`."""
        properties = run.find(f"{W}rPr")
        return base if properties is None else self._apply(properties, base)

    def _numbering_of_style(self, style_id: str) -> tuple[str, int | None]:
        """The numbering of a style, from it and those it is based on."""
        if style_id not in self._numberings:
            number: str | None = None
            level: int | None = None
            for style in self._line(style_id):
                element = style.find(f"{W}pPr/{W}numPr")
                if element is not None and number is None:
                    number, own = _numbering(element)
                    level = own if level is None else level
            self._numberings[style_id] = number or "", level
        return self._numberings[style_id]

    def is_prompt(self, run: _Element) -> bool:
        """Whether `run` may be words of Word that say what belongs in an empty control.

        They look like such words, unless the document has no style for them.
        """
        if not self._prompts:
            return True
        style = run.find(f"{W}rPr/{W}rStyle")
        return style is not None and style.get(f"{W}val") in self._prompts

    def _look_of_style(self, style_id: str) -> Look:
        """The look that a style gives, paragraph or character, with those it is based on."""
        if style_id not in self._looks:
            look = UPRIGHT
            for style in reversed(self._line(style_id)):
                if (properties := style.find(f"{W}rPr")) is not None:
                    look = self._apply(properties, look)
            self._looks[style_id] = look
        return self._looks[style_id]

    def _apply(self, properties: _Element, look: Look) -> Look:
        for child in properties.iterchildren():
            tag = child.tag
            if tag == f"{W}rStyle":
                look = _over(self._look_of_style(child.get(f"{W}val") or ""), look)
            elif tag == f"{W}vertAlign":
                look = look._replace(raised=child.get(f"{W}val") == "superscript")
            elif tag == f"{W}position":
                if _half_points(child) >= _RAISED_HALF_POINTS:
                    look = look._replace(raised=True)
            elif tag == f"{W}vanish":
                look = look._replace(hidden=on(child))
            elif tag == f"{W}rFonts":
                font = _font(child)
                if font is not None:
                    look = look._replace(font=font if is_symbol_font(font) else None)
        return look

    def is_heading(self, paragraph: _Element) -> bool:
        return self.role(paragraph)[0] is BlockKind.HEADING

    def _role_of_style(self, style_id: str) -> Role:
        """The role of a style: the first in its line that means something."""
        if style_id not in self._roles:
            self._roles[style_id] = next(filter(None, map(_role_of_element, self._line(style_id))), _PLAIN)
        return self._roles[style_id]

    def _line(self, style_id: str) -> list[_Element]:
        """A style and those it is based on."""
        line: list[_Element] = []
        kin = self._elements if style_id in self._elements else self._characters
        style = kin.get(style_id)
        while style is not None and style not in line:
            line.append(style)
            based_on = style.find(f"{W}basedOn")
            style = None if based_on is None else kin.get(based_on.get(f"{W}val"))
        return line


def on(element: _Element | None) -> bool:
    """Whether a toggle property is set."""
    return element is not None and element.get(f"{W}val") not in ("0", "false", "off")


def _numbering(element: _Element) -> tuple[str | None, int | None]:
    """The numbering and the level that numbering properties say, None for what they do not."""
    number, depth = element.find(f"{W}numId"), element.find(f"{W}ilvl")
    return (
        None if number is None else number.get(f"{W}val") or "",
        None if depth is None else int(depth.get(f"{W}val") or 0),
    )


def _font(fonts: _Element) -> str | None:
    font: str | None = fonts.get(f"{W}ascii") or fonts.get(f"{W}hAnsi")
    return font


def _over(own: Look, base: Look) -> Look:
    """What a character style adds to the look of its paragraph."""
    return Look(own.raised or base.raised, own.hidden or base.hidden, own.font or base.font)


def _half_points(element: _Element) -> float:
    """The value of a measure, which is a number of half points or carries its unit (17.18.81)."""
    measure = _MEASURE.fullmatch(element.get(f"{W}val") or "")
    return float(measure[1]) * (2 if measure[2] else 1) if measure else 0.0


def _name(style: _Element) -> str:
    element = style.find(f"{W}name")
    return "" if element is None else (element.get(f"{W}val") or "").lower()


def _role_of_element(style: _Element) -> Role | None:
    name = _name(style)
    for pattern, kind in _NAMED:
        if match := pattern.fullmatch(name):
            if kind is BlockKind.HEADING or kind is BlockKind.LIST_ITEM:
                return kind, int(match[1] or 1)
            return kind, None
    properties = style.find(f"{W}pPr")
    return None if properties is None else _own_role(properties, None)


def _own_role(properties: _Element, inherited: Role | None) -> Role | None:
    """What outline level and numbering say, None where they are silent."""
    outline = properties.find(f"{W}outlineLvl")
    if outline is not None and (level := int(outline.get(f"{W}val") or 9)) < 9:
        return BlockKind.HEADING, level + 1
    numbering = properties.find(f"{W}numPr")
    if numbering is None:
        return None
    number, depth = numbering.find(f"{W}numId"), numbering.find(f"{W}ilvl")
    if number is not None and number.get(f"{W}val") == "0":
        return _PLAIN
    if depth is None:
        return inherited if inherited and inherited[1] else (BlockKind.LIST_ITEM, 1)
    return BlockKind.LIST_ITEM, int(depth.get(f"{W}val") or 0) + 1
