"""Text in pictures: recognised where the profile says so, and how sure the engine is; else counted."""

from __future__ import annotations

import io
import re
import shutil
from email.message import EmailMessage
from importlib.util import find_spec
from typing import Any

import docx
import openpyxl
import pptx
import pymupdf
import pytest

from rag_pipelines.errors import ConfigError, EmptyDocumentError, UnsupportedDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing import ocr, parts
from rag_pipelines.parsing.base import Ocr, ParseOptions, ParseRequest, RecognisedLine
from rag_pipelines.parsing.fingerprints import parser_fingerprints
from rag_pipelines.parsing.registry import parse
from rag_pipelines_tests.unit.parsing.office import edited, saved
from rag_pipelines_tests.unit.parsing.test_odf import cells, odf

ENGINES = [
    pytest.param(
        "tesseract",
        marks=pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
    ),
    pytest.param(
        "rapidocr",
        marks=pytest.mark.skipif(find_spec("rapidocr") is None, reason="rapidocr is not installed"),
    ),
]
LINES = ("Delivery note LS-7731", "Forty crates of pears, 1,234.50 EUR", "Received by the night porter.")


def page_of(*lines: str, size: float = 16) -> pymupdf.Document:
    document = pymupdf.open()
    page = document.new_page(width=420, height=200)
    for number, line in enumerate(lines):
        page.insert_text((40, 50 + number * 1.5 * size), line, fontsize=size)
    return document


def picture(*lines: str) -> bytes:
    return page_of(*lines)[0].get_pixmap(dpi=150).tobytes("png")


def scan(*pages: tuple[str, ...]) -> bytes:
    """A PDF whose pages are pictures of pages."""
    document = pymupdf.open()
    for lines in pages:
        page = document.new_page(width=420, height=200)
        page.insert_image(page.rect, stream=picture(*lines))
    return document.tobytes()


def read(data: bytes, engine: str = "auto", **more: object) -> ParsedDocument:
    return parse(ParseRequest(data, options=ParseOptions(ocr=Ocr(engine=engine, **more))))  # type: ignore[arg-type]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[list[RecognisedLine]]:
    """An engine that finds what it is told to, picture by picture, and then nothing."""
    told: list[list[RecognisedLine]] = []
    monkeypatch.setattr(ocr, "recognise", lambda png, options: told.pop(0) if told else [])
    return told


def line(text: str, confidence: float = 0.9, top: float = 20, left: float = 20) -> RecognisedLine:
    return RecognisedLine(text, confidence, (left, top, left + 200, top + 20))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_text_of_a_scan_is_found_by_either_engine_and_each_block_says_how_sure_it_is(engine: str) -> None:
    document = read(scan(LINES, ("Second page",)), engine)
    for text in (*LINES, "Second page"):
        assert text in document.text
    assert document.counters["recognised_pages"] == 2
    assert {block.page for block in document.blocks} == {1, 2}
    assert all(0.5 < (block.confidence or 0) <= 1 for block in document.blocks)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_a_picture_is_a_document_where_pictures_are_read(engine: str, kind: str) -> None:
    data = picture(*LINES)
    if kind == "jpeg":
        data = pymupdf.Pixmap(data).tobytes("jpeg")
    if kind == "tiff":
        from PIL import Image

        data = saved(lambda file: Image.open(io.BytesIO(data)).save(file, "TIFF"))
    document = read(data, engine)
    assert document.media_type == f"image/{kind}"
    assert LINES[0] in document.text


def test_without_recognition_a_scan_and_a_picture_stay_what_they_are() -> None:
    with pytest.raises(EmptyDocumentError, match="a scan; run optical character recognition first"):
        read(scan(LINES), "off")
    with pytest.raises(UnsupportedDocumentError, match=r"a PNG image and profiles.parsing has no ocr"):
        read(picture(*LINES), "off")


def test_only_pages_without_text_are_recognised(stand_in: list[list[RecognisedLine]]) -> None:
    stand_in.append([line("From the picture")])
    document = page_of("Typed on the first page")
    document.insert_pdf(pymupdf.open(stream=scan(LINES)))
    found = read(document.tobytes())
    assert found.text == "Typed on the first page\n\nFrom the picture"
    assert [block.confidence for block in found.blocks] == [None, pytest.approx(0.9)]


def test_lines_that_the_engine_is_not_sure_of_are_left_out_and_counted(
    stand_in: list[list[RecognisedLine]],
) -> None:
    stand_in += [[line("Sure"), line("qzx#", 0.3, 60)]] * 2
    for data in (scan(LINES), picture(*LINES)):
        document = read(data)
        assert document.text == "Sure"
        assert document.counters["characters_without_text"] == 4


