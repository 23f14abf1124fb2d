"""Links of a PDF: what stands under their rectangles, and where they lead."""

from __future__ import annotations

from typing import Any

import pytest

from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.links import unmark
from rag_pipelines.parsing.pdf.links import PageLink, mark_links
from rag_pipelines.parsing.registry import parse

pymupdf = pytest.importorskip("pymupdf")
ACME = "https://acme.example/"


def paper(*links: tuple[int, str, dict[str, Any]]) -> bytes:
    """Two pages; each link is a page, the text it lies over, and what PyMuPDF calls its target."""
    document = pymupdf.open()
    document.new_page()
    document.new_page()
    for line, text in enumerate(
        ("Read the guide before section 2, as", "the guide of old said to everyone.")
    ):
        document[0].insert_text((72, 100 + 14 * line), text)
    document[1].insert_text((72, 100), "Section 2 is here, and the start is not.")
    for number, text, target in links:
        (area, *_) = document[number].search_for(text)
        document[number].insert_link({"from": area, **target})
    return bytes(document.tobytes())


def read(data: bytes, **options: Any) -> ParsedDocument:
    return parse(ParseRequest(data, "a.pdf", options=ParseOptions(pdf="fast", **options)))


def links_of(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(link.text, link.target) for block in document.blocks for link in block.links]


def to_page(number: int) -> dict[str, Any]:
    return {"kind": pymupdf.LINK_GOTO, "page": number, "to": pymupdf.Point(72, 90)}


def test_links_are_addresses_and_pages_and_code_is_none() -> None:
    data = paper(
        (0, "the guide", {"kind": pymupdf.LINK_URI, "uri": ACME}),
        (0, "section 2", to_page(1)),
        (0, "everyone", {"kind": pymupdf.LINK_URI, "uri": "javascript:x"}),
        (1, "the start", to_page(0)),
    )
    document = read(data)
    assert links_of(document) == [("the guide", ACME), ("section 2", "#page=2"), ("the start", "#page=1")]
    assert document.text == read(paper()).text
    assert f"the guide ({ACME}) before section 2, as" in read(data, links="text").text


def test_links_are_found_in_order_each_once_and_as_whole_words() -> None:
    links = [
        PageLink("here", "one"),
        PageLink("1", "two"),
        PageLink("here", "three"),
        PageLink("gone", "four"),
    ]
    marked = mark_links("There 10 or here [1], or here.", links)
    found = unmark(marked, written=True)
    assert found.text == "There 10 or here (one) [1 (two)], or here (three)."
    assert links == [PageLink("gone", "four")]
