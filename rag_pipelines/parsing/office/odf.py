"""OpenDocument files (ODT, ODS, ODP): text, sheets and slides from `content.xml`.

What belongs here: the elements of OpenDocument 1.3. What does not: opening the package
(`zip_package`), finding tables in a sheet (`sheets`).

Read as XML, because the one library for it (odfpy) only gives this same tree, built slower; unstructured
converts through pandoc, which must be installed. Tracked deletions, generated indexes and hidden sheets
and slides are left out; notes and comments follow the paragraph that refers to them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Final

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.office.sheets import MAX_BLANK_ROWS, add_sheet
from rag_pipelines.parsing.witness import odf
from rag_pipelines.parsing.zip_package import meaningful_title, open_package, parse_xml, read_part

if TYPE_CHECKING:
    from lxml.etree import _Element


_NS: Final = "{urn:oasis:names:tc:opendocument:xmlns:"
OFFICE: Final = f"{_NS}office:1.0}}"
TEXT: Final = f"{_NS}text:1.0}}"
TABLE: Final = f"{_NS}table:1.0}}"
DRAW: Final = f"{_NS}drawing:1.0}}"
STYLE: Final = f"{_NS}style:1.0}}"
META: Final = f"{_NS}meta:1.0}}"
PRESENTATION: Final = f"{_NS}presentation:1.0}}"
XLINK_HREF: Final = "{http://www.w3.org/1999/xlink}href"
DC: Final = "{http://purl.org/dc/elements/1.1/}"

_MAX_COLUMNS = 16_384
_GENERATED = {f"{TEXT}table-of-content", f"{TEXT}alphabetical-index"}
_LEFT_OUT = {f"{TEXT}tracked-changes"} | _GENERATED
_KINDS = {
    "Title": BlockKind.TITLE,
    "Quotations": BlockKind.QUOTE,
    "Preformatted_20_Text": BlockKind.CODE,
    "Caption": BlockKind.CAPTION,
    "Illustration": BlockKind.CAPTION,
    "Table": BlockKind.CAPTION,
}
_METADATA = {
    f"{DC}title": "title",
    f"{META}initial-creator": "author",
    f"{DC}creator": "author",
    f"{DC}subject": "subject",
    f"{META}keyword": "keywords",
    f"{META}creation-date": "created",
    f"{DC}date": "modified",
    f"{DC}language": "language",
}


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an OpenDocument text, spreadsheet or presentation.

    Raises:
        EncryptedDocumentError: the document has a password.
        CorruptDocumentError: it has no content, or content that is not well-formed.
        TooLargeDocumentError: see `zip_package.open_package`.
    """
    with open_package(request.data, request.limits) as package:
        manifest = "META-INF/manifest.xml"
        if manifest in package.namelist() and b"encryption-data" in read_part(package, manifest):
            raise EncryptedDocumentError("the document is protected with a password")
        content = parse_xml(read_part(package, "content.xml"), "content.xml")
        metadata = _metadata(package)
        charts = _charts(package, content)
        seen = odf.text(package)
    body = next(content.iterfind(f"{OFFICE}body/*"), None)
    if body is None:
        raise CorruptDocumentError("content.xml has no body; save the document again with its program")
    kind = body.tag.rpartition("}")[2]
    builder = DocumentBuilder(
        f"application/vnd.oasis.opendocument.{kind}", max_characters=request.limits.max_characters
    )
    builder.language = metadata.pop("language", None)
    builder.metadata = dict(metadata)
    reader = _OdfReader(builder, content, charts)
    if kind == "spreadsheet":
        reader.read_sheets(body, request.limits.max_characters)
    elif kind == "presentation":
        reader.read_slides(body)
    else:
        reader.read_blocks(body)
    builder.title = builder.title or meaningful_title(metadata.get("title")) or reader.opening_heading
    builder.account_for(seen)
    return builder.finish()


