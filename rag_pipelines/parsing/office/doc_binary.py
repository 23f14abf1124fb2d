"""The parts of the Word 97 to 2003 binary format that its text needs; section numbers are of [MS-DOC].

What belongs here: the piece table (where the characters are stored), paragraph properties and styles.
What does not: turning paragraphs into blocks (`doc`).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

from rag_pipelines.errors import CorruptDocumentError

# Offsets in the File Information Block (2.5) of pairs of a position and a length in the table stream.
_TEXT_LENGTH, _STYLES, _PROPERTY_PAGES, _PIECES = 0x4C, 0xA2, 0x102, 0x1A2

HEADING_STYLES = range(1, 10)

_COMPRESSED = 0x40000000
_PAGE_BYTES = 512
_MAX_BASES = 20

# Paragraph modifiers (2.6.2) and the sizes of operands by their kind (2.2.5.1).
_IN_TABLE, _ENDS_ROW, _OUTLINE_LEVEL, _LIST_LEVEL, _LIST_ID, _TABLE = (
    0x2416,
    0x2417,
    0x2640,
    0x260A,
    0x460B,
    0xD608,
)
_OPERAND_BYTES = (1, 1, 2, 4, 2, 2, 0, 3)
_VARIABLE = 6


class ParagraphProperties(NamedTuple):
    """The properties of one paragraph.

    `style` is the built-in style it is based on (2.9.271): 1 to 9 for headings, 62 for a title, 19 to 27
    for lines of a table of contents. `outline` and `depth` count from 0; `ends_row` marks the paragraph
    that closes a table row and holds no text.
    """

    style: int = 0
    outline: int | None = None
    is_listed: bool = False
    depth: int = 0
    in_table: bool = False
    ends_row: bool = False


class _Piece(NamedTuple):
    """Characters `start` to `end` of the text, stored from byte `offset` on, `width` bytes each."""

    start: int
    end: int
    offset: int
    width: int


class BinaryWord:
    """The text and paragraph properties of a document, from its main and its table stream."""

    def __init__(self, main: bytes, table: bytes) -> None:
        self._pieces = list(_pieces(_region(main, table, _PIECES)))
        (length,) = struct.unpack_from("<I", main, _TEXT_LENGTH)
        parts = [_characters(main, piece) for piece in self._pieces]
        self.text = "".join(parts)[:length]
        self._styles = _styles(_region(main, table, _STYLES))
        runs = sorted(_property_runs(main, _region(main, table, _PROPERTY_PAGES)))
        self._run_starts = [start for start, _ in runs]
        self._run_modifiers = [modifiers for _, modifiers in runs]

    def paragraph_at(self, position: int) -> ParagraphProperties:
        """The properties of the paragraph that ends with the character at `position`."""
        place = bisect_right(self._pieces, position, key=lambda piece: piece.start) - 1
        piece = self._pieces[place]
        stored_at = piece.offset + (position - piece.start) * piece.width
        run = bisect_right(self._run_starts, stored_at) - 1
        return _paragraph(self._run_modifiers[run], self._styles) if run >= 0 else ParagraphProperties()


def _region(main: bytes, table: bytes, at: int) -> bytes:
    position, length = struct.unpack_from("<II", main, at)
    return table[position : position + length]


def _pieces(clx: bytes) -> Iterator[_Piece]:
    """The piece table (2.9.38): it follows any number of property blocks, which begin with a 1."""
    at = 0
    while at < len(clx) and clx[at] == 1:
        at += 3 + struct.unpack_from("<H", clx, at + 1)[0]
    if at >= len(clx) or clx[at] != 2:
        raise CorruptDocumentError("the document has no piece table, so its text cannot be found")
    (size,) = struct.unpack_from("<I", clx, at + 1)
    count = (size - 4) // 12
    positions = struct.unpack_from(f"<{count + 1}I", clx, at + 5)
    for number in range(count):
        (stored,) = struct.unpack_from("<I", clx, at + 5 + 4 * (count + 1) + 8 * number + 2)
        if stored & _COMPRESSED:
            yield _Piece(positions[number], positions[number + 1], (stored & ~_COMPRESSED) // 2, 1)
        else:
            yield _Piece(positions[number], positions[number + 1], stored, 2)


def _characters(main: bytes, piece: _Piece) -> str:
    data = main[piece.offset : piece.offset + (piece.end - piece.start) * piece.width]
    text = data.decode("cp1252" if piece.width == 1 else "utf-16-le", "replace")
    return text.ljust(piece.end - piece.start, "\r")  # a piece that is cut short must not move the others


def _property_runs(main: bytes, plc: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each run of equal properties begins, and its modifiers (2.9.175, 2.9.181)."""
    count = max(0, (len(plc) - 4) // 8)
    for (number,) in struct.iter_unpack("<I", plc[4 * (count + 1) : 4 * (count + 1) + 4 * count]):
        page = main[(number & 0x3FFFFF) * _PAGE_BYTES :][:_PAGE_BYTES]
        if len(page) < _PAGE_BYTES:
            continue
        runs = page[-1]
        starts = struct.unpack_from(f"<{runs + 1}I", page)
        for run in range(runs):
            at = 2 * page[4 * (runs + 1) + 13 * run]
            size = 2 * page[at] - 1 if page[at] else 2 * page[at + 1]
            begin = at + 1 if page[at] else at + 2
            yield starts[run], page[begin : begin + size] if at else b""


def _paragraph(modifiers: bytes, styles: dict[int, int]) -> ParagraphProperties:
    if len(modifiers) < 2:
        return ParagraphProperties()
    found: dict[str, Any] = {"style": styles.get(struct.unpack_from("<H", modifiers)[0], 0)}
    for code, operand in _modifiers(modifiers[2:]):
        value = int.from_bytes(operand, "little")
        if code == _OUTLINE_LEVEL:
            found["outline"] = value
        elif code == _LIST_ID:
            found["is_listed"] = value not in (0, 0xF801)
        elif code == _LIST_LEVEL:
            found["depth"] = value
        elif code == _IN_TABLE:
            found["in_table"] = bool(value)
        elif code == _ENDS_ROW:
            found["ends_row"] = bool(value)
    return ParagraphProperties(**found)


def _modifiers(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 < len(data):
        (code,) = struct.unpack_from("<H", data, at)
        at += 2
        size = _OPERAND_BYTES[code >> 13]
        if code == _TABLE:
            size, at = int.from_bytes(data[at : at + 2], "little") - 1, at + 2
        elif code >> 13 == _VARIABLE:
            size, at = data[at], at + 1
        yield code, data[at : at + size]
        at += size


def _styles(sheet: bytes) -> dict[int, int]:
    """For each style of the document the built-in style it is, or is based on (2.9.271, 2.9.135)."""
    if len(sheet) < 4:
        return {}
    header, count = struct.unpack_from("<HH", sheet)
    at = 2 + header
    own: list[tuple[int, int]] = []
    while len(own) < count and at + 2 <= len(sheet):
        (size,) = struct.unpack_from("<H", sheet, at)
        first, second = struct.unpack_from("<HH", sheet, at + 2) if size >= 4 else (0, 0)
        own.append((first & 0xFFF, second >> 4))
        at += 2 + size + size % 2
    return {style: _resolve_built_in(own, style) for style in range(len(own))}


def _resolve_built_in(styles: list[tuple[int, int]], style: int) -> int:
    if style in HEADING_STYLES:  # these places are theirs, whatever the style is called
        return style
    known = range(1, 0xFFE)
    for _ in range(_MAX_BASES):
        if style >= len(styles):
            break
        identifier, base = styles[style]
        if identifier in known:
            return identifier
        style = base
    return 0
