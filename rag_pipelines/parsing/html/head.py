"""What a page says about itself: title, language, address and metadata.

What belongs here: the elements of ``<head>``. What does not: the text of the page (`parse`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.text.canonical import one_line
from rag_pipelines.text.titles import meaningful_title

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

_METADATA = {
    "author": ("author", "article:author", "dc.creator", "dcterms.creator", "citation_author"),
    "description": ("description", "og:description", "dc.description", "dcterms.description"),
    "keywords": ("keywords",),
    "created": ("article:published_time", "date", "dc.date", "dcterms.created", "citation_publication_date"),
    "modified": ("article:modified_time", "og:updated_time", "last-modified", "dcterms.modified"),
    "site_name": ("og:site_name",),
}


def read_head(builder: DocumentBuilder, soup: BeautifulSoup) -> None:
    """Set the builder's title, language and metadata from the page's head."""
    from bs4.element import Tag

    found_in_head: dict[str, list[Tag]] = {"base": [], "link": [], "meta": [], "title": []}
    for element in soup.head.contents if soup.head else soup.descendants:
        if isinstance(element, Tag) and element.name in found_in_head:
            found_in_head[element.name].append(element)
    named: dict[str, str] = {}
    for meta in found_in_head["meta"]:
        name = meta.get("property") or meta.get("name") or meta.get("http-equiv")
        content = meta.get("content")
        if name and content and str(content).strip():
            named.setdefault(str(name).lower(), one_line(str(content)))
    for key, names in _METADATA.items():
        found = next((named[name] for name in names if name in named), None)
        if found:
            builder.metadata[key] = found
    links = (link.get("href") for link in found_in_head["link"] if "canonical" in (link.get("rel") or ()))
    url = next(links, None) or named.get("og:url")
    if url:
        builder.metadata["canonical_url"] = str(url)
    declared = next((base.get("href") for base in found_in_head["base"]), None)
    builder.base = str(declared or url or "") or None
    title = next(iter(found_in_head["title"]), None)
    builder.title = meaningful_title(named.get("og:title")) or (
        meaningful_title(title.get_text()) if title else None
    )
    page = soup.html
    language = page.get("lang") or page.get("xml:lang") if page else None
    language = language or named.get("content-language") or named.get("og:locale")
    builder.language = str(language).strip().replace("_", "-") or None if language else None
