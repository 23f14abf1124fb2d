"""The words of HTML pages, mail bodies and e-book chapters.

What belongs here: markup read with regular expressions alone. What does not: what is content and what is
navigation, which only the parser decides and tells (`DocumentBuilder.leave_out`).
"""

from __future__ import annotations

import html
import re

_MARKUP = re.compile(
    r"<(?:!--.*?(?:-->|\Z)|!\[CDATA\[.*?(?:\]\]>|\Z)"
    r"|(script|style|template|noscript|head|title|noframes|iframe|object|textarea|svg|canvas|audio|video|select"
    r"|datalist|map)(?=[\s>])(?:[^>]*[^/>])?(?:>|\Z).*?(?:</\1\s*>|(?=<body)|\Z)"
    r"|[a-zA-Z/!?][^>]*(?:>|\Z))",
    re.I | re.DOTALL,
)
"""Tags and comments, and elements whose content is not the text of the page."""


def text(markup: str) -> str:
    """The text between the tags of a page or a fragment."""
    found = _MARKUP.sub(" ", markup)
    return html.unescape(found) if "&" in found else found
