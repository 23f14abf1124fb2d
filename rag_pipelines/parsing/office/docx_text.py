"""The text of a Word document's paragraphs, and what they leave to be said after them.

What belongs here: what stands in a paragraph (ECMA-376 part 1, 17.3 and 17.16): runs, fields and form
fields, symbols, notes, pictures. What does not: which block a paragraph is (`docx`), how runs look
(`docx_styles`), equations (`ooxml_equations`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import LINK, anchor, end_of_link, unlinked
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.docx_fields import BUTTON_FIELD, SYMBOL_FIELD, Field, form_value
from rag_pipelines.parsing.office.docx_numbering import Numbering
from rag_pipelines.parsing.office.docx_styles import UPRIGHT, Look, Styles, W, on
from rag_pipelines.parsing.office.fields import target_of
from rag_pipelines.parsing.office.images import alternative_text
from rag_pipelines.parsing.office.ooxml_diagrams import DIAGRAM
from rag_pipelines.parsing.office.ooxml_equations import M, linear
from rag_pipelines.parsing.office.ooxml_text import MC
from rag_pipelines.parsing.zip_package import parse_xml
from rag_pipelines.text.superscripts import join_runs
from rag_pipelines.text.symbol_fonts import read_symbols

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element

R: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
CHART: Final = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
CHART_EX: Final = "{http://schemas.microsoft.com/office/drawing/2014/chartex}chart"
DIAGRAM_REFERENCE: Final = f"{DIAGRAM}relIds"
TEXT_BOX: Final = f"{W}txbxContent"
ALT_CHUNK: Final = f"{W}altChunk"
TRANSPARENT: Final = {
    *(f"{W}{name}" for name in ("ins", "moveTo", "customXml", "smartTag", "sdtContent")),
    f"{MC}AlternateContent",
    f"{MC}Choice",
}

_PICTURE = "{http://schemas.openxmlformats.org/drawingml/2006/picture}pic"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_V = "{urn:schemas-microsoft-com:vml}"
_OLE = "{urn:schemas-microsoft-com:office:office}OLEObject"
_SKIPPED = {f"{W}{name}" for name in ("pPr", "rPr", "sdtPr")} | {f"{MC}Fallback"}
_UNSEEN = {f"{W}del": LeftOut.HIDDEN, f"{W}moveFrom": LeftOut.HIDDEN, f"{W}rt": LeftOut.ALTERNATIVE}
_CHARACTERS = {f"{W}tab": "\t", f"{W}ptab": "\t", f"{W}cr": "\n", f"{W}noBreakHyphen": "-"}
_NOTES = {f"{W}footnoteReference": "footnotes", f"{W}endnoteReference": "endnotes"}
_ASIDE = {TEXT_BOX, CHART, CHART_EX, DIAGRAM_REFERENCE, ALT_CHUNK}
_UNREAD = {f"{W}control", f"{W}subDoc", f"{W}contentPart"}


class Picture(NamedTuple):
    """A picture in the text: the relation that leads to it, and whether words say what it shows."""

    reference: str | None
    described: bool


class DocxText:
    """Reads paragraphs one after the other.

    `page` counts the page breaks that Word rendered. `boxes` (text boxes, charts, diagrams, embedded
    documents), `remarks` (notes, comments, what pictures show), `pictures` and `objects` (references to
    embedded files) are what the paragraphs read so far leave to be said after them; who adds them takes
    them away. `addresses` are where links of the part that is read lead.
    """

    def __init__(self, document: Document, builder: DocumentBuilder) -> None:
        self.styles = Styles(document)
        self.page = (
            1 if next(document.element.body.iter(f"{W}lastRenderedPageBreak"), None) is not None else None
        )
        self.boxes: list[_Element] = []
        self.remarks: list[str] = []
        self.objects: list[_Element] = []
        self.pictures: list[Picture] = []
        self._builder = builder
        self._numbering = Numbering(document)
        self._fields: list[Field] = []
        self.addresses = addresses_of(document.part)
        self._notes = {kind: _notes(document, kind) for kind in _NOTES.values()}
        self._addresses_of_notes = {kind: addresses_of(_related(document, kind)) for kind in _NOTES.values()}
        self._numbers = dict.fromkeys(_NOTES.values(), 0)
        self._comments = _comments(document)
        self._special: set[_Element] = set()
        self.take_part(document.element.body)
        for notes in self._notes.values():
            for note in notes.values():
                self.take_part(note)

    def take_part(self, root: _Element) -> None:
        """Look through a part of the document before its text is read."""
        self._special |= self.styles.special_runs(root)

    def numbered(self, paragraph: _Element) -> str:
        """The text of a paragraph behind the number that Word shows in front of it."""
        text = self.text(paragraph)
        number, level, style = self.styles.numbering(paragraph)
        if not number:
            return text
        if level is None:
            level = self._numbering.level_of_style(number, style) or 0
        label = self._numbering.next_label(number, level)
        return f"{label} {text}" if label and unlinked(text).strip() else text

    def text(self, paragraph: _Element) -> str:
        if self._fields and any(one.in_instruction for one in self._fields):
            self._fields.clear()  # an instruction ends with its paragraph, so that no damage hides a document
        runs: list[tuple[str, bool]] = []
        self._collect(paragraph, runs, self.styles.look_of_paragraph(paragraph))
        return join_runs(runs)

    def inside(self, container: _Element) -> str:
        """The text of all paragraphs inside, one a line; a nested table's row is one line."""
        lines: list[str] = []
        for child in container.iterchildren():
            if child.tag == f"{W}p":
                lines.append(self.numbered(child))
            elif child.tag == f"{W}tbl":
                lines.extend(
                    ", ".join(filter(None, (self.inside(cell) for cell in parts(row, "tc"))))
                    for row in parts(child, "tr")
                )
            elif child.tag == ALT_CHUNK:
                self.boxes.append(child)
            elif child.tag in TRANSPARENT or (child.tag == f"{W}sdt" and not self.leaves_out(child)):
                lines.append(self.inside(child))
        return "\n".join(line for line in lines if unlinked(line).strip())

    def leaves_out(self, control: _Element) -> bool:
        """Whether a content control holds no words of the author: generated contents, or a placeholder."""
        properties = control.find(f"{W}sdtPr")
        if properties is None:
            return False
        gallery = properties.find(f"{W}docPartObj/{W}docPartGallery")
        if gallery is not None and gallery.get(f"{W}val") == "Table of Contents":
            self._builder.leave_out(LeftOut.CONTENTS, _plain(control))
        elif on(properties.find(f"{W}showingPlcHdr")) and self._is_prompt(control):
            self._builder.leave_out(LeftOut.BOILERPLATE, _plain(control))
        else:
            return False
        return True

    def _is_prompt(self, control: _Element) -> bool:
        """Whether a control says what to fill in: words put there as a placeholder do not look like one."""
        content = control.find(f"{W}sdtContent")
        runs = () if content is None else content.iter(f"{W}r")
        return all(self.styles.is_prompt(run) for run in runs if run.find(f"{W}t") is not None)

    def _collect(self, element: _Element, runs: list[tuple[str, bool]], look: Look) -> None:
        """Append the text below `element`; put aside its text boxes, notes and comments, count its pages."""
        for child in element.iterchildren():
            tag = child.tag
            if tag == f"{W}t":
                self._say(child.text or "", runs, look)
            elif tag == f"{W}r":
                is_special = child in self._special or look is not UPRIGHT
                own = self.styles.look(child, look) if is_special else look
                if own.hidden:
                    self._builder.leave_out(LeftOut.HIDDEN, _plain(child))
                    for mark in child.iterchildren(f"{W}fldChar"):
                        self._read_field(mark, runs)
                else:
                    self._collect(child, runs, own)
            elif tag in _SKIPPED:
                continue
            elif tag in _UNSEEN:
                self._builder.leave_out(_UNSEEN[tag], _plain(child))
            elif tag in _CHARACTERS:
                self._say(_CHARACTERS[tag], runs)
            elif tag == f"{W}br":
                self._say("\n" if child.get(f"{W}type") in (None, "textWrapping") else " ", runs)
            elif tag == f"{W}lastRenderedPageBreak":
                self.page = (self.page or 1) + 1
            elif tag == f"{W}sym":
                self._say(self._symbol(child.get(f"{W}font"), child.get(f"{W}char") or ""), runs, look)
            elif tag == f"{W}fldChar":
                self._read_field(child, runs)
            elif tag == f"{W}hyperlink" or tag == f"{W}fldSimple":
                self._collect_link(child, runs, look)
            elif tag == f"{W}bookmarkStart":
                runs.append((anchor(child.get(f"{W}name") or ""), False))
            elif tag == f"{W}instrText":
                if self._fields:
                    self._fields[-1].instruction.append(child.text or "")
            elif tag in _ASIDE:
                self.boxes.append(child)
            elif tag in _NOTES:
                self._refer(_NOTES[tag], child, runs)
                if on_off(child.get(f"{W}customMarkFollows")):
                    break
            elif tag == f"{W}commentReference":
                if comment := self._comments.get(child.get(f"{W}id")):
                    self.remarks.append(comment)
            elif tag == f"{M}oMath":
                self._say(linear(child), runs)
            elif tag == f"{W}object":
                self._read_object(child, runs, look)
            elif tag == f"{W}sdt":
                if not self.leaves_out(child):
                    self._collect(child, runs, look)
            elif tag in _UNREAD:
                self._builder.lose(Loss.PARTS)
            else:
                if tag == _PICTURE:
                    self._describe(_descriptions(child), _reference(child))
                elif tag == f"{_V}imagedata":
                    self._describe((child.getparent().get("alt"),), child.get(f"{R}id"))
                elif tag == f"{_V}textpath":
                    self._say(child.get("string") or "", runs)
                self._collect(child, runs, look)

    def _collect_link(self, element: _Element, runs: list[tuple[str, bool]], look: Look) -> None:
        """The text of a hyperlink (17.16.22) or simple field (17.16.19)."""
        if instruction := element.get(f"{W}instr"):
            target = target_of(instruction)
        else:
            place = element.get(f"{W}anchor") or ""
            target = self.addresses.get(element.get(f"{R}id") or "", "") + (f"#{place}" if place else "")
        if target:
            runs.append((LINK, False))
        self._collect(element, runs, look)
        if target:
            runs.append((end_of_link(target), False))

    def _say(self, text: str, runs: list[tuple[str, bool]], look: Look | None = None) -> None:
        for one in self._fields:
            if one.in_instruction:
                return
            one.has_result = True
        if look is None:
            runs.append((text, False))
        else:
            runs.append((read_symbols(text, look.font) if look.font else text, look.raised))

    def _symbol(self, font: str | None, code: str) -> str:
        """What a reader sees for a character of a symbol font (17.3.3.30)."""
        try:
            character = chr(int(code, 16))
        except ValueError:
            return ""
        seen = read_symbols(character, font)
        if "\ue000" <= seen <= "\uf8ff":
            self._builder.lose(Loss.CHARACTERS)
            return ""
        return seen

    def _read_field(self, mark: _Element, runs: list[tuple[str, bool]]) -> None:
        kind = mark.get(f"{W}fldCharType")
        if kind == "begin":
            self._fields.append(Field(mark.find(f"{W}ffData")))
        elif kind == "separate" and self._fields:
            begun = self._fields[-1]
            begun.in_instruction = False
            if not any(one.target for one in self._fields):
                begun.target = target_of("".join(begun.instruction))
            if begun.target:
                runs.append((LINK, False))
        elif kind == "end" and self._fields:
            ended = self._fields.pop()
            if not ended.has_result:
                self._say(self._shown_without_result(ended), runs)
            if ended.target:
                runs.append((end_of_link(ended.target), False))

    def _shown_without_result(self, ended: Field) -> str:
        """What Word shows for a field that keeps no result: check boxes, drop-down lists, symbols."""
        if ended.form is not None:
            return form_value(ended.form)
        instruction = "".join(ended.instruction)
        if found := SYMBOL_FIELD.match(instruction):
            code = int(found[1], 0) if found[1][:2].lower() == "0x" else int(found[1])
            return self._symbol((found[2] or "").strip(), f"{code:x}")
        button = BUTTON_FIELD.match(instruction)
        return button[1].strip() if button else ""

    def _read_object(self, element: _Element, runs: list[tuple[str, bool]], look: Look) -> None:
        """An embedded file and its picture; a control of a form; or only a drawing."""
        embedded = element.find(f".//{_OLE}")
        if embedded is None:
            self._collect(element, runs, look)
        elif embedded.get("Type") == "Link" or (embedded.get("ProgID") or "").startswith("Equation"):
            self._builder.lose(Loss.IMAGES)
        else:
            self.objects.append(embedded)

    def _describe(self, alternatives: tuple[str | None, ...], reference: str | None) -> None:
        """Say what a picture shows, where its author did."""
        alternative = alternative_text(*alternatives)
        if alternative:
            self.remarks.append(f"Image: {alternative}")
        self.pictures.append(Picture(reference, described=bool(alternative)))

    def _refer(self, kind: str, reference: _Element, runs: list[tuple[str, bool]]) -> None:
        note = self._notes[kind].get(reference.get(f"{W}id"))
        if note is None:
            return
        if on_off(reference.get(f"{W}customMarkFollows")):
            mark = _plain(reference.getparent())
        else:
            self._numbers[kind] += 1
            mark = f"{'' if kind == 'footnotes' else 'endnote '}{self._numbers[kind]}"
        self._say(f"[{mark}]", runs)
        own, self.addresses = self.addresses, self._addresses_of_notes[kind]
        self.remarks.append(f"[{mark}] {self.inside(note)}")
        self.addresses = own


