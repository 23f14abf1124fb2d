"""Presentations (PPTX), with python-pptx: titles, text in reading order, lists, tables, charts, notes.

What belongs here: putting a slide together. What does not: bullets and numbers (`pptx_lists`), comments and
running footers (`pptx_remarks`), charts and diagrams (`ooxml_charts`, `ooxml_diagrams`), files inside
(`ole`, `parts`), opening the package (`zip_package`), and the same by another library
(`foreign.unstructured`).

A page is a slide, counted as PowerPoint counts (hidden ones included). A slide's title is a heading of
level 1; where a slide has none, its first line if that is short and no sentence, else "Slide 3", so that a
slide never reads as part of the one before. Shapes are read from top to bottom, those of a group together;
what lies wholly off the slide is not shown and not read. Hidden slides are left out and counted: their
authors took them from the audience. A paragraph is a list item where its own properties, its layout or its
master gives it a bullet or a number. Footers, dates and numbers of slides, and what a master puts on every
slide, are furniture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import unlinked
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.images import alternative_text
from rag_pipelines.parsing.office.ole import embedded_file
from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.office.ooxml_diagrams import DIAGRAM, diagram_items
from rag_pipelines.parsing.office.ooxml_text import MC, A, body_text, paragraph_text
from rag_pipelines.parsing.office.pptx_lists import Numbers, bullet_of
from rag_pipelines.parsing.office.pptx_remarks import all_texts, comment_authors, comments, master_texts
from rag_pipelines.parsing.parts import add_attachment, add_picture
from rag_pipelines.parsing.witness.ooxml import paragraphs, slides_text
from rag_pipelines.parsing.zip_package import (
    OfficePackage,
    core_properties,
    parse_xml,
    validate_ooxml,
)
from rag_pipelines.text.titles import choose_title

if TYPE_CHECKING:
    from lxml.etree import _Element
    from pptx.slide import Slide

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

_TITLE_WORDS = 12
"""A first line of at most so many words may be the title of a slide that declares none."""

_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_SHAPES = {f"{_P}{name}" for name in ("sp", "pic", "graphicFrame", "grpSp", "cxnSp")}
_FURNITURE = {"ftr", "dt", "sldNum", "hdr"}
_CHARTS = (
    "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart",
    "{http://schemas.microsoft.com/office/drawing/2014/chartex}chart",
)


_OTHER_DECKS = (
    "application/vnd.openxmlformats-officedocument.presentationml.template.main+xml",
    "application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml",
    "application/vnd.ms-powerpoint.template.macroEnabled.main+xml",
    "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
    "application/vnd.ms-powerpoint.addin.macroEnabled.main+xml",
)
"""Content types of the main part of decks that python-pptx does not open."""


class _SlidePart(NamedTuple):
    """A paragraph of a shape (`level` where it is a list item), or a table."""

    text: str = ""
    level: int | None = None
    title: bool = False
    rows: tuple[tuple[str, ...], ...] = ()
    header_rows: int = 0


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a PPTX file, slide by slide: title, shapes, charts, files, speaker notes, comments.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    package = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    deck = _open(package)
    reader = _DeckReader(deck, builder, request)
    slides = list(deck.slides)
    first_title: str | None = None
    for page, slide in enumerate(slides, 1):
        if slide._element.get("show") in ("0", "false"):
            builder.counters["hidden_slides"] += 1
            for text in all_texts(slide):
                builder.leave_out(LeftOut.HIDDEN, text)
            continue
        title = reader.read_slide(slide, page)
        if page == 1:
            first_title = title
    builder.pages = len(slides)
    builder.metadata = core_properties(package)
    builder.language = builder.metadata.pop("language", None)
    builder.title = choose_title(first_title, builder.metadata.get("title"))
    builder.account_for(slides_text(package), lambda: slides_text(package, paragraphs))
    return builder.finish()


def _open(package: OfficePackage) -> Any:
    """The deck in `package`, which may be a template or a slide show, with macros or without."""
    from pptx.opc.package import PartFactory
    from pptx.package import Package
    from pptx.parts.presentation import PresentationPart

    PartFactory.part_type_for.update(dict.fromkeys(_OTHER_DECKS, PresentationPart))
    part: Any = Package.open(io.BytesIO(package.data)).main_document_part
    return part.presentation


class _DeckReader:
    """One walk over the slides of a deck."""

    def __init__(self, deck: Any, builder: DocumentBuilder, request: ParseRequest) -> None:
        self._builder = builder
        self._request = request
        self._area = (deck.slide_width or 0, deck.slide_height or 0)
        self._first_number = int(deck.element.get("firstSlideNum") or 1)
        self._authors = comment_authors(deck)
        self._pages = {slide.part.partname: page for page, slide in enumerate(deck.slides, 1)}
        self._targets: dict[str, str] = {}
        self._number = 1
        self._charts: list[_Element] = []
        self._files: list[Any] = []
        self._pictures: list[tuple[bytes | None, bool]] = []

    def read_slide(self, slide: Slide, page: int) -> str | None:
        """Add a slide; its title, if it has one."""
        self._number = page + self._first_number - 1
        self._charts, self._files, self._pictures = [], [], []
        self._targets = self._targets_of(slide)
        _choose_alternatives(slide._element)
        pieces = [
            piece for shape in self._visible(slide.shapes, page) for piece in self._pieces(slide, shape)
        ]
        title = _title(pieces)
        if title is not None:
            self._builder.add(BlockKind.HEADING, title.text, level=1, page=page)
        elif pieces:
            self._builder.add(BlockKind.HEADING, f"Slide {page}", level=1, page=page)
        for piece in pieces:
            if piece.rows:
                self._builder.add_table(piece.rows, header_rows=piece.header_rows, page=page)
            elif piece is not title:
                kind = BlockKind.PARAGRAPH if piece.level is None else BlockKind.LIST_ITEM
                self._builder.add(kind, piece.text, level=piece.level, page=page)
        for chart in self._charts:
            self._builder.add(BlockKind.CAPTION, chart_title(chart), page=page)
            self._builder.add_table(chart_rows(chart), header_rows=1, page=page)
        for data, described in self._pictures:
            add_picture(self._builder, self._request, data, described=described, page=page)
        for file in self._files:
            add_attachment(self._builder, self._request, file.data, file.name, level=2, page=page)
        if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
            text = body_text(notes._txBody, self._number)
            self._builder.add(BlockKind.PARAGRAPH, text and f"Speaker notes: {text}", page=page)
        for comment in comments(slide, self._authors):
            self._builder.add(BlockKind.PARAGRAPH, comment, page=page)
        for text in master_texts(slide, self._number):
            self._builder.add(BlockKind.FOOTER, text, page=page)
        return title.text if title else None

    def _targets_of(self, slide: Slide) -> dict[str, str]:
        """Where the links of a slide lead by the ids of its relations: addresses, and slides as pages."""
        found: dict[str, str] = {}
        for id, relation in slide.part.rels.items():
            if relation.is_external:
                found[id] = relation.target_ref
            elif page := self._pages.get(relation.target_part.partname):
                found[id] = f"#page={page}"
        return found

    def _visible(self, shapes: Any, page: int) -> Iterator[Any]:
        """The shapes on the slide, from top to bottom and left to right; those of groups in place."""
        for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
            if _is_off(shape, self._area) or _is_hidden(shape):
                self._builder.leave_out(LeftOut.HIDDEN, body_text(shape._element))
            elif _placeholder(shape) in _FURNITURE:
                text = body_text(shape._element.find(f"{_P}txBody"), self._number)
                self._builder.add(BlockKind.FOOTER, text, page=page)
            else:
                yield from _members(shape)

    def _pieces(self, slide: Slide, shape: Any) -> Iterator[_SlidePart]:
        element = shape._element
        if element.tag == f"{_P}pic":
            yield from self._picture(slide, element)
        elif element.tag == f"{_P}graphicFrame":
            yield from self._framed(slide, shape)
        elif shape.has_text_frame:
            is_title = shape.is_placeholder and slide.shapes.title == shape
            numbers = Numbers()
            for paragraph in shape.text_frame.paragraphs:
                text = paragraph_text(paragraph._p, self._number, self._targets)
                if text.strip():
                    bullet = bullet_of(slide, shape, paragraph)
                    label = numbers.next_label(paragraph.level, bullet)
                    level = None if bullet is None else paragraph.level + 1
                    yield _SlidePart(f"{label} {text}" if label else text, level, is_title and level is None)

    def _framed(self, slide: Slide, frame: Any) -> Iterator[_SlidePart]:
        """A table or diagram; puts aside charts and embedded files."""
        element = frame._element
        embedded = next(element.iter(f"{_P}oleObj"), None)
        diagram = next(element.iter(f"{DIAGRAM}relIds"), None)
        chart = next(element.iter(*_CHARTS), None)
        if frame.has_table:
            rows = _table_rows(element, self._number, self._targets)
            if any(text.strip() for row in rows for text in row):
                yield _SlidePart(rows=rows, header_rows=1 if frame.table.first_row else 0)
        elif chart is not None:
            if (part := _xml_part(slide, chart.get(f"{_R}id"))) is not None:
                self._charts.append(part)
            else:
                self._builder.lose(Loss.PARTS)
        elif diagram is not None:
            model = _xml_part(slide, diagram.get(f"{_R}dm"))
            if model is None:
                self._builder.lose(Loss.PARTS)
            else:
                for text, level in diagram_items(model, lambda reference: _xml_part(slide, reference)):
                    yield _SlidePart(text, level)
        elif embedded is not None:
            part = _part(slide, embedded.get(f"{_R}id"))
            if part is None or (embedded.get("progId") or "").startswith("Equation"):
                self._builder.lose(Loss.IMAGES)
            elif (file := embedded_file(part.blob, part.partname.filename)) is None:
                self._builder.lose(Loss.ATTACHMENTS)
            else:
                self._files.append(file)

    def _picture(self, slide: Slide, picture: _Element) -> Iterator[_SlidePart]:
        properties = picture.find(f"{_P}nvPicPr/{_P}cNvPr")
        said = () if properties is None else (properties.get("descr"), properties.get("title"))
        if alternative := alternative_text(*said):
            yield _SlidePart(f"Image: {alternative}")
        blip = picture.find(f"{_P}blipFill/{{*}}blip")
        part = None if blip is None else _part(slide, blip.get(f"{_R}embed"))
        self._pictures.append((None if part is None else part.blob, bool(alternative)))


def _title(pieces: list[_SlidePart]) -> _SlidePart | None:
    """The first line of the title placeholder, else a first line that reads like one."""
    declared = next((piece for piece in pieces if piece.title), None)
    if declared or not pieces:
        return declared
    first = pieces[0]
    return first if first.level is None and _reads_as_title(unlinked(first.text)) else None


def _reads_as_title(text: str) -> bool:
    words = text.split()
    ends = text.rstrip().endswith((".", ",", ";", ":", "!"))
    return 0 < len(words) <= _TITLE_WORDS and not ends and any(c.isalpha() for c in text)


def _choose_alternatives(slide: _Element) -> None:
    """Put in place of alternatives the first that holds shapes, which python-pptx would all pass over."""
    for alternatives in list(slide.iter(f"{MC}AlternateContent")):
        parent = alternatives.getparent()
        if parent is None or parent.tag not in (f"{_P}spTree", f"{_P}grpSp"):
            continue
        for branch in alternatives:
            shapes = [child for child in branch if child.tag in _SHAPES]
            if shapes:
                for shape in shapes:
                    alternatives.addprevious(shape)
                parent.remove(alternatives)
                break


def _members(shape: Any) -> Iterator[Any]:
    if not hasattr(shape, "shapes"):
        yield shape
        return
    for member in sorted(shape.shapes, key=lambda member: (member.top or 0, member.left or 0)):
        yield from _members(member)


def _is_off(shape: Any, area: tuple[int, int]) -> bool:
    left, top, width, height = shape.left, shape.top, shape.width, shape.height
    if left is None or top is None:
        return False
    beyond = left >= area[0] or top >= area[1] if all(area) else False
    return beyond or left + (width or 0) <= 0 < -left or top + (height or 0) <= 0 < -top


def _is_hidden(shape: Any) -> bool:
    properties = shape._element.find(f"*/{_P}cNvPr")
    return properties is not None and properties.get("hidden") in ("1", "true")


def _placeholder(shape: Any) -> str | None:
    """The kind of placeholder that a shape is."""
    placeholder = shape._element.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return None if placeholder is None else placeholder.get("type")


def _table_rows(frame: _Element, number: int, targets: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """The rows of a table; a merged cell's text stands in every place it covers."""
    rows: list[tuple[str, ...]] = []
    for row in frame.iter(f"{A}tr"):
        cells: list[str] = []
        for cell in row.iterchildren(f"{A}tc"):
            if cell.get("hMerge") in ("1", "true") and cells:
                cells.append(cells[-1])
            elif cell.get("vMerge") in ("1", "true") and rows and len(cells) < len(rows[-1]):
                cells.append(rows[-1][len(cells)])
            else:
                cells.append(body_text(cell, number, targets))
        rows.append(tuple(cells))
    return tuple(rows)


def _part(slide: Slide, reference: str | None) -> Any:
    """The part behind a relation of the slide; None where there is none or it lies outside the package."""
    relation = slide.part.rels.get(reference or "")
    return None if relation is None or relation.is_external else relation.target_part


def _xml_part(slide: Slide, reference: str | None) -> _Element | None:
    part = _part(slide, reference)
    return None if part is None else parse_xml(part.blob, part.partname)
