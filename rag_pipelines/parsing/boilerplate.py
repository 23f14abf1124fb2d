"""Where the content of a web page is, and what around it is not content.

What belongs here: choosing the main content of an HTML tree, and recognising navigation, banners,
footers, hidden elements and tables that only arrange the page. What does not: turning elements into
blocks (`html`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import Tag

NEVER_TEXT = frozenset({
    "script", "style", "template", "noscript", "svg", "canvas", "iframe", "object", "embed", "audio",
    "video", "button", "input", "select", "textarea", "datalist", "map", "head", "meta", "link", "title",
    "noframes",
})  # fmt: skip
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
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_MAY_HAVE_MAIN = re.compile(r"<(?:main|article)\b|role\s*=\s*[\"']?main", re.I)

_ENOUGH_CHARACTERS = 500
_ENOUGH_SHARE = 0.2
_DESCEND_SHARE = 0.8
_LINK_LIST_SHARE = 0.75
_LINK_LIST_LINKS = 4
_BLOCKS_OF_LAYOUT = ["p", "h1", "h2", "h3", "h4", "pre", "ul", "ol", "article", "section", "blockquote"]
_LAYOUT_CELL_CHARACTERS = 600
_CONTAINERS = frozenset({
    "div", "section", "form", "center", "table", "tbody", "tr", "td", "font", "span", "body",
})  # fmt: skip
_LINK_LIST_TAGS = frozenset({"div", "section", "ul", "ol", "table", "td", "aside"})


def is_hidden(tag: Tag) -> bool:
    """Whether a browser would not show the element, by its own attributes."""
    attributes = tag.attrs
    if not attributes:
        return False
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    style = attributes.get("style")
    return style is not None and _HIDDEN_STYLE.search(str(style)) is not None


def is_furniture(tag: Tag) -> bool:
    """Whether the element is navigation, a banner, a footer or the like, by its name, role or class.

    An element that holds the page's article or first heading is not, whatever it is called.
    """
    name = tag.name
    if name in _FURNITURE_TAGS:
        return name != "footer" or tag.parent is None or tag.parent.name != "blockquote"
    if name == "header":
        return tag.find(["h1", "h2", "h3", "h4", "h5", "h6"]) is None
    attributes = tag.attrs
    if not attributes:
        return False
    if attributes.get("role") in _FURNITURE_ROLES:
        return True
    words = [*(tag.get_attribute_list("class") if "class" in attributes else ()), attributes.get("id")]
    return any(word and _FURNITURE_CLASS.fullmatch(str(word)) for word in words) and not tag.find(
        ["main", "article", "h1"]
    )


def is_layout(table: Tag) -> bool:
    """Whether the table only arranges a page, so that its cells are to be read one after the other."""
    if table.get("role") in ("presentation", "none"):
        return True
    if table.find(["th", "caption", "thead"]):
        return False
    rows = table.find_all("tr", limit=200)
    if all(len(row.find_all(["td", "th"], recursive=False)) <= 1 for row in rows):
        return True
    if table.find("table"):
        return True
    return table.find(_BLOCKS_OF_LAYOUT) is not None and len(
        table.get_text(strip=True)
    ) > _LAYOUT_CELL_CHARACTERS * max(len(rows), 1)


def main_content(soup: BeautifulSoup, markup: str) -> tuple[list[Tag], frozenset[int]]:
    """The elements that hold the content, in order, and the `id()` of elements in them to leave out.

    ``<main>`` or ``role=main`` if there is one, else the outermost ``<article>`` elements, where they
    hold enough of the text; else the innermost element that holds most of the text outside links,
    without the lists of links in it.
    """
    body = soup.body or soup
    if _MAY_HAVE_MAIN.search(markup):
        found = soup.find_all("main") or soup.find_all(role="main") or soup.find_all("article")
        roots = _outermost(list(found))
        if roots and roots[0].name != "article":
            roots = [max(roots, key=lambda root: len(root.get_text()))]
        length = sum(len(root.get_text(strip=True)) for root in roots)
        if length >= _ENOUGH_CHARACTERS or length > _ENOUGH_SHARE * len(body.get_text(strip=True)):
            return roots, frozenset()
    return _densest(body)


def _outermost(tags: list[Tag]) -> list[Tag]:
    """`tags`, given in document order, without those that lie inside another."""
    kept: list[Tag] = []
    inside: set[int] = set()
    for tag in tags:
        if id(tag) not in inside:
            kept.append(tag)
            inside.update(id(inner) for inner in tag.find_all(tag.name))
    return kept


def _densest(body: Tag) -> tuple[list[Tag], frozenset[int]]:
    from bs4.element import Tag

    text, links = _text_lengths(body)

    def weight(tag: Tag) -> int:
        return text.get(id(tag), 0) - links.get(id(tag), 0)

    root = body
    while True:
        children = [child for child in root.contents if isinstance(child, Tag) and id(child) in text]
        best = max(children, key=weight, default=None)
        if best is None or best.name not in _CONTAINERS or weight(best) < _DESCEND_SHARE * weight(root):
            break
        if best.name == "table" and not is_layout(best):
            break
        if any(child is not best and _has_top_heading(child) for child in children):
            break
        root = best
    whole = text.get(id(root), 0)
    left_out = {
        id(tag)
        for tag in root.find_all(list(_LINK_LIST_TAGS))
        if links.get(id(tag), 0) > _LINK_LIST_SHARE * text.get(id(tag), 0)
        and text.get(id(tag), 0) < whole / 2
        and len(tag.find_all("a", limit=_LINK_LIST_LINKS)) == _LINK_LIST_LINKS
    }
    return [root], frozenset(left_out)


def _has_top_heading(tag: Tag) -> bool:
    return tag.name in ("h1", "h2") or tag.find(["h1", "h2"]) is not None


def _text_lengths(root: Tag) -> tuple[dict[int, int], dict[int, int]]:
    """Characters of text, and of text inside links, below each visible element, by its `id()`."""
    from bs4.element import NavigableString, Tag

    text: dict[int, int] = {}
    links: dict[int, int] = {}
    stack = [(root, iter(root.contents))]
    text[id(root)] = links[id(root)] = 0
    while stack:
        tag, children = stack[-1]
        for child in children:
            if type(child) is NavigableString:
                text[id(tag)] += len(child.strip())
            elif isinstance(child, Tag) and child.name not in NEVER_TEXT:
                if is_hidden(child) or is_furniture(child):
                    continue
                text[id(child)] = links[id(child)] = 0
                stack.append((child, iter(child.contents)))
                break
        else:
            stack.pop()
            if stack:
                parent = id(stack[-1][0])
                text[parent] += text[id(tag)]
                links[parent] += text[id(tag)] if tag.name == "a" else links[id(tag)]
    return text, links
