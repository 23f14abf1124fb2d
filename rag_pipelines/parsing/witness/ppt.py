"""The words of old binary presentations, found by the bytes that texts begin with; sections are of [MS-PPT].

What belongs here: which of the objects in a stream a reader sees. What does not: OLE2 containers (`ole`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_HEAD = struct.Struct("<HHI")
_DOCUMENT, _SLIDE, _NOTES, _USER_EDIT = 0x03E8, 0x03EE, 0x03F0, 0x0FF5
_OUTLINES, _OF_SLIDES = 0x0FF0, 0
_TEXT = re.compile(rb"\x9f\x0f\x04\0\0\0([\0-\x08])\0\0\0..([\xa0\xa8])\x0f(....)", re.DOTALL)
"""What kind of text follows, whether in UTF-16 or Latin-1, and its length (2.9.42 to 2.9.44)."""
_BODY_OF_NOTES = b"\x02"
_SLIDE_IDS = range(0x100, 0x80000000)
"""What the notes of a slide refer to (2.2.25); the master of notes refers to none."""
_WIDE = b"\xa0"
_FIELD = "*"
_ENDS = str.maketrans("\r\x0b", "\n ")


def text(stream: bytes) -> str:
    """The texts of the slides and their notes.

    Nothing where the file was saved more than once by adding to it: old states stand beside the new ones.
    """
    records = list(_records(stream, 0, len(stream)))
    if sum(kind == _USER_EDIT for kind, *_ in records) != 1:
        return ""
    found: list[str] = []
    for kind, _, begin, end in records:
        if kind == _SLIDE:
            found += _texts(stream, begin, end)
        elif kind == _NOTES and int.from_bytes(stream[begin + 8 : begin + 12], "little") in _SLIDE_IDS:
            found += _texts(stream, begin, end, only=_BODY_OF_NOTES)
        elif kind == _DOCUMENT:
            for inner, instance, first, last in _records(stream, begin, end):
                if inner == _OUTLINES and instance == _OF_SLIDES:
                    found += _texts(stream, first, last)
    return "\n".join(found)


def _records(stream: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Kind, instance, first and last byte of the records that stand side by side."""
    while begin + _HEAD.size <= end:
        head, kind, size = _HEAD.unpack_from(stream, begin)
        begin += _HEAD.size
        yield kind, head >> 4, begin, min(begin + size, end)
        begin += size


def _texts(stream: bytes, begin: int, end: int, only: bytes | None = None) -> Iterator[str]:
    for match in _TEXT.finditer(stream, begin, end):
        if only is None or match[1] == only:
            held = stream[match.end() : min(match.end() + int.from_bytes(match[3], "little"), end)]
            shown = held.decode("utf-16-le" if match[2] == _WIDE else "latin-1", "replace")
            if shown.strip() != _FIELD:
                yield shown.translate(_ENDS)
