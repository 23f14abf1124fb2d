"""What of an HTML tree a reader sees, and what is taken out of the tree before it is read.

What belongs here: elements that are never shown, hidden elements, and those hidden ones that a click shows
(accordions, tabs, collapsed sections), which are text like any other. What does not: content that is shown
and not wanted (`boilerplate`), and the rules of style sheets (`style_sheets`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag_pipelines.parsing.html.style_sheets import StyleSheets, sheets_of
from rag_pipelines.parsing.html.tree import tree_of

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import PageElement, Tag

_NEVER_SHOWN = frozenset({
    "audio", "canvas", "datalist", "desc", "head", "map", "metadata", "noframes", "noscript", "rp", "script",
    "style", "template", "title", "video",
})  # fmt: skip
_HIDES_WORDS = frozenset({"noscript", "template", "noframes"})
"""Of what is never shown, these hold text that was written for readers."""

_DISPLAY = re.compile(r"(?<![\w-])(?:display|visibility)\s*:\s*([a-z-]+)", re.I)
_HIDDEN_VALUES = frozenset({"none", "hidden", "collapse"})
_PANEL_CLASS = re.compile(
    r"(?:.*[-_])?(?:accordion|collaps(?:e|ible)|expand(?:er|able)|toggle|faq|tabs?|pane|panel)"
    r"(?:[-_]?(?:pane|panel|body|content|collapse|section|answer|item))*",
    re.I,
)
_DECORATION_CLASS = re.compile(
    r"(?:.*[-_])?(?:icons?|glyphicon|fa|fas|far|fab|material-icons|katex-html|slick-cloned)(?:[-_].*)?", re.I
)
_IN_LINE = frozenset({
    "a", "abbr", "b", "button", "code", "del", "em", "font", "ins", "label", "mark", "s", "small", "span",
    "strong", "sub", "sup", "td", "th", "time", "u",
})  # fmt: skip
"""What pages hide from assistive technology alone; larger parts they hide from everybody at once."""

_REFERRING = ("aria-controls", "data-target", "data-bs-target", "data-toggle-target")
_CONDITIONAL = frozenset({"dialog", "iframe"})
_TELLING = frozenset({"aria-hidden", "data-toggle", "hidden", "popover", "role", "style", *_REFERRING})
"""The attributes that decide what is shown."""


def take_out_hidden(soup: BeautifulSoup) -> str:
    """Remove from a tree what no reader sees; returns the words of it that were written for readers.

    What stands in a frame as its own document (``srcdoc``) and in an open shadow tree becomes a part of the
    page. Linear in the size of the tree, however deep it is. An element's own attributes go before the style
    sheets of the page.
    """
    from bs4.element import Tag

    unseen: list[Tag] = []
    sheets: list[Tag] = []
    controlled: set[str] = set()
    element: PageElement | None = next(iter(soup.contents), None)
    while element is not None:
        if isinstance(element, Tag):
            name, attributes = element.name, element.attrs
            if name in _NEVER_SHOWN or name in _CONDITIONAL or not _TELLING.isdisjoint(attributes):
                _read_attributes(element, controlled)
                if element.name in _NEVER_SHOWN or is_hidden(element):
                    unseen.append(element)
                if name == "style":
                    sheets.append(element)
        element = element.next_element
    if (rules := sheets_of(sheets)) is not None:
        unseen = _with_hidden_by(rules, soup, unseen)
    words: list[str] = []
    for tag in reversed(unseen):
        if tag.name not in _NEVER_SHOWN and _is_panel(tag, controlled):
            continue
        if tag.name not in _NEVER_SHOWN or tag.name in _HIDES_WORDS:
            words.append(tag.get_text(" "))
        tag.extract()
    return " ".join(words)


def _with_hidden_by(rules: StyleSheets, soup: BeautifulSoup, unseen: list[Tag]) -> list[Tag]:
    """`unseen` with the elements that rules hide, in the order of the tree."""
    known = {id(tag) for tag in unseen}
    return [
        tag
        for tag in soup.find_all(True)
        if id(tag) in known or (not _DISPLAY.search(str(tag.attrs.get("style", ""))) and rules.hides(tag))
    ]


def is_hidden(tag: Tag) -> bool:
    """Whether a browser shows nothing of the element at first, by its own attributes."""
    attributes = tag.attrs
    if not attributes:
        return tag.name == "dialog"
    if "hidden" in attributes and str(attributes["hidden"]).lower() != "until-found":
        return True
    if "popover" in attributes or (tag.name == "dialog" and "open" not in attributes):
        return True
    style = attributes.get("style")
    if style is not None and _hides(str(style)):
        return True
    return attributes.get("aria-hidden") == "true" and _is_hidden_from_all(tag)


def _hides(style: str) -> bool:
    last = {
        found[0].partition(":")[0].strip().lower(): found[1].lower() for found in _DISPLAY.finditer(style)
    }
    return not _HIDDEN_VALUES.isdisjoint(last.values())


def _is_hidden_from_all(tag: Tag) -> bool:
    """Whether what is hidden from assistive technology is hidden, a decoration or a double as well."""
    if tag.name not in _IN_LINE or _has_class(tag, _DECORATION_CLASS):
        return True
    text = tag.string
    return text is not None and not any(character.isalnum() for character in text)


def _is_panel(tag: Tag, controlled: set[str]) -> bool:
    """Whether a click elsewhere on the page shows the hidden element."""
    if tag.name == "dialog" or "popover" in tag.attrs:
        return False
    if tag.get("role") == "tabpanel" or str(tag.get("id")) in controlled or _has_class(tag, _PANEL_CLASS):
        return True
    before = tag.find_previous_sibling()
    return before is not None and (
        "aria-expanded" in before.attrs
        or before.find(True, {"aria-expanded": True}, recursive=False) is not None
    )


def _has_class(tag: Tag, pattern: re.Pattern[str]) -> bool:
    return "class" in tag.attrs and any(
        name and pattern.fullmatch(name) for name in tag.get_attribute_list("class")
    )


def _read_attributes(tag: Tag, controlled: set[str]) -> None:
    """Note which elements `tag` shows on a click, and open it if it holds a part of the page elsewhere."""
    attributes = tag.attrs
    for name in _REFERRING:
        if name in attributes:
            controlled.update(target.lstrip("#") for target in str(attributes[name]).split())
    if attributes.get("role") == "tab" or attributes.get("data-toggle") in ("collapse", "tab", "pill"):
        controlled.add(str(attributes.get("href") or "").lstrip("#"))
    if tag.name == "template" and ("shadowrootmode" in attributes or "shadowroot" in attributes):
        tag.name = "div"
    elif tag.name == "iframe":
        _open_frame(tag)


def _open_frame(frame: Tag) -> None:
    """Put the document that a frame holds in an attribute in its place; what else it holds is not shown."""
    frame.clear()
    markup = frame.attrs.pop("srcdoc", None)
    inner = tree_of(str(markup)) if markup else None
    if inner is not None:
        for nested in inner.find_all("iframe", srcdoc=True):
            del nested["srcdoc"]
        frame.name = "div"
        frame.extend(list((inner.body or inner).contents))
