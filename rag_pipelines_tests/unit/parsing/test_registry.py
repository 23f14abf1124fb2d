"""The one way to a parser: limits, errors of the right class."""

from __future__ import annotations

from importlib import import_module

import pytest

from rag_pipelines.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    ParseMemoryError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.parsing.base import ParseLimits, ParseRequest
from rag_pipelines.parsing.formats import FORMATS
from rag_pipelines.parsing.markup import text
from rag_pipelines.parsing.registry import parse
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


def test_every_module_of_the_table_has_a_parser():
    for known in FORMATS.values():
        assert callable(import_module(f"rag_pipelines.parsing.{known.module}").parse)
