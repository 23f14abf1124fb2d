"""Pictures on pages that have text: which of them are read, and where what is in them stands."""

from __future__ import annotations

import io
import shutil

import pymupdf
import pytest
from PIL import Image, ImageDraw, ImageFont

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing import ocr
from rag_pipelines.parsing.base import Ocr, ParseOptions, ParseRequest, RecognisedLine
from rag_pipelines.parsing.registry import parse
from rag_pipelines_tests.unit.parsing.office import tables, text

WITH_TESSERACT = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")

PLACE = pymupdf.Rect(72, 120, 372, 220)
ABOVE, BELOW = (72, 80), (72, 260)


def drawn(*lines: str, turn: int = 0, kind: str = "PNG", transparent: bool = False) -> bytes:
    """A picture of lines; `|` parts the cells of a row."""
    ink, ground = (0, 0, 0, 255), (255, 255, 255, 0 if transparent else 255)
    picture = Image.new("RGBA", (900, 60 + 56 * len(lines)), ground)
    for number, line in enumerate(lines):
        for column, cell in enumerate(line.split("|")):
            place = (30 + 300 * column, 30 + 56 * number)
            ImageDraw.Draw(picture).text(place, cell, fill=ink, font=ImageFont.load_default(36))
    file = io.BytesIO()
    shown = picture if transparent else picture.convert("RGB")
    shown.rotate(turn, expand=True).save(file, kind)
    return file.getvalue()


def pages(*pictures: bytes | None, place: pymupdf.Rect = PLACE) -> pymupdf.Document:
    """A page for each picture, with text above and below it."""
    document = pymupdf.open()
    for number, picture in enumerate(pictures, 1):
        page = document.new_page(width=595, height=842)
        page.insert_text(ABOVE, f"Above the picture of page {number}.")
        page.insert_text(BELOW, f"Below the picture of page {number}.")
        if picture is not None:
            page.insert_image(place, stream=picture, keep_proportion=False)
    return document


def read(document: pymupdf.Document, **more: object) -> ParsedDocument:
    options = ParseOptions(pdf="fast", ocr=Ocr(**{"engine": "tesseract", **more}))  # type: ignore[arg-type]
    return parse(ParseRequest(document.tobytes(), options=options))


