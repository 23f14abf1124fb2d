"""Office files in forms that office programs open and the libraries behind the parsers do not."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest

from rag_pipelines_tests.unit.parsing.office import counted, parse, saved, status, tables

DOCX_TYPE = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
PPTX_TYPE = b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
RELATION = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SAMPLES = Path(__file__).parents[2] / "samples"


def _word() -> bytes:
    document = docx.Document()
    document.add_paragraph("Expenses are repaid within ten days.")
    return saved(document.save)


def _deck() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Quarter"
    slide.placeholders[1].text = "Sales rose by seven percent."
    return saved(deck.save)


def _workbook() -> bytes:
    workbook = openpyxl.Workbook()
    for row in (["City", "Rent"], ["Bonn", 1200], ["Kiel", 900]):
        workbook.active.append(row)
    return saved(workbook.save)


def _changed(package: bytes, change: Callable[[str, bytes], tuple[str, bytes]]) -> bytes:
    """The package with each part, and its name, as `change` has it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            new_name, part = change(name, source.read(name))
            entry = zipfile.ZipInfo()
            entry.filename = new_name
            target.writestr(entry, part)
    return out.getvalue()


def _with_relation(package: bytes, listing: str, relation: bytes) -> bytes:
    end = b"</Relationships>"
    return _changed(
        package, lambda name, part: (name, part.replace(end, relation + end) if name == listing else part)
    )


@pytest.mark.parametrize(
    "media_type",
    [
        b"application/vnd.openxmlformats-officedocument.presentationml.template.main+xml",
        b"application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml",
        b"application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml",
        b"application/vnd.ms-powerpoint.template.macroEnabled.main+xml",
        b"application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml",
    ],
)
def test_a_deck_that_is_a_template_a_show_or_has_macros_is_read(media_type: bytes) -> None:
    deck = _changed(_deck(), lambda name, part: (name, part.replace(PPTX_TYPE, media_type)))
    assert media_type in zipfile.ZipFile(io.BytesIO(deck)).read("[Content_Types].xml")
    assert parse(deck).text == "Quarter\n\nSales rose by seven percent."


@pytest.mark.parametrize("make", [_word, _deck, _workbook])
def test_names_of_parts_may_have_backward_slashes(make: Callable[[], bytes]) -> None:
    package = make()
    backward = _changed(package, lambda name, part: (name.replace("/", "\\"), part))
    assert b"\\" in backward
    assert parse(backward).text == parse(package).text


def test_a_missing_picture_costs_itself_and_not_its_document() -> None:
    picture = (
        b'<w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/'
        b'wordprocessingDrawing"><wp:docPr id="1" name="Picture 1"/><a:graphic xmlns:a="http://schemas.'
        b'openxmlformats.org/drawingml/2006/main"><a:graphicData uri="p"><pic:pic xmlns:pic="http://schemas.'
        b'openxmlformats.org/drawingml/2006/picture"><pic:blipFill><a:blip xmlns:r="' + RELATION + b'" '
        b'r:embed="rId99"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>'
    )
    relation = b'<Relationship Id="rId99" Type="' + RELATION + b'/image" Target="media/gone.png"/>'
    broken = _with_relation(_word(), "word/_rels/document.xml.rels", relation)
    broken = _changed(
        broken,
        lambda name, part: (
            name,
            part.replace(b"</w:p>", picture + b"</w:p>") if name == "word/document.xml" else part,
        ),
    )
    document = parse(broken)
    assert document.text == "Expenses are repaid within ten days."
    assert counted(document) == {"images_without_text": 1}


def test_a_part_whose_name_differs_in_case_is_found() -> None:
    other = _changed(_word(), lambda name, part: (name.replace("document.xml", "Document.XML"), part))
    assert "word/Document.XML" in zipfile.ZipFile(io.BytesIO(other)).namelist()
    assert parse(other).text == "Expenses are repaid within ten days."


@pytest.mark.parametrize(
    ("sample", "streams"),
    [
        ("hidden_sheets.xls.gz", ["Workbook"]),
        ("legacy.doc.gz", ["WordDocument", "1Table"]),
        ("deck.ppt.gz", ["PowerPoint Document", "Current User"]),
    ],
)
def test_streams_of_old_office_files_may_have_names_in_capitals(sample: str, streams: list[str]) -> None:
    folder = SAMPLES if (SAMPLES / sample).exists() else SAMPLES.parent / "golden" / "documents"
    data = gzip.decompress((folder / sample).read_bytes())
    capitals = data
    for name in streams:
        capitals = capitals.replace(name.encode("utf-16-le"), name.upper().encode("utf-16-le"))
    assert capitals != data
    assert parse(capitals).text == parse(data).text


def test_a_password_is_recognised_by_a_stream_in_capitals() -> None:
    from rag_pipelines.parsing.signatures import _OLE2

    container = _container("ENCRYPTEDPACKAGE")
    assert container.startswith(_OLE2)
    assert status(container) == "encrypted"


def test_a_workbook_that_xlrd_does_not_open_is_read_by_a_second_reader() -> None:
    data = gzip.decompress((SAMPLES / "hidden_sheets.xls.gz").read_bytes())
    at = data.index(b"\xfc\x00", data.index(b"\x8c\x00\x04\x00"))
    (unique,) = struct.unpack_from("<I", data, at + 8)
    damaged = data[: at + 8] + struct.pack("<I", unique + 7) + data[at + 12 :]
    document = parse(damaged)
    assert document.text == parse(data).text
    assert document.counters["read_by_second_reader"] == 1
    assert "second reader" in document.warnings[0]


def test_a_workbook_with_a_sheet_that_is_cut_off_is_read_by_a_second_reader() -> None:
    cut = _changed(
        _workbook(),
        lambda name, part: (name, part.replace(b"</worksheet>", b"") if "sheet1" in name else part),
    )
    document = parse(cut)
    assert tables(document) == [[("City", "Rent"), ("Bonn", "1200"), ("Kiel", "900")]]
    assert document.counters["read_by_second_reader"] == 1


def test_a_workbook_that_no_reader_opens_is_corrupt() -> None:
    package = _changed(
        _workbook(),
        lambda name, part: (name, part[: len(part) // 2] if name == "xl/workbook.xml" else part),
    )
    assert status(package) == "corrupt"


def _container(stream: str) -> bytes:
    """An OLE2 container ([MS-CFB]) of one empty stream."""

    def entry(name: str, kind: int, child: int = 0xFFFFFFFF) -> bytes:
        encoded = name.encode("utf-16-le") + b"\0\0"
        head = encoded.ljust(64, b"\0") + struct.pack(
            "<HBBIII", len(encoded), kind, 1, *[0xFFFFFFFF] * 2, child
        )
        return head + bytes(36) + struct.pack("<IQ", 0xFFFFFFFE if kind == 2 else 0, 0)

    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack(
        "<HHHHHHIIIIIIIII", 62, 3, 0xFFFE, 9, 6, 0, 0, 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE
    )
    header += struct.pack("<I", 0) + struct.pack("<I", 0) + b"\xff" * (4 * 108)
    fat = struct.pack("<II", 0xFFFFFFFD, 0xFFFFFFFE) + b"\xff" * 504
    directory = entry("Root Entry", 5, 1) + entry(stream, 2) + bytes(256)
    return header[:512] + fat + directory
