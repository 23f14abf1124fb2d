"""HTML pages and fragments, read by Beautiful Soup on lxml.

What belongs here: turning an HTML tree into blocks. What does not: making the tree (`tree`), what of it is
shown (`visibility`), choosing the main content (`boilerplate`), finding elements (`elements`), tables
(`tables`), the text inside an element (`text`, `replaced`). Nothing is ever fetched.

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
from rag_pipelines.parsing.builder import CELL_SEPARATOR, DocumentBuilder
from rag_pipelines.parsing.encoding import charset_of
from rag_pipelines.parsing.html.boilerplate import (
    cells_in_line,
    is_furniture,
    is_layout,
    main_content,
    outside,
)
from rag_pipelines.parsing.html.elements import Elements
from rag_pipelines.parsing.html.head import read_head
from rag_pipelines.parsing.html.numbering import Numbering
from rag_pipelines.parsing.html.replaced import REPLACED, is_tiny, is_unread_image
from rag_pipelines.parsing.html.tables import read_table
from rag_pipelines.parsing.html.text import (
    AROUND,
    BLOCK_TAGS,
    anchor_of,
    begin_inline,
    code_language,
    end_inline,
    is_permalink,
    is_raised,
    target_of,
    text_of,
    text_types,
    verbatim,
)
from rag_pipelines.parsing.html.tree import decode_markup, tree_of
from rag_pipelines.parsing.html.visibility import take_out_hidden
from rag_pipelines.parsing.links import unlinked, without_double_blanks
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.witness import html
from rag_pipelines.text.superscripts import Line

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag


_FRAMES = frozenset({"iframe", "frame", "embed", "object"})
_PRESERVING = re.compile(r"white-space\s*:\s*(?:pre|break-spaces)", re.I)
_BLANK_LINES = re.compile(r"\n\s*\n")
_LONG_PREFORMATTED = 4_000
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_OTHER_BLOCKS = frozenset({"ul", "ol", "li", "table", "pre", "blockquote", "figcaption"})


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an HTML page, of its main content only unless the options say otherwise."""
    builder = DocumentBuilder.of("text/html", request)
    markup = decode_markup(request.data, charset_of(request.declared_type))
    soup = tree_of(markup)
    if soup is not None:
        builder.account_for(html.text(markup))
        read_head(builder, soup)
        builder.leave_out(LeftOut.HIDDEN, take_out_hidden(soup))
        body = soup.body or soup
        elements = Elements(soup)
        walker = _Walker(builder, elements)
        if request.options.html_main_content:
            roots, left_out = main_content(soup, markup, elements)
            walker = _Walker(builder, elements, drop_furniture=True, left_out=left_out)
            walker.walk(roots)
            if builder:
                for text in (*walker.furniture, *outside(body, roots)):
                    builder.leave_out(LeftOut.BOILERPLATE, text)
        if not builder:
            walker = _Walker(builder, elements)
            walker.walk([body])
        top = walker.top_heading
        if top and (
            not builder.title or top in builder.title or builder.title == builder.metadata.get("site_name")
        ):
            if builder.title and builder.title != top:
                builder.metadata["page_title"] = builder.title
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
    builder.leave_out(LeftOut.HIDDEN, take_out_hidden(soup))
    _Walker(builder, Elements(soup), page=page, base_level=base_level).walk([soup.body or soup])


def fragment_text(markup: str) -> str:
    """The visible text of an HTML fragment on one line."""
    soup = tree_of(markup)
    if soup is None:
        return ""
    take_out_hidden(soup)
    return text_of(soup)


