"""Pictures in office documents: what their author wrote about them, for those who do not see them.

What belongs here: which alternative texts are words of a person. What does not: finding pictures.
"""

from __future__ import annotations

import re

_FILE = re.compile(r"(?i)(?:\S*[/\\])?[^/\\]*\.(?:png|jpe?g|gif|bmp|tiff?|emf|wmf|svg|webp|heic)")
_GENERATED = re.compile(
    r"(?i)\s*(?:description automatically generated.*|ai-generated content may be .*)\Z", re.S
)


def alternative_text(*candidates: str | None) -> str:
    """The first alternative text that says something: no file name, no note of the program that made it."""
    for candidate in candidates:
        text = " ".join(_GENERATED.sub("", candidate or "").split())
        if text and not _FILE.fullmatch(text):
            return text
    return ""
