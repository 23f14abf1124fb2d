"""The text of old binary presentations as it looks; section numbers are of [MS-PPT].

What belongs here: the properties of characters and paragraphs that change what a text reads as: raised
characters, symbol fonts, automatic numbers. What does not: finding texts in a presentation (`ppt`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from rag_pipelines.parsing.links import LINK, end_of_link
from rag_pipelines.parsing.office.pptx_lists import Bullet, Numbers
from rag_pipelines.text.superscripts import join_runs
from rag_pipelines.text.symbol_fonts import is_symbol_font, read_symbols

# Automatic numbers by their code (2.13.35), in the names of Office Open XML.
_SCHEMES = (
    "alphaLcPeriod", "alphaUcPeriod", "arabicParenR", "arabicPeriod", "romanLcParenBoth", "romanLcParenR",
    "romanLcPeriod", "romanUcPeriod", "alphaLcParenBoth", "alphaLcParenR", "alphaUcParenBoth",
    "alphaUcParenR", "arabicParenBoth", "arabicPlain", "romanUcParenBoth", "romanUcParenR", "ea1ChsPlain",
    "ea1ChsPeriod", "circleNumDbPlain", "circleNumWdWhitePlain", "circleNumWdBlackPlain", "ea1ChtPlain",
    "ea1ChtPeriod", "arabic1Minus", "arabic2Minus", "hebrew2Minus", "ea1JpnKorPlain", "ea1JpnKorPeriod",
    "arabicDbPlain", "arabicDbPeriod", "thaiAlphaPeriod", "thaiAlphaParenR", "thaiAlphaParenBoth",
    "thaiNumPeriod", "thaiNumParenR", "thaiNumParenBoth", "hindiAlphaPeriod", "hindiNumPeriod",
    "ea1JpnChsDbPeriod", "hindiNumParenR", "hindiAlpha1Period",
)  # fmt: skip

# The fields of paragraph and character properties in their order: the bits that announce them, and bytes.
_PARAGRAPH_FIELDS = (
    (0x0000000F, 2), (0x00000080, 2), (0x00000010, 2), (0x00000040, 2), (0x00000020, 4), (0x00000800, 2),
    (0x00001000, 2), (0x00002000, 2), (0x00004000, 2), (0x00000100, 2), (0x00000400, 2), (0x00008000, 2),
)  # fmt: skip
_PARAGRAPH_TAIL = ((0x00010000, 2), (0x000E0000, 2), (0x00200000, 2))
_TAB_STOPS = 0x00100000
_CHARACTER_FIELDS = (
    (0x0000FFFF, 2), (0x00010000, 2), (0x00200000, 2), (0x00400000, 2), (0x00800000, 2), (0x00020000, 2),
    (0x00040000, 4), (0x00080000, 2),
)  # fmt: skip
_STYLE, _FONT, _SYMBOL_FONT, _POSITION = 0x0000FFFF, 0x00010000, 0x00800000, 0x00080000
_BLIP, _SCHEME, _HAS_NUMBER = 0x00800000, 0x01000000, 0x02000000
_RUN_EXTENSION = 0x00100000
_EXTENSION_SHIFT, _EXTENSION_MASK = 10, 0xF


class _Look(NamedTuple):
    """How characters look; `extension` is the place of further properties of their paragraph."""

    raised: bool = False
    font: str | None = None
    symbol_font: str | None = None
    extension: int = 0


class Line(NamedTuple):
    """A paragraph: its text behind its number, and its depth; `is_numbered` where it has a number."""

    text: str
    depth: int
    is_numbered: bool


def read_lines(
    text: str, style: bytes, extension: bytes, fonts: list[str], links: Iterable[tuple[int, int, str]] = ()
) -> list[Line]:
    """The paragraphs of `text` as they look.

    Args:
        style: the properties of its paragraphs and characters (2.9.44), empty where it has none.
        extension: their automatic numbers (2.9.67), empty where it has none.
        fonts: the names of the fonts of the presentation.
        links: start, end and target of each link in it.
    """
    marks = _link_marks(text, links)
    try:
        depths, looks = _read_style(text, style, fonts)
    except (struct.error, IndexError):
        depths, looks = [], []
    bullets = _read_bullets(extension)
    numbers = Numbers()
    lines: list[Line] = []
    at = 0
    for paragraph in text.split("\r"):
        depth = next((depth for start, end, depth in depths if start <= at < end), 0)
        runs: list[tuple[str, bool]] = []
        place: int | None = None
        for start, end, look in looks or [(0, len(text) + 1, _Look())]:
            begin, stop = max(start, at), min(end, at + len(paragraph))
            if begin < stop:
                places = sorted(mark for mark in marks if begin < mark < stop)
                for one, following in pairwise((begin, *places, stop)):
                    runs.append((marks.get(one, ""), False))
                    runs.append((_read(text[one:following], look), look.raised))
                place = look.extension if place is None else place
        runs.append((marks.get(at + len(paragraph), ""), False))
        bullet = bullets[place] if place is not None and place < len(bullets) else None
        shown = join_runs(runs)
        label = numbers.next_label(depth, bullet) if shown.strip() else ""
        lines.append(Line(f"{label} {shown}" if label else shown, depth, bool(label)))
        at += len(paragraph) + 1
    return lines


def _link_marks(text: str, links: Iterable[tuple[int, int, str]]) -> dict[int, str]:
    """What marks the beginnings and ends of links, by where it stands; a link ends with its paragraph."""
    marks: dict[int, str] = {}
    for start, end, target in links:
        end = min(end, start + len(text[start:].partition("\r")[0]))
        if start < end:
            marks[start] = marks.get(start, "") + LINK
            marks[end] = end_of_link(target) + marks.get(end, "")
    return marks


def _read(text: str, look: _Look) -> str:
    if look.font is not None:
        return read_symbols(text, look.font)
    if look.symbol_font is not None:
        return "".join(read_symbols(one, look.symbol_font) if one >= "\uf000" else one for one in text)
    return text


def _read_style(
    text: str, style: bytes, fonts: list[str]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, _Look]]]:
    """Start, end and depth of the paragraphs of equal properties, and those of characters with their look."""
    at = start = 0
    depths: list[tuple[int, int, int]] = []
    while style and start <= len(text):
        count, depth, masks = struct.unpack_from("<IHI", style, at)
        _, at = _fields(style, at + 10, masks, _PARAGRAPH_FIELDS)
        if masks & _TAB_STOPS:
            at += 2 + 4 * int.from_bytes(style[at : at + 2], "little")
        _, at = _fields(style, at, masks, _PARAGRAPH_TAIL)
        depths.append((start, start + count, depth))
        start += max(count, 1)
    start = 0
    looks: list[tuple[int, int, _Look]] = []
    while style and start <= len(text):
        count, masks = struct.unpack_from("<II", style, at)
        found, at = _fields(style, at + 8, masks, _CHARACTER_FIELDS)
        position = int.from_bytes(found.get(_POSITION, b""), "little", signed=True)
        flags = int.from_bytes(found.get(_STYLE, b""), "little")
        look = _Look(
            position > 0,
            _symbol_font(found.get(_FONT), fonts),
            _symbol_font(found.get(_SYMBOL_FONT), fonts),
            flags >> _EXTENSION_SHIFT & _EXTENSION_MASK,
        )
        looks.append((start, start + count, look))
        start += max(count, 1)
    return depths, looks


def _fields(
    data: bytes, at: int, masks: int, fields: tuple[tuple[int, int], ...]
) -> tuple[dict[int, bytes], int]:
    """The fields that `masks` announce, and where they end."""
    found: dict[int, bytes] = {}
    for bits, size in fields:
        if masks & bits:
            found[bits] = data[at : at + size]
            at += size
    return found, at


def _symbol_font(reference: bytes | None, fonts: list[str]) -> str | None:
    place = len(fonts) if reference is None else int.from_bytes(reference, "little")
    return fonts[place] if place < len(fonts) and is_symbol_font(fonts[place]) else None


def _read_bullets(extension: bytes) -> list[Bullet | None]:
    """The automatic number of each kind of paragraph, None for those without."""
    return list(_each_bullet(extension))


def _each_bullet(data: bytes) -> Iterator[Bullet | None]:
    at = 0
    while at + 12 <= len(data):
        (masks,) = struct.unpack_from("<I", data, at)
        found, at = _fields(data, at + 4, masks, ((_BLIP, 2), (_HAS_NUMBER, 2), (_SCHEME, 4)))
        is_numbered = found.get(_HAS_NUMBER, b"\0\0") != b"\0\0"
        scheme, start = struct.unpack("<HH", found.get(_SCHEME, b"\x03\0\1\0").ljust(4, b"\0"))
        known = _SCHEMES[scheme] if scheme < len(_SCHEMES) else "arabicPeriod"
        yield Bullet(known, start) if is_numbered else None
        at += 4 + (4 if int.from_bytes(data[at : at + 4], "little") & _RUN_EXTENSION else 0)
        masks = int.from_bytes(data[at : at + 4], "little")
        _, at = _fields(data, at + 4, masks, ((0x1, 2), (0x2, 2), (0x4, 2), (0x40, 2), (0x20, 4)))
        if masks & 0x200:
            at += 4 + 4 * int.from_bytes(data[at : at + 4], "little")