class _Walker:
    """Walks a tree without recursion (a page may nest elements 20,000 deep) and adds its blocks.

    `top_heading` is the first ``<h1>`` that was met: the title without the name of the site. `furniture` is
    the text of what was dropped on the way.
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
        self.furniture: list[str] = []
        self._builder = builder
        self._elements = elements
        self._drop_furniture = drop_furniture
        self._left_out = left_out
        self._page = page
        self._base_level = base_level
        self._inline = Line()
        self._quotes = 0
        self._preserved = 0
        self._lists: list[Numbering | None] = []
        self._item: str | None = None
        self._term: str | None = None

    def walk(self, roots: list[Tag]) -> None:
        """Add the blocks of each root in turn."""
        from bs4.element import Tag

        types, elements = text_types(), self._elements
        drops, left_out = self._drop_furniture, self._left_out
        for root in roots:
            self._preserved = int(_preserves_breaks(root))
            stack: list[tuple[Iterator[Any], Callable[[], None]]] = [(iter(root.contents), self._flush)]
            while stack:
                children, close = stack[-1]
                for child in children:
                    if type(child) in types:
                        self._inline.add(child if self._preserved else child.replace("\n", " "))
                    elif isinstance(child, Tag):
                        if drops and (id(child) in left_out or is_furniture(child, elements)):
                            self.furniture.append(child.get_text(" "))
                            continue
                        closing = self._open(child)
                        if closing is not None:
                            stack.append((iter(child.contents), closing))
                            break
                else:
                    stack.pop()
                    close()

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
        if name in REPLACED:
            self._inline.add(f" {REPLACED[name](tag)} ")
            if name == "img" and is_unread_image(tag):
                self._builder.lose(Loss.IMAGES)
            return None
        if name in ("pre", "listing", "xmp"):
            self._add_preformatted(tag)
            return None
        if name == "table":
            return self._open_table(tag)
        if name in ("ul", "ol", "menu", "dir"):
            self._flush()
            self._lists.append(Numbering(tag) if name == "ol" else None)
            return self._close_list
        if name == "li":
            return self._open_item(tag)
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
            self._end_item()
            self._term = text_of(tag)
            return None
        if name == "dd":
            self._flush()
            self._end_item()
            self._item, self._term = f"{self._term}: " if self._term else "", None
            return self._close_item
        if name == "tr" and (cells := cells_in_line(tag, self._elements)):
            self._flush()
            texts = [text for cell in cells if unlinked(text := text_of(cell))]
            self._builder.add(BlockKind.PARAGRAPH, CELL_SEPARATOR.join(texts), page=self._page)
            return None
        if name == "dl":
            self._flush()
            return self._flush_term
        if name in _FRAMES:
            self._lose_frame(tag)
            return _nothing
        if _preserves_breaks(tag):
            return self._open_preserved(tag)
        if name in BLOCK_TAGS or "-" in name:
            self._flush()
            return self._flush
        if name == "a" and is_permalink(tag):
            return None
        if not (name in AROUND or is_raised(tag) or target_of(tag)):
            return _nothing
        begin_inline(self._inline, tag)
        return partial(end_inline, self._inline, tag)

    def _open_preserved(self, tag: Tag) -> Callable[[], None]:
        """Begin an element whose line breaks are shown as they stand."""
        is_block = tag.name in BLOCK_TAGS
        if is_block:
            self._flush()
        self._preserved += 1

        def close() -> None:
            self._preserved -= 1
            if is_block:
                self._flush()

        return close

    def _lose_frame(self, tag: Tag) -> None:
        """Count another document that is shown in this one, which is not fetched."""
        source = str(tag.get("src") or tag.get("data") or "")
        if source and not source.startswith("about:") and not is_tiny(tag):
            self._builder.lose(Loss.PARTS)

    def _add_heading(self, tag: Tag, level: int) -> None:
        self._flush()
        text = text_of(tag).removesuffix("¶").rstrip()
        if self._item and text:
            text, self._item = self._item + text, ""
        if level == 1 and text and self.top_heading is None:
            self.top_heading = unlinked(text)
        self._builder.add(BlockKind.HEADING, text, level=level + self._base_level, page=self._page)

    def _add_preformatted(self, tag: Tag) -> None:
        """Code; or, where nothing says that it is code and it is long, prose in its own paragraphs."""
        self._flush()
        self._end_item()
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
        self._end_item()
        self._builder.lose(Loss.IMAGES, sum(map(is_unread_image, tag.find_all("img"))))
        table = read_table(tag)
        if table.caption:
            self._builder.add(BlockKind.CAPTION, table.caption, page=self._page)
        self._builder.add_table(table.rows, header_rows=table.header_rows, page=self._page)
        return None

    def _open_item(self, tag: Tag) -> Callable[[], None]:
        self._flush()
        self._end_item()
        numbering = self._lists[-1] if self._lists else None
        self._item = numbering.number(tag) if numbering else ""
        return self._close_item

    def _end_item(self) -> None:
        """A number or term whose text is no line but a list, table or code becomes an item of its own."""
        if self._item:
            text = self._item.rstrip().removesuffix(":")
            self._builder.add(BlockKind.LIST_ITEM, text, level=self._level, page=self._page)
        self._item = None

    def _close_item(self) -> None:
        self._flush()
        self._item = None

    def _close_list(self) -> None:
        self._flush()
        self._lists.pop()

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
        return max(len(self._lists), 1)

    def _flush(self) -> None:
        """Add the inline text so far: a block, or several where line breaks leave blank lines."""
        raw = self._inline.take()
        if not raw or raw.isspace():
            return
        lines = [" ".join(line.split()) for line in raw.split("\n")]
        for text in _BLANK_LINES.split(without_double_blanks("\n".join(lines)).strip()):
            if not text:
                continue
            if self._item is not None:
                self._builder.add(BlockKind.LIST_ITEM, self._item + text, level=self._level, page=self._page)
                self._item = None
            else:
                kind = BlockKind.QUOTE if self._quotes else BlockKind.PARAGRAPH
                self._builder.add(kind, text, page=self._page)


def _preserves_breaks(tag: Tag) -> bool:
    style = tag.attrs.get("style") if tag.attrs else None
    return style is not None and _PRESERVING.search(str(style)) is not None


def _nothing() -> None:
    """The end of an inline element."""


def _aria_level(tag: Tag) -> int:
    level = str(tag.get("aria-level") or "")
    return int(level) if level.isascii() and level.isdigit() and 0 < int(level) < 10 else 2