def test_pages_above_the_limit_stay_pictures_and_are_counted(stand_in: list[list[RecognisedLine]]) -> None:
    stand_in += [[line("One")], [line("Two")], [line("Three")]]
    document = read(scan(LINES, LINES, LINES), max_pages=2)
    assert document.text == "One\n\nTwo"
    assert document.counters["pages_over_ocr_limit"] == 1
    assert document.counters["images_without_text"] == 1


def test_lines_close_below_each_other_are_a_paragraph(stand_in: list[list[RecognisedLine]]) -> None:
    stand_in.append([line("One sentence", top=20), line("on two lines.", top=45), line("Another.", top=140)])
    assert read(picture(*LINES)).text == "One sentence on two lines.\n\nAnother."


def test_pictures_of_office_files_and_mails_are_read(stand_in: list[list[RecognisedLine]]) -> None:
    word = docx.Document()
    word.add_paragraph("Before")
    word.add_picture(io.BytesIO(picture(*LINES)))
    word.add_paragraph("After")
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[6]).shapes.add_picture(io.BytesIO(picture(*LINES)), 0, 0)
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Scan", "ann@example.com"
    mail.set_content("See the picture.")
    mail.add_attachment(picture(*LINES), maintype="image", subtype="png", filename="note.png")

    for data in (saved(word.save), saved(deck.save), mail.as_bytes()):
        stand_in.append([line("In the picture", 0.8)])
        document = read(data)
        found = [block for block in document.blocks if block.confidence is not None]
        assert [document.text[block.start : block.end] for block in found] == ["In the picture"]
        assert "images_without_text" not in document.counters

    assert "Before\n\nIn the picture\n\nAfter" in read_with(stand_in, saved(word.save)).text


