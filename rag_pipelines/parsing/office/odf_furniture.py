"""Headers and footers of an OpenDocument text, and what a master page puts on a slide.

What belongs here: what stands on every page. What does not: the text of a paragraph (`odf`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.office.odf_names import DRAW, OFFICE, PRESENTATION, STYLE
from rag_pipelines.parsing.office.odf_styles import OdfStyles

if TYPE_CHECKING:
    from lxml.etree import _Element

TextOf = Callable[["_Element"], str]


def page_furniture(shared: _Element, text_of: TextOf) -> Iterator[tuple[BlockKind, str]]:
    """The headers and footers of the page styles, those turned off excepted."""
    for part in shared.iterfind(f"{OFFICE}master-styles/{STYLE}master-page/*"):
        name = str(part.tag).removeprefix(STYLE)
        if name.startswith(("header", "footer")) and part.get(f"{STYLE}display") != "false":
            yield BlockKind.HEADER if name.startswith("header") else BlockKind.FOOTER, text_of(part)


def slide_furniture(
    slide: _Element, number: int, shared: _Element | None, styles: OdfStyles, text_of: TextOf
) -> Iterator[str]:
    """The footer, date and number of a slide where it shows them, and the shapes of its master page."""
    shown = styles.pages.get(slide.get(f"{DRAW}style-name"), {})
    for name in ("footer", "date-time"):
        used = slide.get(f"{PRESENTATION}use-{name}-name")
        if used is not None and shown.get(f"{PRESENTATION}display-{name}") == "true":
            for declared in slide.itersiblings(f"{PRESENTATION}{name}-decl", preceding=True):
                if declared.get(f"{PRESENTATION}name") == used:
                    yield declared.text or ""
    if shown.get(f"{PRESENTATION}display-page-number") == "true":
        yield str(number)
    if shared is None or shown.get(f"{PRESENTATION}background-objects-visible") == "false":
        return
    name = slide.get(f"{DRAW}master-page-name")
    for master in shared.iterfind(f"{OFFICE}master-styles/{STYLE}master-page"):
        if master.get(f"{STYLE}name") == name:
            for shape in master.iterchildren():
                if shape.tag.startswith(DRAW) and shape.get(f"{PRESENTATION}class") is None:
                    yield text_of(shape)
