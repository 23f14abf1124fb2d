"""The one way to a parser: limits, errors of the right class, fingerprints."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from rag_pipelines.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    ParseMemoryError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.parsing import detect, registry, signatures
from rag_pipelines.parsing.base import ParseLimits, ParseOptions, ParseRequest
from rag_pipelines.parsing.markup import text
from rag_pipelines.parsing.registry import FORMATS, fingerprints, parse, parser_fingerprint, version
from rag_pipelines_tests.unit.parsing.reading import read


def test_a_document_above_the_size_limit_is_not_even_looked_at():
    with pytest.raises(TooLargeDocumentError, match="11 bytes, the limit is 10"):
        parse(ParseRequest(b"hello world", limits=ParseLimits(max_bytes=10)))


def test_a_document_above_the_character_limit_is_too_large():
    with pytest.raises(TooLargeDocumentError, match="max_characters"):
        parse(ParseRequest(b"word " * 100, limits=ParseLimits(max_characters=50)))


@pytest.mark.parametrize("page", ["<html><script>alert(1)</script></html>", "<!-- nothing -->\n<p> </p>"])
def test_a_document_that_opens_but_holds_no_text_is_empty(page):
    with pytest.raises(EmptyDocumentError, match="text/html"):
        read(page, "page.html")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError("odd"), CorruptDocumentError),
        (RecursionError("deep"), CorruptDocumentError),
        (MemoryError(), ParseMemoryError),
        (ModuleNotFoundError("No module named 'xyz'"), UnsupportedDocumentError),
        (EmptyDocumentError("as it is"), EmptyDocumentError),
    ],
)
def test_an_error_of_a_parser_ends_as_what_it_was(monkeypatch, raised, expected):
    def fail(request):
        raise raised

    monkeypatch.setattr(text, "parse", fail)
    with pytest.raises(expected) as caught:
        read("words", "a.txt")
    if expected is CorruptDocumentError:
        assert f"{type(raised).__name__}: {raised}" in str(caught.value)


def test_a_fingerprint_depends_only_on_the_options_that_matter_to_the_format():
    usual = fingerprints()
    fast_pdf = fingerprints(ParseOptions(pdf="fast"))
    whole_page = fingerprints(ParseOptions(html_main_content=False))

    def changed(other):
        return {media_type for media_type in FORMATS if usual[media_type] != other[media_type]}

    mails = {detect.MAIL, signatures.MSG}
    assert changed(fast_pdf) == {signatures.PDF, *mails}
    assert changed(whole_page) == {detect.HTML, *mails}


def test_a_fingerprint_changes_with_the_version_of_its_module(monkeypatch):
    before = fingerprints()
    monkeypatch.setattr(registry, "version", lambda name: "next" if name == "markdown" else version(name))
    registry._fingerprint.cache_clear()
    after = fingerprints()
    registry._fingerprint.cache_clear()

    assert before[detect.MARKDOWN] != after[detect.MARKDOWN]
    assert before[detect.HTML] == after[detect.HTML]


def test_every_module_of_the_table_has_a_parser_and_the_version_that_is_read_from_its_source():
    for known in FORMATS.values():
        assert callable(import_module(f"rag_pipelines.parsing.{known.module}").parse)
        for name in (known.module, *known.uses):
            assert version(name) == import_module(f"rag_pipelines.parsing.{name}").VERSION


def test_an_unknown_media_type_has_no_fingerprint():
    with pytest.raises(UnsupportedDocumentError, match=r"video/mp4.*text/html"):
        parser_fingerprint("video/mp4")


def test_fingerprints_import_no_parsing_library():
    heavy = (
        "bs4 lxml markdown_it pymupdf docx pptx openpyxl unstructured spacy yaml charset_normalizer olefile"
    )
    script = (
        "import sys; from rag_pipelines.parsing.registry import fingerprints; fingerprints();"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
