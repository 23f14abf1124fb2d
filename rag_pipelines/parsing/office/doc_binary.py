"""The parts of the Word 97 to 2003 binary format that its text needs; section numbers are of [MS-DOC].

What belongs here: the piece table (where the characters are stored), properties of paragraphs and characters,
styles, and the stories (body, notes, headers, text boxes). What does not: what a run of characters reads as
(`doc_text`), turning paragraphs into blocks (`doc`).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.parsing.office.doc_characters import PLAIN, CharacterLook, read_fonts, read_look
from rag_pipelines.parsing.office.doc_numbering import BinaryNumbering

# Offsets in the File Information Block (2.5) of pairs of a position and a length in the table stream.
_TEXT_LENGTHS, _STYLES, _CHARACTER_PAGES, _PROPERTY_PAGES, _PIECES = 0x4C, 0xA2, 0xFA, 0x102, 0x1A2
_FONTS, _LISTS, _LIST_OVERRIDES = 0x112, 0x2E2, 0x2EA
_HEADERS = 0xF2
_BOOKMARK_NAMES, _BOOKMARK_STARTS = 0x142, 0x14A

_STORIES = ("body", "footnotes", "headers", "macros", "comments", "endnotes", "boxes", "header boxes")
"""The stories (2.4.1) in the order in which their characters follow each other."""

# Where each kind of note is referred to and where its texts begin; bytes that come with each reference.
_NOTES = {"footnotes": (0xAA, 0xB2, 2), "comments": (0xBA, 0xC2, 30), "endnotes": (0x20A, 0x212, 2)}
_MOST_INITIALS = 9

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
_NO_LIST = 0xF801
_PARAGRAPH_STYLE = 1


class ParagraphProperties(NamedTuple):
    """The properties of one paragraph.

    `style` is the built-in style it is based on (2.9.271): 1 to 9 for headings, 62 for a title, 19 to 27
    for lines of a table of contents. `outline` and `depth` count from 0; `list_override` is the number of
    its list, 0 for none; `ends_row` marks the paragraph that closes a table row and holds no text.
    """

    style: int = 0
    outline: int | None = None
    list_override: int = 0
    depth: int = 0
    in_table: bool = False
    ends_row: bool = False


class _Piece(NamedTuple):
    """Characters `start` to `end` of the text, stored from byte `offset` on, `width` bytes each."""

    start: int
    end: int
    offset: int
    width: int


class Note(NamedTuple):
    """A note or comment: where its text stands, and its mark (the initials of who commented).

    A mark of None is the next number of its kind; an empty one is written by hand.
    """

    start: int
    end: int
    mark: str | None


class BinaryWord:
    """The text and properties of a document, from its main and its table stream.

    `text` holds all stories one after the other; `stories` says where each begins and ends in it.
    """

    def __init__(self, main: bytes, table: bytes) -> None:
        self._pieces = list(_pieces(_region(main, table, _PIECES)))
        self.text = "".join([_characters(main, piece) for piece in self._pieces])
        ends = [0, *accumulate(struct.unpack_from(f"<{len(_STORIES)}I", main, _TEXT_LENGTHS))]
        self.stories = dict(zip(_STORIES, pairwise(ends), strict=True))
        self.numbering = BinaryNumbering(table, *(_place(main, at) for at in (_LISTS, _LIST_OVERRIDES)))
        self._main, self._table = main, table
        sheet = _region(main, table, _STYLES)
        self._styles = _styles(sheet)
        self._style_lists = _style_lists(sheet)
        runs = sorted(_property_runs(main, _region(main, table, _PROPERTY_PAGES)))
        self._run_starts = [start for start, _ in runs]
        self._run_modifiers = [modifiers for _, modifiers in runs]
        self._looks = sorted(self._special_looks())
        self._look_ends = [end for _, end, _ in self._looks]

    def paragraph_at(self, position: int) -> ParagraphProperties:
        """The properties of the paragraph that ends with the character at `position`."""
        place = bisect_right(self._pieces, position, key=lambda piece: piece.start) - 1
        piece = self._pieces[place]
        stored_at = piece.offset + (position - piece.start) * piece.width
        run = bisect_right(self._run_starts, stored_at) - 1
        if run < 0:
            return ParagraphProperties()
        return _paragraph(self._run_modifiers[run], self._styles, self._style_lists)

    def looks(self, start: int, end: int) -> Iterator[tuple[int, int, CharacterLook]]:
        """The runs of equal look from `start` to `end`."""
        for place in range(bisect_right(self._look_ends, start), len(self._looks)):
            first, last, look = self._looks[place]
            if first >= end:
                break
            if start < first:
                yield start, first, PLAIN
                start = first
            yield start, min(last, end), look
            start = min(last, end)
        if start < end:
            yield start, end, PLAIN

    def notes(self, kind: str) -> dict[int, Note]:
        """The notes of a kind ("footnotes", "endnotes", "comments") by the place they are referred to."""
        references, texts, size = _NOTES[kind]
        plc = _region(self._main, self._table, references)
        count = max(0, (len(plc) - 4) // (4 + size))
        begin = self.stories[kind][0]
        starts = _positions(_region(self._main, self._table, texts))
        found: dict[int, Note] = {}
        for number, place in enumerate(_positions(plc)[:count]):
            if number + 1 < len(starts):
                held = plc[4 * (count + 1) + size * number :][:size]
                mark = _initials(held) if kind == "comments" else None if held[:2] != b"\0\0" else ""
                found[place] = Note(begin + starts[number], begin + starts[number + 1], mark)
        return found

    def bookmarks(self) -> dict[int, list[str]]:
        """The names of bookmarks by the place where they begin (2.8.10, 2.9.281)."""
        names = list(_strings(_region(self._main, self._table, _BOOKMARK_NAMES)))
        found: dict[int, list[str]] = {}
        starts = _positions(_region(self._main, self._table, _BOOKMARK_STARTS))
        for place, name in zip(starts, names, strict=False):
            found.setdefault(place, []).append(name)
        return found

    def headers(self) -> Iterator[tuple[int, int, bool]]:
        """Start and end of each header and footer, and whether it is a footer.

        The first six stories are separators of notes; then come six for each section (2.8.22).
        """
        begin = self.stories["headers"][0]
        starts = _positions(_region(self._main, self._table, _HEADERS))
        for number, (start, end) in enumerate(pairwise(starts[:-1])):
            if number >= 6 and start < end:
                yield begin + start, begin + end, number % 6 in (2, 3, 5)

    def _special_looks(self) -> Iterator[tuple[int, int, CharacterLook]]:
        """Where characters look other than plain."""
        fonts = read_fonts(_region(self._main, self._table, _FONTS))
        stored = sorted((piece.offset, piece) for piece in self._pieces)
        offsets = [offset for offset, _ in stored]
        for start, end, modifiers in _character_runs(
            self._main, _region(self._main, self._table, _CHARACTER_PAGES)
        ):
            look = read_look(_modifiers(modifiers), fonts)
            if look == PLAIN:
                continue
            for _, piece in stored[max(bisect_right(offsets, start) - 1, 0) : bisect_right(offsets, end)]:
                first = max(piece.start, piece.start + (start - piece.offset) // piece.width)
                last = min(piece.end, piece.start + (end - piece.offset) // piece.width)
                if first < last:
                    yield first, last, look


def _place(main: bytes, at: int) -> int:
    """Where a region begins in the table stream; 0 where it is empty."""
    if len(main) < at + 8:
        return 0
    position, length = struct.unpack_from("<II", main, at)
    return int(position) if length else 0


def _positions(plc: bytes) -> list[int]:
    """The positions that a table of them begins with, as many as grow."""
    found: list[int] = []
    for (position,) in struct.iter_unpack("<I", plc[: len(plc) // 4 * 4]):
        if found and position < found[-1]:
            break
        found.append(position)
    return found


def _strings(table: bytes) -> Iterator[str]:
    """The strings of a table of them in UTF-16 (2.2.4)."""
    if len(table) < 6 or table[:2] != b"\xff\xff":
        return
    count, extra = struct.unpack_from("<HH", table, 2)
    at = 6
    for _ in range(count):
        end = at + 2 + 2 * int.from_bytes(table[at : at + 2], "little")
        yield table[at + 2 : end].decode("utf-16-le", "replace")
        at = end + extra


def _initials(reference: bytes) -> str:
    """The initials of a comment's author (2.9.7)."""
    length = min(int.from_bytes(reference[:2], "little"), _MOST_INITIALS)
    return reference[2 : 2 + 2 * length].decode("utf-16-le", "replace")


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


