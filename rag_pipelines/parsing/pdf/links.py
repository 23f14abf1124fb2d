"""Links of a PDF page: annotations that lie over its text (ISO 32000-2, 12.5.6.5).

What belongs here: what stands under a link and where it leads; finding it again in the text of a block. What
does not: the text of a page (`page`), and what becomes of links (`parsing.links`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from rag_pipelines.parsing.links import linked
from rag_pipelines.parsing.pdf.engine import faults, mupdf
from rag_pipelines.parsing.pdf.lines import LIGATURES
from rag_pipelines.text.canonical import one_line

MOST_LINKS = 2_000
"""Links of one page beyond these are not looked at: such pages are made by programs, of nothing but links."""


_Word = tuple[float, float, str]
"""The middle of a word, its height on the page first, and the word."""


class PageLink(NamedTuple):
    """The text under a link as it stands on the page, on one line, and its target."""

    text: str
    target: str


def read_links(page: Any, glyphs: Any) -> list[PageLink]:
    """The links of a MuPDF page that lie over text, in the order of the file; none where they are damaged.

    `glyphs` is the text page of the unturned page, which is left unturned. A place of the document, a named
    one too, is ``#page=7`` (RFC 8118); one of another file is its path.
    """
    try:
        if page.first_link is None:
            return []
        if page.rotation:
            page.set_rotation(0)
        links = [(link.rect, _target(page.parent, link)) for link in islice(_links(page), MOST_LINKS)]
    except faults():
        return []
    words = [((y0 + y1) / 2, (x0 + x1) / 2, word) for x0, y0, x1, y1, word, *_ in glyphs.extractWORDS()]
    return [PageLink(text, target) for area, target in links if target and (text := _text_under(area, words))]


def _links(page: Any) -> Iterator[Any]:
    link = page.first_link
    while link is not None:
        yield link
        link = link.next


def _text_under(area: Any, words: Sequence[_Word]) -> str:
    """The words whose middle lies in `area`, on one line, without the punctuation behind them."""
    x0, y0, x1, y1 = area
    inside = [word for y, x, word in words if y0 <= y <= y1 and x0 <= x <= x1]
    return one_line(" ".join(inside)).translate(LIGATURES).rstrip(".,;:")


def _target(document: Any, link: Any) -> str:
    pymupdf = mupdf()
    if link.uri.startswith("#") and (page := document.resolve_link(link.uri)[0]) >= 0:
        return f"#page={page + 1}"
    return _described(document, pymupdf.utils.getLinkDict(link, document))


def _described(document: Any, link: dict[str, Any]) -> str:
    kind, pymupdf = link["kind"], mupdf()
    if kind == pymupdf.LINK_URI:
        return str(link.get("uri") or "")
    page = link.get("page")
    if kind == pymupdf.LINK_NAMED and not (isinstance(page, int) and page >= 0):
        name = str(link.get("nameddest") or link.get("name") or "")
        page = document.resolve_names().get(name, {}).get("page") if name else None
    place = f"#page={int(page) + 1}" if page is not None and str(page).isdigit() else ""
    if kind in (pymupdf.LINK_GOTOR, pymupdf.LINK_LAUNCH):
        return f"{link.get('file') or ''}{place}" if link.get("file") else ""
    return place


def mark_links(text: str, links: list[PageLink]) -> str:
    """`text` with those of `links` marked that stand in it; these are taken out of the list."""
    places: list[tuple[int, int, str]] = []
    at = 0
    for link in [link for link in links if link.text in text]:
        word = re.compile(rf"(?<!\w){re.escape(link.text)}(?!\w)")
        match = word.search(text, at) or word.search(text)
        if match and all(match.end() <= start or end <= match.start() for start, end, _ in places):
            places.append((match.start(), match.end(), link.target))
            at = match.end()
            links.remove(link)
    return _marked(text, sorted(places)) if places else text


def _marked(text: str, places: Sequence[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, target in places:
        parts += text[at:start], linked(text[start:end], target)
        at = end
    return "".join([*parts, text[at:]])
