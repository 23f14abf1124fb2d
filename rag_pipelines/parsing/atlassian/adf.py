"""Atlassian Document Format (ADF) as HTML, of which `html` makes blocks.

What belongs here: the nodes of ADF, and what a reader sees of each. What does not: lists, tables and
quotes as blocks (`html`), the issue or page around a document (`jira_issue`).

The nodes are those of https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/.
Marks change how text looks and not what it says, so all but superscripts and links are left out.
A node that is not known is kept as the text below it, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

from rag_pipelines.text.canonical import clean


class Tags(NamedTuple):
    """What stands in front of the content of a node, and behind it."""

    opening: str
    closing: str = ""


def to_html(root: Any, counters: Counter[str]) -> str:
    """The HTML of an ADF document, or of any of its nodes.

    It never fails: what is not of the documented type is taken as absent, and text is kept wherever it
    stands. Extensions and unknown nodes are counted as ``extensions`` and ``unknown_nodes``, mended
    characters as by `clean`. The tree is walked without recursion, because nothing bounds its depth.
    """
    parts: list[str] = []
    stack: list[tuple[Iterator[Any], str | None, str]] = [(iter([root]), None, "")]
    while stack:
        siblings, place, closing = stack[-1]
        for child in siblings:
            node = _Node(child, counters)
            tags = _place_tags(node, place)
            parts += tags.opening, node.text
            stack.append((iter(node.content), _PLACES.get(node.kind), tags.closing))
            break
        else:
            parts.append(closing)
            stack.pop()
    return "".join(parts)


class _Node:
    """One node of whatever type its parts are. A string in the place of a node is a node of text."""

    def __init__(self, value: Any, counters: Counter[str]) -> None:
        self._value = value if isinstance(value, dict) else {"type": "text", "text": value}
        attributes = self._value.get("attrs")
        self._attributes = attributes if isinstance(attributes, dict) else {}
        self.kind = str(self._value.get("type"))
        self.counters = counters

    @property
    def content(self) -> list[Any]:
        content = self._value.get("content")
        if isinstance(content, list):
            return content
        return [content] if isinstance(content, dict | str) else []

    @property
    def text(self) -> str:
        return self._escape(self._value.get("text"))

    @property
    def is_superscript(self) -> bool:
        return {"type": "subsup", "attrs": {"type": "sup"}} in self._marks

    @property
    def target(self) -> str:
        """Where the text leads, if it is that of a link; escaped."""
        links = (mark for mark in self._marks if isinstance(mark, dict) and mark.get("type") == "link")
        return next((_Node(mark, self.counters).attribute("href") for mark in links), "")

    @property
    def _marks(self) -> list[Any]:
        marks = self._value.get("marks")
        return marks if isinstance(marks, list) else []

    def attribute(self, *names: str) -> str:
        """The first of these attributes that is text or a number, escaped."""
        return next(filter(None, (self._escape(self._attributes.get(name)) for name in names)), "")

    def link_attribute(self, *names: str) -> str:
        """The first of these attributes of the JSON-LD object that a card may hold in place of a URL."""
        data = self._attributes.get("data")
        return _Node({"attrs": data}, self.counters).attribute(*names)

    def _escape(self, value: Any) -> str:
        return escape(clean(str(value), self.counters)) if isinstance(value, str | int | float) else ""


def _place_tags(node: _Node, place: str | None) -> Tags:
    """The tags of a node, such that nothing stands in a list or table but what HTML has there.

    `place` is the list or table, if any, directly above the node.
    """
    own_place = _BELONGS_IN.get(node.kind)
    if own_place not in (None, place):
        tags = Tags("<div>", "</div>")
    else:
        tags = _READERS.get(node.kind, _unknown)(node)
    if place is None or own_place == place or (place == "list" and _PLACES.get(node.kind) == "list"):
        return tags
    before, behind = _WRAPPERS[place]
    return Tags(before + tags.opening, tags.closing + behind)


_PLACES = {
    **dict.fromkeys(("bulletList", "orderedList", "taskList", "decisionList"), "list"),
    "table": "table",
    "tableRow": "row",
}
_BELONGS_IN = {
    **dict.fromkeys(("listItem", "taskItem", "blockTaskItem", "decisionItem"), "list"),
    "tableRow": "table",
    **dict.fromkeys(("tableHeader", "tableCell"), "row"),
}
_WRAPPERS = {
    "list": ("<li>", "</li>"),
    "table": ("<tr><td>", "</td></tr>"),
    "row": ("<td>", "</td>"),
}


def _always(opening: str, closing: str = "") -> Callable[[_Node], Tags]:
    tags = Tags(opening, closing)
    return lambda node: tags


def _text(node: _Node) -> Tags:
    tags = Tags("<sup>", "</sup>") if node.is_superscript else Tags("")
    if target := node.target:
        return Tags(f'<a href="{target}">{tags.opening}', f"{tags.closing}</a>")
    return tags


def _show_attribute(*names: str) -> Callable[[_Node], Tags]:
    """A node that a reader sees as the first of these attributes that it has."""
    return lambda node: Tags(node.attribute(*names))


def _box_with_title(node: _Node) -> Tags:
    title = node.attribute("title")
    return Tags(f"<div><div>{title}</div>", "</div>")


def _heading(node: _Node) -> Tags:
    return Tags(f'<div role="heading" aria-level="{node.attribute("level")}">', "</div>")


def _ordered_list(node: _Node) -> Tags:
    return Tags(f'<ol start="{node.attribute("order")}">', "</ol>")


def _task(node: _Node) -> Tags:
    return Tags("<li>[x] " if node.attribute("state") == "DONE" else "<li>[ ] ", "</li>")


def _code(node: _Node) -> Tags:
    return Tags(f'<pre data-language="{node.attribute("language")}"><code>', "</code></pre>")


def _cell(node: _Node) -> Tags:
    element = "th" if node.kind == "tableHeader" else "td"
    spans = f'colspan="{node.attribute("colspan")}" rowspan="{node.attribute("rowspan")}"'
    return Tags(f"<{element} {spans}>", f"</{element}>")


def _date(node: _Node) -> Tags:
    """The day of a timestamp in milliseconds since 1970, which is midnight in UTC."""
    timestamp = node.attribute("timestamp")
    try:
        return Tags(datetime.fromtimestamp(int(timestamp) / 1000, UTC).date().isoformat())
    except (ValueError, OverflowError, OSError):
        return Tags(timestamp)


def _card(node: _Node) -> Tags:
    text = node.attribute("url") or node.link_attribute("name", "url")
    if target := node.attribute("url") or node.link_attribute("url"):
        text = f'<a href="{target}">{text}</a>'
    return Tags(text) if node.kind == "inlineCard" else Tags(f"<div>{text}", "</div>")


def _media(node: _Node) -> Tags:
    return Tags(f'<img alt="{node.attribute("alt", "__fileName", "url")}">')


def _extension(node: _Node) -> Tags:
    node.counters["extensions"] += 1
    text = node.attribute("text")
    return Tags(text) if node.kind == "inlineExtension" else Tags(f"<div>{text}", "</div>")


def _unknown(node: _Node) -> Tags:
    node.counters["unknown_nodes"] += 1
    text = node.attribute("text", "title", "url")
    return Tags(f"<div>{text}", "</div>") if node.content else Tags(text)


_READERS: dict[str, Callable[[_Node], Tags]] = {
    "doc": _always(""),
    "text": _text,
    **dict.fromkeys(("paragraph", "panel", "layoutSection", "layoutColumn"), _always("<div>", "</div>")),
    **dict.fromkeys(("mediaSingle", "mediaGroup", "extensionFrame"), _always("<div>", "</div>")),
    **dict.fromkeys(("bulletList", "taskList", "decisionList"), _always("<ul>", "</ul>")),
    **dict.fromkeys(("listItem", "decisionItem"), _always("<li>", "</li>")),
    **dict.fromkeys(("taskItem", "blockTaskItem"), _task),
    **dict.fromkeys(("expand", "nestedExpand"), _box_with_title),
    **dict.fromkeys(("tableHeader", "tableCell"), _cell),
    **dict.fromkeys(("inlineCard", "blockCard", "embedCard"), _card),
    **dict.fromkeys(("media", "mediaInline"), _media),
    **dict.fromkeys(("extension", "bodiedExtension", "multiBodiedExtension", "inlineExtension"), _extension),
    **dict.fromkeys(("status", "placeholder"), _show_attribute("text")),
    "heading": _heading,
    "orderedList": _ordered_list,
    "codeBlock": _code,
    "blockquote": _always("<blockquote>", "</blockquote>"),
    "caption": _always("<figcaption>", "</figcaption>"),
    "rule": _always("<hr>"),
    "table": _always("<table>", "</table>"),
    "tableRow": _always("<tr>", "</tr>"),
    "mention": _show_attribute("text", "id"),
    "emoji": _show_attribute("text", "shortName"),
    "date": _date,
    "hardBreak": _always("<br>"),
}
