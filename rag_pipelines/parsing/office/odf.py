"""OpenDocument files (ODT, ODS, ODP): text, sheets and slides from `content.xml`.

What belongs here: the elements of OpenDocument 1.3. What does not: the text of a paragraph
(`odf_text`), numbers of list items and headings (`odf_lists`), form controls (`odf_forms`), headers and
footers (`odf_furniture`), other parts of the package (`odf_parts`), opening it (`zip_package`), finding
tables in a sheet (`sheets`).

Read as XML, because the one library for it (odfpy) only gives this same tree, built slower; unstructured
converts through pandoc, which must be installed. Tracked deletions, generated indexes, hidden text, sheets,
rows, columns and slides are left out; notes and comments follow the paragraph that refers to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.hidden_cells import Hidden
from rag_pipelines.parsing.office.images import alternative_text
from rag_pipelines.parsing.office.merged_cells import Merge, Rows
from rag_pipelines.parsing.office.odf_cells import cell_formula, cell_text
from rag_pipelines.parsing.office.odf_furniture import page_furniture, slide_furniture
from rag_pipelines.parsing.office.odf_names import (
    DC,
    DRAW,
    OFFICE,
    PRESENTATION,
    SVG,
    TABLE,
    TEXT,
    XLINK_HREF,
)
from rag_pipelines.parsing.office.odf_parts import (
    picture_reference,
    read_metadata,
    read_objects,
    read_pictures,
)
from rag_pipelines.parsing.office.odf_styles import OdfStyles
from rag_pipelines.parsing.office.odf_tables import (
    MAX_COLUMNS,
    hidden_columns,
    is_hidden_row,
    number_of,
    rows_of,
)
from rag_pipelines.parsing.office.odf_text import MATH, OdfText, formula_text
from rag_pipelines.parsing.office.ole import embedded_file
from rag_pipelines.parsing.office.sheets import MAX_BLANK_ROWS, add_sheet, comment
from rag_pipelines.parsing.parts import add_attachment, add_picture
from rag_pipelines.parsing.witness import odf
from rag_pipelines.parsing.zip_package import open_package, parse_xml, read_part
from rag_pipelines.text.titles import choose_title

if TYPE_CHECKING:
    from lxml.etree import _Element


_MAX_ROWS = 1_048_576
_GENERATED = {
    *(f"{TEXT}{kind}-index" for kind in ("alphabetical", "illustration", "table", "object", "user")),
    f"{TEXT}table-of-content",
}
_NO_CONTAINERS = {f"{OFFICE}forms", f"{OFFICE}annotation", f"{DRAW}object-ole"}
_HELD = {f"{DRAW}text-box", f"{DRAW}object", f"{DRAW}object-ole", f"{TABLE}table"}
_OF_TABLES = {f"{OFFICE}chart", f"{OFFICE}spreadsheet"}
_WIDEST_TABLE = 64
_KINDS = {
    "Title": BlockKind.TITLE,
    "Quotations": BlockKind.QUOTE,
    "Preformatted_20_Text": BlockKind.CODE,
    "Caption": BlockKind.CAPTION,
    "Illustration": BlockKind.CAPTION,
    "Table": BlockKind.CAPTION,
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
        source = read_part(package, "content.xml")
        styles = read_part(package, "styles.xml") if "styles.xml" in package.namelist() else b""
        content = parse_xml(source, "content.xml")
        shared = parse_xml(styles, "styles.xml") if styles else None
        metadata = read_metadata(package)
        objects, files = read_objects(package, content)
        pictures = read_pictures(package, content) if request.recognise else {}
    body = next(content.iterfind(f"{OFFICE}body/*"), None)
    if body is None:
        raise CorruptDocumentError("content.xml has no body; save the document again with its program")
    kind = body.tag.rpartition("}")[2]
    builder = DocumentBuilder.of(f"application/vnd.oasis.opendocument.{kind}", request)
    builder.language = metadata.pop("language", None)
    builder.metadata = dict(metadata)
    reader = _OdfReader(builder, request, content, shared, objects, pictures)
    if kind == "spreadsheet":
        reader.read_sheets(body, request.limits.max_characters)
    elif kind == "presentation":
        reader.read_slides(body)
    else:
        reader.read_blocks(body)
        reader.read_furniture()
    for name, data in files.items():
        found = embedded_file(data, name)
        if found is None:
            builder.lose(Loss.ATTACHMENTS)
        else:
            add_attachment(builder, request, found.data, found.name)
    builder.title = choose_title(builder.title or reader.opening_heading, metadata.get("title"))
    builder.account_for(odf.pieces(source, styles), lambda: odf.text(source, styles))
    return builder.finish()


class _OdfReader:
    """One walk over a document; holds what a paragraph leaves to be said after it."""

    def __init__(
        self,
        builder: DocumentBuilder,
        request: ParseRequest,
        content: _Element,
        shared: _Element | None,
        objects: dict[str, _Element],
        pictures: dict[str, bytes],
    ) -> None:
        self.builder = builder
        self._request = request
        self._pictures = pictures
        self.opening_heading: str | None = None
        self.page: int | None = None
        self._shared = shared
        styles = OdfStyles(*(root for root in (shared, content) if root is not None))
        self.text = OdfText(builder, content, styles, objects)
        self._text_inside = self.text.inside

    def read_blocks(self, container: _Element) -> None:
        """Add the paragraphs, headings, lists, tables and objects of `container`."""
        for child in container.iterchildren():
            self._read(child)

    def read_furniture(self) -> None:
        """Add the headers and footers of a text."""
        if self._shared is not None:
            for kind, text in page_furniture(self._shared, self._text_inside):
                self.builder.add(kind, text)
            self.text.boxes.clear()

    def read_slides(self, body: _Element) -> None:
        """Add each visible slide: its title as a heading, its shapes, its notes."""
        slides = body.findall(f"{DRAW}page")
        self.builder.pages = len(slides)
        for self.page, slide in enumerate(slides, 1):
            if slide.get(f"{DRAW}style-name") in self.text.styles.hidden:
                self.builder.counters["hidden_slides"] += 1
                self.builder.leave_out(LeftOut.HIDDEN, _plain(slide))
                continue
            title = slide.find(f"{DRAW}frame[@{PRESENTATION}class='title']")
            heading = self._text_inside(title) if title is not None else ""
            if heading or any(True for _ in slide.iter(f"{TEXT}p", f"{DRAW}object")):
                self.builder.add(BlockKind.HEADING, heading or f"Slide {self.page}", level=1, page=self.page)
            self.opening_heading = self.opening_heading or heading or None
            for shape in slide.iterchildren():
                if shape is not title and _is_drawn(shape):
                    self._read(shape)
            for text in slide_furniture(slide, self.page, self._shared, self.text.styles, self._text_inside):
                self.builder.add(BlockKind.FOOTER, text, page=self.page)
            self.text.boxes.clear()
            notes = slide.find(f"{PRESENTATION}notes")
            text = "" if notes is None else self._text_inside(notes)
            self.builder.add(BlockKind.PARAGRAPH, text and f"Speaker notes: {text}", page=self.page)

    def read_sheets(self, body: _Element, max_characters: int) -> None:
        """Add each visible sheet."""
        for table in body.iterchildren(f"{TABLE}table"):
            if table.get(f"{TABLE}style-name") in self.text.styles.hidden:
                self.builder.counters["hidden_sheets"] += 1
                self.builder.leave_out(LeftOut.HIDDEN, _plain(table))
                continue
            merges: dict[int, list[Merge]] = {}
            hidden = Hidden(columns=set(hidden_columns(table)))
            rows = self._sheet_rows(table, merges, hidden)
            name = table.get(f"{TABLE}name") or ""
            named = add_sheet(
                self.builder, name, rows, max_characters=max_characters, merges=merges, hidden=hidden
            )
            self._flush()
            self._read_shapes(table, "" if named else name)

    def _read_shapes(self, table: _Element, heading: str) -> None:
        """What is drawn on a sheet and in none of its cells (OpenDocument 1.3 part 3, 9.2.8)."""
        shapes = table.find(f"{TABLE}shapes")
        if shapes is None:
            return
        if any(True for _ in shapes.iter(f"{TEXT}p", f"{DRAW}object")) or self._pictures:
            self.builder.add(BlockKind.HEADING, heading, level=1)
        self.read_blocks(shapes)

    def _read(self, element: _Element) -> None:
        tag = element.tag
        if tag == f"{TEXT}p":
            self._read_paragraph(element)
        elif tag == f"{TEXT}h":
            self._read_heading(element)
        elif tag == f"{TEXT}list":
            self.text.lists.enter(element)
            for item in element.iterchildren(f"{TEXT}list-item", f"{TEXT}list-header"):
                self.text.lists.begin_item(item)
                self.read_blocks(item)
            self.text.lists.leave()
        elif tag == f"{TABLE}table":
            self._read_table(element)
        elif tag == f"{DRAW}frame":
            self._read_frame(element)
        elif tag == f"{DRAW}control":
            self.builder.add(BlockKind.PARAGRAPH, self.text.control(element), page=self.page)
        elif tag in _GENERATED:
            self.builder.leave_out(LeftOut.CONTENTS, _plain(element))
        elif tag == f"{TEXT}tracked-changes" or element.get(f"{TEXT}display") == "none":
            self.builder.leave_out(LeftOut.HIDDEN, _plain(element))
        elif _is_container(element):
            self.read_blocks(element)

    def _read_heading(self, heading: _Element) -> None:
        level = int(heading.get(f"{TEXT}outline-level") or 1)
        text = self.text.numbered(heading)
        if text and not self.builder:
            self.opening_heading = text
        self.builder.add(BlockKind.HEADING, text, level=level, page=self.page)
        self._flush()

    def _read_paragraph(self, paragraph: _Element) -> None:
        style = paragraph.get(f"{TEXT}style-name")
        parent = self.text.styles.parents.get(style)
        kind = _KINDS.get(style or "") or _KINDS.get(parent or "") or BlockKind.PARAGRAPH
        text = self.text.numbered(paragraph)
        if self.text.lists.level and kind is BlockKind.PARAGRAPH:
            self.builder.add(BlockKind.LIST_ITEM, text, level=self.text.lists.level, page=self.page)
        else:
            self.builder.add(kind, text, page=self.page)
        self._flush()

    def _read_frame(self, frame: _Element) -> None:
        """What a frame holds; the picture beside an object only shows the same."""
        held = [child for child in frame.iterchildren() if child.tag in _HELD]
        for child in held:
            if child.tag == f"{DRAW}object":
                self._read_object(child)
            elif child.tag == f"{TABLE}table":
                self._read_table(child)
            else:
                self.read_blocks(child)
        if not held and frame.find(f"{DRAW}image") is not None:
            said = alternative_text(frame.findtext(f"{SVG}desc"), frame.findtext(f"{SVG}title"))
            self.builder.add(BlockKind.PARAGRAPH, said and f"Image: {said}", page=self.page)
            data = self._pictures.get(picture_reference(frame))
            add_picture(self.builder, self._request, data, described=bool(said), page=self.page)

    def _read_object(self, reference: _Element) -> None:
        """A document inside: a formula, a chart as the table it was drawn from, sheets, or text."""
        root = self.text.objects.get(reference.get(XLINK_HREF) or "")
        body = None if root is None else next(root.iterfind(f"{OFFICE}body/*"), None)
        if root is not None and root.tag.startswith(MATH):
            self.builder.add(BlockKind.PARAGRAPH, formula_text(root), page=self.page)
        elif body is None:
            self.builder.lose(Loss.PARTS)
        elif (title := body.find("*/{*}title")) is not None and body.tag == f"{OFFICE}chart":
            self.builder.add(BlockKind.CAPTION, self._text_inside(title), page=self.page)
        if body is not None:
            tables = body.iter(f"{TABLE}table") if body.tag in _OF_TABLES else ()
            for table in tables:
                self._read_table(table)
            if body.tag not in _OF_TABLES:
                self.read_blocks(body)

    def _flush(self) -> None:
        """Add what hangs on the block just read: notes, comments, text boxes."""
        remarks, self.text.remarks = self.text.remarks, []
        boxes, self.text.boxes = self.text.boxes, []
        for remark in remarks:
            self.builder.add(BlockKind.PARAGRAPH, remark, page=self.page)
        for box in boxes:
            self._read(box)

    def _read_table(self, table: _Element) -> None:
        header = sum(1 for _ in table.iterfind(f"{TABLE}table-header-rows/{TABLE}table-row"))
        rows = [_without_blank_end(row) for row in self._table_rows(table)]
        self.builder.add_table(rows, header_rows=header or int(len(rows) > 1), page=self.page)
        self._flush()

    def _table_rows(self, table: _Element) -> Iterator[list[str]]:
        """The rows of a text table; a merged cell's text stands in every place it covers."""
        covering: dict[int, tuple[str, int]] = {}
        for row in rows_of(table):
            grid: list[str] = []
            span: tuple[str, int] = ("", 0)
            for cell in row.iterchildren(f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                for _ in range(min(number_of(cell, "columns-repeated"), MAX_COLUMNS)):
                    column = len(grid)
                    if cell.tag == f"{TABLE}table-cell":
                        text = self._text_inside(cell)
                        span = (text, number_of(cell, "rows-spanned"))
                    elif column in covering and covering[column][1] > 0:
                        span = covering[column]
                    covering[column] = (span[0], span[1] - 1)
                    grid.append(span[0])
            yield grid

    def _sheet_rows(self, table: _Element, merges: dict[int, list[Merge]], hidden: Hidden) -> Rows:
        """The rows of a sheet; `merges` and `hidden` know of each when it comes."""
        number = place = 0
        for row in rows_of(table):
            is_hidden = is_hidden_row(row)
            cells: dict[int, str] = {}
            column = 0
            has_covered = False
            for cell in row.iterchildren(f"{TABLE}table-cell", f"{TABLE}covered-table-cell"):
                count = min(number_of(cell, "columns-repeated"), MAX_COLUMNS)
                has_covered = has_covered or cell.tag == f"{TABLE}covered-table-cell"
                unseen = is_hidden or column in hidden.columns
                rows, columns = number_of(cell, "rows-spanned"), number_of(cell, "columns-spanned")
                if rows > 1 or columns > 1:
                    merge = Merge(number, number + rows - 1, column, column + columns - 1)
                    merges.setdefault(number, []).append(merge)
                self._take_comments(cell, place, column, unseen=unseen)
                text = cell_text(cell, self._text_inside(cell))
                if not text and (text := cell_formula(cell)):
                    self.builder.lose(Loss.FORMULAS, 0 if unseen else count)
                if text and not text.isspace():
                    cells |= dict.fromkeys(range(column, column + count), text)
                column += count
            times = number_of(row, "rows-repeated")
            place += times
            if is_hidden:
                times = min(times, _MAX_ROWS if has_covered else MAX_BLANK_ROWS + 1)
                hidden.rows.update(range(number, number + times))
            end = number + times
            yield from zip(range(number, end if cells or is_hidden else number + 1), repeat(cells))
            number = end

    def _take_comments(self, cell: _Element, row: int, column: int, *, unseen: bool) -> None:
        """Take the comments on a cell out of it, to stand below the sheet unless the cell is unseen."""
        for note in cell.findall(f"{OFFICE}annotation"):
            text = self._text_inside(note)
            if unseen:
                self.builder.leave_out(LeftOut.HIDDEN, text)
            elif text.strip():
                self.text.remarks.append(comment(note.findtext(f"{DC}creator"), row, column, text))
            cell.remove(note)


def _is_container(element: _Element) -> bool:
    """Whether blocks may stand inside: sections, list items, frames and shapes."""
    tag = element.tag
    return isinstance(tag, str) and tag.startswith((TEXT, OFFICE, DRAW)) and tag not in _NO_CONTAINERS


def _is_drawn(element: _Element) -> bool:
    return isinstance(element.tag, str) and element.tag.startswith(DRAW)


def _plain(element: _Element) -> str:
    return "\n".join("".join(one.itertext()) for one in element.iter(f"{TEXT}p", f"{TEXT}h"))


def _without_blank_end(row: list[str]) -> list[str]:
    """A row of a sheet goes on to the last column there may be."""
    end = len(row)
    while end and not row[end - 1]:
        end -= 1
    return row[: max(end, 1)] if len(row) > _WIDEST_TABLE else row
