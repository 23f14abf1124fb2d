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


_NOT_ONLY_TEXT = re.compile(
    r"<(?![b-ce-gj-lpqru-zB-CE-GJ-LPQRU-Z/])(?:[^a-zA-Z]|(?:script|style|template|noscript|head|title|noframes"
    r"|iframe|object|textarea|svg|canvas|audio|video|select|datalist|map)(?=[\s>]))",
    re.I,
)
"""Where `_MARKUP` matches more than a tag. Most tags are passed over by their first letter."""
_TEXT = re.compile(">([^<]+)")


def text(markup: str) -> str:
    """The text between the tags of a page or a fragment, a line for each piece."""
    if "<pre" not in markup:
        markup = markup.replace("\r", "").replace("\n", " ")
    before, end, _ = markup.partition("</head>")
    body = len(before) + len(end) if end else 0
    if _NOT_ONLY_TEXT.search(markup, body):
        found = _MARKUP.sub("\n", markup)
    else:
        found = "\n".join(_TEXT.findall(f">{markup[body:]}"))
    return html.unescape(found) if "&" in found else found
