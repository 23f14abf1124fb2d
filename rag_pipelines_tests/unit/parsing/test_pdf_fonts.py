"""Fonts of a PDF that say of their glyphs what is not so. The files are written here, object by object."""

from __future__ import annotations

import pytest

from rag_pipelines.errors import EmptyDocumentError
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.pdf.parse import parse
from rag_pipelines_tests.unit.parsing.test_pdf import parsed

SENTENCE = b"The balance of the account is due on Monday"
READABLE = b"BT /F2 11 Tf 72 500 Td (Chapter two is readable as ever.) Tj ET"


def _stream(data: bytes) -> bytes:
    return b"<</Length %d>>stream\n%b\nendstream" % (len(data), data)


def _pdf(content: bytes, *font: bytes) -> bytes:
    """A page of `content`; the first object of `font` is its font F1, number 6, and F2 is Helvetica."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        b"/Resources<</Font<</F1 6 0 R/F2 5 0 R>>>>>>",
        _stream(content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *font,
    ]
    out = b"%PDF-1.4\n"
    places = []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table)
        + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    )


def _drawn_font(matrix: float, unit: int) -> list[bytes]:
    """A Type 3 font whose glyphs are rectangles, five wide and seven high in `unit`, spaces included."""
    letters = sorted(set(SENTENCE))
    glyphs = b" ".join(b"/g%d %d 0 R" % (letter, 8 + place) for place, letter in enumerate(letters))
    names = b" ".join(b"%d /g%d" % (letter, letter) for letter in letters)
    characters = b" ".join(b"<%02X> <%04X>" % (letter, letter) for letter in letters)
    table = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def "
        b"1 begincodespacerange <00> <FF> endcodespacerange %d beginbfchar %b endbfchar endcmap end end"
    ) % (len(letters), characters)
    box = 5 * unit, 7 * unit
    drawn = [
        b"%d 0 d0" % (6 * unit)
        if letter == 32
        else b"%d 0 0 0 %d %d d1 0 0 %d %d re f" % (6 * unit, *box, *box)
        for letter in letters
    ]
    font = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 %d %d]/FontMatrix[%f 0 0 %f 0 0]/FirstChar 0/LastChar 255"
        b"/Widths[%b]/CharProcs<<%b>>/Encoding<</Type/Encoding/Differences[%b]>>/ToUnicode 7 0 R"
        b"/Resources<<>>>>"
    ) % (6 * unit, 10 * unit, matrix, matrix, b" ".join([b"%d" % (6 * unit)] * 256), glyphs, names)
    return [font, _stream(table), *map(_stream, drawn)]


@pytest.mark.parametrize(
    ("matrix", "unit", "size"), [(0.1, 1, 10), (1, 1, 1), (0.25, 10, 0.4), (0.24, 8, 0.5)]
)
def test_a_drawn_font_is_as_large_as_its_glyphs_whatever_units_it_has(
    matrix: float, unit: int, size: float
) -> None:
    lines = b"".join(
        b"BT /F1 %f Tf 72 %d Td (%b) Tj ET " % (size, 700 - 12 * row, SENTENCE) for row in range(3)
    )
    document = parsed(_pdf(lines, *_drawn_font(matrix, unit)))
    assert document.text == " ".join([SENTENCE.decode()] * 3)
    assert "tiny_lines_removed" not in document.counters


def test_text_that_nobody_can_read_for_its_size_stays_out() -> None:
    tiny = b"BT /F2 0.5 Tf 72 700 Td (for machines only) Tj ET " + READABLE
    document = parsed(_pdf(tiny, b"null"))
    assert document.text == "Chapter two is readable as ever."
    assert document.counters["tiny_lines_removed"] == 1


def _numbered_glyphs(name: bytes) -> bytes:
    """A font that names its glyphs by numbers, from which nobody knows their letters."""
    names = b" ".join(b"/" + name % number for number in range(1, 40))
    return b"<</Type/Font/Subtype/Type1/BaseFont/Times-Roman/Encoding<</Differences[1 %b]>>>>" % names


def _by_numbers(text: bytes) -> bytes:
    letters = sorted(set(text))
    return b"".join(b"%02x" % (letters.index(letter) + 1) for letter in text)


def test_glyphs_that_come_out_as_control_characters_are_counted_and_not_read() -> None:
    lines = b"".join(
        b"BT /F1 11 Tf 72 %d Td <%b> Tj ET " % (700 - 14 * row, _by_numbers(SENTENCE)) for row in range(4)
    )
    document = parsed(_pdf(lines + READABLE, _numbered_glyphs(b"G%02d")))
    assert document.text == "Chapter two is readable as ever."
    assert document.counters["characters_without_text"] == 4 * (len(SENTENCE) - 1) == 168, "one is a tab"
    assert document.counters.get("words_missing", 0) == 0
    assert document.warnings == (
        "168 glyphs on 1 pages, the first of them page 1, have no character in the fonts of the file and are "
        "not read",
    )


def test_a_document_of_such_glyphs_alone_is_empty_and_says_why() -> None:
    data = _pdf(b"BT /F1 11 Tf 72 700 Td <%b> Tj ET" % _by_numbers(SENTENCE), _numbered_glyphs(b"G%02d"))
    with pytest.raises(EmptyDocumentError, match="no characters in the fonts of the file"):
        parse(ParseRequest(data, options=ParseOptions(pdf="fast")))


def test_a_bullet_that_is_a_control_character_begins_a_list_item() -> None:
    items = b"".join(
        b"BT /F1 11 Tf 72 %d Td <01> Tj ET BT /F2 11 Tf 90 %d Td (point %d of the list) Tj ET "
        % (700 - 14 * row, 700 - 14 * row, row)
        for row in range(30)
    )
    document = parsed(_pdf(items, _numbered_glyphs(b"G%02d")))
    assert [document.text[block.start : block.end] for block in document.blocks][:2] == [
        "point 0 of the list",
        "point 1 of the list",
    ]
    assert document.counters.get("characters_without_text", 0) == 0
