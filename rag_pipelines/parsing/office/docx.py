"""Word documents (DOCX), read with python-docx and its XML tree.

What belongs here: walking the body in reading order and turning it into blocks. What does not: the text of
a paragraph (`docx_text`), what a style means (`docx_styles`), numbers of lists and headings
(`docx_numbering`), tables (`docx_tables`), charts and diagrams (`ooxml_charts`, `ooxml_diagrams`), files
and documents inside (`ole`, `parts`), opening the package (`zip_package`).

Why not `unstructured` here: it guesses headings from wording where no style says so, drops the depth of
list items, merged cells, text boxes, footnotes and comments, and reads 4 documents a second; this reads
over 50. What is kept, in order: text with tracked insertions and without deletions and hidden text,
equations in linear form, text boxes, charts and diagrams after the paragraph they hang on, notes and
comments after the paragraph that refers to them, embedded files after the body, headers and footers as
furniture. The generated table of contents is left out, because it only repeats the headings. Pages are
those that Word last rendered, None where it never did.
"""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import msgspec

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.docx_styles import TABLE_OF_CONTENTS, W
from rag_pipelines.parsing.office.docx_tables import grid, header_rows, is_frame
from rag_pipelines.parsing.office.docx_text import (
    ALT_CHUNK,
    DIAGRAM_REFERENCE,
    TEXT_BOX,
    TRANSPARENT,
    DocxText,
    R,
    addresses_of,
    parts,
)
from rag_pipelines.parsing.office.ole import embedded_file
from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.office.ooxml_diagrams import diagram_items
from rag_pipelines.parsing.parts import add_attachment, add_document, add_picture, read_part
from rag_pipelines.parsing.witness.ooxml import paragraphs, word_text
from rag_pipelines.parsing.zip_package import (
    OfficePackage,
    core_properties,
    parse_xml,
    validate_ooxml,
)
from rag_pipelines.text.titles import choose_title

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a DOCX file.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    package = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    document = _open(package)
    reader = _DocxReader(document, builder, request)
    reader.read_blocks(document.element.body)
    reader.end_code()
    builder.pages = reader.text.page
    reader.read_objects()
    reader.read_furniture()
    builder.metadata = core_properties(package)
    builder.language = builder.metadata.pop("language", None)
    builder.title = choose_title(builder.title or builder.opening_heading, builder.metadata.get("title"))
    builder.account_for(word_text(package), lambda: word_text(package, paragraphs))
    return builder.finish()


def _open(package: OfficePackage) -> Document:
    """The document in `package`, which may be a template or hold macros.

    Documents inside it stay bytes, which python-docx would take for its own.
    """
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.opc.part import Part, PartFactory
    from docx.package import Package
    from docx.parts.document import DocumentPart
    from docx.parts.image import ImagePart

    class MainPart(DocumentPart):
        source: bytes

        @classmethod
        def load(cls, partname: Any, content_type: str, blob: bytes, package: Any) -> Any:
            part: Any = super().load(partname, content_type, blob, package)
            part.source = blob
            return part

    def part_class(media_type: str, relation: str) -> type[Part] | None:
        if relation == RELATIONSHIP_TYPE.IMAGE:
            return ImagePart
        if relation.endswith("/aFChunk"):
            return Part
        return MainPart if relation == RELATIONSHIP_TYPE.OFFICE_DOCUMENT else None

    PartFactory.part_class_selector = part_class
    part: Any = Package.open(io.BytesIO(package.data)).main_document_part
    package.keep(part.partname.membername, part.source)
    document: Document = part.document
    return document


