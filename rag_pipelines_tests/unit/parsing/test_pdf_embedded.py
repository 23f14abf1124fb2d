"""Files inside PDF documents: read as attachments of mails are, counted where they are not."""

from __future__ import annotations

from typing import Any

import pytest

from rag_pipelines.errors import EmptyDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing import registry
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.parts import MAX_DEPTH
from rag_pipelines.parsing.pdf.engine import mupdf

pymupdf = mupdf()


def pdf(text: str = "", **files: bytes) -> Any:
    document = pymupdf.open()
    document.new_page().insert_text((60, 100), text)
    for name, data in files.items():
        document.embfile_add(name, data, filename=name.replace("_", "."))
    return document


def read(document: Any) -> ParsedDocument:
    return registry.parse(ParseRequest(document.tobytes(), "a.pdf", options=ParseOptions(pdf="fast")))


def test_the_files_of_a_portfolio_are_sections_under_their_names() -> None:
    report = pdf("The bridge was inspected in May.").tobytes()
    document = read(pdf("Open me elsewhere", report_pdf=report, prices_csv=b"what,price\nbolt,4\n"))
    assert document.text.split("\n\n") == [
        "Open me elsewhere",
        "Attachment: report.pdf",
        "The bridge was inspected in May.",
        "Attachment: prices.csv",
        "what | price\nbolt | 4",
    ]
    assert document.metadata["attachments"] == ["report.pdf", "prices.csv"]


def test_a_file_that_hangs_on_a_page_is_read_once_though_it_is_listed_too() -> None:
    note = b"Call the port before noon."
    document = pdf("See the note", note_txt=note)
    document[0].add_file_annot((300, 300), note, "note.txt")
    document[0].add_file_annot((300, 400), b"Another one.", "other.txt")
    parsed = read(document)
    assert parsed.text.count("before noon") == 1
    other = next(block for block in parsed.blocks if "Another" in parsed.text[block.start : block.end])
    assert other.page == 1


def test_a_blank_cover_with_a_readable_file_is_no_empty_document() -> None:
    assert "Inside" in read(pdf(inside_txt=b"Inside")).text
    with pytest.raises(EmptyDocumentError, match="blank"):
        read(pdf())


def test_files_that_cannot_be_read_are_counted_and_named() -> None:
    document = read(pdf("Cover", picture_png=b"\x89PNG\r\n\x1a\n" + bytes(40), empty_txt=b" "))
    assert document.counters[Loss.ATTACHMENTS] == 2
    assert any("picture.png" in warning for warning in document.warnings)


def test_files_in_files_in_files_are_read_to_a_depth_and_counted_below_it() -> None:
    document = pdf("level 0")
    for level in range(1, MAX_DEPTH + 3):
        document = pdf(f"level {level}", inner_pdf=document.tobytes())
    parsed = read(document)
    assert f"level {MAX_DEPTH + 2}" in parsed.text
    assert "level 0" not in parsed.text
    assert parsed.counters[Loss.ATTACHMENTS] == 1


def test_a_page_that_leads_back_to_itself_costs_neither_the_document_nor_files_of_others() -> None:
    document = pdf("See the note", list_txt=b"Boats in the harbour.")
    document[0].add_file_annot((300, 300), b"Call the port before noon.", "note.txt")
    lost = document.new_page().xref
    document.update_object(lost, f"<</Type/Pages/Count 1/Kids[{lost} 0 R]/Parent {lost} 0 R>>")
    parsed = read(document)
    assert [word in parsed.text for word in ("See the note", "Boats", "before noon")] == [True] * 3
    assert parsed.counters["pages_failed"] == 1
