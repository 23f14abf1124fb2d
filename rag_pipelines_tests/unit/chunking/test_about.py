"""Lines of a document about itself, in front of chunks that have lost them."""

from __future__ import annotations

from typing import Any

import pytest

from rag_pipelines.model import BlockKind, Chunk, ParsedDocument
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines_tests.unit.chunking.documents import prose
from rag_pipelines_tests.unit.chunking.test_structure import chunks_of


def report(
    *cover: str, headers: tuple[str, ...] = (), page: int = 1, metadata: dict[str, Any] | None = None
) -> ParsedDocument:
    """A document called "Report": lines below its title, heads of pages from `page` on, two sections."""
    builder = DocumentBuilder("application/pdf")
    builder.add(BlockKind.TITLE, "Report", page=1)
    for line in cover:
        builder.add(BlockKind.PARAGRAPH, line, page=1)
    for heading in ("Trading", "Risks"):
        builder.add(BlockKind.HEADING, heading, level=1, page=2)
        builder.add(BlockKind.PARAGRAPH, prose(150, heading), page=2)
    for text in headers:
        builder.add(BlockKind.HEADER, text, page=page)
    builder.metadata = metadata or {}
    return builder.finish()


def front(chunk: Chunk) -> str:
    return chunk.embedding_input.removesuffix(chunk.text)


def test_the_lines_of_the_cover_stand_in_front_of_the_chunks_behind_it_and_are_not_cited() -> None:
    first, *others = chunks_of(report("Second quarter 2024", "Brightwater Foods"), title="Report")
    assert first.text.startswith("Report\n\nSecond quarter 2024")
    assert "Second quarter" not in front(first)
    assert others
    for chunk in others:
        assert front(chunk).startswith("Report\nSecond quarter 2024 · Brightwater Foods\n")
        assert "Brightwater" not in chunk.text


@pytest.mark.parametrize(
    "document",
    [
        report(headers=("Kenya office  | 3",)),
        report(metadata={"subject": "Kenya office"}),
        report(metadata={"Country": "Kenya office", "date": "2024-05-01"}),
    ],
)
def test_what_stands_at_the_head_of_pages_or_in_the_metadata_is_in_front_of_every_chunk(
    document: ParsedDocument,
) -> None:
    for chunk in chunks_of(document, title="Report"):
        assert "Kenya office\n" in front(chunk)


@pytest.mark.parametrize(
    "document",
    [
        report("Report"),
        report("All rights reserved", "Confidential"),
        report("We thank everybody who took part in the work of these two long years."),
        report(headers=("Acme | 1", "Acme | 2", "Acme | 3", "Trading abroad", "Risks at home")),
        report(headers=("Annexes",), page=40),
        report(metadata={"author": "Ann Miller", "created": "2024-05-01", "title": "Copied from this"}),
        report(metadata={"subject": "report", "notes": "x" * 100, "draft": True, "as_of": "2024-05-01"}),
    ],
)
def test_lines_that_add_no_word_or_say_nothing_of_the_document_are_left_out(document: ParsedDocument) -> None:
    fronts = {front(chunk) for chunk in chunks_of(document, title="Report")}
    assert fronts <= {"", "Report\n\n", "Report\nTrading\n\n", "Report\nRisks\n\n"}


def test_where_there_is_no_room_the_lines_go_before_title_and_headings_do() -> None:
    document = report("A line of the cover that takes more words than a small chunk has room for")
    chunks = chunks_of(document, title="Report", max_tokens=24)
    assert {front(chunk) for chunk in chunks[1:]} >= {"Report\nRisks\n\n"}
    assert not any("cover" in front(chunk) for chunk in chunks)
