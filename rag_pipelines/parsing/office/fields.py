r"""Where a field leads: the instructions of Word (ECMA-376 part 1, 17.16.5), which RTF and DOC have too.

What belongs here: HYPERLINK, and references to bookmarks. What does not: other fields, and how a format
stores them.
"""

from __future__ import annotations

import re

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")
_REFERENCES = frozenset({"REF", "PAGEREF", "NOTEREF"})
_WITH_ARGUMENT = frozenset({"\\l", "\\o", "\\t"})


def target_of(instruction: str) -> str:
    r"""The target of a field, ``#`` and a bookmark within the document; "" for a field that is no link.

    ``HYPERLINK "https://acme.example" \l "place" \o "a tip"``, ``REF place \h``.
    """
    words = [_ESCAPED.sub(r"\1", quoted) if quoted else plain for quoted, plain in _WORD.findall(instruction)]
    kind = words[0].upper() if words else ""
    if kind in _REFERENCES:
        return f"#{words[1]}" if len(words) > 1 and not words[1].startswith("\\") else ""
    if kind != "HYPERLINK":
        return ""
    address = place = switch = ""
    for word in words[1:]:
        if switch:
            place = word if switch == "\\l" else place
            switch = ""
        elif word.startswith("\\") and len(word) == 2:
            switch = word.lower() if word.lower() in _WITH_ARGUMENT else ""
        else:
            address = address or word
    return f"{address}#{place}" if place else address
