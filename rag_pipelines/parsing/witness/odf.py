"""The words of OpenDocument files.

What belongs here: which elements of `content.xml` and `styles.xml` hold text that nobody sees. What does not:
opening the package (`zip_package`).
"""

from __future__ import annotations

import re

from rag_pipelines.parsing.witness.tags import between_tags, characters, utf8

_NOT_SHOWN = re.compile(
    rb"<(text:tracked-changes|text:ruby-text|dc:date|meta:date-string|svg:title|svg:desc|office:scripts"
    rb"|presentation:footer-decl|presentation:date-time-decl|presentation:header-decl|text:page-number"
    rb"|text:page-count|office:binary-data|table:calculation-settings|table:named-expressions"
    rb"|table:content-validations|office:event-listeners)"
    rb"(?=[\s>])(?:[^>]*[^/>])?(?:>|\Z).*?(?:</\1>|\Z)",
    re.DOTALL,
)
_INLINE = re.compile(rb"</?text:(?:span|a|bookmark|bookmark-start|bookmark-end|meta)(?:\s[^>]*)?(?:>|\Z)")
_FURNITURE = re.compile(
    rb"<style:(header|footer)(?=[\s>])(?:[^>]*[^/>])?(?:>|\Z).*?(?:</style:\1>|\Z)", re.DOTALL
)


_TEXT = re.compile(rb">([^<]+)")


def pieces(content: bytes, styles: bytes) -> str:
    """All text of the two parts, a line for each piece between tags, with some that is not shown."""
    return characters(b"\n".join(_TEXT.findall(_shown(content, styles))))


def text(content: bytes, styles: bytes) -> str:
    """What is shown of the two parts: the body, and of a text document the headers and footers."""
    return between_tags(_NOT_SHOWN.sub(b" ", _shown(content, styles)), _INLINE)


def _shown(content: bytes, styles: bytes) -> bytes:
    content = utf8(content)
    body = content[max(content.find(b"<office:body"), 0) :]
    if b"<office:text" in body:
        body += b" ".join(found[0] for found in _FURNITURE.finditer(utf8(styles)))
    return body