def _character_runs(main: bytes, plc: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each run of equal character properties begins and ends, and its modifiers (2.9.33)."""
    for page in _pages(main, plc):
        runs = page[-1]
        starts = struct.unpack_from(f"<{runs + 1}I", page)
        for run in range(runs):
            at = 2 * page[4 * (runs + 1) + run]
            if at:
                yield starts[run], starts[run + 1], page[at + 1 : at + 1 + page[at]]


def _pages(main: bytes, plc: bytes) -> Iterator[bytes]:
    """The pages of properties that a table refers to."""
    count = max(0, (len(plc) - 4) // 8)
    for (number,) in struct.iter_unpack("<I", plc[4 * (count + 1) : 4 * (count + 1) + 4 * count]):
        page = main[(number & 0x3FFFFF) * _PAGE_BYTES :][:_PAGE_BYTES]
        if len(page) == _PAGE_BYTES and 4 * (page[-1] + 1) < _PAGE_BYTES:
            yield page


def _property_runs(main: bytes, plc: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each run of equal properties begins, and its modifiers (2.9.175, 2.9.181)."""
    for page in _pages(main, plc):
        runs = page[-1]
        starts = struct.unpack_from(f"<{runs + 1}I", page)
        for run in range(runs):
            at = 2 * page[4 * (runs + 1) + 13 * run]
            size = 2 * page[at] - 1 if page[at] else 2 * page[at + 1]
            begin = at + 1 if page[at] else at + 2
            yield starts[run], page[begin : begin + size] if at else b""


def _paragraph(
    modifiers: bytes, styles: dict[int, int], lists: dict[int, tuple[int, int]]
) -> ParagraphProperties:
    if len(modifiers) < 2:
        return ParagraphProperties()
    (style,) = struct.unpack_from("<H", modifiers)
    override, depth = lists.get(style, (0, 0))
    found: dict[str, Any] = {"style": styles.get(style, 0), "list_override": override, "depth": depth}
    for code, operand in _modifiers(modifiers[2:]):
        value = int.from_bytes(operand, "little")
        if code == _OUTLINE_LEVEL:
            found["outline"] = value
        elif code == _LIST_ID:
            found["list_override"] = 0 if value == _NO_LIST else value
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


def _style_lists(sheet: bytes) -> dict[int, tuple[int, int]]:
    """The list and level that each paragraph style puts its paragraphs in (2.9.271, 2.9.334)."""
    if len(sheet) < 6:
        return {}
    header, count, base_size = struct.unpack_from("<HHH", sheet)
    at = 2 + header
    bases: list[int] = []
    own: list[tuple[int | None, int | None]] = []
    while len(own) < count and at + 2 <= len(sheet):
        (size,) = struct.unpack_from("<H", sheet, at)
        style = sheet[at + 2 : at + 2 + size]
        second = int.from_bytes(style[2:4], "little")
        bases.append(second >> 4)
        is_paragraph = len(style) > base_size + 2 and second & 0xF == _PARAGRAPH_STYLE
        own.append(_list_of_style(style, base_size) if is_paragraph else (None, None))
        at += 2 + size + size % 2
    lists: dict[int, tuple[int, int]] = {}
    for style_number in range(len(own)):
        override = depth = None
        place = style_number
        for _ in range(_MAX_BASES):
            if place >= len(own):
                break
            override = own[place][0] if override is None else override
            depth = own[place][1] if depth is None else depth
            place = bases[place]
        if override:
            lists[style_number] = override, depth or 0
    return lists


def _list_of_style(style: bytes, base_size: int) -> tuple[int | None, int | None]:
    """The list override and level in the paragraph properties of a style, which follow its name."""
    at = base_size + 4 + 2 * int.from_bytes(style[base_size : base_size + 2], "little")
    at += at % 2
    size = int.from_bytes(style[at : at + 2], "little")
    override = depth = None
    for code, operand in _modifiers(style[at + 4 : at + 2 + size]):
        if code == _LIST_ID:
            override = int.from_bytes(operand, "little")
        elif code == _LIST_LEVEL:
            depth = int.from_bytes(operand, "little")
    return 0 if override == _NO_LIST else override, depth


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
