"""E-books (EPUB 2 and 3): the chapters in the order of the spine.

What belongs here: the package of an e-book. What does not: the XHTML of a chapter (`html`), opening a
ZIP safely (`zip_package`).

Navigation documents are left out and counted, because they only repeat the headings. Nothing is fetched.
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
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.witness import html as witness
from rag_pipelines.parsing.zip_package import open_package, parse_xml, read_part
from rag_pipelines.text.titles import choose_title

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
        builder.title = choose_title(None, builder.metadata.get("title"))
        for part, item in _spine(content, posixpath.dirname(path)):
            if item.get("media-type") not in _CHAPTER_TYPES:
                is_image = str(item.get("media-type")).startswith("image/")
                builder.lose(Loss.IMAGES if is_image else Loss.PARTS)
            elif part not in names:
                builder.lose(Loss.PARTS)
                builder.warnings.append(f"the e-book lacks the chapter {part!r} that it names")
            else:
                markup = decode_markup(read_part(package, part))
                builder.account_for(shown := witness.text(markup))
                if "nav" in (item.get("properties") or "").split():
                    builder.leave_out(LeftOut.CONTENTS, shown)
                else:
                    add_html(builder, markup)
    return builder.finish()


def _content_path(package: zipfile.ZipFile) -> str:
    container = parse_xml(read_part(package, _CONTAINER), _CONTAINER)
    found = next(container.iterfind(".//{*}rootfile[@full-path]"), None)
    if found is None:
        raise CorruptDocumentError(f"{_CONTAINER} names no package document, so the chapters cannot be found")
    return str(found.get("full-path"))


def _spine(content: _Element, folder: str) -> list[tuple[str, _Element]]:
    """Path and manifest item of what a reader pages through, in reading order, each once."""
    items = {item.get("id"): item for item in content.iterfind(".//{*}manifest/{*}item")}
    found: dict[str, _Element] = {}
    for reference in content.iterfind(".//{*}spine/{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is not None:
            path = posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or "")))
            found.setdefault(path, item)
    return list(found.items())


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
