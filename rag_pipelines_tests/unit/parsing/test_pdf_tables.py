"""Tables of PDF pages: which way finds them, their rows and headers, and what is no table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.model import Block, BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseLimits, ParseOptions, ParseRequest
from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.pdf.flow import in_reading_order
from rag_pipelines.parsing.pdf.lines import Box, Line
from rag_pipelines.parsing.pdf.page import Page
from rag_pipelines.parsing.pdf.parse import parse
from rag_pipelines.parsing.pdf.structure import continue_table
from rag_pipelines.parsing.pdf.tables import MOST_SHAPES, PageTable, cell_text, find_aligned_tables

pymupdf = mupdf()

PRICES = (
    ("Product", "Unit", "Price", "Stock"),
    ("Bolts", "box", "4.20", "310"),
    ("Nuts", "box", "3.10", "95"),
    ("Washers", "bag", "1.75", "1,204"),
    ("Screws", "box", "5.00", "77"),
)
PROSE = "Prices hold until the end of the quarter and may change without notice after that date. " * 4
LEFT, TOP, COLUMN, ROW = 60, 120, 110, 22


def draw_table(page: Any, rows: Sequence[Sequence[str]], *, ruled: bool, top: float = TOP) -> None:
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            page.insert_text((LEFT + 4 + column * COLUMN, top + 15 + number * ROW), text, fontsize=10)
    if ruled:
        width, height = COLUMN * len(rows[0]), ROW * len(rows)
        for number in range(len(rows) + 1):
            page.draw_line((LEFT, top + number * ROW), (LEFT + width, top + number * ROW))
        for column in range(len(rows[0]) + 1):
            page.draw_line((LEFT + column * COLUMN, top), (LEFT + column * COLUMN, top + height))


def write(page: Any, place: tuple[float, float, float, float], text: str) -> None:
    assert page.insert_textbox(place, text, fontsize=10) >= 0, "the text does not fit its box"


def pdf(*draw: Callable[[Any], None]) -> bytes:
    document = pymupdf.open()
    for function in draw:
        function(document.new_page())
    return bytes(document.tobytes())


def parsed(data: bytes, mode: str, **options: float) -> ParsedDocument:
    return parse(ParseRequest(data, options=ParseOptions(pdf=mode, **options)))  # type: ignore[arg-type]


def tables(document: ParsedDocument) -> list[Block]:
    return [block for block in document.blocks if block.kind is BlockKind.TABLE]


def cells(block: Block) -> tuple[tuple[str, ...], ...]:
    return tuple(row.cells for row in block.rows)


def with_prose(draw: Callable[[Any], None]) -> Callable[[Any], None]:
    def page_with_prose(page: Any) -> None:
        write(page, (60, 30, 520, 115), PROSE)
        draw(page)
        write(page, (60, 300, 520, 400), PROSE)

    return page_with_prose


@pytest.mark.parametrize("ruled", [True, False])
@pytest.mark.parametrize("mode", ["fast", "auto"])
def test_a_table_has_its_rows_header_and_page_and_stands_between_the_text(ruled: bool, mode: str) -> None:
    document = parsed(pdf(with_prose(lambda page: draw_table(page, PRICES, ruled=ruled))), mode)
    assert [block.kind for block in document.blocks] == [
        BlockKind.PARAGRAPH, BlockKind.TABLE, BlockKind.PARAGRAPH,
    ]  # fmt: skip
    (table,) = tables(document)
    assert cells(table) == PRICES
    assert (table.header_rows, table.page) == (1, 1)
    assert document.text[table.start : table.end].splitlines()[2] == "Nuts | box | 3.10 | 95"


def test_auto_sends_only_pages_with_signs_of_a_borderless_table_to_the_models() -> None:
    prose = with_prose(lambda page: None)
    ruled = with_prose(lambda page: draw_table(page, PRICES, ruled=True))
    borderless = with_prose(lambda page: draw_table(page, PRICES, ruled=False))
    counters = parsed(pdf(prose, ruled, borderless, prose), "auto").counters
    assert (counters["pages"], counters["ruled_pages"], counters["layout_pages"]) == (4, 1, 1)
    assert parsed(pdf(prose), "layout").counters["layout_pages"] == 1


def test_a_long_document_stops_looking_for_tables_when_the_budget_is_spent() -> None:
    ruled = with_prose(lambda page: draw_table(page, PRICES, ruled=True))
    document = parsed(pdf(*[ruled] * 3), "auto", pdf_table_seconds=0.01)
    assert document.counters["ruled_pages"] == 1
    assert document.counters["pages_over_budget"] == 2
    assert [cells(table) for table in tables(document)] == [PRICES] * 3


@pytest.mark.slow
def test_crowded_pages_take_more_of_the_budget() -> None:
    def draw_list(page: Any) -> None:
        for column in range(8):
            lines = [f"{number}.{column}" for number in range(60)]
            page.insert_text((40 + 65 * column, 40), lines, fontsize=4, lineheight=3)

    few = pdf(*[with_prose(lambda page: draw_table(page, PRICES, ruled=False))] * 3)
    many = pdf(*[draw_list] * 3)
    assert parsed(few, "auto", pdf_table_seconds=0.5).counters["layout_pages"] == 3
    assert parsed(many, "auto", pdf_table_seconds=0.5).counters["layout_pages"] == 1


def test_the_time_limit_changes_nothing_that_is_found() -> None:
    data = pdf(*[with_prose(lambda page: draw_table(page, PRICES, ruled=True))] * 3)
    hasty, patient = (
        parse(ParseRequest(data, limits=ParseLimits(seconds=seconds))) for seconds in (0.1, 600.0)
    )
    assert hasty == patient


@pytest.mark.parametrize("mode", ["auto", "layout"])
def test_a_table_on_a_page_crowded_with_shapes_is_read_by_alignment_only(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw_map(page: Any) -> None:
        draw_table(page, PRICES, ruled=True)
        shape = page.new_shape()
        for number in range(MOST_SHAPES + 1):
            corner = (60 + number % 100 * 4, 420 + number // 100 * 8)
            shape.draw_rect((*corner, corner[0] + 2, corner[1] + 2))
            shape.finish(fill=(number % 2, 0, 0))
        shape.commit()

    monkeypatch.setattr(pymupdf.Page, "find_tables", None)
    monkeypatch.setattr(pymupdf.Page, "get_layout", None, raising=False)
    document = parsed(pdf(with_prose(draw_map)), mode)
    assert [cells(table) for table in tables(document)] == [PRICES]
    assert document.counters["crowded_pages"] == 1
    assert "table_finder_failures" not in document.counters
    assert "page 1: tables are read by alignment only" in document.warnings[0]


def test_a_failing_table_finder_costs_neither_the_text_nor_the_aligned_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(pymupdf.Page, "find_tables", fail)
    document = parsed(pdf(with_prose(lambda page: draw_table(page, PRICES, ruled=True))), "auto")
    assert cells(tables(document)[0]) == PRICES
    assert document.counters["table_finder_failures"] == 1
    assert "page 1: the table finder failed" in document.warnings[0]


def test_two_columns_of_prose_are_no_table() -> None:
    def two_columns(page: Any) -> None:
        write(page, (60, 60, 285, 500), PROSE * 2)
        write(page, (310, 60, 535, 500), PROSE * 2)

    for mode in ("fast", "auto"):
        document = parsed(pdf(two_columns), mode)
        assert not tables(document)
        assert document.counters["layout_pages"] == 0


def test_a_table_that_goes_on_over_the_page_carries_its_header_along() -> None:
    first = lambda page: draw_table(page, PRICES[:3], ruled=True, top=700)  # noqa: E731
    second = lambda page: draw_table(page, PRICES[3:], ruled=True, top=60)  # noqa: E731
    document = parsed(pdf(first, second), "auto")
    assert [cells(table) for table in tables(document)] == [PRICES[:3], PRICES[:1] + PRICES[3:]]
    assert [table.page for table in tables(document)] == [1, 2]
    assert document.counters["continued_tables"] == 1


def test_a_table_of_its_own_does_not_take_the_header_of_the_table_before() -> None:
    place = Box(0, 0, 100, 100)
    previous = PageTable(place, [["Name", "Age"], ["Ann", "31"]], 1)
    own_header = PageTable(place, [["City", "Land"], ["Bonn", "DE"]], 1)
    wider = PageTable(place, [["1", "2", "3"]], 0)
    elsewhere = PageTable(Box(200, 0, 300, 100), [["Bob", "40"]], 0)
    for table in (own_header, wider, elsewhere):
        assert continue_table(table, previous) is table
    assert continue_table(PageTable(place, [["Bob", "40"]], 0), previous).rows == [
        ["Name", "Age"],
        ["Bob", "40"],
    ]


def test_the_lines_of_a_cell_are_one_line() -> None:
    assert cell_text("Reclassi-\nfication of\n  loans") == "Reclassification of loans"
    assert cell_text("e\ufb03cient") == "efficient"


def test_a_header_over_two_columns_is_repeated_and_a_row_label_over_two_rows_too() -> None:
    def spans(page: Any) -> None:
        rows = (("", "2023", "", "2024", ""), ("Region", "Sold", "Left", "Sold", "Left"),
                ("North", "11", "12", "13", "14"), ("South", "21", "22", "23", "24"))  # fmt: skip
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                page.insert_text((64 + column * 90, 135 + number * 22), text, fontsize=10)
        for number in range(5):
            page.draw_line((60, 120 + number * 22), (510, 120 + number * 22))
        for column in range(6):
            top = 142 if column in (2, 4) else 120
            page.draw_line((60 + column * 90, top), (60 + column * 90, 208))

    (table,) = tables(parsed(pdf(spans), "auto"))
    assert cells(table)[:2] == (
        ("", "2023", "2023", "2024", "2024"),
        ("Region", "Sold", "Left", "Sold", "Left"),
    )
    assert table.header_rows == 2


@pytest.mark.parametrize("name", ["SPARSE-2024-INV-1234_borderless_table", "REPAIR-2022-INV-001_multipage"])
def test_rows_of_real_invoices_keep_their_cells_together(data_set: Callable[[str], Path], name: str) -> None:
    folder = data_set("markitdown-testfiles")
    document = parsed((folder / f"{name}.pdf").read_bytes(), "auto")
    found = {tuple(filter(None, row)) for table in tables(document) for row in cells(table)}
    expected = [
        tuple(filter(None, (cell.strip() for cell in line.strip("|").split("|"))))
        for line in (folder / "expected_outputs" / f"{name}.md").read_text().splitlines()
        if line.startswith("|") and "---" not in line
    ]
    kept = sum(row in found for row in expected)
    assert kept >= 0.9 * len(expected)


@pytest.mark.slow
def test_the_tables_of_a_public_benchmark_are_found_in_auto(data_set: Callable[[str], Path]) -> None:
    folder = data_set("icdar2013-tables")
    benchmark = pytest.importorskip("benchmarks.icdar_tables")
    scores = []
    counters: Counter[str] = Counter()
    for name in ("eu-002", "eu-006", "eu-015", "eu-019", "eu-023", "eu-027"):
        path = folder / "competition-dataset-eu" / f"{name}.pdf"
        document = parsed(path.read_bytes(), "auto")
        counters.update(document.counters)
        scores.append(benchmark.judge(document, benchmark.truths(path))[0])
    assert benchmark.pooled(scores).f1 > 0.95
    assert counters["layout_pages"] < 0.6 * counters["pages"]


HEBREW = (
    ("תאריך הגשה", "12 בינואר"),
    ("שם החברה", "מסוף שדה בעמ"),
    ("מספר הישיבה", "436"),
    ("סכום כולל", "47,500"),
)


def test_a_table_written_right_to_left_begins_at_the_right_and_keeps_its_words_in_order() -> None:
    def hebrew(page: Any) -> None:
        for number, row in enumerate(HEBREW):
            for column, text in enumerate(reversed(row)):
                left, top = 60 + column * 160, 120 + number * 26
                page.insert_htmlbox((left + 6, top + 4, left + 130, top + 24), f'<p dir="rtl">{text}</p>')
        for number in range(len(HEBREW) + 1):
            page.draw_line((60, 120 + number * 26), (380, 120 + number * 26))
        for column in range(3):
            page.draw_line((60 + column * 160, 120), (60 + column * 160, 120 + 26 * len(HEBREW)))

    (table,) = tables(parsed(pdf(hebrew), "auto"))
    assert cells(table) == HEBREW


def test_an_aligned_table_written_right_to_left_begins_at_the_right() -> None:
    page = Page(1, 595, 842)
    for number, row in enumerate(HEBREW):
        for left, text in zip((220, 60), row, strict=True):
            top = 120 + 20 * number
            page.lines.append(Line(text, Box(left, top, left + 80, top + 10), 10))
    (table,) = find_aligned_tables(page)
    assert tuple(map(tuple, table.rows)) == HEBREW


def test_cells_take_the_order_of_lam_and_alef_from_the_lines() -> None:
    table = PageTable(Box(50, 100, 400, 200), [["كاال", "x"], ["اوالد", "و"]])
    assert table.takes(Line("كالا", Box(60, 130, 120, 140), 10))
    assert table.takes(Line("اولاد و", Box(60, 150, 120, 160), 10))
    assert table.rows == [["كالا", "x"], ["اولاد", "و"]]


def test_a_line_in_the_box_of_a_table_whose_cells_lack_it_stays_text() -> None:
    table = PageTable(Box(50, 100, 400, 200), [["Item", "Price"], ["Bolts", "4.20"]])
    page = Page(1, 595, 842)
    for top, text in ((110, "Item"), (130, "Bolts 4.20"), (150, "Prices without tax"), (300, "Below it")):
        page.lines.append(Line(text, Box(60, top, 160, top + 10), 10))
    items = list(in_reading_order(page, [table]))
    assert [item if item is table else item.text for item in items] == [
        table, "Prices without tax", "Below it"
    ]  # fmt: skip


def test_cells_take_their_superscripts_from_the_lines() -> None:
    table = PageTable(Box(50, 100, 400, 200), [["Area", "Value"], ["Lake", "5 106 m2"]])
    assert table.takes(Line("5 10^6 m^2", Box(60, 130, 120, 140), 10))
    assert table.rows[1] == ["Lake", "5 10^6 m^2"]
