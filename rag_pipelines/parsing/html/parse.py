"""HTML pages and fragments, read by Beautiful Soup on lxml.

What belongs here: turning an HTML tree into blocks, and what a page says about itself. What does not:
choosing the main content (`boilerplate`), finding elements (`elements`), tables (`tables`),
the text inside an element (`text`). Nothing is ever fetched.

Numbers of ordered lists are kept in front of their items ("2. Press the button"), because people
refer to them; bullets are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import charset_of, decode
from rag_pipelines.parsing.html.boilerplate import (
    NEVER_TEXT,
    is_furniture,
    is_hidden,
    is_layout,
    main_content,
)
from rag_pipelines.parsing.html.elements import Elements
from rag_pipelines.parsing.html.tables import read_table
from rag_pipelines.parsing.html.text import (
    BLOCK_TAGS,
    anchor_of,
    begin_inline,
    code_language,
    end_inline,
    is_permalink,
    is_raised,
    target_of,
    text_of,
    text_outside,
    verbatim,
)
from rag_pipelines.parsing.links import unlinked, without_double_blanks
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.witness import html
from rag_pipelines.text.canonical import one_line
from rag_pipelines.text.superscripts import Line

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag


_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*>")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.I)
_META_HEAD = 4_096

_BLANK_LINES = re.compile(r"\n\s*\n")
_LONG_PREFORMATTED = 4_000
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_OTHER_BLOCKS = frozenset({"ul", "ol", "li", "table", "pre", "blockquote", "figcaption"})
_METADATA = {
    "author": ("author", "article:author", "dc.creator", "dcterms.creator", "citation_author"),
    "description": ("description", "og:description", "dc.description", "dcterms.description"),
    "keywords": ("keywords",),
    "created": ("article:published_time", "date", "dc.date", "dcterms.created", "citation_publication_date"),
    "modified": ("article:modified_time", "og:updated_time", "last-modified", "dcterms.modified"),
    "site_name": ("og:site_name",),
}


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an HTML page, of its main content only unless the options say otherwise."""
    builder = DocumentBuilder.of("text/html", request)
    markup = decode_markup(request.data, charset_of(request.declared_type))
    soup = tree_of(markup)
    if soup is not None:
        builder.account_for(html.text(markup))
        elements = Elements(soup)
        _read_head(builder, elements)
        walker = _Walker(builder, elements)
        if request.options.html_main_content:
            roots, left_out = main_content(soup, markup, elements)
            walker = _Walker(builder, elements, drop_furniture=True, left_out=left_out)
            walker.walk(roots)
            if builder:
                builder.leave_out(LeftOut.BOILERPLATE, text_outside(soup, roots))
        if not builder:
            walker = _Walker(builder, elements)
            walker.walk([soup.body or soup])
        top = walker.top_heading
        if top and (
            not builder.title or top in builder.title or builder.title == builder.metadata.get("site_name")
        ):
            builder.title = top
    return builder.finish()


def add_html(builder: DocumentBuilder, markup: str, *, page: int | None = None, base_level: int = 0) -> None:
    """Add all the visible text of an HTML page or fragment to `builder` (mail bodies, e-book chapters).

    `base_level` is added to the level of each heading.
    """
    soup = tree_of(markup)
    if soup is not None:
        add_tree(builder, soup, page=page, base_level=base_level)


def add_tree(
    builder: DocumentBuilder, soup: BeautifulSoup, *, page: int | None = None, base_level: int = 0
) -> None:
    """Add all the visible text of a tree, as `add_html` does."""
    _Walker(builder, Elements(soup), page=page, base_level=base_level).walk([soup])


def visible_text(soup: BeautifulSoup) -> str:
    """The visible text of a tree on one line, without what stands for images."""
    return text_of(soup.body or soup, images=False)


def fragment_text(markup: str) -> str:
    """The visible text of an HTML fragment on one line."""
    soup = tree_of(markup)
    return text_of(soup) if soup is not None else ""


def decode_markup(data: bytes, charset: str | None = None) -> str:
    """HTML or XHTML bytes as text, by byte order mark, UTF-8, `charset`, ``<meta charset>`` or a guess."""
    if charset is None:
        declared = _META_CHARSET.search(data[:_META_HEAD])
        charset = declared[1].decode("ascii", "replace") if declared else None
    return decode(data, charset)


