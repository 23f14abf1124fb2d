"""The text of an OpenDocument file's paragraphs, and what they leave to be said after them.

What belongs here: what stands in a paragraph: spans, white space, notes, comments, formulas, controls. What
does not: which block a paragraph is (`odf`), how text looks (`odf_styles`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import LINK, anchor, end_of_link, unlinked
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.office.odf_forms import read_controls
from rag_pipelines.parsing.office.odf_lists import OdfLists
from rag_pipelines.parsing.office.odf_names import DC, DRAW, OFFICE, TEXT, XLINK_HREF
from rag_pipelines.parsing.office.odf_styles import Look, OdfStyles
from rag_pipelines.text.superscripts import join_runs
from rag_pipelines.text.symbol_fonts import read_symbols

if TYPE_CHECKING:
    from lxml.etree import _Element

_BOOKMARKS = {f"{TEXT}{name}" for name in ("bookmark", "bookmark-start", "reference-mark-start")}
_LINKS = {f"{TEXT}{name}" for name in ("a", "bookmark-ref", "reference-ref")}
_NUMBER_OF_HEADING = re.compile(r"(?:\d+\.)*\d*\s*(?=\S)")

MATH = "{http://www.w3.org/1998/Math/MathML}"


class OdfText:
    """Reads paragraphs one after the other.

    `boxes` (frames and shapes) and `remarks` (notes and comments) are what the paragraphs read so far leave
    to be said after them; who adds them takes them away.
    """

    def __init__(
        self, builder: DocumentBuilder, content: _Element, styles: OdfStyles, objects: dict[str, _Element]
    ) -> None:
        self.styles = styles
        self.lists = OdfLists(styles)
        self.objects = objects
        self.remarks: list[str] = []
        self.boxes: list[_Element] = []
        self._builder = builder
        self._controls = read_controls(content)

    def inside(self, container: _Element) -> str:
        """The text of all paragraphs inside, one a line."""
        lines: list[str] = []
        self._collect_lines(container, lines)
        return "\n".join(line for line in lines if unlinked(line).strip())

    def _collect_lines(self, container: _Element, lines: list[str]) -> None:
        for child in container.iterchildren():
            tag = child.tag
            if tag == f"{TEXT}p" or tag == f"{TEXT}h":
                lines.append(self.numbered(child))
            elif tag == f"{TEXT}list":
                self.lists.enter(child)
                for item in child.iterchildren(f"{TEXT}list-item", f"{TEXT}list-header"):
                    self.lists.begin_item(item)
                    self._collect_lines(item, lines)
                self.lists.leave()
            elif tag == f"{DRAW}frame" and child.find(f"{DRAW}text-box") is None:
                self.boxes.append(child)
            elif isinstance(tag, str):
                self._collect_lines(child, lines)

    def numbered(self, paragraph: _Element) -> str:
        """The text of a paragraph or heading behind the number that a reader sees in front of it."""
        text = self._text(paragraph)
        if not unlinked(text).strip():
            return text
        if self.lists.level:
            label = self.lists.take_label()
        elif paragraph.tag == f"{TEXT}h":
            label = self.lists.heading_label(paragraph, int(paragraph.get(f"{TEXT}outline-level") or 1))
        else:
            return text
        return f"{label} {text}" if label else text

    def _text(self, element: _Element) -> str:
        look = self.styles.look(element.get(f"{TEXT}style-name"))
        if not len(element) and not any(look):
            return element.text or ""
        runs: list[tuple[str, bool]] = []
        self._collect(element, runs, look)
        return join_runs(runs)

    def _collect(self, element: _Element, runs: list[tuple[str, bool]], look: Look) -> None:
        self._say(element.text, runs, look)
        for child in element.iterchildren():
            tag = child.tag
            if tag == f"{TEXT}span":
                self._collect(child, runs, self._look_within(child, look))
            elif tag == f"{TEXT}s":
                runs.append((" " * min(int(child.get(f"{TEXT}c") or 1), 100), False))
            elif tag == f"{TEXT}tab":
                runs.append(("\t", False))
            elif tag == f"{TEXT}line-break":
                runs.append(("\n", False))
            elif tag == f"{TEXT}note":
                self._refer(child, runs)
            elif tag in _BOOKMARKS:
                runs.append((anchor(child.get(f"{TEXT}name") or ""), False))
            elif tag in _LINKS and (target := _target(child)):
                runs.append((LINK, False))
                self._collect(child, runs, look)
                runs.append((end_of_link(target), False))
            elif tag == f"{OFFICE}annotation":
                author = child.findtext(f"{DC}creator")
                self.remarks.append(f"Comment{f' by {author}' if author else ''}: {self.inside(child)}")
            elif tag == f"{DRAW}control":
                runs.append((f" {self.control(child)} ", False))
            elif isinstance(tag, str) and tag.startswith(DRAW) and tag != f"{DRAW}a":
                formula = self.objects.get(_object_reference(child))
                if formula is not None and formula.tag.startswith(MATH):
                    runs.append((formula_text(formula), False))
                else:
                    self.boxes.append(child)
            elif isinstance(tag, str) and tag != f"{TEXT}ruby-text":
                self._collect(child, runs, look)
            self._say(child.tail, runs, look)

    def _say(self, text: str | None, runs: list[tuple[str, bool]], look: Look) -> None:
        if not text:
            return
        if look.hidden:
            self._builder.leave_out(LeftOut.HIDDEN, text)
        else:
            runs.append((read_symbols(text, look.font) if look.font else text, look.raised))

    def _look_within(self, span: _Element, look: Look) -> Look:
        own = self.styles.look(span.get(f"{TEXT}style-name"))
        return Look(own.raised or look.raised, own.hidden or look.hidden, own.font or look.font)

    def _refer(self, note: _Element, runs: list[tuple[str, bool]]) -> None:
        number = note.findtext(f"{TEXT}note-citation") or "*"
        body = note.find(f"{TEXT}note-body")
        runs.append((f"[{number}]", False))
        self.remarks.append(f"[{number}] {'' if body is None else self.inside(body)}")

    def control(self, reference: _Element) -> str:
        """What a form control shows."""
        return self._controls.get(reference.get(f"{DRAW}control") or "", "")


def _target(link: _Element) -> str:
    """Where a link or reference leads (OpenDocument 1.3 part 3, 6.1.8 and 7.7.6).

    A heading or table is named with its kind, a heading also with its number: ``#1.2.Fees|outline``.
    """
    if link.tag != f"{TEXT}a":
        return f"#{link.get(f'{TEXT}ref-name') or ''}"
    address = link.get(XLINK_HREF) or ""
    if not address.startswith("#"):
        return address
    place, _, kind = address[1:].rpartition("|")
    if kind == "outline":
        return f"#{_NUMBER_OF_HEADING.sub('', place, count=1)}"
    return f"#{place or kind}"


def formula_text(root: _Element) -> str:
    """A formula as its author typed it, else the characters it is made of."""
    typed = root.findtext(f".//{MATH}annotation")
    return " ".join((typed or " ".join(root.itertext())).split())


def _object_reference(drawn: _Element) -> str:
    held = drawn.find(f"{DRAW}object")
    return "" if held is None else held.get(XLINK_HREF) or ""