def parts(whole: _Element, name: str) -> Iterator[_Element]:
    """The rows (``tr``) of a table or cells (``tc``) of a row, also those inside what is transparent."""
    for child in whole.iterchildren():
        if child.tag == f"{W}{name}":
            yield child
        elif child.tag == f"{W}sdt" or child.tag in TRANSPARENT:
            yield from parts(child, name)


def on_off(value: str | None) -> bool:
    """An attribute that is set (22.9.2.7)."""
    return value in ("1", "true", "on")


def _plain(element: _Element) -> str:
    """The characters below `element` as they are stored."""
    return "".join([text.text or "" for text in element.iter(f"{W}t", f"{W}delText")])


def _reference(picture: _Element) -> str | None:
    blip = picture.find("{*}blipFill/{*}blip")
    return None if blip is None else blip.get(f"{R}embed")


def _descriptions(picture: _Element) -> tuple[str | None, ...]:
    """Description and title of the drawing that `picture` stands in, and its own."""
    found: list[str | None] = []
    properties = [*picture.iterfind("{*}nvPicPr/{*}cNvPr")]
    drawing = next(picture.iterancestors(f"{_DRAWING}inline", f"{_DRAWING}anchor"), None)
    if drawing is not None:
        properties += drawing.iterfind(f"{_DRAWING}docPr")
    for one in properties:
        found += [one.get("descr"), one.get("title")]
    return tuple(found)


def addresses_of(part: Any) -> dict[str, str]:
    """What lies outside the package and a part refers to, by the id of the relation."""
    return {} if part is None else {id: rel.target_ref for id, rel in part.rels.items() if rel.is_external}


def _related(document: Document, kind: str) -> Any:
    """The part of the document that holds its footnotes or the like; None where it has none."""
    relations = document.part.rels.values()
    return next((rel.target_part for rel in relations if rel.reltype.endswith(f"/{kind}")), None)


def _notes(document: Document, kind: str) -> dict[str, _Element]:
    """The bodies of footnotes or endnotes by id."""
    part = _related(document, kind)
    notes = () if part is None else parse_xml(part.blob, kind)
    return {note.get(f"{W}id"): note for note in notes if note.get(f"{W}type") in (None, "normal")}


def _comments(document: Document) -> dict[str, str]:
    if not any(rel.reltype.endswith("/comments") for rel in document.part.rels.values()):
        return {}
    return {
        str(comment.comment_id): f"Comment{f' by {comment.author}' if comment.author else ''}: {comment.text}"
        for comment in document.comments
    }
