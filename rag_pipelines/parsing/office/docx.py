"""Word documents (DOCX), read with python-docx and its XML tree.

What belongs here: walking the body in reading order and turning it into blocks. What does not: what a
style means (`docx_styles`), numbers of lists and headings (`docx_numbering`), equations
(`docx_equations`), charts (`ooxml_charts`), opening the package (`zip_package`).

Why not `unstructured` here: it guesses headings from wording where no style says so, drops the depth of
list items, merged cells, text boxes, footnotes and comments, and reads 4 documents a second; this reads
over 50. What is kept, in order: text with tracked insertions and without deletions and hidden text,
equations in linear form, text boxes and charts after the paragraph they hang on, notes and comments
after the paragraph that refers to them, headers and footers as furniture. The generated table of contents
is left out, because it only repeats the headings. Pages are those that Word last rendered, None where it
never did.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.office.docx_equations import M, linear
from rag_pipelines.parsing.office.docx_numbering import Numbering
from rag_pipelines.parsing.office.docx_styles import TABLE_OF_CONTENTS, Styles, W, on
from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.witness.ooxml import word_text
from rag_pipelines.parsing.zip_package import (
    core_properties,
    meaningful_title,
    parse_xml,
    validate_ooxml,
)

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"

_TRANSPARENT = {f"{W}{name}" for name in ("ins", "moveTo", "customXml", "smartTag", "sdtContent")}
_SKIPPED = {f"{W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "sdtPr", "rt")} | {f"{MC}Fallback"}
_CHARACTERS = {f"{W}tab": "\t", f"{W}ptab": "\t", f"{W}cr": "\n", f"{W}noBreakHyphen": "-"}
_NOTES = {f"{W}footnoteReference": "footnotes", f"{W}endnoteReference": "endnotes"}


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a DOCX file.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    import docx

    data = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder(MEDIA_TYPE, max_characters=request.limits.max_characters)
    document = docx.Document(io.BytesIO(data))
    reader = _DocxReader(document, builder)
    reader.read_blocks(document.element.body)
    reader.end_code()
    reader.read_furniture()
    builder.pages = reader.page
    builder.metadata = core_properties(data)
    builder.language = builder.metadata.pop("language", None)
    builder.title = builder.title or meaningful_title(builder.metadata.get("title")) or reader.opening_heading
    builder.account_for(word_text(data))
    return builder.finish()


class _DocxReader:
    """One walk over a document; holds what a paragraph leaves to be said after it."""

    def __init__(self, document: Document, builder: DocumentBuilder) -> None:
        self.document = document
        self.builder = builder
        self.styles = Styles(document)
        self.numbering = Numbering(document)
        self.page = (
            1 if next(document.element.body.iter(f"{W}lastRenderedPageBreak"), None) is not None else None
        )
        self.opening_heading: str | None = None
        self._code: list[str] = []
        self._boxes: list[_Element] = []
        self._remarks: list[str] = []
        self._notes = {kind: _notes(document, kind) for kind in _NOTES.values()}
        self._comments = _comments(document)

    def read_blocks(self, container: _Element) -> None:
        """Add the paragraphs and tables of `container`, at any depth of content controls."""
        for child in container.iterchildren():
            if child.tag == f"{W}p":
                self._read_paragraph(child)
            elif child.tag == f"{W}tbl":
                self._read_table(child)
            elif child.tag == f"{W}sdt" and _is_table_of_contents(child):
                for paragraph in child.iter(f"{W}p"):
                    self.builder.leave_out(LeftOut.CONTENTS, self._text(paragraph))
            elif child.tag in _TRANSPARENT or child.tag == f"{W}sdt":
                self.read_blocks(child)

    def read_furniture(self) -> None:
        """Add the headers and footers of every section that has its own."""
        for section in self.document.sections:
            for kind, parts in (
                (BlockKind.HEADER, (section.header, section.first_page_header, section.even_page_header)),
                (BlockKind.FOOTER, (section.footer, section.first_page_footer, section.even_page_footer)),
            ):
                for part in parts:
                    if not part.is_linked_to_previous:
                        self.builder.add(kind, self._text_inside(part._element))
        self._flush()

    def end_code(self) -> None:
        """Add the code paragraphs gathered so far as one block."""
        if self._code:
            self.builder.add(BlockKind.CODE, "\n".join(self._code), page=self.page)
            self._code.clear()

    def _read_paragraph(self, paragraph: _Element) -> None:
        page = self.page
        kind, level = self.styles.role(paragraph)
        text = self._numbered_text(paragraph)
        if kind == TABLE_OF_CONTENTS:
            self.builder.counters["contents_lines_dropped"] += 1
            self.builder.leave_out(LeftOut.CONTENTS, text)
        elif kind is BlockKind.CODE:
            self._code.append(text)
        elif text.strip():
            self.end_code()
            if kind is BlockKind.HEADING and not self.builder:
                self.opening_heading = text
            self.builder.add(BlockKind(kind), text, level=level, page=page)
        self._flush()

    def _flush(self) -> None:
        """Add what hangs on the paragraph or table just read."""
        boxes, self._boxes = self._boxes, []
        remarks, self._remarks = self._remarks, []
        for remark in remarks:
            self.builder.add(BlockKind.PARAGRAPH, remark, page=self.page)
        for box in boxes:
            if box.tag == f"{C}chart":
                self._read_chart(box)
            else:
                self.read_blocks(box)

    def _read_chart(self, reference: _Element) -> None:
        part = self.document.part.related_parts.get(reference.get(f"{R}id"))
        if part is not None:
            chart = parse_xml(part.blob, "a chart")
            self.builder.add(BlockKind.CAPTION, chart_title(chart), page=self.page)
            self.builder.add_table(chart_rows(chart), header_rows=1, page=self.page)

    def _read_table(self, table: _Element) -> None:
        self.end_code()
        page = self.page
        rows = list(_parts(table, "tr"))
        cells = [cell for row in rows for cell in _parts(row, "tc")]
        if len(cells) == 1 or any(self.styles.is_heading(p) for cell in cells for p in cell.iter(f"{W}p")):
            for cell in cells:  # a frame or a page layout, not data
                self.read_blocks(cell)
            return
        self.builder.add_table(self._grid(rows), header_rows=_header_rows(table, rows), page=page)
        self._flush()

    def _grid(self, rows: list[_Element]) -> Iterator[list[str]]:
        """The rows as text; a merged cell's text stands in every place it covers."""
        above: list[str] = []
        for row in rows:
            grid = [""] * _number(row.find(f"{W}trPr/{W}gridBefore"))
            for cell in _parts(row, "tc"):
                properties = cell.find(f"{W}tcPr")
                span = merge = None
                if properties is not None:
                    span, merge = properties.find(f"{W}gridSpan"), properties.find(f"{W}vMerge")
                if merge is not None and merge.get(f"{W}val") != "restart" and len(grid) < len(above):
                    text = above[len(grid)]
                else:
                    text = self._text_inside(cell)
                grid.extend([text] * max(1, _number(span)))
            yield grid
            above = grid

    def _text_inside(self, container: _Element) -> str:
        """The text of all paragraphs inside, one a line; a nested table's row is one line."""
        lines: list[str] = []
        for child in container.iterchildren():
            if child.tag == f"{W}p":
                lines.append(self._numbered_text(child))
            elif child.tag == f"{W}tbl":
                lines.extend(
                    ", ".join(filter(None, (self._text_inside(cell) for cell in _parts(row, "tc"))))
                    for row in _parts(child, "tr")
                )
            elif child.tag == f"{W}sdt" or child.tag in _TRANSPARENT:
                lines.append(self._text_inside(child))
        return "\n".join(line for line in lines if line.strip())

    def _numbered_text(self, paragraph: _Element) -> str:
        """The text of a paragraph behind the number that Word shows in front of it."""
        text = self._text(paragraph)
        number, level, style = self.styles.numbering(paragraph)
        if not number:
            return text
        if level is None:
            level = self.numbering.level_of_style(number, style) or 0
        label = self.numbering.next_label(number, level)
        return f"{label} {text}" if label and text.strip() else text

    def _text(self, element: _Element) -> str:
        parts: list[str] = []
        self._collect(element, parts)
        return "".join(parts)

    def _collect(self, element: _Element, parts: list[str]) -> None:
        """Append the text below `element`; put aside its text boxes, notes and comments, count its pages."""
        for child in element.iterchildren():
            tag = child.tag
            if tag == f"{W}t":
                parts.append(child.text or "")
            elif tag in _SKIPPED:
                continue
            elif tag == f"{W}r" and on(child.find(f"{W}rPr/{W}vanish")):
                self.builder.leave_out(LeftOut.HIDDEN, " ".join(t.text or "" for t in child.iter(f"{W}t")))
            elif tag in _CHARACTERS:
                parts.append(_CHARACTERS[tag])
            elif tag == f"{W}br":
                parts.append("\n" if child.get(f"{W}type") in (None, "textWrapping") else " ")
            elif tag == f"{W}lastRenderedPageBreak":
                self.page = (self.page or 1) + 1
            elif tag in (f"{W}txbxContent", f"{C}chart"):
                self._boxes.append(child)
            elif tag in _NOTES:
                self._refer(self._notes[_NOTES[tag]].get(child.get(f"{W}id")), parts)
            elif tag == f"{W}commentReference":
                if comment := self._comments.get(child.get(f"{W}id")):
                    self._remarks.append(comment)
            elif tag == f"{M}oMath":
                parts.append(linear(child))
            else:
                self._collect(child, parts)

    def _refer(self, note: tuple[str, _Element] | None, parts: list[str]) -> None:
        if note is not None:
            number, body = note
            parts.append(f"[{number}]")
            self._remarks.append(f"[{number}] {self._text_inside(body)}")


