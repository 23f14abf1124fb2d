"""The text inside one HTML element: as one line, or as preformatted code.

What belongs here: collecting strings below an element of a tree from which what is hidden has been taken
out (`visibility`). What does not: the order of blocks (`parse`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_pipelines.parsing.html.numbering import Numbering
from rag_pipelines.parsing.html.replaced import REPLACED
from rag_pipelines.parsing.links import LINK, anchor, end_of_link
from rag_pipelines.text.canonical import one_line
from rag_pipelines.text.superscripts import Line

if TYPE_CHECKING:
    from bs4.element import PageElement, Tag

BLOCK_TAGS = frozenset({
    "address", "article", "aside", "body", "center", "details", "div", "dd", "dl", "dt", "fieldset",
    "figure", "footer", "form", "header", "hgroup", "hr", "html", "legend", "main", "nav", "optgroup",
    "option", "p", "section", "summary", "tr", "td", "th", "tbody", "thead", "tfoot", "caption",
})  # fmt: skip
AROUND = {"button": (" ", " "), "label": (" ", " "), "q": ("“", "”"), "rt": ("(", ")")}
"""What stands before and behind the text of elements that set it apart in a line."""

_PERMALINK_CLASSES = frozenset({"headerlink", "header-anchor", "anchorjs-link", "hash-link", "permalink"})
_RAISED_STYLE = re.compile(r"vertical-align\s*:\s*super\b", re.I)
_LINE_NUMBER_CLASSES = frozenset({"linenos", "lineno", "linenodiv", "gutter", "line-numbers-rows"})
_LANGUAGE_CLASS = re.compile(
    r"(?:language|lang|highlight|highlight-source|brush:?|src|sourceCode)-?:?\s*([\w+#.-]+)"
)
_NO_LANGUAGE = frozenset(
    {"none", "text", "plain", "plaintext", "default", "notranslate", "highlight", "sourcecode"}
)


def text_types() -> frozenset[type]:
    """The types of the strings in a tree that are shown; scripts, styles and comments are others."""
    from bs4.element import NavigableString, RubyTextString, TemplateString

    return frozenset({NavigableString, RubyTextString, TemplateString})


def text_of(tag: Tag, *, images: bool = True) -> str:
    """All text below an element as one line, with the texts that stand for images if wanted."""
    from bs4.element import Tag

    types = text_types()
    line = Line()
    numberings: dict[int, Numbering] = {}
    stack: list[tuple[Iterator[PageElement], Tag]] = [(iter(tag.contents), tag)]
    while stack:
        children, parent = stack[-1]
        for child in children:
            if type(child) in types:
                line.add(str(child))
            elif isinstance(child, Tag):
                name = child.name
                if name in REPLACED:
                    line.add(f" {REPLACED[name](child)} " if images or name != "img" else " ")
                elif not (name == "a" and is_permalink(child)):
                    if name in BLOCK_TAGS or name in ("br", "li", "table"):
                        line.add(" ")
                    if place := anchor_of(child):
                        line.add(anchor(place))
                    begin_inline(line, child)
                    if name == "ol":
                        numberings[id(child)] = Numbering(child)
                    elif name == "li" and (numbering := numberings.get(id(parent))):
                        line.add(numbering.number(child))
                    stack.append((iter(child.contents), child))
                    break
        else:
            stack.pop()
            if stack:
                end_inline(line, parent)
    return one_line(line.take())


def begin_inline(line: Line, tag: Tag) -> None:
    """Begin a superscript, a link or what is set apart in a line, where the element is one."""
    if tag.name in AROUND:
        line.add(AROUND[tag.name][0])
    elif is_raised(tag):
        line.begin_raised()
    if target_of(tag):
        line.add(LINK)


def end_inline(line: Line, tag: Tag) -> None:
    """End what `begin_inline` began."""
    if target := target_of(tag):
        line.add(end_of_link(target))
    if tag.name in AROUND:
        line.add(AROUND[tag.name][1])
    elif is_raised(tag):
        line.end_raised(note=is_note(tag))


def is_raised(tag: Tag) -> bool:
    """Whether the element is a superscript, by its name, its style or because it is the mark of a note."""
    if tag.name == "sup":
        return tag.parent is None or not _is_note_link(tag.parent)
    attributes = tag.attrs
    if not attributes:
        return False
    if tag.name == "a" and _is_note_link(tag):
        return tag.parent is None or tag.parent.name != "sup"
    style = attributes.get("style")
    return style is not None and _RAISED_STYLE.search(str(style)) is not None


def is_note(tag: Tag) -> bool:
    """Whether a superscript is known to be the mark of a note: it is, or holds, a link to the note."""
    from bs4.element import Tag

    return _is_note_link(tag) or any(
        isinstance(child, Tag)
        and child.name == "a"
        and (_is_note_link(child) or str(child.get("href") or "").startswith("#"))
        for child in tag.contents
    )


def _is_note_link(tag: Tag) -> bool:
    """Whether the element is a link that says of itself, in the way of e-books, that it leads to a note."""
    attributes = tag.attrs
    return (
        tag.name == "a"
        and bool(attributes)
        and (attributes.get("epub:type") == "noteref" or attributes.get("role") == "doc-noteref")
    )


def target_of(tag: Tag) -> str:
    """Where a link leads; "" for what is none."""
    return str(tag.get("href") or "") if tag.name == "a" else ""


def anchor_of(tag: Tag) -> str:
    """The name under which links reach an element; "" where it has none."""
    return str(tag.get("id") or (tag.name == "a" and tag.get("name")) or "")


def verbatim(pre: Tag) -> str:
    """The text of preformatted code as written, without line numbers and buttons."""
    from bs4.element import Tag

    types = text_types()
    parts: list[str] = []
    stack = [iter(pre.contents)]
    while stack:
        for child in stack[-1]:
            if type(child) in types:
                parts.append(str(child))
            elif isinstance(child, Tag):
                if child.name == "br":
                    parts.append("\n")
                elif child.name != "button" and _LINE_NUMBER_CLASSES.isdisjoint(
                    child.get_attribute_list("class")
                ):
                    stack.append(iter(child.contents))
                    break
        else:
            stack.pop()
    return "".join(parts)


def code_language(pre: Tag) -> str | None:
    """The language that the class of the code, or of what wraps it, names."""
    inner = pre.find("code")
    wrappers = [tag for tag in (pre.parent, pre.parent and pre.parent.parent) if tag is not None]
    for tag in (inner, pre, *wrappers):
        if tag is None:
            continue
        declared = tag.get("data-lang") or tag.get("data-language")
        if declared:
            return str(declared).lower()
        for word in tag.get_attribute_list("class"):
            match = _LANGUAGE_CLASS.fullmatch(word or "")
            if match and match[1].lower() not in _NO_LANGUAGE:
                return match[1].lower()
    return None


def is_permalink(tag: Tag) -> bool:
    return "class" in tag.attrs and not _PERMALINK_CLASSES.isdisjoint(tag.get_attribute_list("class"))
