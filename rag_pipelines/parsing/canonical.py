"""Canonical text, and the builder through which every parser makes its document.

What belongs here: the one definition of clean text, and the assembly of blocks whose spans are exact.
What does not: anything that knows a file format.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.model import Block, BlockKind, ParsedDocument, TableRow

VERSION = "1"

_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SUSPECT = re.compile("[^\n\t\x20-\x7e]")
_TRAILING = re.compile(r"[ \t\u00a0]+(?=\n|$)")
_SPACES = re.compile(r"\s+")

SEPARATOR = "\n\n"
CELL_SEPARATOR = " | "


def clean(text: str, counters: Counter[str] | None = None) -> str:
    """`text` as canonical text; what was removed is added to `counters` by kind.

    NFC; every line break is a newline; NUL, lone surrogates, bidirectional and other control
    characters and Unicode tags are removed (they are invisible to a person, so they can only
    mislead); a lone surrogate becomes U+FFFD so that its loss shows. Idempotent.
    """
    if not _SUSPECT.search(text):
        return text

    counted = counters if counters is not None else Counter()

    def strip(pattern: re.Pattern[str], name: str, replacement: str, value: str) -> str:
        value, n = pattern.subn(replacement, value)
        if n:
            counted[name] += n
        return value

    text = _LINE_BREAKS.sub("\n", text)
    if "\0" in text:
        counted["nul_removed"] += text.count("\0")
        text = text.replace("\0", "")
    text = strip(_SURROGATE, "surrogates_replaced", "\ufffd", text)
    text = strip(_BIDI, "bidi_removed", "", text)
    text = strip(_CONTROL, "control_removed", "", text)
    return unicodedata.normalize("NFC", text)


def one_line(text: str) -> str:
    """`text` with every run of white space as one space, stripped."""
    return _SPACES.sub(" ", text).strip()


class DocumentBuilder:
    """Collects blocks in reading order and ends as a `ParsedDocument` with exact spans.

    Text is cleaned and stripped here; empty blocks are dropped. Blocks are joined by a blank line.
    The heading path is kept by the builder: a heading of level n closes all headings of level n and
    deeper. HEADER and FOOTER blocks are moved after the body, so that body text is contiguous across
    pages; equal furniture is kept once.

    Args:
        media_type: what the parser recognised the bytes as.
        max_characters: the builder raises `TooLargeDocumentError` when the text grows past this.
    """

    def __init__(self, media_type: str, *, max_characters: int = 20_000_000) -> None:
        self.media_type = media_type
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
        self._furniture: dict[tuple[BlockKind, str], int | None] = {}

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def heading_path(self) -> tuple[str, ...]:
        """The headings that are open now, outermost first."""
        return tuple(text for _, text in self._headings)

    def add(
        self,
        kind: BlockKind,
        text: str,
        *,
        level: int | None = None,
        page: int | None = None,
        language: str | None = None,
    ) -> None:
        """Add one block of text. Headings and titles become one line; code keeps its white space."""
        text = _TRAILING.sub("", clean(text, self.counters))
        if kind in (BlockKind.HEADING, BlockKind.TITLE):
            text = one_line(text)
        elif kind is BlockKind.CODE:
            text = text.strip("\n")
        else:
            text = text.strip()
        if not text:
            return
        if kind in (BlockKind.HEADER, BlockKind.FOOTER):
            self._furniture.setdefault((kind, text), page)
            return
        if kind is BlockKind.TITLE:
            self.title = self.title or text
        if kind is BlockKind.HEADING:
            level = level or 1
            while self._headings and self._headings[-1][0] >= level:
                self._headings.pop()
        start = self._append(text)
        self._blocks.append(
            Block(kind, start, start + len(text), self.heading_path, page, level, language=language)
        )
        if kind is BlockKind.HEADING:
            self._headings.append((level or 1, text))

    def add_table(
        self, rows: Iterable[Sequence[str]], *, header_rows: int = 0, page: int | None = None
    ) -> None:
        """Add a table: each row is one line of the text, its cells joined by ' | '. Blank rows are dropped."""
        kept: list[tuple[str, ...]] = []
        for number, row in enumerate(rows):
            cells = tuple(one_line(clean(cell, self.counters)) for cell in row)
            if any(cells):
                kept.append(cells)
            elif number < header_rows:
                header_rows -= 1
        if not kept:
            return
        lines = [CELL_SEPARATOR.join(cells) for cells in kept]
        start = self._append("\n".join(lines))
        spans: list[TableRow] = []
        at = start
        for cells, line in zip(kept, lines, strict=True):
            spans.append(TableRow(cells, at, at + len(line)))
            at += len(line) + 1
        self._blocks.append(
            Block(
                BlockKind.TABLE, start, at - 1, self.heading_path, page,
                rows=tuple(spans), header_rows=min(header_rows, len(kept)),
            )
        )

    def finish(self) -> ParsedDocument:
        """The document. It may be empty; the caller decides what an empty document means."""
        self._headings.clear()
        for (kind, text), page in self._furniture.items():
            start = self._append(text)
            self._blocks.append(Block(kind, start, start + len(text), (), page))
        self._furniture.clear()
        title = one_line(clean(self.title, self.counters)) if self.title else None
        return ParsedDocument(
            media_type=self.media_type,
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            title=title or None,
            pages=self.pages,
            language=self.language,
            metadata=self.metadata,
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
            raise TooLargeDocumentError(
                f"more than {self._max_characters:,} characters of text; raise limits.max_characters to accept it"
            )
        return start