def blocks(document: ParsedDocument) -> list[str]:
    return [text(document, block) for block in document.blocks]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The pictures that an engine was given, each of which says its number, in the middle."""
    pictures: list[bytes] = []

    def recognise(png: bytes, options: Ocr) -> list[RecognisedLine]:
        pictures.append(png)
        width, height = Image.open(io.BytesIO(png)).size
        middle = (width * 0.4, height * 0.4, width * 0.6, height * 0.6)
        return [RecognisedLine(f"Picture {len(pictures)}", 0.9, middle)]

    monkeypatch.setattr(ocr, "recognise", recognise)
    return pictures


@WITH_TESSERACT
@pytest.mark.parametrize(
    "picture",
    [
        pytest.param({}, id="screenshot"),
        pytest.param({"kind": "JPEG"}, id="photo"),
        pytest.param({"transparent": True}, id="transparent"),
    ],
)
def test_the_text_of_a_picture_stands_between_what_is_above_and_below_it(
    picture: dict[str, object],
) -> None:
    document = read(pages(drawn("Do not open the cover", "while the motor runs", **picture)))  # type: ignore[arg-type]
    assert blocks(document) == [
        "Above the picture of page 1.",
        "Do not open the cover while the motor runs",
        "Below the picture of page 1.",
    ]
    assert [block.confidence is None for block in document.blocks] == [True, False, True]
    assert 0.5 < (document.blocks[1].confidence or 0) <= 1
    assert document.counters["recognised_pictures"] == 1
    assert "images_without_text" not in document.counters


@WITH_TESSERACT
def test_a_scanned_table_is_a_table_that_says_how_sure_the_engine_is() -> None:
    rows = ("Kind|Pressure|Weight", "Alpha|12 bar|340 kg", "Beta|14 bar|355 kg", "Gamma|16 bar|360 kg")
    document = read(pages(drawn(*rows)))
    assert tables(document) == [[tuple(row.split("|")) for row in rows]]
    assert [block.confidence is not None for block in document.blocks] == [False, True, False]


@pytest.mark.parametrize("turn", [0, 90, 180])
@WITH_TESSERACT
def test_a_page_that_is_shown_turned_has_its_picture_read_as_its_text_runs(turn: int) -> None:
    document = pages(drawn("Delivery note", "of the night porter"))
    document[0].set_rotation(turn)
    assert blocks(read(document))[1] == "Delivery note of the night porter"


def test_without_recognition_a_page_with_text_is_read_as_if_it_had_no_picture() -> None:
    with_picture, without = (read(pages(one), engine="off") for one in (drawn("Hidden from us"), None))
    assert with_picture == without


@pytest.mark.parametrize(
    ("width", "height", "is_read"), [(300, 100, True), (40, 40, True), (300, 20, False), (20, 300, False)]
)
def test_small_pictures_are_not_read(seen: list[bytes], width: int, height: int, is_read: bool) -> None:
    document = read(pages(drawn("x"), place=pymupdf.Rect(72, 300, 72 + width, 300 + height)))
    assert len(seen) == is_read
    assert "images_without_text" not in document.counters


@pytest.mark.parametrize("copies", ["shared", "of its own on each page"])
@pytest.mark.parametrize(("number", "read_on"), [(1, 1), (2, 2), (3, 0)])
def test_a_picture_on_many_pages_is_a_logo_and_one_on_two_is_read_once(
    seen: list[bytes], copies: str, number: int, read_on: int
) -> None:
    made = pages(*[None] * number)
    for page in made.pages():
        other = pymupdf.open()
        other.new_page(width=595, height=842).insert_image(PLACE, stream=drawn("Acme Ltd"))
        if copies == "shared":
            page.insert_image(PLACE, stream=drawn("Acme Ltd"))
        else:
            page.show_pdf_page(page.rect, other)
    document = read(made)
    assert [text(document, block) for block in document.blocks].count("Picture 1") == read_on
    assert len(seen) == min(read_on, 1)
    assert document.counters.get("recognised_pictures", 0) == len(seen)


def test_pictures_of_one_size_with_other_content_are_no_logo(seen: list[bytes]) -> None:
    read(pages(*(drawn(f"Number {number}") for number in range(4))))
    assert len(seen) == 4


@pytest.mark.parametrize(("lines", "is_read"), [(1, True), (2, True), (12, False)])
def test_a_picture_whose_area_carries_text_is_the_ground_of_it(
    seen: list[bytes], lines: int, is_read: bool
) -> None:
    document = pages(drawn("Wallpaper"), place=pymupdf.Rect(72, 300, 500, 700))
    for number in range(lines):
        document[0].insert_text((80, 320 + 20 * number), "A line of the page over the picture, on a poster")
    read(document)
    assert len(seen) == is_read


@pytest.mark.parametrize("label", ["Label in the figure", "Copy 3 of 7", "Abb. 12"])
def test_a_label_over_a_picture_is_said_once(monkeypatch: pytest.MonkeyPatch, label: str) -> None:
    def recognise(png: bytes, options: Ocr) -> list[RecognisedLine]:
        dots = Image.open(io.BytesIO(png)).size[0] / PLACE.width
        places = {label: (8, 10, 120, 22), "In the picture": (8, 60, 120, 72)}
        return [
            RecognisedLine(one, 0.9, (x0 * dots, y0 * dots, x1 * dots, y1 * dots))
            for one, (x0, y0, x1, y1) in places.items()
        ]

    monkeypatch.setattr(ocr, "recognise", recognise)
    document = pages(drawn("In the picture"))
    document[0].insert_text((PLACE.x0 + 10, PLACE.y0 + 20), label)
    found = blocks(read(document))
    assert found.count(label) == 1
    assert "In the picture" in found


def test_a_picture_in_strips_is_one_picture(seen: list[bytes]) -> None:
    document = pages(None)
    for strip in range(5):
        top = 120 + 20 * strip
        document[0].insert_image(
            pymupdf.Rect(72, top, 372, top + 20), stream=drawn(f"strip {strip}"), keep_proportion=False
        )
    assert blocks(read(document))[1] == "Picture 1"
    assert len(seen) == 1


def test_a_gradient_that_is_drawn_out_is_no_picture_of_text(seen: list[bytes]) -> None:
    gradient = Image.new("RGB", (30, 10), "navy")
    file = io.BytesIO()
    gradient.save(file, "PNG")
    read(pages(file.getvalue()))
    assert not seen


def test_a_picture_beside_a_paragraph_follows_it_whole(seen: list[bytes]) -> None:
    document = pages(None)
    prose = "The motor is tested before it leaves the works and again where it is put up. " * 4
    document[0].insert_textbox(pymupdf.Rect(72, 300, 300, 480), prose, fontsize=11)
    document[0].insert_image(pymupdf.Rect(320, 330, 520, 380), stream=drawn("Beside"), keep_proportion=False)
    assert blocks(read(document))[-2:] == [prose.strip(), "Picture 1"]


def test_pictures_over_the_limit_and_those_without_text_are_counted_as_lost(
    seen: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = read(pages(*(drawn(f"Number {number}") for number in range(4))), max_pictures=3)
    assert len(seen) == 3
    assert document.counters["pictures_over_ocr_limit"] == 1
    assert document.counters["images_without_text"] == 1
    monkeypatch.setattr(ocr, "recognise", lambda png, options: [])
    assert read(pages(drawn("A photo"))).counters["images_without_text"] == 1


@pytest.mark.parametrize("noise", ['—"', "A", "= +"])
def test_signs_that_an_engine_sees_in_a_drawing_are_no_text(
    monkeypatch: pytest.MonkeyPatch, noise: str
) -> None:
    monkeypatch.setattr(ocr, "recognise", lambda png, options: [RecognisedLine(noise, 0.9, (10, 10, 90, 30))])
    document = read(pages(drawn("A drawing")))
    assert len(document.blocks) == 2
    assert document.counters["images_without_text"] == 1


def test_a_picture_that_the_engine_cannot_read_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(png: bytes, options: Ocr) -> list[RecognisedLine]:
        raise CorruptDocumentError("Tesseract cannot read the picture: no reason given")

    monkeypatch.setattr(ocr, "recognise", refuse)
    document = read(pages(drawn("A photo")))
    assert len(document.blocks) == 2
    assert document.counters["images_without_text"] == 1


def test_what_the_engine_is_not_sure_of_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = [RecognisedLine("Sure", 0.9, (10, 10, 90, 30)), RecognisedLine("qzx#", 0.2, (10, 50, 90, 70))]
    monkeypatch.setattr(ocr, "recognise", lambda png, options: unsure)
    document = read(pages(drawn("Sure")))
    assert blocks(document)[1] == "Sure"
    assert document.counters["characters_without_text"] == 4


def test_large_letters_in_a_picture_are_no_headings(seen: list[bytes]) -> None:
    document = read(pages(drawn("OPEN"), place=pymupdf.Rect(72, 120, 500, 250)))
    assert {block.kind for block in document.blocks} == {BlockKind.PARAGRAPH}
