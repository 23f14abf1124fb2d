"""E-books: chapters in the order of the spine, through the HTML reader."""

from __future__ import annotations

import pytest

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError
from rag_pipelines_tests.unit.parsing.office import outline, parse, zipped

CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>Winter Sports</dc:title><dc:creator>E. F. Benson</dc:creator><dc:language>en</dc:language></metadata>
<manifest>
<item id="two" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="cover" href="cover.jpg" media-type="image/jpeg"/>
</manifest>
<spine><itemref idref="cover"/><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/><itemref idref="one"/></spine>
</package>"""  # noqa: E501


def book(**replaced: str) -> bytes:
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE,
        "OEBPS/nav.xhtml": "<html><body><h1>Contents</h1></body></html>",
        "OEBPS/text/one.xhtml": '<?xml version="1.0"?><html><h1>Skating</h1><p>On ice.</p></html>',
        "OEBPS/text/two b.xhtml": "<html><body><h1>Skiing</h1><p>On snow – fast.</p></body></html>",
    }
    return zipped({**parts, **{name.replace("__", "/"): text for name, text in replaced.items()}})


def test_chapters_come_in_the_order_of_the_spine_and_navigation_is_left_out() -> None:
    document = parse(book())
    assert outline(document) == [
        ("heading 1", "Skating"),
        ("paragraph", "On ice."),
        ("heading 1", "Skiing"),
        ("paragraph", "On snow – fast."),
    ]
    assert (document.title, document.language) == ("Winter Sports", "en")
    assert document.metadata == {"title": "Winter Sports", "author": "E. F. Benson"}


def test_a_chapter_that_is_missing_costs_a_warning() -> None:
    document = parse(book(**{"OEBPS__book.opf": PACKAGE.replace("text/one.xhtml", "text/lost.xhtml")}))
    assert "lost.xhtml" in document.warnings[0]
    assert "Skiing" in document.text


def test_what_is_paged_through_and_not_read_is_counted() -> None:
    counters = parse(book()).counters
    assert counters["contents_words"] == 1
    assert counters["images_without_text"] == 1
    assert counters["words_seen"] == 9
    assert "words_missing" not in counters
    lost = parse(book(**{"OEBPS__book.opf": PACKAGE.replace("text/one.xhtml", "text/lost.xhtml")}))
    assert lost.counters["parts_not_read"] == 1


def protection(algorithm: str) -> str:
    method = f'<e:EncryptionMethod xmlns:e="http://www.w3.org/2001/04/xmlenc#" Algorithm="{algorithm}"/>'
    return f"<encryption><EncryptedData>{method}</EncryptedData></encryption>"


def test_a_copy_protected_book_is_encrypted_and_one_with_obscured_fonts_is_not() -> None:
    with pytest.raises(EncryptedDocumentError):
        parse(book(**{"META-INF__encryption.xml": protection("http://www.w3.org/2001/04/xmlenc#aes128-cbc")}))
    fonts = protection("http://www.idpf.org/2008/embedding")
    assert parse(book(**{"META-INF__encryption.xml": fonts})).title == "Winter Sports"


def test_a_book_that_names_no_content_is_corrupt() -> None:
    with pytest.raises(CorruptDocumentError, match="package document"):
        parse(book(**{"META-INF__container.xml": "<container/>"}))
