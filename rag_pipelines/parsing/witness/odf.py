"""The words of OpenDocument files.

What belongs here: which elements of `content.xml` and `styles.xml` hold text that nobody sees. What does not:
opening the package (`zip_package`).
"""

from __future__ import annotations

import re
import zipfile

from rag_pipelines.parsing.witness.tags import between_tags, utf8

_BODY = re.compile(rb"<office:body[\s>].*", re.DOTALL)
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


def text(package: zipfile.ZipFile) -> str:
    """The text of an open package: the body, and of a text document the headers and footers."""
    body = b"".join(_BODY.findall(utf8(package.read("content.xml"))))
    if b"<office:text" in body and "styles.xml" in package.namelist():
        styles = utf8(package.read("styles.xml"))
        body += b" ".join(found[0] for found in _FURNITURE.finditer(styles))
    return between_tags(_NOT_SHOWN.sub(b" ", body), _INLINE)
