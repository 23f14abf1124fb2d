"""Every web, text and data file of the real corpora ends with a document or the right status."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from rag_pipelines.errors import DocumentError
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.markup.markdown import _parser
from rag_pipelines.parsing.markup.markdown_inline import parse_text, plain_text
from rag_pipelines.parsing.registry import parse
from rag_pipelines_tests.unit.parsing.reading import read, shown

SUFFIXES = frozenset({
    ".asciidoc", ".bin", ".bmp", ".csv", ".htm", ".html", ".jpg", ".json", ".jsonl", ".md", ".ndjson",
    ".nxml", ".org", ".png", ".rst", ".tsv", ".txt", ".xml", ".yaml", ".zip",
})  # fmt: skip
EMPTY = frozenset(
    {"empty.txt", "fake-text-all-whitespace.txt", "MEDRPT-2024-PAT-3847_medical_report_scan.md"}
)
UNSUPPORTED = re.compile(r".*\.(?:bin|bmp|jpg|png)")


@pytest.mark.parametrize("corpus", ["unstructured-docs", "docling-testdata", "markitdown-testfiles"])
@pytest.mark.slow
def test_every_file_has_the_right_status(data_set, corpus):
    statuses: Counter[str] = Counter()
    for path in sorted(data_set(corpus).rglob("*")):
        if path.suffix not in SUFFIXES:
            continue
        try:
            document = parse(ParseRequest(path.read_bytes(), path.name))
        except DocumentError as error:
            status = error.status
        else:
            status = "parsed"
            assert "\ufffd" not in document.text, path
            assert all(document.text[block.start : block.end].strip() for block in document.blocks), path
        statuses[status] += 1
        assert (status == "empty") == (path.name in EMPTY), path
        assert (status == "unsupported") == bool(UNSUPPORTED.fullmatch(path.name)), path
    assert set(statuses) <= {"parsed", "empty", "unsupported"}
    assert statuses["parsed"] > 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("umlauts-non-utf8.md", "können\n\nkönnen\n\näöüß"),
        ("umlauts-utf8.md", "können\n\nkönnen\n\näöüß"),
        ("fake-text-utf-16-be.txt", "Doylestown, PA 18901"),
        ("fake-text-utf-16-le.txt", "Doylestown, PA 18901"),
        ("fake-text-utf-32.txt", "Doylestown, PA 18901"),
        ("fake-html-cp1252.html", "Der Preis betrug 15,50 €."),
        ("example-steelJIS-datasheet-utf-16.html", "©"),
        ("stanley-cups-utf-16.csv", "Maple Leafs | TOR | 13"),
        ("factbook-utf-16.xml", "United States | Washington, DC | Joe Biden | Baseball"),
    ],
)
def test_odd_encodings_are_read(data_set, name, text):
    assert text in read((data_set("unstructured-docs") / name).read_bytes(), name).text


def test_header_and_footer_of_a_page_are_left_out(data_set):
    name = "fake-html-with-footer-and-header.html"
    document = read((data_set("unstructured-docs") / name).read_bytes(), name)
    assert shown(document) == [("heading", "My First Heading"), ("paragraph", "My first paragraph.")]


def test_a_wikipedia_page_is_its_article(data_set):
    document = read((data_set("docling-testdata") / "html/sources/wiki_duck.html").read_bytes(), "duck.html")
    assert document.title == "Duck"
    assert "Duck is the common name for numerous species" in document.text
    assert "Afrikaans" not in document.text
    assert "Privacy policy" not in document.text


def test_naughty_strings_survive_in_every_text_format(data_set):
    (path,) = (path for path in data_set("naughty-strings").rglob("*.txt") if "LICENSE" not in path.name)
    data = path.read_bytes()
    for name in (
        "a.txt",
        "a.md",
        "a.html",
        "a.csv",
        "a.json",
        "a.xml",
        "a.rst",
        "a.org",
        "a.adoc",
        "a.py",
        "",
    ):
        document = read(data, name)
        document.text.encode("utf-8")
        assert "田中さんにあげて下さい" in document.text, name


def test_the_fast_inline_reading_equals_the_parser_on_real_documents(data_set):
    parser = _parser()
    compared = 0
    for path in sorted(data_set("docling-testdata").rglob("*.md")):
        env: dict = {}
        for token in parser.parse(path.read_text(encoding="utf-8"), env):
            if token.type == "inline":
                fast, slow = plain_text(token.content, parser, env), parse_text(token.content, parser, env)
                assert fast.split() == slow.split(), path
                compared += 1
    assert compared > 1_000