def tree_of(markup: str) -> BeautifulSoup | None:
    """The tree of a page or fragment, or None where there is no markup and no text."""
    from bs4 import BeautifulSoup

    markup = _XML_DECLARATION.sub("", markup.replace("\0", ""), count=1)
    if not markup.strip():
        return None
    return BeautifulSoup(markup if "<" in markup else f"<p>{markup}</p>", "lxml")


def _read_head(builder: DocumentBuilder, elements: Elements) -> None:
    """Set the builder's title, language and metadata from the page's head."""
    named: dict[str, str] = {}
    for meta in elements.by_name("meta"):
        name = meta.get("property") or meta.get("name") or meta.get("http-equiv")
        content = meta.get("content")
        if name and content and str(content).strip():
            named.setdefault(str(name).lower(), one_line(str(content)))
    for key, names in _METADATA.items():
        found = next((named[name] for name in names if name in named), None)
        if found:
            builder.metadata[key] = found
    links = (link.get("href") for link in elements.by_name("link") if "canonical" in (link.get("rel") or ()))
    url = next(links, None) or named.get("og:url")
    if url:
        builder.metadata["canonical_url"] = str(url)
    declared = elements.first("base")
    builder.base = str((declared.get("href") if declared else None) or url or "") or None
    title = elements.first("title")
    builder.title = one_line(named.get("og:title") or (title.get_text() if title else "")) or None
    page = elements.first("html")
    language = page.get("lang") or page.get("xml:lang") if page else None
    language = language or named.get("content-language") or named.get("og:locale")
    builder.language = str(language).strip().replace("_", "-") or None if language else None


