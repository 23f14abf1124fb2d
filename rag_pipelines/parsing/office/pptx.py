"""Presentations (PPTX), with python-pptx: titles, text in reading order, lists, tables, charts, notes.

What belongs here: putting a slide together. What does not: charts (`ooxml_charts`), opening the package
(`zip_package`), and the same by another library (`foreign.unstructured`).

A page is a slide, counted as PowerPoint counts (hidden ones included). A slide's title is a heading of
level 1; where a slide has none, its first line if that is short and no sentence, else "Slide 3", so that a
slide never reads as part of the one before. Shapes are read from top to bottom, those of a group together;
what lies wholly off the slide is not shown and not read. Hidden slides are left out and counted: their
authors took them from the audience. A paragraph is a list item where its own properties, its layout or its
master gives it a bullet or a number.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.witness.ooxml import slides_text
from rag_pipelines.parsing.zip_package import core_properties, meaningful_title, validate_ooxml

if TYPE_CHECKING:
    from pptx.slide import Slide

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

_TITLE_WORDS = 12
"""A first line of at most so many words may be the title of a slide that declares none."""

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_BULLETS = (f"{_A}buChar", f"{_A}buAutoNum", f"{_A}buBlip")
_NO_BULLET = f"{_A}buNone"
_DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


class _SlidePart(NamedTuple):
    """A paragraph of a shape (`level` where it is a list item), or a table."""

    text: str = ""
    level: int | None = None
    title: bool = False
    rows: tuple[tuple[str, ...], ...] = ()
    header_rows: int = 0


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a PPTX file, slide by slide: title, shapes, charts, speaker notes.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    import pptx

    data = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder(MEDIA_TYPE, max_characters=request.limits.max_characters)
    deck = pptx.Presentation(io.BytesIO(data))
    area = (deck.slide_width or 0, deck.slide_height or 0)
    slides = list(deck.slides)
    first_title: str | None = None
    for page, slide in enumerate(slides, 1):
        if slide._element.get("show") in ("0", "false"):
            builder.counters["hidden_slides"] += 1
            builder.leave_out(LeftOut.HIDDEN, _all_text(slide._element))
            if slide.has_notes_slide:
                builder.leave_out(LeftOut.HIDDEN, _all_text(slide.notes_slide._element))
            continue
        title = _add_slide(builder, slide, area, page)
        if page == 1:
            first_title = title
    builder.pages = len(slides)
    builder.metadata = core_properties(data)
    builder.language = builder.metadata.pop("language", None)
    builder.title = meaningful_title(builder.metadata.get("title")) or first_title
    builder.account_for(slides_text(data))
    return builder.finish()


def _add_slide(builder: DocumentBuilder, slide: Slide, area: tuple[int, int], page: int) -> str | None:
    """Add a slide; its title, if it has one."""
    pieces = [piece for shape in _visible_shapes(slide.shapes, area) for piece in _pieces(slide, shape)]
    for shape in slide.shapes:
        if _is_off(shape, area):
            builder.leave_out(LeftOut.HIDDEN, _all_text(shape._element))
    title = _title(pieces)
    if title is not None:
        builder.add(BlockKind.HEADING, title.text, level=1, page=page)
    elif pieces:
        builder.add(BlockKind.HEADING, f"Slide {page}", level=1, page=page)
    for piece in pieces:
        if piece.rows:
            builder.add_table(piece.rows, header_rows=piece.header_rows, page=page)
        elif piece is not title:
            kind = BlockKind.PARAGRAPH if piece.level is None else BlockKind.LIST_ITEM
            builder.add(kind, piece.text, level=piece.level, page=page)
    for chart in _charts(slide.shapes):
        builder.add(BlockKind.CAPTION, chart_title(chart), page=page)
        builder.add_table(chart_rows(chart), header_rows=1, page=page)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        builder.add(BlockKind.PARAGRAPH, notes.text and f"Speaker notes: {notes.text}", page=page)
    return title.text if title else None


def _all_text(element: Any) -> str:
    return " ".join(run.text or "" for run in element.iter(f"{_A}t"))


def _title(pieces: list[_SlidePart]) -> _SlidePart | None:
    """The first line of the title placeholder, else a first line that reads like one."""
    declared = next((piece for piece in pieces if piece.title), None)
    if declared or not pieces:
        return declared
    first = pieces[0]
    return first if first.level is None and _reads_as_title(first.text) else None


def _reads_as_title(text: str) -> bool:
    words = text.split()
    ends = text.rstrip().endswith((".", ",", ";", ":", "!"))
    return 0 < len(words) <= _TITLE_WORDS and not ends and any(c.isalpha() for c in text)


def _visible_shapes(shapes: Any, area: tuple[int, int]) -> Iterator[Any]:
    """The shapes that lie on the slide, from top to bottom and left to right; those of groups in place."""
    for shape in sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0)):
        if not _is_off(shape, area):
            yield from _members(shape)


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


def _pieces(slide: Slide, shape: Any) -> Iterator[_SlidePart]:
    if getattr(shape, "has_table", False):
        rows = tuple(tuple(cell.text for cell in row.cells) for row in shape.table.rows)
        if any(text.strip() for row in rows for text in row):
            yield _SlidePart(rows=rows, header_rows=1 if shape.table.first_row else 0)
    elif shape.has_text_frame:
        is_title = shape.is_placeholder and slide.shapes.title == shape
        for paragraph in shape.text_frame.paragraphs:
            text = paragraph.text.replace("\v", "\n")
            if text.strip():
                level = paragraph.level + 1 if _is_listed(slide, shape, paragraph) else None
                yield _SlidePart(text, level, is_title and level is None)
    else:
        for text in _diagram_texts(slide, shape):
            yield _SlidePart(text, 1)


def _is_listed(slide: Slide, shape: Any, paragraph: Any) -> bool:
    """Whether a viewer shows a bullet or a number before the paragraph."""
    tag = f"{_A}lvl{paragraph.level + 1}pPr"
    places = [paragraph._p.find(f"{_A}pPr"), _level(shape._element.find(f".//{_A}lstStyle"), tag)]
    if shape.is_placeholder:
        index = shape.placeholder_format.idx
        layout: Any = slide.slide_layout
        inherited = [one for one in layout.placeholders if one.placeholder_format.idx == index]
        kinds = {one.placeholder_format.type for one in inherited} | {shape.placeholder_format.type}
        inherited += [one for one in layout.slide_master.placeholders if one.placeholder_format.type in kinds]
        places += [_level(one._element.find(f".//{_A}lstStyle"), tag) for one in inherited]
        if _is_body(shape):
            places.append(_level(layout.slide_master._element.find(".//{*}bodyStyle"), tag))
    for properties in places:
        if properties is not None:
            if properties.find(_NO_BULLET) is not None:
                return False
            if any(properties.find(bullet) is not None for bullet in _BULLETS):
                return True
    return False


def _level(style: Any, tag: str) -> Any:
    return None if style is None else style.find(tag)


def _is_body(shape: Any) -> bool:
    from pptx.enum.shapes import PP_PLACEHOLDER

    return shape.placeholder_format.type in (PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT)


def _diagram_texts(slide: Slide, shape: Any) -> Iterator[str]:
    """The texts of a SmartArt diagram, which stand in a part of their own."""
    from lxml import etree

    relations = shape._element.find(f".//{{{_DIAGRAM}}}relIds")
    related = relations.get(f"{_RELATION}dm") if relations is not None else None
    if related is None or related not in slide.part.rels:
        return
    model = etree.fromstring(slide.part.related_part(related).blob)
    for point in model.iter(f"{{{_DIAGRAM}}}t"):
        for paragraph in point.iter(f"{_A}p"):
            text = "".join(run.text or "" for run in paragraph.iter(f"{_A}t"))
            if text.strip():
                yield text


def _charts(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _charts(shape.shapes)
        elif getattr(shape, "has_chart", False):
            yield shape.chart._chartSpace
