"""Canonical text, and the builder through which every parser makes its document.

What belongs here: the one definition of clean text, and the assembly of blocks whose spans are exact.
What does not: anything that knows a file format.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, time
from typing import Any

from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.model import Block, BlockKind, ParsedDocument, TableRow

VERSION = "1"
"""Bumped when canonical text, the recognition of media types or that of encodings changes its results."""

_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SURROGATE_PAIR = re.compile("([\ud800-\udbff])([\udc00-\udfff])")
_SURROGATE = "\ud800-\udfff"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = "\xad\u180e\u2060-\u2064\u206a-\u206f\ufeff"
_CONTROL = "\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufff9-\ufffb\U000e0000-\U000e007f"
_ZERO_WIDTH_SPACE = "(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b"
"""Kept behind a Thai, Lao, Burmese or Khmer letter, where it is the only mark between words."""

_MENDED = re.compile(f"[\0\r\x0b\x0c\x85\u200b\u2028\u2029{_SURROGATE}{_BIDI}{_INVISIBLE}{_CONTROL}]")
_MENDED_ASCII = re.compile("[^\n\t\x20-\x7e]")
_MENDING = (
    ("nul_removed", "", re.compile("\0")),
    ("surrogates_replaced", "\ufffd", re.compile(f"[{_SURROGATE}]")),
    ("bidi_removed", "", re.compile(f"[{_BIDI}]")),
    ("control_removed", "", re.compile(f"[{_CONTROL}]")),
    ("invisible_removed", "", re.compile(f"[{_INVISIBLE}]")),
    ("invisible_removed", "", re.compile(_ZERO_WIDTH_SPACE)),
)

_MOST_MARKS = 30
"""More non-starters in succession are not for people, and normalising them takes time in their square.
The bound of the Stream-Safe Text Format (UAX #15, section 13)."""

_MARKS_AND_MORE = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u1dff\u20d0-\u20ff\u2cef-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\uabff"
    "\ufb1e\ufe20-\ufe2f\U00010100-\U0001efff"
)
_MAY_BE_MARKS = re.compile(rf"[{_MARKS_AND_MORE}](?:(?!\w)[{_MARKS_AND_MORE}]){{13,}}")
"""Holds every run of non-starters that may exceed the bound: of marks, each of which may stand for two,
behind a letter, which may hold three."""

SEPARATOR = "\n\n"
CELL_SEPARATOR = " | "

_BLANKS = " \t\u00a0"
_METADATA_DEPTH = 5


def clean(text: str, counters: Counter[str] | None = None) -> str:
    """`text` as canonical text; what was mended is added to `counters` by kind.

    NFC; every line break is a newline; NUL, bidirectional and other control characters, Unicode tags
    and invisible characters (soft hyphen, word joiner, zero-width space) are removed, because a person
    does not see them and so they can only mislead. What joins or shapes letters stays: zero-width
    joiner and non-joiner and variation selectors, which emoji, Persian and Indic scripts need. A
    surrogate pair becomes its character; a lone surrogate becomes U+FFFD, so that its loss shows.
    Of a pile of combining marks the first 30 stay. Idempotent.
    """
    if text.isascii():
        if not _MENDED_ASCII.search(text):
            return text
    elif not _MENDED.search(text):
        return _composed(text, counters)
    text = _LINE_BREAKS.sub("\n", text)
    text = _SURROGATE_PAIR.sub(lambda pair: _joined(pair[1], pair[2]), text)
    for name, replacement, pattern in _MENDING:
        text, count = pattern.subn(replacement, text)
        if count and counters is not None:
            counters[name] += count
    return _composed(text, counters)


def _composed(text: str, counters: Counter[str] | None) -> str:
    """`text` in NFC, without the combining marks beyond the bound."""
    bounded = _MAY_BE_MARKS.sub(_bounded, text)
    if counters is not None and len(bounded) < len(text):
        counters["marks_removed"] += len(text) - len(bounded)
    return unicodedata.normalize("NFC", bounded)


def _bounded(run: re.Match[str]) -> str:
    """The characters of `run` without the marks that come after 30 in succession.

    Marks are counted as decomposed, so that the count is the same before and after composition.
    """
    kept: list[str] = []
    before = run.string[run.start() - 1 : run.start()]
    count = max(len(unicodedata.normalize("NFD", before)) - 1, 0)
    for character in run[0]:
        parts = unicodedata.normalize("NFD", character)
        if not unicodedata.combining(parts[0]):
            count = len(parts) - 1
        elif count + len(parts) > _MOST_MARKS:
            continue
        else:
            count += len(parts)
        kept.append(character)
    return "".join(kept)


def _joined(high: str, low: str) -> str:
    """The character that a UTF-16 surrogate pair stands for."""
    return chr(0x10000 + ((ord(high) - 0xD800) << 10) + (ord(low) - 0xDC00))


def one_line(text: str) -> str:
    """`text` with every run of white space as one space, stripped."""
    return " ".join(text.split())


def plain_metadata(value: Any, counters: Counter[str] | None = None, depth: int = _METADATA_DEPTH) -> Any:
    """`value` as JSON can carry it: clean strings, ISO dates; what lies deeper than `depth` is dropped."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value, counters)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {
            clean(str(key), counters): plain_metadata(item, counters, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_metadata(item, counters, depth - 1) for item in value]
    return clean(str(value), counters)


def _without_trailing_blanks(text: str) -> str:
    if " \n" in text or "\t\n" in text or "\u00a0\n" in text:
        text = "\n".join([line.rstrip(_BLANKS) for line in text.split("\n")])
    return text.rstrip(_BLANKS)


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
        self._path: tuple[str, ...] = ()
        self._furniture: dict[tuple[BlockKind, str], int | None] = {}

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def heading_path(self) -> tuple[str, ...]:
        """The headings that are open now, outermost first."""
        return self._path

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
        text = _without_trailing_blanks(clean(text, self.counters))
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
            self._path = tuple([heading for _, heading in self._headings])
        start = self._append(text)
        self._blocks.append(Block(kind, start, start + len(text), self._path, page, level, language=language))
        if kind is BlockKind.HEADING:
            self._headings.append((level or 1, text))
            self._path = (*self._path, text)

    def add_table(
        self, rows: Iterable[Sequence[str]], *, header_rows: int = 0, page: int | None = None
    ) -> None:
        """Add a table: each row is one line of the text, cells joined by ' | '. Blank rows are dropped."""
        kept: list[tuple[str, ...]] = []
        lines: list[str] = []
        length = self._length
        blank_headers = 0
        for number, row in enumerate(rows):
            cells = tuple([one_line(clean(cell, self.counters)) for cell in row])
            if any(cells):
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
        self._blocks.append(
            Block(
                BlockKind.TABLE,
                start,
                at - 1,
                self._path,
                page,
                rows=tuple(spans),
                header_rows=min(header_rows - blank_headers, len(kept)),
            )
        )

    def finish(self) -> ParsedDocument:
        """The document. It may be empty; the caller decides what an empty document means."""
        self._headings.clear()
        self._path = ()
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

    def _too_large(self) -> TooLargeDocumentError:
        return TooLargeDocumentError(
            f"more than {self._max_characters:,} characters of text; raise limits.max_characters to accept it"
        )
