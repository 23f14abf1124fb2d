"""Canonical text, and the builder through which every parser makes its document.

What belongs here: the one definition of clean text, and the assembly of blocks whose spans are exact.
What does not: anything that knows a file format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.model import Block, BlockKind, Link, ParsedDocument, TableRow
from rag_pipelines.parsing.account import Account, count_words
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.links import Unmarked, unlinked, unmark
from rag_pipelines.parsing.losses import WORDS_SEEN, LeftOut, Loss
from rag_pipelines.text.canonical import clean, one_line, plain_metadata

SEPARATOR = "\n\n"
CELL_SEPARATOR = " | "

_NO_TARGETS = (BlockKind.TITLE, BlockKind.HEADING, BlockKind.CODE)
_NOT_IN_SLUG = re.compile(r"[^\w\- ]")

_BLANKS = " \t\u00a0"


def _without_trailing_blanks(text: str) -> str:
    if "\n" in text and (" \n" in text or "\t\n" in text or "\u00a0\n" in text):
        text = "\n".join([line.rstrip(_BLANKS) for line in text.split("\n")])
    return text.rstrip(_BLANKS)


def _slug(heading: str) -> str:
    """The anchor that GitHub, GitLab and most generators of pages give to a heading."""
    return _NOT_IN_SLUG.sub("", heading.lower()).replace(" ", "-")


def _place(target: str, known: Mapping[str, str]) -> str:
    """``#`` and the heading that is known under the anchor of `target`; else `target`."""
    if not target.startswith("#"):
        return target
    heading = known.get(target[1:]) or known.get(unquote(target[1:]))
    return f"#{heading}" if heading else target


