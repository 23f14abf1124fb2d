"""Every real office, mail and e-book file ends with its right status, and nothing of weight is lost.

Docling's recorded outputs are no truth, but a cell or a heading that it found and we do not is a question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_pipelines.errors import EncryptedDocumentError
from rag_pipelines.model import BlockKind
from rag_pipelines_tests.unit.parsing.office import outline, parse, status, tables

FORMATS = ("*.doc", "*.docx", "*.eml", "*.epub", "*.msg", "*.od[pst]", "*.p7s", "*.ppt", "*.pptx", "*.rtf",
           "*.xls", "*.xls[xm]")  # fmt: skip
CORPORA = ("unstructured-docs", "docling-testdata", "markitdown-testfiles")

NOT_PARSED = {
    "password_protected.xlsx": "encrypted",
    "fake-encrypted.eml": "encrypted",
    "fake-encrypted.msg": "encrypted",
    "empty.eml": "empty",
    "empty.xlsx": "empty",
    "picture.pptx": "empty",
    "test-image-jpg-mime.pptx": "empty",
}
LIES_ABOUT_ITS_TYPE = "eng_spa_mult.doc"
SAID = "All human beings are born free and equal in dignity and rights"


def files(folder: Path) -> Iterator[Path]:
    for pattern in FORMATS:
        yield from sorted(folder.rglob(pattern))


def a_file(data_set, corpus: str, name: str) -> bytes:
    found: Path = data_set(corpus) / name
    return found.read_bytes()


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.slow
def test_every_file_ends_with_the_right_status(data_set, corpus: str) -> None:
    wrong = {
        path.name: found
        for path in files(data_set(corpus))
        if (found := status(path.read_bytes(), path.name)) != NOT_PARSED.get(path.name, "parsed")
    }
    assert wrong == {}


def test_the_same_text_is_found_in_every_format(data_set) -> None:
    folder = data_set("unstructured-docs") / "language-docs"
    for path in files(folder):
        assert SAID in " ".join(parse(path.read_bytes(), path.name).text.split()), path.name
    assert (
        parse((folder / LIES_ABOUT_ITS_TYPE).read_bytes(), LIES_ABOUT_ITS_TYPE).media_type
        != "application/msword"
    )


def lines_of(markdown: str, pattern: str) -> list[str]:
    return [_plain(line) for line in re.findall(pattern, markdown, re.M)]


def _plain(markdown: str) -> str:
    """Letters and digits only: the two tools differ in marks, numbering and emphasis."""
    text = re.sub(r"<!--.*?-->|&\w+;|\\", "", markdown)
    return "".join(filter(str.isalnum, text)).lower()


@pytest.mark.parametrize(
    ("kind", "least_cells", "least_headings"),
    [
        ("doc", 1, 1),
        ("docx", 0.98, 0.98),
        ("odf", 0.96, 0.75),
        ("ppt", 1, 1),
        ("pptx", 1, 1),
        ("xls", 1, 1),
        ("xlsx", 0.97, 0.95),
        ("epub", 1, 1),
    ],
)
def test_cells_and_headings_that_docling_finds_are_there(data_set, kind, least_cells, least_headings) -> None:
    folder = data_set("docling-testdata") / kind
    cells: list[bool] = []
    headings: list[bool] = []
    for truth in sorted((folder / "groundtruth").glob("*.md")):
        path = folder / "sources" / truth.name.removesuffix(".md")
        document = parse(path.read_bytes(), path.name)
        markdown = truth.read_text()
        everything = _plain(document.text)
        ours = {_plain(text) for name, text in outline(document) if name.startswith(("heading", "title"))}
        for row in re.findall(r"^\|(.*)\|$", markdown, re.M):
            cells += [_plain(cell) in everything for cell in row.split("|") if _plain(cell)]
        headings += [heading in ours for heading in lines_of(markdown, r"^#+ (.*)$") if heading]
    assert sum(cells) >= least_cells * len(cells), f"{sum(cells)} of {len(cells)} cells"
    assert sum(headings) >= least_headings * len(headings), f"{sum(headings)} of {len(headings)} headings"


def test_a_binary_word_document_keeps_headings_lists_and_tables(data_set) -> None:
    document = parse(a_file(data_set, "docling-testdata", "doc/sources/legacy_sample.doc"))
    found = outline(document)
    assert document.title == "Swimming in the lake"
    assert ("heading 1", "Let’s swim!") in found
    assert ("heading 2", "Let’s eat") in found
    assert ("list_item 1", "Enjoy summer warmth") in found
    assert ("caption", "Figure 1: This is a cute duckling") in found
    assert tables(document)[0][1] == ("Leaves", "Ash, Elm, Maple", "50")


def test_headings_of_a_word_document_in_another_language_are_known(data_set) -> None:
    document = parse(a_file(data_set, "docling-testdata", "doc/sources/greek_heading_styles.doc"))
    assert ("heading 2", "Vorgeschlagene Änderung") in outline(document)


def test_a_binary_presentation_keeps_slides_titles_lists_and_notes(data_set) -> None:
    document = parse(a_file(data_set, "docling-testdata", "ppt/sources/legacy_sample.ppt"))
    found = outline(document)
    assert (document.title, document.pages) == ("Test Table Slide", 3)
    assert [text for kind, text in found if kind == "heading 1"] == [
        "Test Table Slide",
        "Second slide title",
        "Slide 3",
    ]
    assert ("list_item 1", "With foo") in found
    assert ("paragraph", "Speaker notes: Some notes on the second slide.") in found


def test_an_outlook_message_gives_its_headers_and_its_attachment(data_set) -> None:
    document = parse(a_file(data_set, "unstructured-docs", "fake-email-attachment.msg"))
    assert document.title == "Fake email with attachment"
    assert document.metadata["author"] == '"Mallori Harrell" <mallori@unstructured.io>'
    assert document.metadata["attachments"] == ["fake-attachment.txt"]
    assert document.blocks[-1].heading_path == ("Attachment: fake-attachment.txt",)


def test_a_statement_keeps_labels_and_figures_in_one_row_below_its_header(data_set) -> None:
    document = parse(a_file(data_set, "unstructured-docs", "2023-half-year-analyses-by-segment.xlsx"))
    table = next(block for block in document.blocks if block.kind is BlockKind.TABLE)
    assert table.header_rows == 2
    assert table.rows[2].cells == ("Zone NA", "12,553", "2,713", "2,632", "(81)", "(29)", "(44)", "(337)")


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        ("docling-testdata", "doc/sources/legacy_sample.doc"),
        ("docling-testdata", "ppt/sources/legacy_sample.ppt"),
        ("docling-testdata", "xls/sources/legacy_sample.xls"),
        ("docling-testdata", "email/sources/msg_with_attachment.msg"),
        ("markitdown-testfiles", "test.rtf"),
    ],
)
def test_bytes_flipped_in_a_real_file_end_as_a_document_or_its_error(
    data_set, corpus: str, name: str
) -> None:
    data = a_file(data_set, corpus, name)
    for at in range(0, len(data), max(1, len(data) // 60)):
        flipped = bytearray(data)
        flipped[at : at + 4] = b"\xff\xff\xff\x7f"
        assert status(bytes(flipped), name) in (
            "parsed",
            "empty",
            "corrupt",
            "unsupported",
            "encrypted",
            "too_large",
        )


def test_a_word_document_with_a_password_is_encrypted(data_set) -> None:
    data = bytearray(a_file(data_set, "docling-testdata", "doc/sources/legacy_sample.doc"))
    stream = data.find(b"\xec\xa5")
    data[stream + 11] |= 0x01
    with pytest.raises(EncryptedDocumentError):
        parse(bytes(data))
