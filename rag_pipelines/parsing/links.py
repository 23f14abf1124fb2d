"""Links: how a parser writes them into the text of a block, and how they come out of it again.

What belongs here: the marks, which targets are kept, and the one form of a link in text. What does not: where
a format has its links (its own module), and what the places of a document are called (`builder`).

A parser that meets a link writes `linked(text, target)`, or `LINK` and later `end_of_link(target)`; where
something may be linked to, `anchor(name)`. The builder takes these marks out of every text it is given. They
are noncharacters (Unicode 17.0, section 23.7), which no text has for a reader; those of a document itself go
with them.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin

from rag_pipelines.model import Link
from rag_pipelines.text.canonical import one_line

LINK = "\ufdd0"
"""Where the text of a link begins."""

_TARGET, _END, _ANCHOR, _SPACE = "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"
_MARKS = re.compile("[\ufdd0-\ufdd4]")
_MARKED = re.compile("\ufdd1([^\ufdd0-\ufdd3]*)\ufdd2|\ufdd3([^\ufdd0-\ufdd3]*)\ufdd2|[\ufdd0-\ufdd4]")

_BLANKS_AROUND = re.compile("(?<=\\s)((?:\ufdd0|[\ufdd1\ufdd3][^\ufdd0-\ufdd3]*\ufdd2)+)[ \t]+")

_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=:)", re.IGNORECASE)
_NO_PLACES = frozenset({"javascript", "vbscript", "data", "blob", "about"})
"""Schemes of targets that are code or content, no place to go to."""


class Unmarked(NamedTuple):
    """A text without its marks.

    `links` are those inside it, in order, without doubles. `open` are targets of links that began before it.
    """

    text: str
    links: tuple[Link, ...] = ()
    open: tuple[str, ...] = ()
    anchors: tuple[str, ...] = ()


def linked(text: str, target: str | None) -> str:
    """`text` as the text of a link to `target`; without a target just `text`."""
    return f"{LINK}{text}{end_of_link(target)}" if target else text


def end_of_link(target: str) -> str:
    """What ends a link that `LINK` began. Control characters and blanks around it are not of a target."""
    return _mark(_TARGET, _UNSEEN.sub("", target))


def anchor(name: str) -> str:
    """The mark of a place that links of the same document reach as ``#name``."""
    return _mark(_ANCHOR, name)


def _mark(kind: str, text: str) -> str:
    return f"{kind}{_MARKS.sub('', text).strip().replace(' ', _SPACE)}{_END}"


def without_double_blanks(text: str) -> str:
    """`text` without the blanks behind a mark that has one before it: a reader sees one of both."""
    return text if text.isascii() else _BLANKS_AROUND.sub(r"\1", text)


def unlinked(text: str) -> str:
    """`text` without marks, for whoever looks at it before the builder does."""
    return text if text.isascii() else _MARKED.sub("", text)


def unmark(text: str, *, base: str | None = None, written: bool = False) -> Unmarked:
    """The text, links and anchors of a marked text.

    Args:
        text: what a parser gave.
        base: the address that relative targets are relative to.
        written: whether the text names the targets: "the handbook (https://acme.example/handbook)".
    """
    if text.isascii() or not _MARKS.search(text):
        return Unmarked(text)
    kept, position = "", 0
    began: int | None = None
    ended = 0
    links: dict[Link, None] = {}
    open_targets: list[str] = []
    anchors: list[str] = []
    for mark in _MARKED.finditer(text):
        kept += text[position : mark.start()]
        position = mark.end()
        if mark[0] == LINK:
            began = len(kept)
        elif mark[2]:
            anchors.append(mark[2].replace(_SPACE, " "))
        elif mark[1] is not None:
            target = address(mark[1].replace(_SPACE, " "), base)
            shown = one_line(kept[ended if began is None else began :])
            if target and shown:
                links[Link(shown, target)] = None
                if written:
                    kept = _with_address(kept, shown, target)
            elif target and began is None and not kept.strip():
                open_targets.append(target)
            began, ended = None, len(kept)
    return Unmarked(kept + text[position:], tuple(links), tuple(open_targets), tuple(anchors))


def address(target: str, base: str | None = None) -> str:
    """`target` as it can be followed, "" where it leads nowhere; a place of the document stays as it is."""
    scheme = _SCHEME.match(target)
    if scheme and scheme[0].lower() in _NO_PLACES:
        return ""
    if scheme or not base or target.startswith("#"):
        return "" if target == "#" else target
    try:
        return urljoin(base, target)
    except ValueError:
        return target


def _with_address(text: str, shown: str, target: str) -> str:
    """`text`, which ends with a link, followed by its address where what is shown does not say it."""
    without_scheme = target.partition(":")[2].strip("/") or target
    if target.startswith("#") or without_scheme in shown:
        return text
    end = len(text.rstrip())
    return f"{text[:end]} ({target}){text[end:]}"
