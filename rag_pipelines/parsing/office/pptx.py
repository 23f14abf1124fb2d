"""Presentations (PPTX): the shapes by `unstructured`, and by python-pptx what it leaves out.

What belongs here: putting a slide together. What does not: running unstructured
(`unstructured_runtime`), charts (`ooxml_charts`), opening the package (`zip_package`).

Why `unstructured` here: it sorts the shapes of a slide into reading order, looks into groups, knows the
title, the depth of bullets and the rows of tables, and drops what lies off the slide; at 3 ms a file it
costs no more than opening it. It has no charts, calls speaker notes body text and puts them first, and
reads hidden slides like any other; these come from a second look with python-pptx.

A page is a slide, counted as PowerPoint counts (hidden ones included). A slide's title is a heading of
level 1; where a slide has none, its first line if unstructured takes that for a title, else "Slide 3", so
that a slide never reads as part of the one before. Hidden slides are left out and counted: their authors
took them from the audience.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.zip_package import checked_ooxml, core_properties, meaningful_title

if TYPE_CHECKING:
    from pptx.slide import Slide
    from unstructured.documents.elements import Element

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a PPTX file, slide by slide: title, shapes, charts, speaker notes.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    import pptx

    from rag_pipelines.parsing.office import unstructured_runtime

    data = checked_ooxml(request.data, request.limits)
    builder = DocumentBuilder(MEDIA_TYPE, max_characters=request.limits.max_characters)
    slides = list(pptx.Presentation(io.BytesIO(data)).slides)
    elements = unstructured_runtime.partition_pptx(data)
    on_page = {page: list(group) for page, group in groupby(elements, lambda e: e.metadata.page_number)}
    for page, slide in enumerate(slides, 1):
        if slide._element.get("show") in ("0", "false"):
            builder.counters["hidden_slides"] += 1
        else:
            _add_slide(builder, slide, on_page.get(page, []), page)
    builder.pages = len(slides)
    builder.metadata = core_properties(data)
    builder.language = builder.metadata.pop("language", None)
    builder.title = meaningful_title(builder.metadata.get("title")) or (
        first.text if (first := _title(on_page.get(1, []))) else None
    )
    return builder.finish()


def _add_slide(builder: DocumentBuilder, slide: Slide, elements: list[Element], page: int) -> None:
    from rag_pipelines.parsing.office import unstructured_runtime

    title = _title(elements)
    if title is not None:
        builder.add(BlockKind.HEADING, title.text, level=1, page=page)
    elif elements:
        builder.add(BlockKind.HEADING, f"Slide {page}", level=1, page=page)
    unstructured_runtime.add_elements(builder, (element for element in elements if element is not title))
    for chart in _charts(slide.shapes):
        builder.add(BlockKind.CAPTION, chart_title(chart), page=page)
        builder.add_table(chart_rows(chart), header_rows=1, page=page)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        builder.add(BlockKind.PARAGRAPH, notes.text and f"Speaker notes: {notes.text}", page=page)


def _title(elements: list[Element]) -> Element | None:
    """The title placeholder (the only one to which unstructured gives depth 0), else a short first line."""
    from unstructured.documents.elements import Title

    titles = [element for element in elements if isinstance(element, Title)]
    placeholder = next((title for title in titles if title.metadata.category_depth == 0), None)
    return placeholder or (titles[0] if titles and titles[0] is elements[0] else None)


def _charts(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _charts(shape.shapes)
        elif getattr(shape, "has_chart", False):
            yield shape.chart._chartSpace