@pytest.mark.parametrize("kind", ["PPTX", "DOCX"])
def test_a_picture_that_stands_often_in_an_office_file_is_read_once(
    kind: str, stand_in: list[list[RecognisedLine]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MAX_PARTS", 2)
    logo, other = picture("Pear & Sons"), picture(*LINES)
    places = [logo] * 3 + [other]
    office: Any = pptx.Presentation() if kind == "PPTX" else docx.Document()
    for place in places:
        if kind == "PPTX":
            office.slides.add_slide(office.slide_layouts[6]).shapes.add_picture(io.BytesIO(place), 0, 0)
        else:
            office.add_picture(io.BytesIO(place))
    stand_in += [[line("Pear & Sons")], [line("Delivery note")]]
    document = read(saved(office.save))
    assert document.text.split("\n\n") == ["Pear & Sons"] * 3 + ["Delivery note"]
    assert set(document.counters) <= {"words_seen"}


def test_a_picture_without_text_is_counted_wherever_it_stands(stand_in: list[list[RecognisedLine]]) -> None:
    deck = pptx.Presentation()
    for _ in range(3):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = "Harvest"
        slide.shapes.add_picture(io.BytesIO(picture(*LINES)), 0, 0)
    stand_in += [[], [line("never asked for")]]
    assert read(saved(deck.save)).counters["images_without_text"] == 3
    assert len(stand_in) == 1


def opendocument(kind: str, body: str) -> bytes:
    """A package with a picture in a frame, which `body` places as ``{frame}``."""
    image = '<draw:image xlink:href="Pictures/1.svm"/><draw:image xlink:href="Pictures/1.png"/>'
    link = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
    frame = f"<draw:frame {link}>{image}</draw:frame>"
    data = edited(odf(kind, body.format(frame=frame)), "Pictures/1.png", lambda _: picture(*LINES))
    return edited(data, "Pictures/1.svm", lambda _: b"VCLMTF")


def workbook(*, cells: bool = True, description: str = "") -> bytes:
    """A workbook with a picture, with and without cells above it."""
    from openpyxl.drawing.image import Image

    book = openpyxl.Workbook()
    if cells:
        book.active.append(["Before", 12])
    book.active.add_image(Image(io.BytesIO(picture(*LINES))), "B4")
    described = f'descr="{description}"'.encode()
    part = "xl/drawings/drawing1.xml"
    return edited(saved(book.save), part, lambda xml: re.sub(rb'descr="[^"]*"', described, xml))


SHEET = '<table:table table:name="Sheet">{}</table:table>'
PLACED = {
    "ODT, in a paragraph": opendocument("text", "<text:p>Before</text:p><text:p>{frame}</text:p>"),
    "ODT, at a page": opendocument("text", "{frame}<text:p>After</text:p>"),
    "ODT, in a table": opendocument("text", SHEET.format(cells("{frame}"))),
    "ODS, in a cell": opendocument("spreadsheet", SHEET.format(cells("Before", "{frame}"))),
    "ODS, on the sheet": opendocument(
        "spreadsheet", SHEET.format("<table:shapes>{frame}</table:shapes>" + cells("Before"))
    ),
    "ODS, without cells": opendocument("spreadsheet", SHEET.format("<table:shapes>{frame}</table:shapes>")),
    "ODP": opendocument("presentation", "<draw:page>{frame}</draw:page>"),
    "XLSX": workbook(),
    "XLSX, without cells": workbook(cells=False),
    "XLSX, described": workbook(description="A delivery note"),
}


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
@pytest.mark.parametrize("place", ["ODT, in a paragraph", "ODS, on the sheet", "ODP", "XLSX"])
def test_pictures_of_sheets_and_of_opendocument_are_read(place: str) -> None:
    document = read(PLACED[place], "tesseract")
    for one in LINES:
        assert one in document.text
    assert "images_without_text" not in document.counters


@pytest.mark.parametrize("place", PLACED)
def test_a_picture_stands_once_where_its_file_has_it_and_is_counted_where_nothing_reads_it(
    place: str, stand_in: list[list[RecognisedLine]]
) -> None:
    document = read_with(stand_in, PLACED[place])
    assert [block.confidence for block in document.blocks if block.confidence] == [pytest.approx(0.9)]
    assert document.text.count("In the picture") == 1
    assert document.text.endswith("In the picture") or "at a page" in place
    if "S" in place.partition(",")[0]:
        assert document.text.startswith("Sheet"), "under the heading of its sheet"
    assert "images_without_text" not in document.counters
    try:
        lost = read(PLACED[place], "off").counters.get("images_without_text", 0)
    except EmptyDocumentError:
        assert "without cells" in place or place in ("ODP", "ODT, in a table")
    else:
        assert lost == ("described" not in place)


def read_with(stand_in: list[list[RecognisedLine]], data: bytes) -> ParsedDocument:
    stand_in.append([line("In the picture")])
    return read(data)


def with_cell_pictures(*descriptions: str) -> bytes:
    """A workbook with a picture in a cell for each description."""
    import xlsxwriter

    def save(file: io.BytesIO) -> None:
        book = xlsxwriter.Workbook(file)
        sheet = book.add_worksheet("Sheet")
        sheet.write("A1", "Before")
        for row, described in enumerate(descriptions):
            image = io.BytesIO(picture(LINES[0], described))
            sheet.embed_image(row, 1, "note.png", {"image_data": image, "description": described})
        book.close()

    return saved(save)


@pytest.mark.parametrize("descriptions", [("",), ("", "A note"), ("One", "", "Two")])
def test_pictures_in_cells_of_a_sheet_are_read(
    descriptions: tuple[str, ...], stand_in: list[list[RecognisedLine]]
) -> None:
    data = with_cell_pictures(*descriptions)
    stand_in += [[line(f"Picture {number}")] for number in range(len(descriptions))]
    document = read(data)
    found = [document.text[block.start : block.end] for block in document.blocks if block.confidence]
    assert found == [f"Picture {number}" for number in range(len(descriptions))]
    lost = read(data, "off").counters.get("images_without_text", 0)
    assert lost == descriptions.count("")


@pytest.mark.parametrize("part", ["metadata.xml", "richData/rdrichvalue.xml", "richData/richValueRel.xml"])
def test_a_picture_in_a_cell_that_leads_nowhere_is_counted(
    part: str, stand_in: list[list[RecognisedLine]]
) -> None:
    stand_in.append([line("not reached")])
    cut = re.compile(rb"<(bk|rv)[ >].*?</\1>|<rel .*?/>")
    data = edited(with_cell_pictures(""), f"xl/{part}", lambda xml: cut.sub(b"", xml))
    assert read(data).counters["images_without_text"] == 1


def test_an_engine_or_a_language_that_is_missing_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if shutil.which("tesseract"):
        with pytest.raises(ConfigError, match=r"ocr.languages has 'tlh'.*apt install tesseract-ocr-tlh"):
            read(scan(LINES), "tesseract", languages=("eng", "tlh"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(ocr, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"ocr.engine is 'auto', and tesseract or rapidocr is not installed"
    ):
        read(scan(LINES))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_is_part_of_what_a_parse_is_known_by(engine: str) -> None:
    without, again = parser_fingerprints(), parser_fingerprints(ParseOptions(ocr=Ocr(languages=("deu",))))
    assert without == again, "what is off changes nothing"
    read_by = parser_fingerprints(ParseOptions(ocr=Ocr(engine=engine)))  # type: ignore[arg-type]
    assert all(read_by[media_type] != without[media_type] for media_type in without)
    assert ocr.identity(Ocr(engine=engine)).startswith(engine)  # type: ignore[arg-type]
