"""What stands about a slide and not on it: comments, old and threaded, and its running footers.

What belongs here: the parts and masters that belong to a slide. What does not: the slide's own shapes
(`pptx`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.office.ooxml_text import body_text
from rag_pipelines.parsing.zip_package import parse_xml

if TYPE_CHECKING:
    from lxml.etree import _Element
    from pptx.slide import Slide

_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"


def master_texts(slide: Slide, number: int) -> Iterator[str]:
    """The texts that layout and master put on a slide: no placeholders, and unless it turns them off."""
    for level in (slide, slide.slide_layout):
        if level._element.get("showMasterSp") in ("0", "false"):
            return
        below: Any = slide.slide_layout if level is slide else slide.slide_layout.slide_master
        for shape in below._element.iterfind(f"{_P}cSld/{_P}spTree//{_P}sp"):
            properties = shape.find(f"{_P}nvSpPr")
            if properties is not None and properties.find(f"{_P}nvPr/{_P}ph") is None:
                yield body_text(shape.find(f"{_P}txBody"), number)


def all_texts(slide: Slide) -> Iterator[str]:
    """Every text of a slide, whether it is shown or not: shapes, notes, diagrams, charts."""
    yield body_text(slide._element)
    if slide.has_notes_slide:
        yield body_text(slide.notes_slide._element)
    for diagram in _related(slide.part, ("/diagramData",)):
        yield body_text(diagram)
    for chart in _related(slide.part, ("/chart",)):
        yield chart_title(chart)
        yield from (" ".join(row) for row in chart_rows(chart))


def comment_authors(deck: Any) -> dict[str | None, str]:
    """The names of those who commented in a deck, by their id."""
    parts = _related(deck.part, ("/commentAuthors", "/authors"))
    return {author.get("id"): author.get("name") or "" for part in parts for author in part}


def comments(slide: Slide, authors: dict[str | None, str]) -> Iterator[str]:
    """The comments on a slide with their authors, each before its replies."""
    for comment_list in _related(slide.part, ("/comments",)):
        for comment in comment_list.iter("{*}cm", "{*}reply"):
            body = comment.find("{*}txBody")
            text = (comment.findtext("{*}text") or "") if body is None else body_text(body)
            author = authors.get(comment.get("authorId"))
            if text.strip():
                yield f"Comment{f' by {author}' if author else ''}: {text}"


def _related(part: Any, kinds: tuple[str, ...]) -> Iterator[_Element]:
    for relation in part.rels.values():
        if relation.reltype.endswith(kinds) and not relation.is_external:
            yield parse_xml(relation.target_part.blob, relation.target_part.partname)