def _parts(whole: _Element, name: str) -> Iterator[_Element]:
    """The rows (``tr``) of a table or cells (``tc``) of a row, also those inside what is transparent."""
    for child in whole.iterchildren():
        if child.tag == f"{W}{name}":
            yield child
        elif child.tag == f"{W}sdt" or child.tag in _TRANSPARENT:
            yield from _parts(child, name)


def _header_rows(table: _Element, rows: list[_Element]) -> int:
    """The rows marked to repeat on each page; else the first where the table's look sets it apart."""
    marked = 0
    while marked < len(rows) and on(rows[marked].find(f"{W}trPr/{W}tblHeader")):
        marked += 1
    if marked or len(rows) < 2:
        return marked if marked < len(rows) else 0
    look = table.find(f"{W}tblPr/{W}tblLook")
    if look is None:
        return 0
    first = look.get(f"{W}firstRow")
    return int(first in ("1", "true", "on") if first else bool(int(look.get(f"{W}val") or "0", 16) & 0x20))


def _number(element: _Element | None) -> int:
    """The numeric value of a property, bounded by the 63 columns a Word table may have."""
    return 0 if element is None else min(int(element.get(f"{W}val") or 0), 63)


def _is_table_of_contents(control: _Element) -> bool:
    gallery = control.find(f"{W}sdtPr/{W}docPartObj/{W}docPartGallery")
    return gallery is not None and gallery.get(f"{W}val") == "Table of Contents"


def _notes(document: Document, kind: str) -> dict[str, tuple[str, _Element]]:
    """Footnotes or endnotes by id: the number a reader sees, and the body."""
    part: Any = next(
        (rel.target_part for rel in document.part.rels.values() if rel.reltype.endswith(f"/{kind}")), None
    )
    if part is None:
        return {}
    notes = [note for note in parse_xml(part.blob, kind) if note.get(f"{W}type") in (None, "normal")]
    prefix = "" if kind == "footnotes" else "endnote "
    return {note.get(f"{W}id"): (f"{prefix}{number}", note) for number, note in enumerate(notes, 1)}


def _comments(document: Document) -> dict[str, str]:
    if not any(rel.reltype.endswith("/comments") for rel in document.part.rels.values()):
        return {}
    return {
        str(comment.comment_id): f"Comment{f' by {comment.author}' if comment.author else ''}: {comment.text}"
        for comment in document.comments
    }
