"""SmartArt: the text of a diagram, which is drawn from a part of its own.

What belongs here: the data model of a diagram (ECMA-376 part 1, 21.4) as a list. What does not: finding
diagrams in a document or a deck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rag_pipelines.parsing.office.ooxml_text import body_text

if TYPE_CHECKING:
    from lxml.etree import _Element

DIAGRAM: Final = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_DRAWING_REFERENCE = "{http://schemas.microsoft.com/office/drawing/2008/diagram}dataModelExt"
_MOST_LEVELS = 9


def diagram_items(model: _Element, related: Callable[[str], _Element | None]) -> list[tuple[str, int]]:
    """Text and level (from 1) of each point of a diagram, parents before their children.

    `related` gives the part behind a relation of the document. A model without any text is read from the
    drawing that the program kept of it.
    """
    found = enumerate(model.iterfind(f"{DIAGRAM}ptLst/{DIAGRAM}pt"))
    points = {point.get("modelId") or f"point {place}": point for place, point in found}
    children: dict[str | None, list[tuple[int, str | None]]] = {}
    for link in model.iterfind(f"{DIAGRAM}cxnLst/{DIAGRAM}cxn"):
        if link.get("type") in (None, "parOf"):
            order = int(link.get("srcOrd") or 0)
            children.setdefault(link.get("srcId"), []).append((order, link.get("destId")))
    seen: set[str | None] = set()

    def walk(identifier: str | None) -> Iterator[tuple[str, int]]:
        pending = [(identifier, 0)]
        while pending:
            place, level = pending.pop()
            if place in seen or place not in points:
                continue
            seen.add(place)
            if text := body_text(points[place].find(f"{DIAGRAM}t")):
                yield text, min(max(level, 1), _MOST_LEVELS)
            below = sorted(children.get(place, ()), key=lambda child: child[0], reverse=True)
            pending += [(child, level + 1) for _, child in below]

    roots = [identifier for identifier, point in points.items() if point.get("type") == "doc"]
    items = [item for identifier in (*roots, *points) for item in walk(identifier)]
    if items:
        return items
    reference = next((one.get("relId") for one in model.iter(_DRAWING_REFERENCE)), None)
    drawing = related(reference) if reference else None
    bodies = () if drawing is None else drawing.iter("{*}txBody")
    return [(text, 1) for body in bodies if (text := body_text(body))]
