"""PDF documents end to end: statuses, text in reading order, structure, furniture, metadata."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.errors import (
    CorruptDocumentError,
    DocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    TooLargeDocumentError,
)
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseLimits, ParseOptions, ParseRequest
from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.pdf.parse import parse

pymupdf = mupdf()

WIDTH, HEIGHT = 595, 842
PROSE = (
    "The quick brown fox jumps over the lazy dog and runs on to the river, where it meets a heron that "
    "has been fishing since dawn and does not care to be disturbed by foxes of any colour at all. "
)


def pdf(*draw: Callable[[Any], None], save: dict[str, Any] | None = None, **metadata: str) -> bytes:
    """A PDF with one page for each function, which draws on it."""
    document = pymupdf.open()
    for function in draw:
        function(document.new_page(width=WIDTH, height=HEIGHT))
    if metadata:
        document.set_metadata(metadata)
    return bytes(document.tobytes(**(save or {})))


def parsed(data: bytes, mode: str = "fast", **options: Any) -> ParsedDocument:
    return parse(ParseRequest(data, options=ParseOptions(pdf=mode, **options)))  # type: ignore[arg-type]


def texts(document: ParsedDocument, kind: BlockKind) -> list[str]:
    return [document.text[block.start : block.end] for block in document.blocks if block.kind is kind]


def line(x: float, y: float, text: str, size: float = 11, font: str = "helv") -> Callable[[Any], None]:
    return lambda page: page.insert_text((x, y), text, fontsize=size, fontname=font)


def together(*draw: Callable[[Any], None]) -> Callable[[Any], None]:
    def all_of_them(page: Any) -> None:
        for function in draw:
            function(page)

    return all_of_them


def box(left: float, top: float, right: float, bottom: float, text: str) -> Callable[[Any], None]:
    def fill(page: Any) -> None:
        assert page.insert_textbox((left, top, right, bottom), text, fontsize=11) >= 0, "it does not fit"

    return fill


def test_a_paragraph_is_joined_across_its_lines() -> None:
    document = parsed(pdf(box(60, 100, 500, 300, PROSE)))
    assert document.text == " ".join(PROSE.split())
    assert [block.kind for block in document.blocks] == [BlockKind.PARAGRAPH]


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [("a long expla-", "nation of it", "a long explanation of it"), ("an x-", "ray of it", "an x-ray of it")],
)
def test_a_word_cut_at_the_line_end_is_whole_again(first: str, second: str, joined: str) -> None:
    document = parsed(pdf(together(line(60, 100, first), line(60, 114, second))))
    assert document.text == joined


def test_two_columns_are_read_one_after_the_other_below_their_common_heading() -> None:
    left, right = PROSE * 3, PROSE.upper() * 3
    page = together(
        line(60, 80, "A heading that runs across both of the columns of this page", 16, "hebo"),
        box(60, 100, 285, 600, left),
        box(305, 100, 535, 700, right),
    )
    document = parsed(pdf(page))
    words = document.text.split()
    assert words.index("heading") < words.index("quick") < words.index("QUICK")
    assert "QUICK" not in words[: words.index("QUICK") - 1]
    assert words[-len(right.split()) :] == right.split()


def test_headings_have_levels_by_size_and_open_a_path() -> None:
    page = together(
        line(60, 60, "Handbook", 24, "hebo"),
        line(60, 100, "Leave", 18, "hebo"),
        line(60, 130, "Annual leave", 14, "hebo"),
        box(60, 140, 500, 220, PROSE),
        line(60, 250, "Travel", 18, "hebo"),
        line(60, 280, "Expenses", 14, "hebo"),
        box(60, 290, 500, 400, PROSE),
    )
    document = parsed(pdf(page))
    assert document.title == "Handbook"
    assert texts(document, BlockKind.TITLE) == ["Handbook"]
    headings = [block for block in document.blocks if block.kind is BlockKind.HEADING]
    assert [block.level for block in headings] == [1, 2, 1, 2]
    paragraphs = [block for block in document.blocks if block.kind is BlockKind.PARAGRAPH]
    assert [block.heading_path for block in paragraphs] == [("Leave", "Annual leave"), ("Travel", "Expenses")]


def test_covers_and_half_titles_head_nothing() -> None:
    chapter = together(line(60, 80, "1. Brine", 18, "hebo"), box(60, 120, 500, 300, PROSE))
    document = parsed(
        pdf(
            line(60, 300, "The Salt Book", 18, "hebo"),
            together(
                line(60, 300, "The Salt Book", 18, "hebo"),
                line(60, 400, "Ann Miller", 14, "hebo"),
                line(60, 700, "Harbour Press", 14, "hebo"),
            ),
            box(60, 500, 500, 700, PROSE),
            together(line(60, 300, "The Salt Book", 18, "hebo"), line(60, 700, "Second part", 14)),
            box(60, 500, 500, 700, PROSE.upper()),
            chapter,
        )
    )
    assert document.title == "The Salt Book"
    paths = [block.heading_path for block in document.blocks if block.end - block.start > 40]
    assert paths == [(), (), ("1. Brine",)]
    for shown in ("Ann Miller", "Harbour Press", "Second part"):
        assert shown in document.text


@pytest.mark.parametrize("on_first", ["Part 1 of it", "I. Beginnings"])
def test_a_page_of_its_own_that_is_in_the_outline_or_numbered_heads_what_follows(on_first: str) -> None:
    source = pymupdf.open(
        stream=pdf(
            together(line(60, 60, "Salt", 30, "hebo"), line(60, 300, on_first, 18, "hebo")),
            box(60, 120, 500, 300, PROSE),
        )
    )
    source.set_toc([[1, "Part 1 of it", 1]])
    document = parsed(source.tobytes())
    assert document.blocks[-1].heading_path == (on_first,)


def test_a_title_may_begin_with_an_article() -> None:
    page = together(line(60, 60, "A Guide to Salt", 24, "hebo"), box(60, 120, 500, 300, PROSE))
    assert texts(parsed(pdf(page)), BlockKind.TITLE) == ["A Guide to Salt"]


def test_the_outline_decides_what_is_a_heading_and_of_which_level() -> None:
    source = pymupdf.open(stream=pdf(together(line(60, 80, "Scope of this"), box(60, 120, 500, 300, PROSE))))
    source.set_toc([[1, "Part one", 1], [2, "Scope of this", 1]])
    heading = next(block for block in parsed(source.tobytes()).blocks if block.kind is BlockKind.HEADING)
    assert heading.level == 2


def test_list_items_lose_their_bullet_keep_their_number_and_know_their_depth() -> None:
    page = together(
        line(60, 100, "• Apples"),
        line(80, 116, "• Russet"),
        line(60, 132, "• Pears"),
        line(60, 148, "1. First"),
    )
    document = parsed(pdf(page))
    assert texts(document, BlockKind.LIST_ITEM) == ["Apples", "Russet", "Pears", "1. First"]
    assert [block.level for block in document.blocks] == [1, 2, 1, 1]


def test_monospaced_lines_are_code_with_their_indentation() -> None:
    page = together(
        box(60, 60, 500, 120, PROSE),
        line(60, 200, "def f(x):", font="cour"),
        line(60 + 4 * 6.6, 214, "return x", font="cour"),
    )
    assert texts(parsed(pdf(page)), BlockKind.CODE) == ["def f(x):\n    return x"]


def test_repeated_heads_and_numbered_feet_are_furniture_and_stand_once_after_the_body() -> None:
    def page(number: int) -> Callable[[Any], None]:
        return together(
            line(60, 30, "Contoso handbook"),
            box(60, 100, 500, 300, f"Chapter {number} begins. {PROSE}"),
            line(280, 820, f"Page {number} of 4"),
        )

    document = parsed(pdf(*(page(number) for number in range(1, 5))))
    assert texts(document, BlockKind.HEADER) == ["Contoso handbook"]
    assert texts(document, BlockKind.FOOTER) == ["Page 1 of 4"]
    body = [block for block in document.blocks if block.kind is BlockKind.PARAGRAPH]
    assert [block.page for block in body] == [1, 2, 3, 4]
    assert document.text.index("Contoso handbook") > body[-1].end


def test_rows_that_only_look_alike_but_for_their_figures_are_no_furniture() -> None:
    amounts = ("17", "230", "4", "88")
    document = parsed(pdf(*(line(60, 800, f"Amount due {amount} euros") for amount in amounts)))
    assert [document.text.count(f" {amount} ") for amount in amounts] == [1, 1, 1, 1]


def test_a_document_of_repeated_text_only_keeps_it_as_its_body() -> None:
    document = parsed(pdf(*[line(60, 40, "Out of office")] * 4))
    assert texts(document, BlockKind.PARAGRAPH) == ["Out of office"] * 4


def test_a_sentence_that_runs_over_the_page_end_is_one_paragraph() -> None:
    document = parsed(pdf(line(60, 400, "The committee will meet"), line(60, 400, "again in March.")))
    assert document.text == "The committee will meet again in March."


def test_sideways_pages_and_wrongly_rotated_pages_read_like_upright_ones() -> None:
    def sideways(page: Any) -> None:
        page.insert_text((100, 700), "First line of a landscape page", rotate=90)
        page.insert_text((116, 700), "and its second line.", rotate=90)

    def wrongly_rotated(page: Any) -> None:
        page.insert_text((60, 100), "Upright text")
        page.set_rotation(90)

    document = parsed(pdf(sideways, wrongly_rotated))
    assert document.text == "First line of a landscape page and its second line.\n\nUpright text"


def test_right_to_left_text_is_kept_as_mupdf_gives_it() -> None:
    def hebrew(page: Any) -> None:
        page.insert_htmlbox((60, 60, 500, 200), '<p dir="rtl">שלום עולם, זה מבחן</p>')

    data = pdf(hebrew)
    raw = " ".join(pymupdf.open(stream=data)[0].get_text().split())
    assert " ".join(parsed(data).text.split()) == raw


def test_text_off_the_page_or_too_small_to_read_is_left_out() -> None:
    page = together(
        line(60, 100, "Visible"), line(60, -400, "Outside"), line(60, 200, "Ignore all of this", size=0.5)
    )
    document = parsed(pdf(page))
    assert document.text == "Visible"
    assert document.counters["tiny_lines_removed"] == 1


def test_metadata_is_read_and_a_file_name_is_no_title() -> None:
    data = pdf(
        line(60, 100, "Text"),
        title="Microsoft Word - draft_v3.docx", author="Ann", creator="(unspecified)",
        creationDate="D:20240131120500+02'00'",
    )  # fmt: skip
    document = parsed(data)
    assert document.title is None
    assert document.metadata == {"author": "Ann", "created": "2024-01-31T12:05:00+02:00"}
    assert parsed(pdf(line(60, 100, "Text"), title="Leave policy")).title == "Leave policy"


@pytest.mark.parametrize(
    ("named", "title"),
    [
        ("0001045810-23-000093", "Harbour rules"),
        ("Microsoft Word - rules.doc", "Harbour rules"),
        ("HHaarrbboouurr rruulleess", "Harbour rules"),
        ("rules_v3-final", "Harbour rules"),
        ("Mooring", "Mooring"),
        ("Rules of the harbour of Bergen", "Rules of the harbour of Bergen"),
        ("Rules of the airport", "Harbour rules"),
    ],
)
def test_a_title_of_the_file_that_is_none_gives_way_to_the_largest_text(named: str, title: str) -> None:
    page = together(
        line(60, 60, "Harbour rules", 20), line(60, 90, "Mooring", 14), box(60, 120, 500, 300, PROSE)
    )
    assert parsed(pdf(page, title=named)).title == title


def test_of_equally_large_texts_the_first_is_the_title() -> None:
    page = together(line(60, 60, "Fees", 18), box(60, 80, 500, 160, PROSE), line(60, 200, "Fines", 18))
    document = parsed(pdf(page))
    assert document.title == "Fees"
    assert texts(document, BlockKind.HEADING) == ["Fees", "Fines"]


def test_the_two_large_words_of_a_cover_go_on_in_the_line_below_them() -> None:
    cover = together(line(60, 200, "Acme Electronics", 36), line(60, 300, "Health plan of 2024", 24))
    title = parsed(pdf(cover, box(60, 120, 500, 300, PROSE))).title
    assert title == "Acme Electronics – Health plan of 2024"


def test_where_the_largest_text_recurs_the_heading_that_opens_the_page_is_the_title() -> None:
    page = together(
        line(60, 40, "How salt is won", 12, "hebo"), box(60, 60, 500, 140, PROSE),
        line(60, 160, "Early days", 15, "hebo"), box(60, 180, 500, 260, PROSE),
        line(60, 280, "Later days", 15, "hebo"), box(60, 300, 500, 380, PROSE),
    )  # fmt: skip
    assert parsed(pdf(page)).title == "How salt is won"


def test_a_title_may_begin_with_a_year_and_boilerplate_heads_nothing() -> None:
    page = together(
        line(60, 60, "CONFIDENTIAL", 30, "hebo"), line(60, 120, "2026 harbour rules", 24, "hebo"),
        box(60, 160, 500, 300, PROSE),
    )  # fmt: skip
    document = parsed(pdf(page))
    assert document.title == "2026 harbour rules"
    assert all("CONFIDENTIAL" not in block.heading_path for block in document.blocks)


ENCRYPTION = {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "owner_pw": "owner"}


def test_a_file_that_needs_a_password_is_encrypted_unless_the_password_is_configured() -> None:
    data = pdf(line(60, 100, "Secret"), save={**ENCRYPTION, "user_pw": "sesame"})
    with pytest.raises(EncryptedDocumentError, match="needs a password") as caught:
        parsed(data, passwords=("wrong",))
    assert "wrong" not in str(caught.value)
    assert parsed(data, passwords=("wrong", "sesame")).text == "Secret"


def test_a_file_with_an_owner_password_only_is_read() -> None:
    assert parsed(pdf(line(60, 100, "Open"), save={**ENCRYPTION, "user_pw": ""})).text == "Open"


def test_a_scan_and_a_blank_file_are_empty_each_with_its_reason() -> None:
    def scan(page: Any) -> None:
        picture = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 20, 20))
        picture.clear_with(120)
        page.insert_image(page.rect, pixmap=picture)

    with pytest.raises(EmptyDocumentError, match="1 images: a scan"):
        parsed(pdf(scan))
    with pytest.raises(EmptyDocumentError, match="2 pages: blank"):
        parsed(pdf(lambda page: None, lambda page: None))


def test_zero_bytes_are_empty_and_garbage_is_corrupt() -> None:
    with pytest.raises(EmptyDocumentError, match="0 bytes"):
        parsed(b"")
    for garbage in (
        b"%PDF-1.7\ngarbage",
        b"nothing of the kind",
        b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj",
    ):
        with pytest.raises(CorruptDocumentError):
            parsed(garbage)


def test_more_pages_than_the_limit_are_refused_before_any_is_read() -> None:
    data = pdf(*[line(60, 100, "Text")] * 3)
    with pytest.raises(TooLargeDocumentError, match="3 pages, the limit is 2"):
        parse(ParseRequest(data, limits=ParseLimits(max_pages=2)))


def with_font(descendant: str, encoding: str) -> bytes:
    """A page with a line in a plain font, and one in a composite font of this descendant."""
    text = "BT /F1 12 Tf 72 700 Td (Plain words) Tj /F2 12 Tf 0 -40 Td <0022002300240025> Tj ET"
    parts = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Type /Font /Subtype /Type0 /BaseFont /Kozan /Encoding /{encoding}"
        f" /DescendantFonts [{descendant}] >>",
    )
    objects = "".join(f"{number} 0 obj\n{part}\nendobj\n" for number, part in enumerate(parts, 1))
    return f"%PDF-1.4\n{objects}trailer << /Root 1 0 R /Size 7 >>\n%%EOF".encode()


@pytest.mark.parametrize("encoding", ["Identity-H", "H", "V"])
def test_a_font_without_a_descriptor_is_counted_as_a_part_that_was_not_read(encoding: str) -> None:
    system = "/CIDSystemInfo << /Registry (Adobe) /Ordering (Japan1) /Supplement 1 >>"
    descendant = f"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /Kozan {system} {{}} >>"
    descriptor = "/FontDescriptor << /Type /FontDescriptor /FontName /Kozan /Flags 4 >>"
    read, unread = (
        parse(ParseRequest(with_font(descendant.format(more), encoding))) for more in (descriptor, "")
    )
    assert "Plain words" in read.text
    assert "Plain words" in unread.text
    assert read.counters.get("parts_not_read", 0) == 0
    assert unread.counters["parts_not_read"] == 1


def test_mupdf_complains_in_the_result_and_not_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    data = pdf(line(60, 100, "Still there"))
    document = parsed(data[: data.rindex(b"startxref")])
    assert document.text == "Still there"
    assert document.counters["mupdf_warnings"] > 0
    assert document.warnings
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


SAMPLE = pdf(
    together(line(60, 60, "Title", 20, "hebo"), box(60, 100, 500, 300, PROSE)),
    together(line(60, 60, "a"), line(200, 60, "b"), line(60, 80, "1"), line(200, 80, "2")),
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SAMPLE)), st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255))))
def test_damaged_bytes_give_a_document_or_a_document_error(end: int, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(SAMPLE)
    for place, value in changes:
        damaged[place] = value
    try:
        document = parsed(bytes(damaged[:end]))
    except DocumentError:
        return
    for block in document.blocks:
        assert 0 <= block.start < block.end <= len(document.text)


def test_the_fast_path_does_not_load_the_models() -> None:
    program = (
        "import sys; from rag_pipelines.parsing.base import ParseOptions, ParseRequest;"
        "from rag_pipelines.parsing.pdf.parse import parse;"
        "print(parse(ParseRequest(sys.stdin.buffer.read(), options=ParseOptions(pdf='auto'))).counters);"
        "assert 'onnxruntime' not in sys.modules"
    )
    data = pdf(box(60, 100, 500, 300, PROSE))
    done = subprocess.run([sys.executable, "-c", program], input=data, check=True, capture_output=True)
    assert b"'layout_pages': 0" in done.stdout


def test_the_same_bytes_give_the_same_blocks() -> None:
    assert parsed(SAMPLE) == parsed(SAMPLE)
