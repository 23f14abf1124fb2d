"""Lines of PDF pages: printed twice, set wide or tight, raised, and of glyphs without a character."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.errors import EmptyDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.pdf.glyphs import read_glyphs
from rag_pipelines.parsing.pdf.lines import Box, Line, printed_over, rows, words_as_read
from rag_pipelines.parsing.pdf.parse import parse

pymupdf = mupdf()


def page_of(content: str) -> bytes:
    """A PDF of one page with this content stream; F1 is Helvetica and F2 Times."""
    document = pymupdf.open()
    page = document.new_page()
    fonts = "".join(
        f"/F{number}<</Type/Font/Subtype/Type1/BaseFont/{name}>>"
        for number, name in enumerate(("Helvetica", "Times-Roman"), 1)
    )
    document.xref_set_key(page.xref, "Resources", f"<</Font<<{fonts}>>>>")
    stream = document.get_new_xref()
    document.update_object(stream, "<<>>")
    document.update_stream(stream, content.encode("latin-1"))
    page.set_contents(stream)
    return bytes(document.tobytes())


def without_characters(text: str, *readable: str) -> bytes:
    """A PDF that shows `text` in a font whose map from glyphs to characters is missing, below other lines."""
    document = pymupdf.open()
    page = document.new_page()
    for number, line in enumerate(readable):
        page.insert_text((50, 100 + 20 * number), line)
    font = page.insert_font("F3", fontbuffer=pymupdf.Font("helv").buffer)
    page.insert_text((50, 300), text, fontname="F3")
    document.xref_set_key(font, "ToUnicode", "null")
    return bytes(document.tobytes())


def read(content: str | bytes) -> ParsedDocument:
    data = page_of(content) if isinstance(content, str) else content
    return parse(ParseRequest(data, options=ParseOptions(pdf="fast")))


def show(text: str, x: float = 50, y: float = 700, size: float = 12, font: int = 1, before: str = "") -> str:
    return f"BT {before} /F{font} {size} Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET "


@pytest.mark.parametrize(("right", "down"), [(0.0, 0.0), (0.4, 0.0), (1.2, -1.2), (2.0, 0.0), (0.0, 1.5)])
def test_a_line_printed_twice_stands_once(right: float, down: float) -> None:
    text = "Total due 1,234.00"
    assert read(show(text) + show(text, 50 + right, 700 + down)).text == text


def test_a_part_of_a_line_printed_over_stands_once() -> None:
    assert read(show("Total due 1,234.00") + show("1,234.00", 103.5)).text == "Total due 1,234.00"
    assert read(show("1,234.00", 103) + show("Total due 1,234.00")).text == "Total due 1,234.00"


def test_a_number_printed_over_behind_wide_characters_stands_once() -> None:
    whole = Line("股票代码：300218", Box(225.1, 539, 370.2, 557), 18)
    again = Line("300218", Box(315.6, 539, 370.0, 557), 18)
    assert list(printed_over([whole, again]).values()) == [again]


@pytest.mark.parametrize(
    ("left", "text"), [(272.8, "披露日期：2012 年3 月"), (309.3, "披露日期：20122012 年3 月")]
)
def test_a_line_that_begins_over_the_end_of_another_goes_on_from_it(left: float, text: str) -> None:
    first = Line("披露日期：2012", Box(182.3, 647, 309.1, 665), 18)
    second = Line("2012 年3 月", Box(left, 647, left + 95, 665), 18)
    assert [[line.text for line in row] for row in rows([first, second])] == [[text]]


def test_glyphs_printed_twice_one_by_one_stand_once() -> None:
    def letters(word: str, step: float) -> str:
        return "".join(
            show(letter, 50 + step * number + offset)
            for number, letter in enumerate(word)
            for offset in (0.0, 2.0)
        )

    assert read(letters("HEARD", 9)).text == "HEARD"


def test_equal_words_beside_and_below_each_other_stay() -> None:
    assert read(show("yes") + show("yes", 150) + show("yes", 50, 686)).text.split() == ["yes"] * 3


@pytest.mark.parametrize("gap", [90, 120, 145, 200, 300])
@pytest.mark.parametrize("font", [1, 2])
def test_gaps_between_glyphs_are_spaces_where_the_font_has_none(gap: int, font: int) -> None:
    words = ["The", "harbour", "committee", "met", "again", "in", "spring"]
    content = f"BT /F{font} 11 Tf 50 700 Td [({f')-{gap}('.join(words)})] TJ ET"
    assert read(content).text == " ".join(words)


def test_a_long_word_stays_one() -> None:
    words = "Donaudampfschifffahrtsgesellschaft https://example.org/documents/annualreports"
    assert read(show(words)).text == words


@pytest.mark.parametrize("tracking", [1, 3, 6])
def test_words_set_wide_are_words(tracking: int) -> None:
    assert read(show("QUARTERLY REPORT OF THE BANK", before=f"{tracking} Tc")).text == (
        "QUARTERLY REPORT OF THE BANK"
    )


@given(st.lists(st.text("abcdefgh", min_size=2, max_size=9), min_size=6, max_size=12), st.integers(2, 8))
def test_any_words_set_wide_are_those_words(words: list[str], tracking: int) -> None:
    text = " ".join(words)
    assert read(show(text, 20, size=6, before=f"{tracking / 4} Tc")).text == text


def test_the_space_at_the_end_of_a_piece_parts_it_from_the_next() -> None:
    first = "06/25/2015 "
    x = 50 + pymupdf.get_text_length(first, "helv", 12)
    rule = f"{x} 690 m {x} 720 l S "
    assert "06/25/2015 10/09/2015" in read(show(first) + rule + show("10/09/2015", x)).text


@pytest.mark.parametrize(
    ("before", "raised", "after", "seen"),
    [
        ("It used 10", "6", " litres", "It used 10^6 litres"),
        ("Revenue was 5", "1", " million", "Revenue was 5^1 million"),
        ("the 21", "st", " of May", "the 21st of May"),
        ("5", "1", "/2 inch", "5 1/2 inch"),
        ("", "3", "Source: the ministry", "3 Source: the ministry"),
    ],
)
def test_superscripts_do_not_merge_with_what_they_stand_behind(
    before: str, raised: str, after: str, seen: str
) -> None:
    content = (
        f"BT /F1 12 Tf 50 700 Td ({before}) Tj /F1 7 Tf 5 Ts ({raised}) Tj 0 Ts /F1 12 Tf ({after}) Tj ET"
    )
    assert read(content).text == seen


def test_subscripts_and_small_capitals_stay_one_with_their_word() -> None:
    content = (
        "BT /F1 12 Tf 50 700 Td (H) Tj /F1 7 Tf -3 Ts (2) Tj 0 Ts /F1 12 Tf (O and N) Tj /F1 8 Tf (ATO) Tj ET"
    )
    assert read(content).text == "H2O and NATO"


def test_glyphs_without_a_character_are_counted_and_not_passed_off_as_text() -> None:
    document = read(without_characters("Hidden", "A line that can be read"))
    assert document.text == "A line that can be read"
    assert document.counters[Loss.CHARACTERS] == 6
    assert "6 glyphs on 1 pages" in document.warnings[0]


def test_a_file_of_such_glyphs_only_is_empty_and_says_why() -> None:
    with pytest.raises(EmptyDocumentError, match="the 6 glyphs on its 1 pages have no characters"):
        read(without_characters("Hidden"))


def test_a_page_that_is_a_picture_is_counted_beside_pages_of_text() -> None:
    document = pymupdf.open(stream=page_of(show("A page of text")))
    picture = pymupdf.Pixmap(pymupdf.csGRAY, (0, 0, 20, 20), False)
    for size in (400, 30):
        scan: Any = document.new_page()
        scan.insert_image((50, 50, 50 + size, 50 + size), pixmap=picture)
    parsed = parse(ParseRequest(document.tobytes(), options=ParseOptions(pdf="fast")))
    assert parsed.counters[Loss.IMAGES] == 1
    assert "1 pictures fill pages without text" in parsed.warnings[0]


def test_glyphs_are_read_where_a_tag_gives_a_text_for_them_but_no_place() -> None:
    tagged = "/P <</ActualText (Other)>> BDC /Span <</ActualText (x)>> BDC EMC " + show("Seen here") + "EMC "
    assert read(tagged + show("Plain", 50, 600)).text.split("\n\n") == ["Seen here", "Plain"]


def test_the_text_that_a_tag_gives_for_glyphs_is_read_otherwise() -> None:
    assert read("/Span <</ActualText (harbour)>> BDC " + show("The h-") + "EMC").text == "harbour"


def test_words_are_read_where_the_structure_gives_a_blank_for_them() -> None:
    document = pymupdf.open(
        stream=page_of(
            "/P <</MCID 0>> BDC " + show("Above the table", 50, 720) + "EMC "
            "/Span <</MCID 1>> BDC " + show("Each month 35 EUR are due") + "EMC "
            "/Span <</MCID 2>> BDC " + show("in hyph-", 50, 680) + "EMC"
        )
    )
    page = document[0]
    root, tree, blank, word = (document.get_new_xref() for _ in range(4))
    span = f"<</Type/StructElem/S/Span/P {root} 0 R/Pg {page.xref} 0 R"
    document.update_object(blank, f"{span}/K[1]/ActualText( )>>")
    document.update_object(word, f"{span}/K[2]/ActualText(in hyphens)>>")
    document.update_object(tree, f"<</Nums[0[{root} 0 R {blank} 0 R {word} 0 R]]>>")
    document.update_object(root, f"<</Type/StructTreeRoot/K[{blank} 0 R {word} 0 R]/ParentTree {tree} 0 R>>")
    document.xref_set_key(document.pdf_catalog(), "StructTreeRoot", f"{root} 0 R")
    document.xref_set_key(page.xref, "StructParents", "0")
    assert "Each month 35 EUR are due" in read(document.tobytes()).text
    document.update_object(blank, f"{span}/K[1]>>")
    assert "in hyphens" in read(document.tobytes()).text


ARABIC = (("0041", "062D"), ("0042", "0644 0627"), ("0043", "0645"))
"""Codes of a font, and the letters of each glyph: hah, the ligature of lam and alef, meem."""


def test_the_letters_of_a_glyph_that_stands_for_words_keep_their_order() -> None:
    ends = {"\u062d": (62.0, 70.0), "s": (70.0, 77.0)}
    text = "\u062d\u0628\u064a as"
    chars = [
        {"c": letter, "bbox": (left, 0.0, right, 10.0)}
        for letter in text
        for left, right in [ends.get(letter, (70.0, 70.0))]
    ]
    (span,) = read_glyphs({"spans": [{"chars": chars}]})
    assert span["text"] == text


@pytest.mark.parametrize(
    ("from_the_left", "read"),
    [
        ("Acme Data Ltd", "Acme Data Ltd"),
        ("1403 / 09 / 19", "1403 / 09 / 19"),
        ("הגשה תאריך", "תאריך הגשה"),
        ("ירושלים Acme Data החברה", "החברה Acme Data ירושלים"),
    ],
)
def test_words_given_from_the_left_are_put_in_the_order_they_are_read(from_the_left: str, read: str) -> None:
    assert words_as_read(from_the_left) == read


def test_the_letters_of_an_arabic_ligature_keep_their_order() -> None:
    maps = " ".join(f"<{code[2:]}> <{letters.replace(' ', '')}>" for code, letters in ARABIC)
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /x def /CMapType 2 def "
        f"1 begincodespacerange <00> <FF> endcodespacerange {len(ARABIC)} beginbfchar {maps} endbfchar "
        "endcmap end end"
    )
    document = pymupdf.open(stream=page_of("BT /F1 18 Tf 72 700 Td (CBA) Tj ET"))
    stream = document.get_new_xref()
    document.update_object(stream, "<<>>")
    document.update_stream(stream, cmap.encode())
    font = f"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode {stream} 0 R>>"
    document.xref_set_key(document[0].xref, "Resources", f"<</Font<</F1 {font}>>>>")
    parsed = read(document.tobytes())
    assert parsed.text == "\u062d\u0644\u0627\u0645"
    assert "words_missing" not in parsed.counters


def test_texts_that_lie_over_each_other_are_not_made_one_word() -> None:
    label = Line("Agency", Box(35, 214, 87, 224), 8.0)
    value = Line("Ministry of Fisheries", Box(38, 214, 138, 226), 8.0)
    part = Line("stry", Box(86, 214, 100, 224), 8.0)
    assert [[line.text for line in row] for row in rows([label, value])] == [["Agency Ministry of Fisheries"]]
    assert [[line.text for line in row] for row in rows([label, part])] == [["Agencystry"]]