class DocumentBuilder:
    """Collects blocks in reading order and ends as a `ParsedDocument` with exact spans.

    Text is cleaned and stripped here; empty blocks are dropped. Blocks are joined by a blank line.
    The heading path is kept by the builder: a heading of level n closes all headings of level n and
    deeper. HEADER and FOOTER blocks are moved after the body, so that body text is contiguous across
    pages; equal furniture is kept once. Marks of `links` in a text become the links of its block; headings
    and code do not name their targets, whatever `links` is.

    Args:
        media_type: what the parser recognised the bytes as.
        max_characters: the builder raises `TooLargeDocumentError` when the text grows past this.
        links: whether the text names the targets of links; they are links of the blocks in any case.
    """

    def __init__(
        self,
        media_type: str,
        *,
        max_characters: int = 20_000_000,
        links: Literal["metadata", "text"] = "metadata",
    ) -> None:
        self.media_type = media_type
        self.base: str | None = None
        self.title: str | None = None
        self.pages: int | None = None
        self.language: str | None = None
        self.metadata: dict[str, Any] = {}
        self.counters: Counter[str] = Counter()
        self.warnings: list[str] = []
        self._max_characters = max_characters
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._headings: list[tuple[int, str]] = []
        self._path: tuple[str, ...] = ()
        self._furniture: dict[tuple[BlockKind, str], tuple[int | None, tuple[Link, ...]]] = {}
        self._links_written = links == "text"
        self._anchors: dict[str, str] = {}
        self._next_anchors: list[str] = []
        self._places: set[int] = set()
        self._account = Account()

    @classmethod
    def of(cls, media_type: str, request: ParseRequest) -> DocumentBuilder:
        """The builder for what `request` asks for."""
        limits, options = request.limits, request.options
        return cls(media_type, max_characters=limits.max_characters, links=options.links)

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def heading_path(self) -> tuple[str, ...]:
        """The headings that are open now, outermost first."""
        return self._path

    @property
    def opening_heading(self) -> str | None:
        """The heading that the document begins with, if it does."""
        opens = bool(self._blocks) and self._blocks[0].kind is BlockKind.HEADING
        return self._parts[0] if opens else None

    def add(
        self,
        kind: BlockKind,
        text: str,
        *,
        level: int | None = None,
        page: int | None = None,
        language: str | None = None,
        confidence: float | None = None,
    ) -> None:
        """Add one block of text. Headings and titles become one line; code keeps its white space."""
        written = self._links_written and kind not in _NO_TARGETS
        unmarked = unmark(clean(text, self.counters), base=self.base, written=written)
        text = _without_trailing_blanks(unmarked.text)
        if kind in (BlockKind.HEADING, BlockKind.TITLE):
            text = one_line(text)
        elif kind is BlockKind.CODE:
            text = text.strip("\n")
        else:
            text = text.strip()
        if not text:
            self._take_marks_of_nothing(unmarked)
            return
        if kind in (BlockKind.HEADER, BlockKind.FOOTER):
            if (kind, text) in self._furniture:
                self._account.explain(text)
            else:
                self._furniture[kind, text] = (page, unmarked.links)
            return
        if kind is BlockKind.TITLE:
            self.title = self.title or text
        if kind is BlockKind.HEADING:
            level = level or 1
            while self._headings and self._headings[-1][0] >= level:
                self._headings.pop()
            self._path = tuple([heading for _, heading in self._headings])
        start = self._append(text)
        links = unmarked.links
        self._append_block(
            Block(
                kind,
                start,
                start + len(text),
                self._path,
                page,
                level,
                language=language,
                links=links,
                confidence=confidence,
            )
        )
        if kind is BlockKind.HEADING:
            self._headings.append((level or 1, text))
            self._path = (*self._path, text)
        if unmarked.anchors or self._next_anchors:
            self._set_anchors(unmarked.anchors)

    def add_table(
        self,
        rows: Iterable[Sequence[str]],
        *,
        header_rows: int = 0,
        page: int | None = None,
        confidence: float | None = None,
    ) -> None:
        """Add a table: each row is one line of the text, cells joined by ' | '. Blank rows are dropped."""
        kept: list[tuple[str, ...]] = []
        lines: list[str] = []
        length = self._length
        blank_headers = 0
        links: dict[Link, None] = {}
        anchors: list[str] = []
        for number, row in enumerate(rows):
            cells = tuple([one_line(clean(cell, self.counters)) for cell in row])
            if any(cells):
                line = CELL_SEPARATOR.join(cells)
                if unlinked(line) != line:
                    read = [unmark(cell, base=self.base, written=self._links_written) for cell in cells]
                    links |= dict.fromkeys(link for cell in read for link in cell.links)
                    anchors += [name for cell in read for name in cell.anchors]
                    cells = tuple([one_line(cell.text) for cell in read])
                    if not any(cells):
                        blank_headers += number < header_rows
                        continue
                    line = CELL_SEPARATOR.join(cells)
                kept.append(cells)
                lines.append(line)
                length += len(line) + 1
                if length > self._max_characters:
                    raise self._too_large()
            elif number < header_rows:
                blank_headers += 1
        if not kept:
            return
        start = self._append("\n".join(lines))
        spans: list[TableRow] = []
        at = start
        for cells, line in zip(kept, lines, strict=True):
            spans.append(TableRow(cells, at, at + len(line)))
            at += len(line) + 1
        self._append_block(
            Block(
                BlockKind.TABLE,
                start,
                at - 1,
                self._path,
                page,
                rows=tuple(spans),
                header_rows=min(header_rows - blank_headers, len(kept)),
                links=tuple(links),
                confidence=confidence,
            )
        )
        self._set_anchors(anchors)

    def anchor(self, name: str) -> None:
        """Say that links of this document reach the block that is added next as ``#name``."""
        self._next_anchors.append(name)

    def lose(self, loss: Loss, count: int = 1) -> None:
        """Count what a reader of the document sees and its text will not hold."""
        if count > 0:
            self.counters[loss.value] += count

    def leave_out(self, reason: LeftOut, text: str) -> None:
        """Count the words of `text`, which is left out on purpose: it is not called missing."""
        text = unlinked(text)
        if count := count_words(text):
            self.counters[reason.value] += count
            self._account.explain(text)

    def account_for(self, text: str, closer: Callable[[], str] | None = None) -> None:
        """Hold the document to the words of `text`, read from its file by other means than its blocks.

        What is neither in the finished text nor left out by `leave_out` is counted as `Loss.WORDS`. `closer`
        reads the same file again where words seem to be missing, with more care and in more time.
        """
        self._account.see(text, closer)

    def count_losses_of(self, part: ParsedDocument) -> None:
        """Count what was lost and left out in a part that was read as a document of its own."""
        for kind in (*Loss, *LeftOut, WORDS_SEEN):
            if count := part.counters.get(kind, 0):
                self.counters[str(kind)] += count

    def finish(self) -> ParsedDocument:
        """The document. It may be empty; the caller decides what an empty document means."""
        self._headings.clear()
        self._path = ()
        for (kind, text), (page, links) in self._furniture.items():
            start = self._append(text)
            self._append_block(Block(kind, start, start + len(text), (), page, links=links))
        self._furniture.clear()
        self._name_places()
        title = one_line(unlinked(clean(self.title, self.counters))) if self.title else None
        text = "".join(self._parts)
        if self._account:
            seen, missing = self._account.settle(text)
            self.counters[WORDS_SEEN] += seen
            self.lose(Loss.WORDS, missing)
        return ParsedDocument(
            media_type=self.media_type,
            text=text,
            blocks=tuple(self._blocks),
            title=title or None,
            pages=self.pages,
            language=self.language,
            metadata=plain_metadata(self.metadata, self.counters),
            counters=dict(self.counters),
            warnings=tuple(self.warnings),
        )

    def _append(self, text: str) -> int:
        """Append `text` behind a separator; returns where it starts."""
        if self._parts:
            self._parts.append(SEPARATOR)
            self._length += len(SEPARATOR)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        if self._length > self._max_characters:
            raise self._too_large()
        return start

    def _append_block(self, block: Block) -> None:
        if block.links and any(link.target.startswith("#") for link in block.links):
            self._places.add(len(self._blocks))
        self._blocks.append(block)

    def _set_anchors(self, names: Iterable[str]) -> None:
        """Note the heading of the block just added under its names."""
        for name in (*self._next_anchors, *names):
            if self._path:
                self._anchors.setdefault(name, self._path[-1])
        self._next_anchors.clear()

    def _take_marks_of_nothing(self, unmarked: Unmarked) -> None:
        """Anchors before a block are of it; what ends a link that a block began makes it a link."""
        self._next_anchors += unmarked.anchors
        if unmarked.open and self._blocks:
            last = self._blocks[-1]
            shown = one_line("".join(self._parts[-1:]))
            links = dict.fromkeys((*last.links, *(Link(shown, target) for target in unmarked.open)))
            self._blocks.pop()
            self._append_block(msgspec.structs.replace(last, links=tuple(links)))

    def _name_places(self) -> None:
        """Put headings in the place of anchors; a heading is also reached by its own words, as on GitHub."""
        if not self._places:
            return
        headings = [
            self._parts[2 * number]
            for number, block in enumerate(self._blocks)
            if block.kind in (BlockKind.HEADING, BlockKind.TITLE)
        ]
        known = {_slug(heading): heading for heading in reversed(headings)} | self._anchors
        for number in self._places:
            block = self._blocks[number]
            links = tuple([Link(link.text, _place(link.target, known)) for link in block.links])
            self._blocks[number] = msgspec.structs.replace(block, links=links)

    def _too_large(self) -> TooLargeDocumentError:
        return TooLargeDocumentError(
            f"more than {self._max_characters:,} characters of text; raise limits.max_characters to accept it"
        )
