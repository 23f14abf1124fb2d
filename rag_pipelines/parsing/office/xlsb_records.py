"""The records of binary workbooks (XLSB, [MS-XLSB]): how they are framed, and what is in those that are read.

What belongs here: bytes to values. What does not: what a sheet is (`xlsb`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from rag_pipelines.errors import CorruptDocumentError

ROW, FONT, FORMAT, STYLE, TEXT, COLUMNS = 0, 43, 44, 47, 19, 60
WORKBOOK, SHEET, FILTER, FILTERED_COLUMN, MERGE = 153, 156, 161, 163, 176
PAGE_TEXTS, LINK, CELL_STYLES, END_OF_CELL_STYLES = 479, 494, 617, 618
COMMENT_AUTHOR, COMMENT, COMMENT_TEXT = 632, 635, 637
"""Numbers of records ([MS-XLSB] 2.3)."""

BLANK, RK, ERROR, BOOLEAN, REAL, STRING, SHARED = range(1, 8)
_OF_FORMULAS = {8: STRING, 9: REAL, 10: BOOLEAN, 11: ERROR}
_SHORT = {12: BLANK, 13: RK, 14: ERROR, 15: BOOLEAN, 16: REAL, 17: STRING, 18: SHARED}
RICH = 62
_KINDS = {**{kind: kind for kind in (BLANK, RK, ERROR, BOOLEAN, REAL, STRING, SHARED, RICH)}, **_OF_FORMULAS}
_NO_STRING = 0xFFFFFFFF


class Record(NamedTuple):
    """A record: its number, and its bytes."""

    number: int
    data: bytes


class Cell(NamedTuple):
    """A cell: its column from 0 (None: behind the last one), its style, its kind, and where its value is."""

    column: int | None
    style: int
    kind: int
    data: bytes


def records(part: bytes) -> Iterator[Record]:
    """The records of a part ([MS-XLSB] 2.1.4): number and size in groups of seven bits, then the bytes.

    Raises:
        CorruptDocumentError: it ends within a record.
    """
    at, end = 0, len(part)
    while at < end:
        number, at = _variable(part, at, 2)
        size, at = _variable(part, at, 4)
        if at + size > end:
            raise CorruptDocumentError("a part of the workbook ends within a record")
        yield Record(number, part[at : at + size])
        at += size


def _variable(part: bytes, at: int, most: int) -> tuple[int, int]:
    value = 0
    for place in range(most):
        if at >= len(part):
            raise CorruptDocumentError("a part of the workbook ends within a record")
        byte = part[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if not byte & 0x80:
            break
    return value, at


def numbers(data: bytes, form: str, at: int = 0) -> tuple[int, ...]:
    """Whole numbers at a place of a record, little-endian, in a form of `struct`; zeros where it is cut."""
    size = struct.calcsize(f"<{form}")
    return struct.unpack(f"<{form}", data[at : at + size].ljust(size, b"\0"))


def wide_string(data: bytes, at: int) -> tuple[str, int]:
    """The string at `at` (XLWideString, 2.5.169) and where it ends; one that is not there is empty."""
    (count,) = numbers(data, "I", at)
    if count == _NO_STRING:
        return "", at + 4
    end = at + 4 + 2 * count
    return data[at + 4 : end].decode("utf-16-le", "replace"), end


def rich_string(data: bytes, at: int) -> tuple[str, list[tuple[int, int]]]:
    """A string with the offsets and fonts of its runs (RichStr, 2.5.121)."""
    is_rich = bool(data[at : at + 1]) and data[at] & 1
    text, end = wide_string(data, at + 1)
    if not is_rich:
        return text, []
    (count,) = numbers(data, "I", end)
    places = range(end + 4, min(end + 4 + 4 * count, len(data) - 3), 4)
    runs = [numbers(data, "HH", place) for place in places]
    return text, [(offset, font) for offset, font in runs]


def cell(record: Record) -> Cell | None:
    """The cell in a record; None where it is no cell."""
    if kind := _KINDS.get(record.number):
        column, style = numbers(record.data, "II")
        return Cell(column, style & 0xFFFFFF, kind, record.data[8:])
    if kind := _SHORT.get(record.number):
        (style,) = numbers(record.data, "I")
        return Cell(None, style & 0xFFFFFF, kind, record.data[4:])
    return None


def rk_number(data: bytes) -> int | float:
    """A number in four bytes (RkNumber, 2.5.122): a whole one or half of a double, perhaps in hundredths."""
    (raw,) = numbers(data, "i")
    value: int | float = (
        raw >> 2 if raw & 2 else struct.unpack("<d", b"\0\0\0\0" + struct.pack("<i", raw & ~3))[0]
    )
    if raw & 1:
        value = value / 100
    return value


def real_number(data: bytes) -> int | float:
    """A double, as a whole number where it is one."""
    value: float = struct.unpack("<d", data[:8].ljust(8, b"\0"))[0]
    return int(value) if value.is_integer() else value
