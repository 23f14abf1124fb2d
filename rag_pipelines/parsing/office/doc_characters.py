"""How the characters of an old binary Word document look, and what form fields say; of [MS-DOC].

What belongs here: character properties, fonts, the data of form fields. What does not: where characters are
stored (`doc_binary`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from rag_pipelines.text.symbol_fonts import is_symbol_font

# Character modifiers (2.6.1).
_RAISED, _HIDDEN, _DELETED, _SYMBOL, _FONT, _POSITION, _PICTURE, _IS_DATA = (
    0x2A48, 0x083C, 0x0800, 0x6A09, 0x4A4F, 0x4845, 0x6A03, 0x0806,
)  # fmt: skip
_SUPERSCRIPT = 1
_RAISED_HALF_POINTS = 5
_FONT_NAME = 40
_TEXT, _CHECK_BOX, _LIST = 0, 1, 2
_UNDEFINED = 25


class CharacterLook(NamedTuple):
    """How a run of characters is shown.

    `font` is kept only where it is a symbol font; `symbol` is the character that stands for each of them;
    `picture` is where the data stream keeps their picture, or with `is_form` their form field.
    """

    raised: bool = False
    hidden: bool = False
    font: str | None = None
    symbol: str | None = None
    picture: int | None = None
    is_form: bool = False


PLAIN = CharacterLook()


def read_look(modifiers: Iterator[tuple[int, bytes]], fonts: list[str]) -> CharacterLook:
    """The look that the modifiers of a run make."""
    look = PLAIN
    for code, operand in modifiers:
        value = int.from_bytes(operand, "little")
        if code == _RAISED:
            look = look._replace(raised=value == _SUPERSCRIPT)
        elif code in (_HIDDEN, _DELETED):
            look = look._replace(hidden=look.hidden or value == 1)
        elif code == _POSITION:
            raised = int.from_bytes(operand, "little", signed=True) >= _RAISED_HALF_POINTS
            look = look._replace(raised=look.raised or raised)
        elif code == _FONT:
            font = fonts[value] if value < len(fonts) else ""
            look = look._replace(font=font if is_symbol_font(font) else None)
        elif code == _SYMBOL and len(operand) == 4:
            place, character = struct.unpack("<HH", operand)
            named = fonts[place] if place < len(fonts) else None
            look = look._replace(font=named, symbol=chr(character))
        elif code == _PICTURE:
            look = look._replace(picture=value)
        elif code == _IS_DATA:
            look = look._replace(is_form=value == 1)
    return look


def read_fonts(table: bytes) -> list[str]:
    """The names of the fonts in a font table (2.9.286)."""
    fonts: list[str] = []
    at = 4
    while at < len(table):
        size = table[at] + 1
        name = table[at + _FONT_NAME : at + size].decode("utf-16-le", "replace")
        fonts.append(name.partition("\0")[0])
        at += size
    return fonts


def form_value(data: bytes, at: int) -> str | None:
    """What the form field at `at` of the data stream shows (2.9.79); None where its text says it."""
    try:
        (header,) = struct.unpack_from("<4xH", data, at)
        at += header
        version, bits = struct.unpack_from("<IH", data, at)
        if version != 0xFFFFFFFF:
            return None
        kind, result = bits & 0x3, bits >> 2 & 0x1F
        if kind == _TEXT:
            return None
        at = _after_text(data, at + 10)
        if result == _UNDEFINED:
            (result,) = struct.unpack_from("<H", data, at)
        if kind == _CHECK_BOX:
            return "☒" if result else "☐"
        at += 2
        for _ in range(5):
            at = _after_text(data, at)
        choices = list(_strings(data, at)) if kind == _LIST else []
    except (struct.error, IndexError):
        return None
    return choices[result] if result < len(choices) else ""


def _after_text(data: bytes, at: int) -> int:
    """Where a text ends that begins with its length and ends with a zero."""
    (length,) = struct.unpack_from("<H", data, at)
    return at + 4 + 2 * int(length)


def _strings(data: bytes, at: int) -> Iterator[str]:
    """The strings of a string table (2.2.4) of wide characters."""
    count, extra = struct.unpack_from("<2xHH", data, at)
    at += 6
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        yield data[at + 2 : at + 2 + 2 * length].decode("utf-16-le", "replace")
        at += 2 + 2 * length + extra
