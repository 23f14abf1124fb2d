"""Documents inside documents: their words and losses are the document's, and their number is bounded."""

from __future__ import annotations

import pytest

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.parts import MAX_DEPTH, MAX_PARTS, add_attachment, add_document, nested
from rag_pipelines_tests.unit.parsing.office import outline


@pytest.fixture
def builder() -> DocumentBuilder:
    return DocumentBuilder("text/plain")


def part(request: ParseRequest) -> ParsedDocument:
    inner = DocumentBuilder("text/plain")
    inner.add(BlockKind.HEADING, "Prices", level=2)
    inner.add(BlockKind.PARAGRAPH, request.data.decode())
    inner.lose(Loss.IMAGES, 2)
    inner.leave_out(LeftOut.HIDDEN, "not for you")
    inner.account_for("seen lost")
    return inner.finish()


def test_an_attachment_is_a_section_below_its_name(builder: DocumentBuilder) -> None:
    add_attachment(builder, ParseRequest(b"", parse_part=part), b"seen", "list.txt")
    assert outline(builder.finish()) == [
        ("heading 1", "Attachment: list.txt"),
        ("heading 3", "Prices"),
        ("paragraph", "seen"),
    ]


def test_what_a_part_loses_is_lost_to_the_document_around_it(builder: DocumentBuilder) -> None:
    builder.account_for("gone")
    add_document(builder, part(ParseRequest(b"seen")))
    counters = builder.finish().counters
    assert counters[Loss.IMAGES.value] == 2
    assert counters[LeftOut.HIDDEN.value] == 3
    assert (counters[Loss.WORDS.value], counters["words_seen"]) == (2, 3)


def test_a_part_that_cannot_be_read_costs_a_warning(builder: DocumentBuilder) -> None:
    def refuse(request: ParseRequest) -> ParsedDocument:
        raise CorruptDocumentError("torn")

    add_attachment(builder, ParseRequest(b"", parse_part=refuse), b"", "torn.docx")
    document = builder.finish()
    assert document.counters == {Loss.ATTACHMENTS.value: 1}
    assert document.warnings == ("attachment 'torn.docx': corrupt: torn",)


def test_parts_beyond_the_bounds_are_counted_and_not_read(builder: DocumentBuilder) -> None:
    request = ParseRequest(b"", parse_part=part)
    with nested():
        for _ in range(MAX_PARTS + 3):
            add_attachment(builder, request, b"seen", "one")
    assert builder.counters[Loss.ATTACHMENTS.value] == 3


def test_a_part_in_a_part_in_a_part_is_read_to_a_depth(builder: DocumentBuilder) -> None:
    def nest(request: ParseRequest) -> ParsedDocument:
        with nested():
            inner = DocumentBuilder("text/plain")
            add_attachment(inner, request, request.data, "inner")
            return inner.finish()

    document = nest(ParseRequest(b"", parse_part=nest))
    assert document.counters[Loss.ATTACHMENTS.value] == 1
    assert document.text.count("inner") == MAX_DEPTH
