"""The words of old binary Word documents whose characters stand in one piece; sections are of [MS-DOC].

What belongs here: the text as it is stored, without the instructions of fields. What does not: the piece
table, which only the parser reads.
"""

from __future__ import annotations

import re
import struct
from itertools import accumulate

_BEGIN, _END = 0x18, 0x1C
_LENGTHS, _STORIES, _MACROS = 0x4C, 8, 3
_WIDE = 2
_MOST_NESTED = 20
_INSTRUCTION = re.compile("\x13[^\x13-\x15]*(?:\x14([^\x13-\x15]*)\x15|\x15)")
_MARKS = str.maketrans({
    **dict.fromkeys("\r\x07\x0b\x0c\t", "\n"), "\x1e": "-",
    **dict.fromkeys("\x01\x02\x03\x04\x05\x08\x13\x14\x15\x1f"),
})  # fmt: skip


def text(main: bytes) -> str:
    """The text of a document from its main stream (FibRgLw97, 2.5.4).

    Nothing where it is stored in several pieces, or in both of the widths that characters may have.
    """
    begin, end = struct.unpack_from("<2I", main, _BEGIN)
    lengths = struct.unpack_from(f"<{_STORIES}I", main, _LENGTHS)
    count, size = sum(lengths), end - begin
    if not count or not 0 < size <= len(main):
        return ""
    width = round(size / count)
    if width not in (1, _WIDE) or abs(size - width * count) > _WIDE * width:
        return ""
    held = main[begin:end].decode("utf-16-le" if width == _WIDE else "cp1252", "replace")
    starts = [0, *accumulate(lengths)]
    shown = "\n".join(
        held[starts[story] : starts[story + 1]] for story in range(_STORIES) if story != _MACROS
    )
    for _ in range(_MOST_NESTED):
        shown, replaced = _INSTRUCTION.subn(r"\1", shown)
        if not replaced:
            break
    return shown.translate(_MARKS)
