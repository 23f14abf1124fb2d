"""Confluence's storage format: XHTML with elements of Confluence's own, under ``ac:`` and ``ri:``.

What belongs here: the entry, and which element is shown how. What does not: macros
(`confluence_macros`), links, images and tasks (`confluence_elements`), everything that is HTML (`html`).

Each of Confluence's elements is turned, where it stands, into the HTML element that shows a reader the
same; what only machines read is marked as hidden. Then the tree is read as HTML is, so lists, quotes,
tables with merged cells and text in cells come out the same as from a web page. What is unknown keeps
its text. Nothing is resolved or fetched: an included page has its own access rule, so it is named only.

The tree is read by an HTML parser, not an XML one, because pages that were imported, migrated or
written over the API hold entities without a declaration, undeclared prefixes and unclosed elements.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.atlassian import confluence_elements as elements
from rag_pipelines.parsing.atlassian.confluence_macros import show_macro
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.detect import CONFLUENCE
from rag_pipelines.parsing.encoding import charset_of, decode
from rag_pipelines.parsing.html.parse import add_tree
from rag_pipelines.parsing.html.tree import tree_of
from rag_pipelines.parsing.witness.atlassian import page_text

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag


_MOST_NAMED = 20
"""Unknown macros that the warning names; a page may be made of nothing else."""

_CDATA = re.compile(r"<!\[CDATA\[(.*?)(?:\]\]>|\Z)", re.S)
_MACROS = frozenset({"ac:structured-macro", "ac:macro"})

_SHOWN_BY: dict[str, Callable[[Tag], None]] = {
    "ac:link": elements.show_link,
    "ac:image": elements.show_image,
    "ac:caption": elements.show_caption,
    "ac:emoticon": elements.show_emoticon,
    "ac:inline-comment-marker": elements.show_inline,
    "ac:task-list": elements.show_task_list,
    "ac:task": elements.show_task,
    "ac:adf-extension": elements.show_extension,
    "ac:adf-attribute": elements.show_attribute,
    "ac:adf-parameter": elements.show_attribute,
    "time": elements.show_time,
}


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a page, blog post or comment in storage format.

    Its counter ``unknown_macros`` is the number of macros that `confluence_macros` does not know and that
    are kept as text; a warning names them.
    """
    builder = DocumentBuilder.of(CONFLUENCE, request)
    markup = decode(request.data, charset_of(request.declared_type))
    soup = tree_of(_without_cdata(markup))
    builder.account_for(page_text(markup))
    if soup is not None:
        unknown = _show(soup)
        if unknown:
            builder.counters["unknown_macros"] = unknown.total()
            most = unknown.most_common(_MOST_NAMED)
            named = ", ".join(f"{name or '(no name)'} ({count})" for name, count in most)
            more = f" and {len(unknown) - len(most)} others" if len(unknown) > len(most) else ""
            builder.warnings.append(f"unknown macros, kept as text: {named}{more}")
        add_tree(builder, soup)
    return builder.finish()


def _without_cdata(markup: str) -> str:
    """`markup` with its CDATA sections, which HTML does not have, as escaped text."""
    return _CDATA.sub(lambda section: escape(section[1], quote=False), markup)


def _show(soup: BeautifulSoup) -> Counter[str]:
    """Turn Confluence's elements into HTML, the innermost first; returns the macros that are unknown."""
    unknown: Counter[str] = Counter()
    for tag in reversed(soup.find_all(True)):
        if tag.name in _MACROS:
            if not show_macro(tag):
                unknown[elements.attribute(tag, "ac:name")] += 1
        elif tag.name in _SHOWN_BY:
            _SHOWN_BY[tag.name](tag)
        elif tag.name.startswith("ri:"):
            elements.show_resource(tag)
    return unknown
