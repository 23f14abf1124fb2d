"""Where the content of a web page is, and what around it is not content.

What belongs here: choosing the main content of an HTML tree, and recognising navigation, banners,
footers and tables that only arrange the page. What does not: what is hidden (`visibility`), turning
elements into blocks (`parse`). Every step is linear in the size of the tree, however deep it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag

    from rag_pipelines.parsing.html.elements import Elements

_FURNITURE_TAGS = frozenset({"nav", "footer", "dialog"})
_FURNITURE_ROLES = frozenset({
    "navigation", "contentinfo", "search", "dialog", "alertdialog", "menu", "menubar", "toolbar",
    "complementary",
})  # fmt: skip
_FURNITURE_CLASS = re.compile(
    r"(?:site-|page-|global-|main-|top-|primary-|secondary-|wp-|md-)?(?:nav|navbar|navigation|navbox|sidebar|"
    r"footer|masthead|menu|breadcrumbs?|toc|pagination|pager|newsletter|social|share|sharing|related-(?:posts|"
    r"links|articles)|adverti[sz]e(?:ment)?s?|ads?|popup|skip-?(?:links?|nav|to-content))"
    r"(?:-(?:bar|box|container|wrapper|inner|links?|list|menu|nav|icons|buttons|section))*"
    r"|(?:.*-)?(?:cookies?|gdpr|consent)(?:-.*)?|mw-editsection|mw-jump-link|interlanguage-link|"
    r"(?:mw-portlet|vector-(?:menu|dropdown|toc|page-toolbar))(?:-.*)?|printfooter|catlinks|"
    r"edit-?(?:link|this-page|page)|(?:sr|screen-reader)-(?:only|text)|visually-?hidden|noprint",
    re.I,
)
_MAY_HAVE_MAIN = re.compile(r"<(?:main|article)\b|role\s*=\s*[\"']?main", re.I)

_ENOUGH_CHARACTERS = 500
_ENOUGH_SHARE = 0.2
_DESCEND_SHARE = 0.8
_KEPT_SHARE = 0.5
_LINK_LIST_SHARE = 0.75
_LINK_LIST_LINKS = 4
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_TOP_HEADINGS = frozenset({"h1", "h2"})
_CONTENT = frozenset({"main", "article", "h1"})
_TABLE = frozenset({"table"})
_PARTS_OF_DATA_TABLE = frozenset({"th", "caption", "thead"})
_BLOCKS_OF_LAYOUT = frozenset({
    "p", "h1", "h2", "h3", "h4", "pre", "ul", "ol", "article", "section", "blockquote",
})  # fmt: skip
_LAYOUT_CELL_CHARACTERS = 600
_FEWEST_ROWS = 2
_NOT_IN_LINE = _BLOCKS_OF_LAYOUT | {"table", "br", "img", "li", "dl", "hr", "h5", "h6"}
_IN_LINE_CHARACTERS = 100
_CONTAINERS = frozenset({
    "div", "section", "form", "center", "table", "tbody", "tr", "td", "font", "span", "body",
})  # fmt: skip
_NO_PROSE = frozenset({"button", "input", "math", "object", "select", "svg", "textarea"})
_LINK_LIST_TAGS = frozenset({"div", "section", "ul", "ol", "table", "td", "aside"})


def is_furniture(tag: Tag, elements: Elements) -> bool:
    """Whether the element is navigation, a banner, a footer or the like, by its name, role or class.

    An element that holds the page's article or first heading is not, whatever it is called.
    """
    name = tag.name
    if name in _FURNITURE_TAGS:
        return name != "footer" or tag.parent is None or tag.parent.name != "blockquote"
    if name == "header":
        return not elements.hold(tag, _HEADINGS)
    attributes = tag.attrs
    if not attributes:
        return False
    if attributes.get("role") in _FURNITURE_ROLES:
        return True
    words = [*(tag.get_attribute_list("class") if "class" in attributes else ()), attributes.get("id")]
    return any(word and _FURNITURE_CLASS.fullmatch(str(word)) for word in words) and not elements.hold(
        tag, _CONTENT
    )


def is_layout(table: Tag, elements: Elements) -> bool:
    """Whether the table only arranges a page, so that its cells are to be read one after the other.

    Mail programs say of every table that it does; rows of labels and short values are data all the same.
    """
    is_said_to = table.get("role") in ("presentation", "none")
    if not is_said_to and elements.hold(table, _PARTS_OF_DATA_TABLE):
        return False
    if elements.hold(table, _TABLE):
        return True
    rows = table.find_all("tr", limit=200)
    cells = [len(row.find_all(["td", "th"], recursive=False)) for row in rows]
    if all(count <= 1 for count in cells):
        return True
    if is_said_to:
        return sum(count > 1 for count in cells) < _FEWEST_ROWS or elements.hold(table, _BLOCKS_OF_LAYOUT)
    return elements.hold(table, _BLOCKS_OF_LAYOUT) and len(
        table.get_text(strip=True)
    ) > _LAYOUT_CELL_CHARACTERS * max(len(rows), 1)


def cells_in_line(row: Tag, elements: Elements) -> list[Tag]:
    """The cells of a row of a table for layout that are read side by side: a label, say, and its value.

    Empty where fewer than two hold text, or where one of them holds more than a short line; what stands
    beside a single label that ends with a colon may be as long as it likes.
    """
    cells = row.find_all(["td", "th"], recursive=False)
    if len(cells) < 2 or any(elements.hold(cell, _NOT_IN_LINE) for cell in cells):
        return []
    first, *others = [text for cell in cells if (text := cell.get_text(strip=True))] or [""]
    if not others or len(first) > _IN_LINE_CHARACTERS:
        return []
    is_label = len(others) == 1 and first.endswith((":", "\uff1a"))
    return cells if is_label or max(map(len, others)) <= _IN_LINE_CHARACTERS else []


def main_content(soup: BeautifulSoup, markup: str, elements: Elements) -> tuple[list[Tag], frozenset[int]]:
    """The elements that hold the content, in order, and the `id()` of elements in them to leave out.

    ``<main>`` or ``role=main`` if there is one, else the outermost ``<article>`` elements, where they
    hold enough of the text; else the innermost element that holds most of the text outside links,
    without the lists of links in it.
    """
    body = elements.first("body") or soup
    if _MAY_HAVE_MAIN.search(markup):
        found = elements.by_name("main") or soup.find_all(role="main") or elements.by_name("article")
        roots = _outermost(found)
        if roots and roots[0].name != "article":
            roots = [max(roots, key=lambda root: len(root.get_text()))]
        length = sum(len(root.get_text(strip=True)) for root in roots)
        if length >= _ENOUGH_CHARACTERS or length > _ENOUGH_SHARE * len(body.get_text(strip=True)):
            return roots, frozenset()
    return _densest(body, elements)


def outside(body: Tag, roots: Sequence[Tag]) -> Iterator[str]:
    """The text of each part of `body` that lies in none of the `roots`."""
    from bs4.element import Tag

    inside = {id(root) for root in roots}
    around: set[int] = set()
    for root in roots:
        above = root.parent
        while above is not None and id(above) not in around:
            around.add(id(above))
            above = above.parent
    stack = [iter(body.contents)] if id(body) in around else []
    while stack:
        for child in stack[-1]:
            if not isinstance(child, Tag):
                yield str(child)
            elif id(child) in around and id(child) not in inside:
                stack.append(iter(child.contents))
                break
            elif id(child) not in inside:
                yield child.get_text(" ")
        else:
            stack.pop()


def _outermost(tags: Sequence[Tag]) -> list[Tag]:
    """`tags` without those that lie inside another."""
    kept: list[Tag] = []
    inside = {id(tag): True for tag in tags}
    for tag in tags:
        climbed: list[int] = []
        above = tag.parent
        while above is not None and id(above) not in inside:
            climbed.append(id(above))
            above = above.parent
        is_inside = above is not None and inside[id(above)]
        inside.update(dict.fromkeys(climbed, is_inside))
        if not is_inside:
            kept.append(tag)
    return kept


@dataclass(slots=True)
class _Mass:
    """What is visible below an element: characters of text, those of them inside links, and links."""

    text: int = 0
    linked: int = 0
    links: int = 0

    @property
    def weight(self) -> int:
        return self.text - self.linked

    @property
    def is_link_list(self) -> bool:
        return self.links >= _LINK_LIST_LINKS and self.linked > _LINK_LIST_SHARE * self.text


def _densest(body: Tag, elements: Elements) -> tuple[list[Tag], frozenset[int]]:
    from bs4.element import Tag

    masses = _masses(body, elements)
    root = body
    while True:
        children = [child for child in root.contents if isinstance(child, Tag) and id(child) in masses]
        best = max(children, key=lambda child: masses[id(child)].weight, default=None)
        if best is None or best.name not in _CONTAINERS:
            break
        weight = masses[id(best)].weight
        if (
            weight < _DESCEND_SHARE * masses[id(root)].weight
            or weight < _KEPT_SHARE * masses[id(body)].weight
        ):
            break
        if best.name == "table" and not is_layout(best, elements):
            break
        if any(child is not best and _has_top_heading(child, elements) for child in children):
            break
        root = best
    whole = masses[id(root)].text
    left_out = {
        id(tag)
        for name in _LINK_LIST_TAGS
        for tag in elements.by_name(name)
        if (mass := masses.get(id(tag))) and mass.is_link_list and mass.text < whole / 2
    }
    return [root], frozenset(left_out)


def _has_top_heading(tag: Tag, elements: Elements) -> bool:
    return tag.name in _TOP_HEADINGS or elements.hold(tag, _TOP_HEADINGS)


def _masses(root: Tag, elements: Elements) -> dict[int, _Mass]:
    """The mass of each visible element, by its `id()`."""
    from bs4.element import NavigableString, Tag

    mass = _Mass()
    masses = {id(root): mass}
    stack = [(root, mass, iter(root.contents))]
    while stack:
        tag, mass, children = stack[-1]
        for child in children:
            if type(child) is NavigableString:
                mass.text += len(child.strip())
            elif isinstance(child, Tag) and child.name not in _NO_PROSE:
                if is_furniture(child, elements):
                    continue
                masses[id(child)] = inner = _Mass()
                stack.append((child, inner, iter(child.contents)))
                break
        else:
            stack.pop()
            if stack:
                outer, is_link = stack[-1][1], tag.name == "a"
                outer.text += mass.text
                outer.linked += mass.text if is_link else mass.linked
                outer.links += mass.links + is_link
    return masses
