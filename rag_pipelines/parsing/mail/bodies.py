"""The texts of a message: which of its alternatives is shown, and their turning into blocks.

What belongs here: what a reader sees of the parts of a body (RFC 2046, 5.1.3 and 5.1.4), quotes and
wrapped lines of plain text. What does not: finding the parts (`eml`, `msg`), what is around the texts
(`message`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.account import count_words
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.html.parse import add_tree
from rag_pipelines.parsing.html.text import text_of
from rag_pipelines.parsing.html.tree import tree_of
from rag_pipelines.parsing.html.visibility import take_out_hidden
from rag_pipelines.parsing.links import unlinked
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.markup.text import Paragraphs

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

_FORWARDED = re.compile(
    r"^[ \t]*-{2,}[ \t]*(?:original message|forwarded message|ursprüngliche nachricht)", re.I | re.M
)
_QUOTED_LINE = re.compile(r"^[ \t]*>[ \t>]?")
_QUOTES = re.compile(r">*")
_BLANK_LINES = re.compile(r"\n\s*\n")
_ADDRESS = re.compile(r"<?https?://\S+")

_ENOUGH_WORDS = 0.25
"""A richer alternative with less than this share of the words of a plainer one says something else (that the
mail is a picture, say), and the plainer one is read."""


@dataclass
class Text:
    """One part that is shown, as plain text or as HTML."""

    text: str
    is_html: bool = False

    @cached_property
    def page(self) -> tuple[BeautifulSoup | None, str]:
        """The tree of an HTML part without what is hidden, and the words that were hidden."""
        tree = tree_of(self.text) if self.is_html else None
        return tree, take_out_hidden(tree) if tree is not None else ""

    def shown(self) -> str:
        """The words that a reader sees, in no particular form; addresses in plain text do not count."""
        tree, _ = self.page
        if tree is None:
            return "" if self.is_html else _ADDRESS.sub("", self.text)
        return unlinked(text_of(tree.body or tree, images=False))

    def everything(self) -> str:
        """All words of the part, with those that are hidden and with addresses."""
        return f"{self.shown()}\n{self.page[1]}" if self.is_html else self.text


@dataclass
class Alternatives:
    """The same text in several forms, of which one is shown; each is what stands in one part, in order."""

    choices: list[list[Shown]] = field(default_factory=list)

    def chosen(self) -> list[Shown]:
        """The richest choice that says as much as the others; HTML is richer, then what comes later."""
        if len(self.choices) < 2:
            return self.choices[0] if self.choices else []
        counts = [sum(count_words(text.shown()) for text in texts_of(choice)) for choice in self.choices]
        enough = _ENOUGH_WORDS * max(counts)
        return max(
            (
                (any(text.is_html for text in texts_of(choice)), number, choice)
                for number, choice in enumerate(self.choices)
                if counts[number] >= enough
            ),
            key=lambda ranked: ranked[:2],
        )[2]


Shown = Text | Alternatives


def texts_of(parts: Iterable[Shown]) -> Iterator[Text]:
    """The texts that are shown of some parts, in order."""
    for part in parts:
        if isinstance(part, Text):
            yield part
        else:
            yield from texts_of(part.chosen())


def every_text(parts: Iterable[Shown]) -> Iterator[Text]:
    """All texts of some parts, those of all alternatives too."""
    for part in parts:
        if isinstance(part, Text):
            yield part
        else:
            for choice in part.choices:
                yield from every_text(choice)


def add_bodies(builder: DocumentBuilder, parts: Iterable[Shown]) -> None:
    """Add the texts of a message; the words of the alternatives that are not shown are left out."""
    for part in parts:
        if isinstance(part, Alternatives):
            chosen = part.chosen()
            for choice in part.choices:
                if choice is not chosen:
                    everything = "\n".join(text.everything() for text in every_text(choice))
                    builder.leave_out(LeftOut.ALTERNATIVE, everything)
            add_bodies(builder, chosen)
        elif part.is_html:
            tree, hidden = part.page
            builder.leave_out(LeftOut.HIDDEN, hidden)
            if tree is not None:
                add_tree(builder, tree)
        else:
            _add_plain(builder, part.text)


def unflow(text: str, *, delete_space: bool) -> str:
    """`text` sent as format=flowed with its soft line breaks undone (RFC 3676, section 4).

    Args:
        delete_space: the part says DelSp=yes, so the space that marks a soft break is no part of the text.
    """
    lines: list[str] = []
    flowing: int | None = None
    for line in text.replace("\r\n", "\n").split("\n"):
        quotes = _QUOTES.match(line)
        depth = quotes.end() if quotes else 0
        content = line[depth:].removeprefix(" ")
        if flowing == depth and content != "-- ":
            lines[-1] += content
        else:
            lines.append(f"{'>' * depth} {content}" if depth else content)
        soft = content.endswith(" ") and content != "-- "
        if soft and delete_space:
            lines[-1] = lines[-1][:-1]
        flowing = depth if soft else None
    return "\n".join(lines)


def _add_plain(builder: DocumentBuilder, text: str) -> None:
    """Add a plain text: quoted lines and what follows a forwarding line as quotes, the rest as text."""
    text = text.replace("\r\n", "\n")
    forwarded = _FORWARDED.search(text)
    end = forwarded.start() if forwarded else len(text)
    own: list[str] = []
    quoted: list[str] = []
    for line in [*text[:end].split("\n"), None]:
        is_quoted = line is not None and _QUOTED_LINE.match(line) is not None
        if own and (line is None or is_quoted):
            _add_text(builder, own)
            own = []
        if quoted and not is_quoted:
            _add_quote(builder, "\n".join(quoted))
            quoted = []
        if line is not None:
            (quoted if is_quoted else own).append(_QUOTED_LINE.sub("", line) if is_quoted else line)
    _add_quote(builder, text[end:])


def _add_text(builder: DocumentBuilder, lines: Iterable[str]) -> None:
    paragraphs = Paragraphs(builder, unwrap=True)
    for line in lines:
        paragraphs.add(line)
    paragraphs.flush()


def _add_quote(builder: DocumentBuilder, text: str) -> None:
    for paragraph in _BLANK_LINES.split(text):
        builder.add(BlockKind.QUOTE, paragraph)
