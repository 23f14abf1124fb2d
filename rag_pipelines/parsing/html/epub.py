"""E-books (EPUB 2 and 3): the chapters in the order of the spine.

What belongs here: the package of an e-book. What does not: the XHTML of a chapter (`html`), opening a
ZIP safely (`zip_package`).

Navigation documents are left out, because they only repeat the headings. Nothing is fetched.
"""

from __future__ import annotations

import posixpath
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.html.parse import add_html
from rag_pipelines.parsing.html.tree import decode_markup
from rag_pipelines.parsing.witness import html as witness
from rag_pipelines.parsing.zip_package import meaningful_title, open_package, parse_xml, read_part

if TYPE_CHECKING:
    from lxml.etree import _Element

MEDIA_TYPE = "application/epub+zip"

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_CHAPTER_TYPES = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml"}
_METADATA = {
    "title": "title",
    "creator": "author",
    "publisher": "publisher",
    "subject": "subject",
    "description": "description",
    "date": "created",
    "identifier": "identifier",
}
_FONT_ALGORITHMS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""These only obscure fonts; every other algorithm in the encryption file means a copy-protected text."""


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an e-book.

    Raises:
        EncryptedDocumentError: the chapters are copy-protected.
        CorruptDocumentError: the package does not name its content.
        TooLargeDocumentError: see `zip_package.open_package`.
    """
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    with open_package(request.data, request.limits) as package:
        names = set(package.namelist())
        if _ENCRYPTION in names and _is_protected(parse_xml(read_part(package, _ENCRYPTION), _ENCRYPTION)):
            raise EncryptedDocumentError("the e-book is copy-protected (DRM)")
        path = _content_path(package)
        content = parse_xml(read_part(package, path), path)
        builder.metadata = _metadata(content)
        builder.language = builder.metadata.pop("language", None)
        builder.title = meaningful_title(builder.metadata.get("title"))
        for chapter in _chapters(content, posixpath.dirname(path)):
            if chapter in names:
                markup = decode_markup(read_part(package, chapter))
                add_html(builder, markup)
                builder.account_for(witness.text(markup))
            else:
                builder.warnings.append(f"the e-book lacks the chapter {chapter!r} that it names")
    return builder.finish()


def _content_path(package: zipfile.ZipFile) -> str:
    container = parse_xml(read_part(package, _CONTAINER), _CONTAINER)
    found = next(container.iterfind(".//{*}rootfile[@full-path]"), None)
    if found is None:
        raise CorruptDocumentError(f"{_CONTAINER} names no package document, so the chapters cannot be found")
    return str(found.get("full-path"))


def _chapters(content: _Element, folder: str) -> list[str]:
    """The paths of the chapters in reading order, each once."""
    items = {item.get("id"): item for item in content.iterfind(".//{*}manifest/{*}item")}
    chapters: dict[str, None] = {}
    for reference in content.iterfind(".//{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _CHAPTER_TYPES:
            continue
        if "nav" not in (item.get("properties") or "").split():
            path = posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or "")))
            chapters.setdefault(path)
    return list(chapters)


def _metadata(content: _Element) -> dict[str, Any]:
    found: dict[str, str] = {}
    for element in content.iterfind(".//{http://purl.org/dc/elements/1.1/}*"):
        name, text = str(element.tag).rpartition("}")[2], (element.text or "").strip()
        key = "language" if name == "language" else _METADATA.get(name)
        if key and text:
            found.setdefault(key, text)
    return found


def _is_protected(encryption: _Element) -> bool:
    methods = encryption.iterfind(".//{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod")
    return any(method.get("Algorithm") not in _FONT_ALGORITHMS for method in methods)
