"""Whether a PDF may give other text for its glyphs than they show: /ActualText (ISO 32000-1, 14.9.4).

What belongs here: saying that there is none, cheaply. What does not: what such text is worth (`page`).

The entry stands in the objects of a file, plain or inside of object streams, or in the content of a page.
"""

from __future__ import annotations

import re
import zlib
from typing import Any

_ENTRY = b"/ActualText"
_OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm\b")
_MOST_UNPACKED = 200_000_000
"""Bytes of object streams that are looked through; beyond them the answer is yes."""


def may_replace(data: bytes) -> bool:
    """Whether an object of the file `data` may hold the entry. What cannot be looked into may."""
    if _ENTRY in data or b"/Encrypt" in data:
        return True
    room = _MOST_UNPACKED
    for found in _OBJECT_STREAM.finditer(data):
        head, keyword, _ = data[found.start() : found.end() + 2_000].partition(b"stream")
        if not keyword or b"/DecodeParms" in head:
            return True
        begin = found.start() + len(head) + len(keyword)
        begin += 2 if data[begin : begin + 2] == b"\r\n" else 1
        try:
            objects = zlib.decompressobj().decompress(memoryview(data)[begin:], room)
        except zlib.error:
            return True
        room -= len(objects)
        if room <= 0 or _ENTRY in objects:
            return True
    return False


def page_may_replace(page: Any) -> bool:
    """Whether the content of a MuPDF page may hold the entry. Forms that it draws are not looked into."""
    return _ENTRY in page.read_contents() or bool(page.get_xobjects())