class _Walker:
    """Walks a tree without recursion (a page may nest elements 20,000 deep) and adds its blocks.

    `top_heading` is the first ``<h1>`` that was met: the title without the name of the site.
    """

    def __init__(
        self,
        builder: DocumentBuilder,
        elements: Elements,
        *,
        drop_furniture: bool = False,
        left_out: frozenset[int] = frozenset(),
        page: int | None = None,
        base_level: int = 0,
    ) -> None:
        self.top_heading: str | None = None
        self._builder = builder
        self._elements = elements
        self._drop_furniture = drop_furniture
        self._left_out = left_out
        self._page = page
        self._base_level = base_level
        self._inline = Line()
        self._quotes = 0
        self._ordinals: list[int | None] = []
        self._item: str | None = None
        self._term: str | None = None

    def walk(self, roots: list[Tag]) -> None:
        """Add the blocks of each root in turn."""
        from bs4.element import NavigableString, Tag

        for root in roots:
            stack: list[tuple[Iterator[Any], Callable[[], None]]] = [(iter(root.contents), self._flush)]
            while stack:
                children, close = stack[-1]
                for child in children:
                    if type(child) is NavigableString:
                        self._inline.add(child.replace("\n", " "))
                    elif isinstance(child, Tag) and not self._is_dropped(child):
                        closing = self._open(child)
                        if closing is not None:
                            stack.append((iter(child.contents), closing))
                            break
                else:
                    stack.pop()
                    close()

    def _is_dropped(self, tag: Tag) -> bool:
        if tag.name in NEVER_TEXT:
            return True
        if is_hidden(tag):
            self._builder.leave_out(LeftOut.HIDDEN, tag.get_text(" "))
            return True
        if id(tag) in self._left_out or (self._drop_furniture and is_furniture(tag, self._elements)):
            self._builder.leave_out(LeftOut.BOILERPLATE, tag.get_text(" "))
            return True
        return False

    def _open(self, tag: Tag) -> Callable[[], None] | None:
        """Begin an element: what to do at its end, or None where it has been read whole."""
        name = tag.name
        if place := anchor_of(tag):
            if name in _HEADINGS or name in BLOCK_TAGS or name in _OTHER_BLOCKS:
                self._flush()
            self._builder.anchor(place)
        if name in _HEADINGS or tag.get("role") == "heading":
            self._add_heading(tag, _HEADINGS.get(name) or _aria_level(tag))
            return None
        if name == "br":
            self._inline.add("\n")
            return None
        if name == "img":
            self._inline.add(f" {tag.get('alt') or ''} ")
            return None
        if name == "math":
            self._inline.add(f" {tag.get('alttext') or text_of(tag)} ")
            return None
        if name in ("pre", "listing", "xmp"):
            self._add_preformatted(tag)
            return None
        if name == "table":
            return self._open_table(tag)
        if name in ("ul", "ol", "menu", "dir"):
            self._flush()
            self._ordinals.append(_first_ordinal(tag) if name == "ol" else None)
            return self._close_list
        if name == "li":
            return self._open_item()
        if name == "blockquote":
            self._flush()
            self._quotes += 1
            return self._close_quote
        if name in ("figcaption", "caption"):
            self._flush()
            self._builder.add(BlockKind.CAPTION, text_of(tag), page=self._page)
            return None
        if name == "dt":
            self._flush_term()
            self._term = text_of(tag)
            return None
        if name == "dd":
            self._flush()
            self._item, self._term = f"{self._term}: " if self._term else "", None
            return self._close_item
        if name == "dl":
            self._flush()
            return self._flush_term
        if name in BLOCK_TAGS or "-" in name:
            self._flush()
            return self._flush
        if name == "a" and is_permalink(tag):
            return None
        if not (is_raised(tag) or target_of(tag)):
            return _nothing
        begin_inline(self._inline, tag)
        return partial(end_inline, self._inline, tag)

    def _add_heading(self, tag: Tag, level: int) -> None:
        self._flush()
        text = text_of(tag).removesuffix("¶").rstrip()
        if level == 1 and text and self.top_heading is None:
            self.top_heading = unlinked(text)
        self._builder.add(BlockKind.HEADING, text, level=level + self._base_level, page=self._page)

    def _add_preformatted(self, tag: Tag) -> None:
        """Code; or, where nothing says that it is code and it is long, prose in its own paragraphs."""
        self._flush()
        text, language = verbatim(tag), code_language(tag)
        if language or len(text) < _LONG_PREFORMATTED or tag.find("code"):
            self._builder.add(BlockKind.CODE, text, language=language, page=self._page)
            return
        for paragraph in _BLANK_LINES.split(text):
            self._builder.add(BlockKind.PARAGRAPH, paragraph, page=self._page)

    def _open_table(self, tag: Tag) -> Callable[[], None] | None:
        self._flush()
        if is_layout(tag, self._elements):
            return self._flush
        table = read_table(tag)
        if table.caption:
            self._builder.add(BlockKind.CAPTION, table.caption, page=self._page)
        self._builder.add_table(table.rows, header_rows=table.header_rows, page=self._page)
        return None

    def _open_item(self) -> Callable[[], None]:
        self._flush()
        ordinal = self._ordinals[-1] if self._ordinals else None
        self._item = ""
        if ordinal is not None:
            self._item = f"{ordinal}. "
            self._ordinals[-1] = ordinal + 1
        return self._close_item

    def _close_item(self) -> None:
        self._flush()
        self._item = None

    def _close_list(self) -> None:
        self._flush()
        self._ordinals.pop()

    def _close_quote(self) -> None:
        self._flush()
        self._quotes -= 1

    def _flush_term(self) -> None:
        """End what stands before; a term without a description becomes an item of its own."""
        self._flush()
        if self._term:
            self._builder.add(BlockKind.LIST_ITEM, self._term, level=self._level, page=self._page)
            self._term = None

    @property
    def _level(self) -> int:
        return max(len(self._ordinals), 1)

    def _flush(self) -> None:
        """Add the inline text so far: a block, or several where line breaks leave blank lines."""
        if not self._inline:
            return
        lines = [" ".join(line.split()) for line in self._inline.take().split("\n")]
        for text in _BLANK_LINES.split(without_double_blanks("\n".join(lines)).strip()):
            if not text:
                continue
            if self._item is not None:
                self._builder.add(BlockKind.LIST_ITEM, self._item + text, level=self._level, page=self._page)
                self._item = None
            else:
                kind = BlockKind.QUOTE if self._quotes else BlockKind.PARAGRAPH
                self._builder.add(kind, text, page=self._page)


def _nothing() -> None:
    """The end of an inline element."""


def _aria_level(tag: Tag) -> int:
    level = str(tag.get("aria-level") or "")
    return int(level) if level.isascii() and level.isdigit() and 0 < int(level) < 10 else 2


def _first_ordinal(tag: Tag) -> int:
    start = str(tag.get("start") or "")
    return int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1