class _OdfReader:
    """One walk over a document; holds what a paragraph leaves to be said after it."""

    def __init__(self, builder: DocumentBuilder, content: _Element, charts: dict[str, _Element]) -> None:
        self.builder = builder
        self._charts = charts
        self.opening_heading: str | None = None
        self.page: int | None = None
        self._remarks: list[str] = []
        self._boxes: list[_Element] = []
        self._parents: dict[str | None, str | None] = {}
        self._hidden: set[str | None] = set()
        for style in content.iterfind(f"{OFFICE}automatic-styles/{STYLE}style"):
            name = style.get(f"{STYLE}name")
            self._parents[name] = style.get(f"{STYLE}parent-style-name")
            if style.find(f"{STYLE}table-properties[@{TABLE}display='false']") is not None or (
                style.find(f"{STYLE}drawing-page-properties[@{PRESENTATION}visibility='hidden']") is not None
            ):
                self._hidden.add(name)

    def read_blocks(self, container: _Element, level: int = 0) -> None:
        """Add the paragraphs, headings, lists and tables of `container`; `level` is that of its list."""
        for child in container.iterchildren():
            if child.tag == f"{TEXT}p":
                self._read_paragraph(child, level)
            elif child.tag == f"{TEXT}h":
                self._read_heading(child)
            elif child.tag == f"{TEXT}list":
                self.read_blocks(child, level + 1)
            elif child.tag == f"{TABLE}table":
                self._read_table(child)
            elif child.tag == f"{DRAW}object":
                if (chart := self._charts.get(child.get(XLINK_HREF) or "")) is not None:
                    self._read_table(chart)
            elif _is_container(child):
                self.read_blocks(child, level)
            elif child.tag in _GENERATED:
                self.builder.leave_out(LeftOut.CONTENTS, "\n".join(child.itertext()))

    def read_slides(self, body: _Element) -> None:
        """Add each visible slide: its title as a heading, its shapes, its notes."""
        slides = body.findall(f"{DRAW}page")
        self.builder.pages = len(slides)
        for self.page, slide in enumerate(slides, 1):
            if slide.get(f"{DRAW}style-name") in self._hidden:
                self.builder.counters["hidden_slides"] += 1
                self.builder.leave_out(LeftOut.HIDDEN, "\n".join(slide.itertext()))
                continue
            title = slide.find(f"{DRAW}frame[@{PRESENTATION}class='title']")
            heading = self._text_inside(title) if title is not None else ""
            if heading or self._text_inside(slide):
                self.builder.add(BlockKind.HEADING, heading or f"Slide {self.page}", level=1, page=self.page)
            self.opening_heading = self.opening_heading or heading or None
            for shape in slide.iterchildren():
                if shape is not title and shape.tag.startswith(DRAW):
                    self.read_blocks(shape)
            notes = slide.find(f"{PRESENTATION}notes")
            text = "" if notes is None else self._text_inside(notes)
            self.builder.add(BlockKind.PARAGRAPH, text and f"Speaker notes: {text}", page=self.page)

    def read_sheets(self, body: _Element, max_characters: int) -> None:
        """Add each visible sheet."""
        for table in body.iterchildren(f"{TABLE}table"):
            if table.get(f"{TABLE}style-name") in self._hidden:
                self.builder.counters["hidden_sheets"] += 1
                self.builder.leave_out(LeftOut.HIDDEN, "\n".join(table.itertext()))
                continue
            rows = self._sheet_rows(table)
            add_sheet(self.builder, table.get(f"{TABLE}name") or "", rows, max_characters=max_characters)

    def _read_heading(self, heading: _Element) -> None:
        text = self._text(heading)
        if text and not self.builder:
            self.opening_heading = text
        level = int(heading.get(f"{TEXT}outline-level") or 1)
        self.builder.add(BlockKind.HEADING, text, level=level, page=self.page)
        self._flush()

    def _read_paragraph(self, paragraph: _Element, level: int) -> None:
        style = paragraph.get(f"{TEXT}style-name")
        kind = _KINDS.get(style or "") or _KINDS.get(self._parents.get(style) or "") or BlockKind.PARAGRAPH
        text = self._text(paragraph)
        if level and kind is BlockKind.PARAGRAPH:
            self.builder.add(BlockKind.LIST_ITEM, text, level=level, page=self.page)
        else:
            self.builder.add(kind, text, page=self.page)
        self._flush()

    def _flush(self) -> None:
        """Add what hangs on the block just read: notes, comments, text boxes."""
        remarks, self._remarks = self._remarks, []
        boxes, self._boxes = self._boxes, []
        for remark in remarks:
            self.builder.add(BlockKind.PARAGRAPH, remark, page=self.page)
        for box in boxes:
            self.read_blocks(box)

    def _read_table(self, table: _Element) -> None:
        header = sum(1 for _ in table.iterfind(f"{TABLE}table-header-rows/{TABLE}table-row"))
        rows = list(self._table_rows(table))
        self.builder.add_table(rows, header_rows=header or int(len(rows) > 1), page=self.page)
        self._flush()

    def _table_rows(self, table: _Element) -> Iterator[list[str]]:
        """The rows of a text table; a merged cell's text stands in every place it covers."""
        covering: dict[int, tuple[str, int]] = {}
        for row in _rows(table):
            grid: list[str] = []
            span: tuple[str, int] = ("", 0)
            for cell in row.iterchildren(f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                for _ in range(min(_count(cell, "columns-repeated"), _MAX_COLUMNS)):
                    column = len(grid)
                    if cell.tag == f"{TABLE}table-cell":
                        text = self._text_inside(cell)
                        span = (text, _count(cell, "rows-spanned"))
                    elif column in covering and covering[column][1] > 0:
                        span = covering[column]
                    covering[column] = (span[0], span[1] - 1)
                    grid.append(span[0])
            yield grid

    def _sheet_rows(self, table: _Element) -> Iterator[list[str]]:
        for row in _rows(table):
            cells: list[str] = []
            blanks = 0
            for cell in row.iterchildren(f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                count = min(_count(cell, "columns-repeated"), _MAX_COLUMNS)
                text = self._text_inside(cell)
                if text:
                    cells += [""] * blanks + [text] * count
                    blanks = 0
                else:
                    blanks += count
            times = _count(row, "rows-repeated")
            yield from repeat(cells, times if cells else min(times, MAX_BLANK_ROWS + 1))

    def _text_inside(self, container: _Element) -> str:
        """The text of all paragraphs inside, one a line."""
        lines = (self._text(paragraph) for paragraph in container.iter(f"{TEXT}p", f"{TEXT}h"))
        return "\n".join(line for line in lines if line.strip())

    def _text(self, element: _Element) -> str:
        parts: list[str] = []
        self._collect(element, parts)
        return "".join(parts)

    def _collect(self, element: _Element, parts: list[str]) -> None:
        parts.append(element.text or "")
        for child in element.iterchildren():
            tag = child.tag
            if tag == f"{TEXT}s":
                parts.append(" " * min(int(child.get(f"{TEXT}c") or 1), 100))
            elif tag == f"{TEXT}tab":
                parts.append("\t")
            elif tag == f"{TEXT}line-break":
                parts.append("\n")
            elif tag == f"{TEXT}note":
                self._refer(child, parts)
            elif tag == f"{OFFICE}annotation":
                author = child.findtext(f"{DC}creator")
                self._remarks.append(
                    f"Comment{f' by {author}' if author else ''}: {self._text_inside(child)}"
                )
            elif isinstance(tag, str) and tag.startswith(DRAW) and tag != f"{DRAW}a":
                self._boxes.append(child)
            elif isinstance(tag, str) and tag != f"{TEXT}ruby-text":
                self._collect(child, parts)
            parts.append(child.tail or "")

    def _refer(self, note: _Element, parts: list[str]) -> None:
        number = note.findtext(f"{TEXT}note-citation") or "*"
        body = note.find(f"{TEXT}note-body")
        parts.append(f"[{number}]")
        self._remarks.append(f"[{number}] {'' if body is None else self._text_inside(body)}")


def _is_container(element: _Element) -> bool:
    """Whether blocks may stand inside: sections, list items, frames and shapes."""
    tag = element.tag
    return isinstance(tag, str) and tag.startswith((TEXT, OFFICE, DRAW)) and tag not in _LEFT_OUT


def _rows(table: _Element) -> Iterator[_Element]:
    """The rows of a table, also those in groups and headers, but not those of tables in its cells."""
    for child in table.iterchildren():
        if child.tag == f"{TABLE}table-row":
            yield child
        elif child.tag in (f"{TABLE}table-header-rows", f"{TABLE}table-row-group", f"{TABLE}table-rows"):
            yield from _rows(child)


def _charts(package: zipfile.ZipFile, content: _Element) -> dict[str, _Element]:
    """The table that each embedded chart was drawn from, by the reference that stands in the content."""
    charts: dict[str, _Element] = {}
    names = set(package.namelist())
    for reference in {element.get(XLINK_HREF) or "" for element in content.iter(f"{DRAW}object")}:
        part = f"{reference.removeprefix('./')}/content.xml"
        if part in names:
            table = parse_xml(read_part(package, part), part).find(
                f".//{TABLE}table[@{TABLE}name='local-table']"
            )
            if table is not None:
                charts[reference] = table
    return charts


def _count(element: _Element, name: str) -> int:
    return int(element.get(f"{TABLE}number-{name}") or 1)


def _metadata(package: zipfile.ZipFile) -> dict[str, str]:
    if "meta.xml" not in package.namelist():
        return {}
    found: dict[str, str] = {}
    for element in parse_xml(read_part(package, "meta.xml"), "meta.xml").iterfind(f"{OFFICE}meta/*"):
        key = _METADATA.get(str(element.tag))
        if key and element.text and element.text.strip():
            found.setdefault(key, element.text.strip())
    return found
