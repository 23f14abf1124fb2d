"""Workbooks: sheets as sections, tables found, values as a person sees them, memory bounded."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.errors import EmptyDocumentError, TooLargeDocumentError
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.number_formats import display
from rag_pipelines.parsing.office.sheets import add_sheet
from rag_pipelines_tests.unit.parsing.office import edited, outline, parse, saved, tables


def workbook(*rows: list[Any], title: str = "Data") -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    return book


def sheet(*rows: list[str]) -> Any:
    builder = DocumentBuilder("x")
    add_sheet(builder, "Sheet", rows, max_characters=100_000)
    return builder.finish()


def test_each_sheet_is_a_section_under_its_name() -> None:
    book = workbook(["Team", "Cups"], ["Blues", 1], title="Cups")
    book.create_sheet("Empty")
    book.create_sheet("Notes").append(["Ask Ann."])
    document = parse(saved(book.save))
    assert outline(document) == [("heading 1", "Cups"), ("heading 1", "Notes"), ("paragraph", "Ask Ann.")]
    assert tables(document) == [[("Team", "Cups"), ("Blues", "1")]]
    assert document.blocks[1].header_rows == 1
    assert document.blocks[1].heading_path == ("Cups",)


def test_hidden_sheets_are_left_out_and_counted() -> None:
    book = workbook(["shown", "x"])
    hidden = book.create_sheet("Secret")
    hidden.append(["hidden"])
    hidden.sheet_state = "veryHidden"
    document = parse(saved(book.save))
    assert "hidden" not in document.text
    assert document.counters["hidden_sheets"] == 1
    assert "words_missing" not in document.counters


def test_formulas_stand_with_the_value_last_computed() -> None:
    data = edited(
        saved(workbook([1, "=A1*2"]).save),
        "xl/worksheets/sheet1.xml",
        lambda xml: (
            xml.replace(b"<v />", b"<v>2</v>").replace(b"<v></v>", b"<v>2</v>").replace(b"<v/>", b"<v>2</v>")
        ),
    )
    assert tables(parse(data)) == [[("1", "2")]]


def test_cells_are_shown_through_their_formats() -> None:
    book = workbook(["a", "b", "c", "d"], [0.125, 1234.5, datetime(2024, 1, 31), time(9, 30)])
    book.active["A2"].number_format = "0.0%"
    book.active["B2"].number_format = "#,##0.00"
    assert tables(parse(saved(book.save)))[0][1] == ("12.5%", "1,234.50", "2024-01-31", "09:30")


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (0.1 + 0.2, "General", "0.3"),
        (3.0, "General", "3"),
        (12345678901, "General", "12345678901"),
        (7, "00000", "00007"),
        (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
        (-1234.5, "#,##0.0", "-1,234.5"),
        (12.5, '"USD" 0.00', "USD 12.50"),
        (12.5, "0.00 [$€-407]", "12.50 €"),
        (12345.678, "0.00E+00", "1.23E+04"),
        (1.5, "# ?/?", "1.5"),
        (0.5, "[Red]0%", "50%"),
        (True, "General", "TRUE"),
        (None, "General", ""),
        (datetime(2024, 1, 31, 9, 30), "d.m.yy h:mm", "2024-01-31 09:30"),
        (date(2024, 1, 31), "d.m.yy", "2024-01-31"),
    ],
)
def test_values_are_shown_as_a_person_sees_them(value: Any, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers(), st.text(max_size=30))
def test_no_number_format_breaks_the_display_of_a_number(value: float, number_format: str) -> None:
    assert isinstance(display(value, number_format), str)


def test_blank_rows_part_tables() -> None:
    document = sheet(["a", "b"], ["1", "2"], [], ["c", "d"], ["3", "4"])
    assert tables(document) == [[("a", "b"), ("1", "2")], [("c", "d"), ("3", "4")]]


def test_a_blank_row_below_the_header_does_not_part_a_table() -> None:
    document = sheet(
        ["", "Sales", "Profit"], [], ["North", "10", "2"], ["South", "20", "3"], [], ["Total", "30", "5"]
    )
    assert [len(table) for table in tables(document)] == [4]


def test_figures_far_below_a_table_are_another() -> None:
    document = sheet(["", "Sales"], ["North", "10"], [], [], [], ["South", "20"])
    assert [len(table) for table in tables(document)] == [2, 1]


def test_tables_side_by_side_are_told_apart() -> None:
    document = sheet(
        ["Name", "Role", "", "City", "Zip"],
        ["Ann", "lead", "", "Bonn", "53111"],
        ["Bob", "dev", "", "Berlin", "10115"],
    )
    assert tables(document) == [
        [("Name", "Role"), ("Ann", "lead"), ("Bob", "dev")],
        [("City", "Zip"), ("Bonn", "53111"), ("Berlin", "10115")],
    ]


def test_figures_that_stand_apart_stay_in_one_row_with_their_label() -> None:
    document = sheet(
        ["In millions", "2022", "2023", "", "Change", "Share"],
        ["Sales", "10", "12", "", "2", "20%"],
        ["Profit", "1", "2", "", "1", "100%"],
    )
    assert tables(document)[0][1] == ("Sales", "10", "12", "2", "20%")


def test_lone_cells_above_a_table_are_its_captions() -> None:
    document = sheet(["Stanley Cups"], ["Team", "Cups"], ["Blues", "1"])
    assert outline(document)[1:] == [("caption", "Stanley Cups")]
    assert tables(document) == [[("Team", "Cups"), ("Blues", "1")]]


@pytest.mark.parametrize(
    ("rows", "header_rows"),
    [
        ([["Year", "Ducks"], ["2019", "120"]], 1),
        ([["", "2019", "2020"], ["Ducks", "1", "2"]], 1),
        ([["1", "2"], ["3", "4"]], 0),
        ([["Ann", "5 km"], ["Bob", "6 km"]], 0),
        ([["Item", "Price", ""], ["", "net", "gross"], ["Pen", "1.00", "1.19"]], 2),
        ([["alone", "in the table"]], 0),
    ],
)
def test_header_rows_are_recognised(rows: list[list[str]], header_rows: int) -> None:
    assert sheet(*rows).blocks[-1].header_rows == header_rows


def test_remarks_in_a_column_are_paragraphs() -> None:
    assert outline(sheet(["(a) Not audited."], ["(b) Restated."]))[1:] == [
        ("paragraph", "(a) Not audited."),
        ("paragraph", "(b) Restated."),
    ]


@given(
    st.lists(st.lists(st.sampled_from(["", " ", "word", "7", "2020", "-", "12%"]), max_size=6), max_size=12)
)
def test_no_cell_is_lost_and_none_is_made_up(rows: list[list[str]]) -> None:
    document = sheet(*rows)
    shown = [cell for table in tables(document) for row in table for cell in row if cell]
    shown += [content for kind, content in outline(document) if not kind.startswith("heading")]
    assert sorted(shown) == sorted(cell for row in rows for cell in row if cell.strip())


def test_a_table_above_the_limit_is_refused_before_it_fills_the_memory() -> None:
    def endless() -> Any:
        while True:
            yield ["0123456789"] * 10

    with pytest.raises(TooLargeDocumentError, match="max_characters"):
        add_sheet(DocumentBuilder("x"), "Sheet", endless(), max_characters=1_000)


@pytest.mark.parametrize("claimed", [b"A1", b"A1:XFD1048576"])
def test_the_size_a_sheet_claims_is_not_believed(claimed: bytes) -> None:
    data = edited(
        saved(workbook(["a", "b"], ["c", "d"]).save),
        "xl/worksheets/sheet1.xml",
        lambda xml: xml.replace(b'ref="A1:B2"', b'ref="%b"' % claimed),
    )
    assert tables(parse(data)) == [[("a", "b"), ("c", "d")]]


def test_a_workbook_without_cells_is_empty() -> None:
    with pytest.raises(EmptyDocumentError):
        parse(saved(openpyxl.Workbook().save))
