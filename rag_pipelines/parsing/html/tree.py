"""From bytes and markup to a tree, by Beautiful Soup on lxml.

What belongs here: the encoding of HTML, and the one way in which it is parsed. What does not: reading the
tree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag_pipelines.parsing.encoding import decode

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*>")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.I)
_META_HEAD = 4_096


def decode_markup(data: bytes, charset: str | None = None) -> str:
    """HTML or XHTML bytes as text, by byte order mark, UTF-8, `charset`, ``<meta charset>`` or a guess."""
    if charset is None:
        declared = _META_CHARSET.search(data[:_META_HEAD])
        charset = declared[1].decode("ascii", "replace") if declared else None
    return decode(data, charset)


def tree_of(markup: str) -> BeautifulSoup | None:
    """The tree of a page or fragment, or None where there is no markup and no text.

    What stands behind the end of the body is a part of it, as in a browser.
    """
    from bs4 import BeautifulSoup

    markup = _XML_DECLARATION.sub("", markup.replace("\0", ""), count=1)
    if not markup.strip():
        return None
    soup = BeautifulSoup(markup if "<" in markup else f"<p>{markup}</p>", "lxml")
    if soup.html is not None and soup.body is not None:
        soup.body.extend([*soup.body.next_siblings, *soup.html.next_siblings])
    return soup
