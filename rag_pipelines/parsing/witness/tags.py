"""Text between tags, found without a tree.

What belongs here: what XML and HTML share. What does not: which elements of a format a reader sees.
"""

from __future__ import annotations

import html
import re

_TAG = re.compile(rb"<[^>]*(?:>|\Z)")
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def utf8(part: bytes) -> bytes:
    """An XML part in UTF-8, as nearly all are; one with a UTF-16 mark is converted."""
    return part.decode("utf-16", "replace").encode() if part.startswith(_WIDE) else part


def without(part: bytes, elements: re.Pattern[bytes], marks: tuple[bytes, ...]) -> bytes:
    """`part` without what `elements` matches; it is only searched where one of `marks` stands in it."""
    return elements.sub(b" ", part) if any(mark in part for mark in marks) else part


def between_tags(part: bytes, inline: re.Pattern[bytes] | None = None) -> str:
    """The text of a part; tags part words but for those that `inline` matches."""
    if inline is not None:
        part = inline.sub(b"", part)
    return characters(_TAG.sub(b"\n", part))


def characters(text: bytes) -> str:
    """UTF-8 with character references, as text."""
    found = text.decode("utf-8", "replace")
    return html.unescape(found) if "&" in found else found