class _DocxReader:
    """One walk over a document."""

    def __init__(self, document: Document, builder: DocumentBuilder, request: ParseRequest) -> None:
        self.document = document
        self.builder = builder
        self.text = DocxText(document, builder)
        self._request = request
        self._code: list[str] = []

    def read_blocks(self, container: _Element) -> None:
        """Add the paragraphs and tables of `container`, at any depth of content controls."""
        for child in container.iterchildren():
            if child.tag == f"{W}p":
                self._read_paragraph(child)
            elif child.tag == f"{W}tbl":
                self._read_table(child)
            elif child.tag == ALT_CHUNK:
                self.end_code()
                self._read_chunk(child)
            elif child.tag == f"{W}subDoc":
                self.builder.lose(Loss.PARTS)
            elif child.tag in TRANSPARENT or (child.tag == f"{W}sdt" and not self.text.leaves_out(child)):
                self.read_blocks(child)

    def read_furniture(self) -> None:
        """Add the headers and footers of every section that has its own; those never shown are left out.

        A section without its own has those of the section before it (ECMA-376 17.10.5), so that one may be
        shown by a later section only: by the first that starts with a page of its own, say.
        """
        on_even_pages = self.document.settings.odd_and_even_pages_header_footer
        defined: list[tuple[BlockKind, Any]] = []
        latest: dict[int, int] = {}
        shown: set[int] = set()
        for section in self.document.sections:
            on_first_page = section.different_first_page_header_footer
            for slot, (part, kind, is_shown) in enumerate(
                (
                    (section.header, BlockKind.HEADER, True),
                    (section.first_page_header, BlockKind.HEADER, on_first_page),
                    (section.even_page_header, BlockKind.HEADER, on_even_pages),
                    (section.footer, BlockKind.FOOTER, True),
                    (section.first_page_footer, BlockKind.FOOTER, on_first_page),
                    (section.even_page_footer, BlockKind.FOOTER, on_even_pages),
                )
            ):
                if not part.is_linked_to_previous:
                    latest[slot] = len(defined)
                    defined.append((kind, part))
                if is_shown and slot in latest:
                    shown.add(latest[slot])
        for number, (kind, part) in enumerate(defined):
            self.text.addresses = addresses_of(part.part)
            self.text.take_part(part._element)
            text = self._furniture_text(part._element)
            if number in shown:
                self.builder.add(kind, text)
            else:
                self.builder.leave_out(LeftOut.HIDDEN, text)

    def read_objects(self) -> None:
        """Add the files that the body embeds, each as a section of its own."""
        references = dict.fromkeys(element.get(f"{R}id") for element in self.text.objects)
        for reference in references:
            part = self._part(reference)
            found = None if part is None else embedded_file(part.blob, part.partname.filename)
            if found is None:
                self.builder.lose(Loss.ATTACHMENTS)
            else:
                add_attachment(self.builder, self._request, found.data, found.name)

    def end_code(self) -> None:
        """Add the code paragraphs gathered so far as one block."""
        if self._code:
            self.builder.add(BlockKind.CODE, "\n".join(self._code), page=self.text.page)
            self._code.clear()

    def _read_paragraph(self, paragraph: _Element) -> None:
        page = self.text.page
        kind, level = self.text.styles.role(paragraph)
        text = self.text.numbered(paragraph)
        if kind == TABLE_OF_CONTENTS:
            self.builder.leave_out(LeftOut.CONTENTS, text)
        elif kind is BlockKind.CODE:
            self._code.append(text)
        elif text.strip():
            self.end_code()
            self.builder.add(BlockKind(kind), text, level=level, page=page)
        self._flush()

    def _flush(self) -> None:
        """Add what hangs on the paragraph or table just read."""
        boxes, self.text.boxes = self.text.boxes, []
        remarks, self.text.remarks = self.text.remarks, []
        pictures, self.text.pictures = self.text.pictures, []
        if boxes or remarks or (pictures and self._request.recognise):
            self.end_code()
        for remark in remarks:
            self.builder.add(BlockKind.PARAGRAPH, remark, page=self.text.page)
        for picture in pictures:
            part = self._part(picture.reference)
            add_picture(
                self.builder,
                self._request,
                None if part is None else part.blob,
                described=picture.described,
                page=self.text.page,
            )
        for box in boxes:
            if box.tag == TEXT_BOX:
                self.read_blocks(box)
            elif box.tag == ALT_CHUNK:
                self._read_chunk(box)
            else:
                self._read_drawn(box)

    def _read_drawn(self, reference: _Element) -> None:
        """Add a chart as the table it was drawn from, a diagram as a list."""
        page = self.text.page
        part = self._xml_part(reference.get(f"{R}dm" if reference.tag == DIAGRAM_REFERENCE else f"{R}id"))
        if part is None:
            self.builder.lose(Loss.PARTS)
        elif reference.tag == DIAGRAM_REFERENCE:
            for text, level in diagram_items(part, self._xml_part):
                self.builder.add(BlockKind.LIST_ITEM, text, level=level, page=page)
        else:
            self.builder.add(BlockKind.CAPTION, chart_title(part), page=page)
            self.builder.add_table(chart_rows(part), header_rows=1, page=page)

    def _read_chunk(self, reference: _Element) -> None:
        """Add the blocks of an embedded document in its place (ECMA-376 part 1, 17.17.2)."""
        part = self._part(reference.get(f"{R}id"))
        if part is None:
            self.builder.lose(Loss.PARTS)
            return
        whole = dataclasses.replace(self._request.options, html_main_content=False)
        request = msgspec.structs.replace(self._request, options=whole)
        parsed = read_part(self.builder, request, part.blob, part.partname.filename, part.content_type)
        if parsed is not None:
            add_document(self.builder, parsed, page=self.text.page)

    def _part(self, reference: str | None) -> Any:
        """The part behind a relation; None where there is none or it lies outside the package."""
        relation = self.document.part.rels.get(reference or "")
        return None if relation is None or relation.is_external else relation.target_part

    def _xml_part(self, reference: str | None) -> _Element | None:
        part = self._part(reference)
        return None if part is None else parse_xml(part.blob, part.partname)

    def _read_table(self, table: _Element) -> None:
        self.end_code()
        page = self.text.page
        rows = list(parts(table, "tr"))
        if is_frame(rows, self.text.styles.is_heading):
            for row in rows:
                for cell in parts(row, "tc"):
                    self.read_blocks(cell)
            return
        cells = grid(rows, self.text.inside)
        self.builder.add_table(cells, header_rows=header_rows(table, rows), page=page)
        self._flush()

    def _furniture_text(self, container: _Element) -> str:
        """The text of a header or footer, with its text boxes and what its notes and pictures say."""
        lines = [self.text.inside(container)]
        while self.text.boxes:
            box = self.text.boxes.pop(0)
            if box.tag == TEXT_BOX:
                lines.append(self.text.inside(box))
            else:
                self.builder.lose(Loss.PARTS)
        lines += self.text.remarks
        self.builder.lose(Loss.IMAGES, sum(not picture.described for picture in self.text.pictures))
        self.text.remarks, self.text.pictures = [], []
        return "\n".join(filter(None, lines))
