"""The media type comes from content; names only settle which kind of text it is."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag_pipelines.errors import (
    CorruptDocumentError,
    DocumentError,
    EmptyDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.parsing import detect as types
from rag_pipelines.parsing import signatures
from rag_pipelines.parsing.detect import detect
from rag_pipelines.parsing.formats import FORMATS

MAIL = b"From: ann@example.com\r\nTo: bob@example.com\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


DOCX = zipped(**{"[Content_Types].xml": b"<Types/>", "word__document.xml": b"<w/>"})


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"%PDF-1.7 ...", "report.docx", signatures.PDF),
        (DOCX, "eng_spa_mult.doc", signatures.DOCX),
        (b"{\\rtf1 Hello}", "letter.doc", signatures.RTF),
        (b"<!-- saved -->\n<!DOCTYPE html><html><body>Hi</body></html>", "page.txt", types.HTML),
        (b"<html><body>Hi</body></html>", "report.pdf", types.HTML),
        (MAIL, "message.txt", types.MAIL),
        (b"<?xml version='1.0'?><note>Hi</note>", "note.html", types.XML),
        (b"just words, no markup", "page.html", types.PLAIN),
        (b"not json at all", "data.json", types.PLAIN),
        ("\ufeff<html><p>Größe".encode("utf-16"), "x", types.HTML),
    ],
)
def test_a_name_that_lies_does_not_matter(data, name, expected):
    assert detect(data, name) == expected


@pytest.mark.parametrize(
    ("data", "name", "declared", "expected"),
    [
        (b"# Title\n\ntext", "a.md", None, types.MARKDOWN),
        (b"<p align='center'>Logo</p>\n\n# Title", "README.md", None, types.MARKDOWN),
        (b"words", "", "text/markdown; charset=utf-8", types.MARKDOWN),
        (b"Title\n=====\n", "a.rst", None, types.RST),
        (b"* Title\n", "a.org", None, types.ORG),
        (b"= Title\n", "a.adoc", None, types.ASCIIDOC),
        (b"import os\n", "tool.py", None, types.CODE),
        (b"FROM debian\n", "docker/Dockerfile", None, types.CODE),
        (b"a,b\n1,2\n", "a.csv", "text/plain", types.CSV),
        (b'{"a": 1}\n{"a": 2}\n', "rows.json", None, types.NDJSON),
        (b"words", "words.unknown", "text/plain", types.PLAIN),
    ],
)
def test_the_name_or_declared_type_settles_the_kind_of_text(data, name, declared, expected):
    assert detect(data, name, declared) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"# Title\n\nSee [the guide](https://example.com).\n", types.MARKDOWN),
        (b"| a | b |\n|---|---|\n| 1 | 2 |\n", types.MARKDOWN),
        (b"id,name,price\n1,apple,2\n2,pear,3\n3,plum,4\n", types.CSV),
        (b"id\tname\n1\tapple\n2\tpear\n3\tplum\n", types.TSV),
        (b'[{"a": 1}]', types.JSON),
        (b"<feed><entry>x</entry></feed>", types.XML),
        (b"#!/bin/sh\necho hi\n", types.CODE),
        (b"A plain sentence, with a comma.\nAnd another one.", types.PLAIN),
        (b"[draft] not json", types.PLAIN),
        (b"Dear Ann: hello\n\nBye", types.PLAIN),
    ],
)
def test_text_without_a_name_is_recognised_by_its_signs(data, expected):
    assert detect(data) == expected


@pytest.mark.parametrize(
    "data", [b"", b" \n\t\r\n", b"\xef\xbb\xbf\n", " \n".encode("utf-16"), b"\0" * 20_000]
)
def test_nothing_but_white_space_is_empty(data):
    with pytest.raises(EmptyDocumentError):
        detect(data, "a.txt")


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"RIFF....WEBPVP8 ", "WebP image"),
        (b"ID3\x04..", "MP3"),
        (b"\0\0\0\x20ftypisom", "video"),
        (b"Rar!\x1a\x07\x01\0", "RAR archive, from which no text is read; pack it anew as ZIP"),
        (bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3"), "OneNote section"),
        (b"ITSF\x03\0\0\0", "compiled help file"),
        (b"\xffWPC\x10\0\0\0", "WordPerfect document"),
        (b"!BDN\0\0\0\0", "Outlook data file"),
        (b"%!PS-Adobe-3.0\n", "PostScript file"),
        (zipped(**{"Index/Document.iwa": b"x"}), "Apple iWork document"),
        (zipped(**{"META-INF/MANIFEST.MF": b"x"}), "Java program"),
        (b"SQLite format 3\0", "SQLite"),
        (b"MZ\x90\0\x03\0\0\0", "Windows program"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG image"),
        (bytes(range(256)) * 8, "00 01 02 03"),
    ],
)
def test_what_has_no_parser_is_refused_with_what_it_is(data, seen):
    with pytest.raises(UnsupportedDocumentError, match=seen):
        detect(data, "report.txt")


def test_a_broken_container_is_corrupt():
    with pytest.raises(CorruptDocumentError, match="zip container"):
        detect(DOCX[: len(DOCX) // 2], "a.docx")


@given(
    st.binary(max_size=300)
    | st.sampled_from(
        [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"%PDF-", b"<html", b"{", b"From: "]
    ).flatmap(lambda magic: st.binary(max_size=200).map(lambda rest: magic + rest)),
    st.sampled_from(["", "a.md", "a.html", "a.json", "a.eml", "a.xml", "a.csv", "a.py", "."]),
)
@example(b"<!---->" * 1_100, "")
def test_any_bytes_end_with_a_known_type_or_a_document_error(data, name):
    try:
        known = detect(data, name)
    except DocumentError:
        return
    assert known in FORMATS
