"""What a document says of itself beside its title and headings, for the front of its chunks.

What belongs here: choosing short lines that a chunk in the middle of the document has lost: of its cover, at
the head of every page, of its metadata. What does not: how much room there is for them (`body`), and where
the document lies, whose words the index adds by itself (``rag.place_words``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rag_pipelines.model import Block, BlockKind, ParsedDocument
from rag_pipelines.text.titles import is_boilerplate, words_of

MOST_CHARACTERS = 80
MOST_WORDS = 12
"""Longer lines are text."""

MOST_LINES = 4
COVER_BLOCKS = 8
MOST_HEADERS = 2
FIRST_PAGES = 3
"""A document with more heads of pages than `MOST_HEADERS`, or with one from a later page on, names its
chapters there and not itself."""

NOT_ABOUT = frozenset(
    {
        "author", "authors", "canonical_url", "charset", "created", "creator", "date", "generator", "id",
        "identifier", "in_reply_to", "keywords", "lang", "language", "layout", "message_id", "modified",
        "owner", "permalink", "producer", "publisher", "replaced_by", "replaces", "slug", "status",
        "superseded_by", "supersedes", "tags", "template", "title", "type", "updated", "url", "uuid",
        "weight",
    }
)  # fmt: skip
"""Metadata of other use: who wrote it and when, its title, which has been judged, what it replaces."""

_SENTENCE = re.compile(r"[.:;,!?]$|\n|@|://")
_PAGE_NUMBER = re.compile(
    r"^\d{1,4}\s*[|–—-]\s*|[\s|–—-]+(?:page|seite|p\.)?\s*\d{1,4}(?:\s*(?:/|of|von)\s*\d+)?$", re.I
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class About(NamedTuple):
    """Lines about a document: of its `cover`, which is the body's blocks before `behind`, and others."""

    cover: tuple[str, ...] = ()
    behind: int = 0
    others: tuple[str, ...] = ()

    def lines(self, block: int, known: str) -> list[str]:
        """The lines for a chunk that begins in a block, of which each adds a word to what is `known`."""
        lines = (*(self.cover if block >= self.behind else ()), *self.others)
        words = words_of(known) if lines else frozenset()
        chosen: list[str] = []
        for line in lines:
            new = words_of(line) - words
            if any(len(word) > 1 for word in new) and len(chosen) < MOST_LINES:
                chosen.append(line)
                words |= new
        return chosen


def about(document: ParsedDocument, body: Sequence[Block], title: str) -> About:
    """What `document`, called `title`, says of itself; `body` are its blocks without the heads of pages."""
    cover: list[str] = []
    behind = 0
    for block in body[:COVER_BLOCKS] if title else ():
        text = document.text[block.start : block.end]
        is_title = block.kind in (BlockKind.TITLE, BlockKind.HEADING) and words_of(text) <= words_of(title)
        if not is_title and (block.kind is not BlockKind.PARAGRAPH or not _is_line(text)):
            break
        behind += 1
        if not is_title:
            cover.append(text)
    return About(tuple(cover), behind, (*_metadata(document), *_heads_of_pages(document)))


def _metadata(document: ParsedDocument) -> Iterator[str]:
    for key, value in document.metadata.items():
        of_other_use = key.casefold().replace("-", "_") in NOT_ABOUT or isinstance(value, bool)
        if not of_other_use and isinstance(value, str | int | float):
            text = str(value).strip()
            if _is_line(text) and not _DATE.match(text):
                yield text


def _heads_of_pages(document: ParsedDocument) -> Iterator[str]:
    blocks = [block for block in document.blocks if block.kind is BlockKind.HEADER]
    lines = dict.fromkeys(
        _PAGE_NUMBER.sub("", document.text[block.start : block.end].strip()) for block in blocks
    )
    if len(lines) <= MOST_HEADERS and all((block.page or 1) <= FIRST_PAGES for block in blocks):
        yield from filter(_is_line, lines)


def _is_line(text: str) -> bool:
    return (
        0 < len(text) <= MOST_CHARACTERS
        and len(text.split()) <= MOST_WORDS
        and not _SENTENCE.search(text)
        and not is_boilerplate(text)
        and any(map(str.isalnum, text))
    )
