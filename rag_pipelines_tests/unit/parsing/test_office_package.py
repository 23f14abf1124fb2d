"""Hostile packages are refused before a library reads them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest

from rag_pipelines.errors import (
    CorruptDocumentError,
    DocumentError,
    EncryptedDocumentError,
    TooLargeDocumentError,
)
from rag_pipelines.parsing.zip_package import parse_xml
from rag_pipelines_tests.unit.parsing.office import edited, parse, saved, status, zipped

BILLION_LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)


def word() -> bytes:
    document = docx.Document()
    document.add_paragraph("text")
    return saved(document.save)


def workbook() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    return saved(book.save)


def deck() -> bytes:
    made = pptx.Presentation()
    made.slides.add_slide(made.slide_layouts[0]).shapes.title.text = "Title"
    return saved(made.save)


def text_document(content: str, **parts: str) -> bytes:
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content, **parts})


PACKAGES = [
    pytest.param(word, "word/document.xml", id="docx"),
    pytest.param(workbook, "xl/worksheets/sheet1.xml", id="xlsx"),
    pytest.param(deck, "ppt/slides/slide1.xml", id="pptx"),
]


@pytest.mark.parametrize(("make", "part"), PACKAGES)
def test_a_zip_bomb_is_refused_by_its_directory(make, part) -> None:
    bomb = edited(make(), part, lambda xml: xml + b" " * 3_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(TooLargeDocumentError, match="max_expansion_bytes"):
        parse(bomb, max_expansion_bytes=2_000_000)


def test_a_bomb_spread_over_many_parts_is_refused_too() -> None:
    data = word()
    for number in range(4):
        data = edited(data, f"word/media/{number}.bin", lambda _: bytes(1_000_000))
    with pytest.raises(TooLargeDocumentError):
        parse(data, max_expansion_bytes=2_000_000)


def test_a_part_that_lies_about_its_size_yields_no_more_than_it_said() -> None:
    data = bytearray(edited(word(), "word/document.xml", lambda xml: xml + b" " * 3_000_000))
    directory = data.rfind(b"PK\x01\x02", 0, data.rfind(b"word/document.xml"))
    data[directory + 24 : directory + 28] = (1_000).to_bytes(4, "little")
    with pytest.raises(DocumentError):
        parse(bytes(data), max_expansion_bytes=2_000_000)


@pytest.mark.parametrize(("make", "part"), PACKAGES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_wherever_they_are_declared(make, part, encoding: str) -> None:
    def declare(xml: bytes) -> bytes:
        root = xml.partition(b"?>")[2] if xml.startswith(b"<?xml") else xml
        text = f'<?xml version="1.0" encoding="{encoding}"?><!-- < -->'.encode() + BILLION_LAUGHS + root
        return text.decode().encode(encoding)

    with pytest.raises(CorruptDocumentError, match="document type"):
        parse(edited(make(), part, declare))


def test_an_external_entity_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("the secret")
    content = (
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret.txt">]>'
        '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text>'
        "<text:p>before &e; after</text:p></office:text></office:body></office:document-content>"
    )
    with pytest.raises(CorruptDocumentError, match="entities"):
        parse(text_document(content))
    chapter = f'<!DOCTYPE html [<!ENTITY e SYSTEM "file://{tmp_path}/secret.txt">]><p>before &e; after</p>'
    opf = '<package><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
    book = zipped({
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfile full-path="b.opf"/></container>',
        "b.opf": f'{opf}<spine><itemref idref="c"/></spine></package>',
        "c.xhtml": chapter,
    })  # fmt: skip
    assert "secret" not in parse(book).text


def test_python_docx_and_python_pptx_do_not_resolve_entities(tmp_path: Path) -> None:
    """Their parsers stand behind our check; should they change, this says so."""
    from docx.oxml.parser import parse_xml as docx_parse
    from pptx.oxml import parse_xml as pptx_parse

    (tmp_path / "secret.txt").write_text("the secret")
    xml = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret.txt">]><x>&e;</x>'
    for reader in (docx_parse, pptx_parse):
        assert "secret" not in "".join(reader(xml).itertext())


def test_our_own_xml_parser_refuses_entities_and_broken_xml() -> None:
    for xml in (BILLION_LAUGHS + b"<x>&c;</x>", b"<x>", b"", b"\0\1"):
        with pytest.raises(CorruptDocumentError):
            parse_xml(xml)


@pytest.mark.parametrize(("make", "part"), PACKAGES)
def test_a_package_cut_short_or_with_a_broken_part_is_corrupt(make, part) -> None:
    for broken in (make()[:-200], make()[:100], edited(make(), part, lambda xml: xml[: len(xml) // 2])):
        with pytest.raises(CorruptDocumentError):
            parse(broken, "a.docx")


@pytest.mark.parametrize(("make", "part"), PACKAGES)
def test_bytes_flipped_anywhere_end_as_a_document_or_its_error(make, part) -> None:
    data = make()
    for at in range(7, len(data), max(1, len(data) // 40)):
        flipped = bytearray(data)
        flipped[at] ^= 0x5A
        assert status(bytes(flipped)) in (
            "parsed",
            "corrupt",
            "unsupported",
            "encrypted",
            "too_large",
            "empty",
        )


def test_a_package_with_encrypted_parts_is_encrypted() -> None:
    data = bytearray(word())
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        data[at + 8] |= 1
        at += 4
    with pytest.raises(EncryptedDocumentError):
        parse(bytes(data))


def test_a_directory_of_very_many_parts_is_refused() -> None:
    out = io.BytesIO(word())
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as package:
        for number in range(20_001):
            package.writestr(zipfile.ZipInfo(f"x{number}"), b"")
    with pytest.raises(TooLargeDocumentError, match="parts"):
        parse(out.getvalue())


def test_an_encrypted_opendocument_file_is_encrypted() -> None:
    manifest = {"META-INF/manifest.xml": "<manifest><file-entry><encryption-data/></file-entry></manifest>"}
    with pytest.raises(EncryptedDocumentError):
        parse(text_document("garbage", **manifest))
