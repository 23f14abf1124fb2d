"""Workbooks: sheets as sections, tables found, values as a person sees them, memory bounded."""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.filters import AutoFilter
from openpyxl.worksheet.formula import ArrayFormula
from openpyxl.worksheet.table import Table

from rag_pipelines.errors import EmptyDocumentError, TooLargeDocumentError
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.hidden_cells import Hidden
from rag_pipelines.parsing.office.merged_cells import Merge, by_first_row
from rag_pipelines.parsing.office.sheets import add_sheet
from rag_pipelines_tests.unit.parsing.office import edited, outline, parse, saved, tables
from rag_pipelines_tests.unit.parsing.test_odf import cells, odf


def workbook(*rows: list[Any], title: str = "Data") -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    return book


def filled(rows: Iterable[list[str]]) -> Iterator[tuple[int, dict[int, str]]]:
    """Rows as a reader gives them: those that hold something, by number, of cells that hold something."""
    for number, row in enumerate(rows):
        if any(row):
            yield number, {column: cell for column, cell in enumerate(row) if cell}


def sheet(*rows: list[str], merges: Iterable[Merge] = ()) -> Any:
    builder = DocumentBuilder("x")
    add_sheet(builder, "Sheet", filled(rows), max_characters=100_000, merges=by_first_row(merges))
    return builder.finish()


def merged(*ranges: str, rows: list[list[Any]]) -> list[list[tuple[str, ...]]]:
    """The tables of a workbook with these rows and merged cells."""
    book = workbook(*rows)
    for one in ranges:
        book.active.merge_cells(one)
    return tables(parse(saved(book.save)))


def test_each_sheet_is_a_section_under_its_name() -> None:
    book = workbook(["Team", "Cups"], ["Blues", 1], title="Cups")
    book.create_sheet("Empty")
    book.create_sheet("Notes").append(["Ask Ann."])
    document = parse(saved(book.save))
    assert outline(document) == [("heading 1", "Cups"), ("heading 1", "Notes"), ("paragraph", "Ask Ann.")]
    assert tables(document) == [[("Team", "Cups"), ("Blues", "1")]]
    assert document.blocks[1].header_rows == 1
    assert document.blocks[1].heading_path == ("Cups",)


def with_hidden_sheets(kind: str) -> bytes:
    """A sheet that is shown, one that is hidden, and one that only a program can bring back."""
    if kind == "XLS, saved by LibreOffice":
        sample = Path(__file__).parents[2] / "samples" / "hidden_sheets.xls.gz"
        return gzip.decompress(sample.read_bytes())
    if kind == "ODS":
        note = "<office:annotation><text:p>Never tell anyone</text:p></office:annotation>"
        sheets = (
            ("Shown", cells("Shown", "words", "5")),
            ("Hidden", cells("Secret", "margin", "7", "7.25").replace("<text:p>", f"{note}<text:p>", 1)),
            ("Buried", cells("Deeply hidden")),
        )
        body = "".join(
            f'<table:table table:name="{name}" table:style-name="{name}">{rows}</table:table>'
            for name, rows in sheets
        )
        styles = "".join(
            f'<style:style style:name="{name}"><style:table-properties table:display="false"/></style:style>'
            for name in ("Hidden", "Buried")
        )
        return odf("spreadsheet", body, styles)
    book = workbook(["Shown", "words", 5])
    hidden, buried = book.create_sheet("Hidden"), book.create_sheet("Buried")
    hidden.append(["Secret", "margin", 7, 7.25])
    hidden["A1"].comment = Comment("Never tell anyone", "Ann")
    buried.append(["Deeply hidden"])
    hidden.sheet_state, buried.sheet_state = "hidden", "veryHidden"
    data = saved(book.save)
    if kind == "XLSX, with its comments where Excel has them":
        listing = "xl/worksheets/_rels/sheet2.xml.rels"
        data = edited(data, listing, lambda xml: xml.replace(b"comments/comment1", b"comments1"))
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            remarks = package.read("xl/comments/comment1.xml")
        data = edited(data, "xl/comments1.xml", lambda _: remarks)
        data = edited(data, "xl/comments/comment1.xml", lambda _: b"<comments/>")
    return data


@pytest.mark.parametrize(
    "kind", ["XLSX", "XLSX, with its comments where Excel has them", "XLS, saved by LibreOffice", "ODS"]
)
def test_hidden_sheets_are_left_out_and_their_words_counted_alike(kind: str) -> None:
    document = parse(with_hidden_sheets(kind))
    assert tables(document) == [[("Shown", "words", "5")]]
    assert len(outline(document)) == 1
    assert document.counters["hidden_sheets"] == 2
    words = "Secret margin 7 7.25 Never tell anyone Deeply hidden"
    assert document.counters["hidden_words"] == len(words.split())
    assert "words_missing" not in document.counters


def test_what_is_drawn_on_a_hidden_sheet_is_left_out_and_counted() -> None:
    book = workbook(["Shown"])
    hidden = book.create_sheet("Hidden")
    hidden.append(["Town", "Sold"])
    hidden.append(["Bonn", 3])
    chart = BarChart()
    chart.title = "Sales of the night"
    chart.add_data(Reference(hidden, min_col=2, min_row=1, max_row=2), titles_from_data=True)
    hidden.add_chart(chart, "D2")
    hidden.sheet_state = "hidden"
    document = parse(saved(book.save))
    assert document.text == "Data\n\nShown"
    assert document.counters["hidden_words"] == len(
        ["Town", "Sold", "Bonn", "3", "Sales", "of", "the", "night"]
    )
    assert "words_missing" not in document.counters


def test_hidden_rows_and_columns_are_left_out_and_counted() -> None:
    book = workbook(
        ["name", "pay", "town"], ["Ann", "x1", "Bonn"], ["Bob", "x2", "Kiel"], ["Eve", "x3", "Ulm"]
    )
    book.active.row_dimensions[3].hidden = True
    book.active.column_dimensions["B"].hidden = True
    document = parse(saved(book.save))
    assert tables(document) == [[("name", "town"), ("Ann", "Bonn"), ("Eve", "Ulm")]]
    assert document.counters["hidden_words"] == len(["Bob", "x2", "Kiel"]) + len(["pay", "x1", "x3"])
    assert "words_missing" not in document.counters


def test_a_hidden_column_does_not_part_the_table_around_it() -> None:
    book = workbook(*([f"a{n}", f"b{n}", f"hush{n}", f"c{n}", f"d{n}"] for n in range(4)))
    book.active.column_dimensions["C"].hidden = True
    assert tables(parse(saved(book.save)))[0][0] == ("a0", "b0", "c0", "d0")


def test_rows_that_a_filter_hides_and_what_a_folded_group_holds_are_kept() -> None:
    rows = [["name", "kind"], *([f"item {n}", "ab"[n % 2]] for n in range(8))]
    filtered, grouped, tabled, unset = (workbook(*rows) for _ in range(4))
    filtered.active.auto_filter.ref = "A1:B9"
    filtered.active.auto_filter.add_filter_column(1, ["b"])
    table = Table(displayName="Items", ref="A1:B9", autoFilter=AutoFilter(ref="A1:B9"))
    table.autoFilter.add_filter_column(1, ["b"])
    tabled.active.add_table(table)
    unset.active.auto_filter.ref = "A1:B9"
    for book in (filtered, tabled, unset):
        book.active.row_dimensions[4].hidden = True
    grouped.active.row_dimensions.group(4, 5, hidden=True)
    grouped.active.column_dimensions.group("B", "B", hidden=True)
    whole = [tuple(row) for row in rows]
    for book in (filtered, tabled, grouped):
        document = parse(saved(book.save))
        assert tables(document) == [whole]
        assert "hidden_words" not in document.counters
    assert tables(parse(saved(unset.save))) == [whole[:3] + whole[4:]]


def test_an_old_binary_workbook_hides_the_same_rows_and_columns() -> None:
    """Its sample was saved by LibreOffice: a hidden row and column, a filter, folded groups of both."""
    sample = Path(__file__).parents[2] / "samples" / "hidden.xls.gz"
    document = parse(gzip.decompress(sample.read_bytes()))
    by_hand, by_filter, by_group = tables(document)
    assert by_hand[:3] == [("name", "amount"), ("row1", "10"), ("row3", "30")]
    assert [row[0] for row in by_filter[1:]] == [f"item{n}" for n in range(1, 9)]
    assert by_group[0] == ("name", "sum", "folded")
    assert [row[0] for row in by_group[1:]] == [f"part{n}" for n in range(1, 9)]
    assert document.counters["hidden_words"] == 14


def test_a_merged_cell_that_begins_in_a_hidden_row_or_column_is_shown_where_it_reaches() -> None:
    rows = [["Region", "town", "sold"], ["North", "x1", "1"], ["", "Kiel", "2"], ["", "Bonn", "3"]]
    book = workbook(*rows)
    book.active.merge_cells("A2:A4")
    book.active.row_dimensions[2].hidden = True
    assert tables(parse(saved(book.save))) == [
        [("Region", "town", "sold"), ("North", "Kiel", "2"), ("North", "Bonn", "3")]
    ]
    book = workbook(["Title", "", ""], ["a", "b", "c"], ["1", "2", "3"])
    book.active.merge_cells("A1:C1")
    book.active.column_dimensions["A"].hidden = True
    assert parse(saved(book.save)).text.split("\n\n") == ["Data", "Title", "b | c\n2 | 3"]


def test_a_comment_on_a_hidden_cell_is_left_out() -> None:
    book = workbook(["name", "town"], ["Ann", "Bonn"], ["Eve", "Ulm"])
    book.active["A2"].comment = Comment("Of no use.", "Bob")
    book.active["A3"].comment = Comment("Of use.", "Bob")
    book.active.row_dimensions[2].hidden = True
    document = parse(saved(book.save))
    assert "Comment by Bob on A3: Of use." in document.text
    assert "no use" not in document.text


@given(
    st.lists(st.lists(st.sampled_from(["", "word", "7"]), min_size=3, max_size=3), max_size=6),
    st.lists(st.tuples(*[st.integers(0, 6)] * 4), max_size=4),
    st.sets(st.integers(0, 6)),
    st.sets(st.integers(0, 3)),
)
def test_no_hidden_cell_is_shown_and_none_is_lost_without_a_count(
    rows: list[list[str]], corners: list[tuple[int, int, int, int]], hidden: set[int], columns: set[int]
) -> None:
    """Each cell has words of its own, so that it is known again; merged cells may overlap."""
    named = [[cell and f"{cell}x{y}x{x}" for x, cell in enumerate(row)] for y, row in enumerate(rows)]
    merges = [Merge(min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in corners]
    builder = DocumentBuilder("x")
    add_sheet(
        builder,
        "Sheet",
        filled(named),
        max_characters=100_000,
        merges=by_first_row(merges),
        hidden=Hidden(hidden, columns),
    )
    document = builder.finish()
    for y, row in enumerate(named):
        for x, cell in enumerate(row):
            covered = any(
                one.first_row <= y <= one.last_row and one.first_column <= x <= one.last_column
                for one in merges
            )
            if cell and not covered:
                assert (cell in document.text) is not (y in hidden or x in columns)
    if not merges:
        shown = sum(cell in document.text for row in named for cell in row if cell)
        assert shown + document.counters.get("hidden_words", 0) == sum(
            bool(cell) for row in named for cell in row
        )


def test_formulas_stand_with_the_value_last_computed() -> None:
    data = edited(
        saved(workbook([1, "=A1*2"]).save),
        "xl/worksheets/sheet1.xml",
        lambda xml: (
            xml.replace(b"<v />", b"<v>2</v>").replace(b"<v></v>", b"<v>2</v>").replace(b"<v/>", b"<v>2</v>")
        ),
    )
    assert tables(parse(data)) == [[("1", "2")]]


def test_a_formula_saved_without_a_result_stands_as_it_is_and_is_counted() -> None:
    book = workbook(["Part", "Pieces", "Cost"], ["Bolt", 3, "=B2*7"], ["All", None, "=_xlfn.SUM(C2:C2)"])
    document = parse(saved(book.save))
    assert tables(document)[0][1:] == [("Bolt", "3", "=B2*7"), ("All", "", "=SUM(C2:C2)")]
    assert document.counters["formulas_without_value"] == 2


def test_an_array_formula_saved_without_a_result_is_shown() -> None:
    book = workbook(["a", "b"], [1, None])
    book.active["B2"] = ArrayFormula("B2:B2", "=SUM(A2:A2*2)")
    assert tables(parse(saved(book.save))) == [[("a", "b"), ("1", "=SUM(A2:A2*2)")]]


def test_a_formula_whose_result_is_an_empty_text_is_an_empty_cell() -> None:
    cell = b'<c r="B2" t="str"><f>IF(A2=1,"","x")</f><v></v></c>'
    data = edited(
        saved(workbook(["a", "b"], [1, "here"]).save),
        "xl/worksheets/sheet1.xml",
        lambda xml: re.sub(rb'<c r="B2".*?</c>', cell, xml),
    )
    document = parse(data)
    assert tables(document) == [[("a", "b"), ("1", "")]]
    assert "formulas_without_value" not in document.counters


@pytest.mark.parametrize("rows", [1, 15_000])
def test_formulas_without_results_are_found_in_sheets_of_any_size(rows: int) -> None:
    book = workbook(["number", "twice"], *([n, n] for n in range(rows)), ["end", "=A2*2"])
    assert tables(parse(saved(book.save)))[0][-1] == ("end", "=A2*2")


def test_raised_characters_stay_apart_from_what_they_stand_behind() -> None:
    up = InlineFont(vertAlign="superscript")
    book = workbook(["Size", "Note"], [None, "x"])
    book.active["A2"] = CellRichText(
        "10", TextBlock(up, "6"), " m", TextBlock(up, "2"), TextBlock(InlineFont(b=True), " net")
    )
    assert tables(parse(saved(book.save)))[0][1] == ("10^6 m^2 net", "x")


def test_characters_that_xml_cannot_hold_are_read_back() -> None:
    book = workbook(["a", "b"], ["one_x000D_two", "_x_ and _xyz_"])
    assert tables(parse(saved(book.save)))[0][1] == ("one two", "_x_ and _xyz_")


def test_cells_are_shown_through_their_formats() -> None:
    book = workbook(["a", "b", "c", "d"], [0.125, 1234.5, datetime(2024, 1, 31), time(9, 30)])
    book.active["A2"].number_format = "0.0%"
    book.active["B2"].number_format = "#,##0.00"
    book.active["D2"].number_format = "h:mm"
    assert tables(parse(saved(book.save)))[0][1] == ("12.5%", "1,234.50", "2024-01-31", "9:30")


def test_a_cell_whose_format_hides_its_value_is_empty_and_its_words_are_counted() -> None:
    book = workbook(["a", "b"], ["x", 42], ["y", "secret words"])
    for cell in ("B2", "B3"):
        book.active[cell].number_format = ";;;"
    document = parse(saved(book.save))
    assert "42" not in document.text
    assert "secret" not in document.text
    assert document.counters["hidden_words"] == 3


def test_the_date_formats_that_only_east_asian_editions_have_show_dates() -> None:
    book = workbook(["day", "n"], [45355, 1])
    book.active["A2"].number_format = "0.000"
    data = edited(
        saved(book.save),
        "xl/styles.xml",
        lambda xml: xml.replace(b'<xf numFmtId="164"', b'<xf numFmtId="31"'),
    )
    assert tables(parse(data))[0][1][0] == "2024年3月4日"


def test_an_old_binary_workbook_shows_the_same() -> None:
    """Its sample was saved by LibreOffice: formats, merged cells, a raised run, a comment, a hidden value."""
    sample = Path(__file__).parents[2] / "samples" / "shown.xls.gz"
    document = parse(gzip.decompress(sample.read_bytes()))
    assert tables(document) == [
        [
            ("Town", "2024", "2024"),
            ("Town", "Sold", "Share"),
            ("Bonn", "1,235 K", "13%"),
            ("Bonn", "2.5K", "1/2"),
            ("10^6", "36:00", ""),
        ]
    ]
    assert outline(document)[1:] == [("paragraph", "Comment on B3: Counted twice.")]
    assert document.counters["hidden_words"] == 1


def test_serial_numbers_count_from_the_epoch_of_the_workbook() -> None:
    book = workbook(["day", "length"], [datetime(2024, 1, 31), 1.5])
    book.epoch = CALENDAR_MAC_1904
    book.active["B2"].number_format = "[h]:mm"
    assert tables(parse(saved(book.save)))[0][1] == ("2024-01-31", "36:00")


def test_a_cell_merged_over_rows_stands_in_each_of_them() -> None:
    rows = [
        ["Area", "Month", "Sold"],
        ["East", "May", 5],
        [None, "June", 6],
        [None, "July", 7],
        ["West", "May", 8],
    ]
    assert merged("A2:A4", rows=rows)[0][1:] == [
        ("East", "May", "5"),
        ("East", "June", "6"),
        ("East", "July", "7"),
        ("West", "May", "8"),
    ]


def test_a_cell_merged_over_columns_stands_in_each_of_a_header_and_once_below() -> None:
    rows = [
        ["Town", "2021", None, "2022", None],
        [None, "Sold", "Left", "Sold", "Left"],
        ["Bonn", 1, 2, 3, 4],
        ["closed", None, None, None, None],
        ["Kiel", 5, 6, 7, 8],
    ]
    assert merged("A1:A2", "B1:C1", "D1:E1", "A4:E4", rows=rows)[0] == [
        ("Town", "2021", "2021", "2022", "2022"),
        ("Town", "Sold", "Left", "Sold", "Left"),
        ("Bonn", "1", "2", "3", "4"),
        ("closed", "", "", "", ""),
        ("Kiel", "5", "6", "7", "8"),
    ]


def test_a_header_of_three_levels_of_merged_cells_is_one_header() -> None:
    document = sheet(
        ["Town", "Sales", "", "", ""],
        ["", "North", "", "South", ""],
        ["", "new", "old", "new", "old"],
        ["Bonn", "1", "2", "3", "4"],
        merges=[Merge(0, 2, 0, 0), Merge(0, 0, 1, 4), Merge(1, 1, 1, 2), Merge(1, 1, 3, 4)],
    )
    assert tables(document)[0][:3] == [
        ("Town", "Sales", "Sales", "Sales", "Sales"),
        ("Town", "North", "North", "South", "South"),
        ("Town", "new", "old", "new", "old"),
    ]
    assert document.blocks[-1].header_rows == 3


def test_a_title_merged_over_a_table_is_its_caption_once() -> None:
    document = sheet(
        ["Sales by town", "", ""],
        ["", "", ""],
        ["Town", "Sold", "Left"],
        ["Bonn", "1", "2"],
        merges=[Merge(0, 1, 0, 2)],
    )
    assert outline(document)[1:] == [("caption", "Sales by town")]
    assert tables(document) == [[("Town", "Sold", "Left"), ("Bonn", "1", "2")]]


def test_rows_that_hold_nothing_but_merged_cells_from_above_are_left_out() -> None:
    document = sheet(
        ["a", "b"],
        ["1", "2"],
        ["", ""],
        ["", ""],
        ["3", "4"],
        merges=[Merge(1, 3, 0, 0), Merge(1, 3, 1, 1)],
    )
    assert tables(document) == [[("a", "b"), ("1", "2"), ("3", "4")]]


def test_what_a_merged_cell_covers_is_not_shown() -> None:
    document = sheet(["a", "b"], ["shown", "covered"], ["c", "d"], merges=[Merge(1, 1, 0, 1)])
    assert "covered" not in document.text


def test_merged_cells_beyond_any_sheet_cost_nothing() -> None:
    document = sheet(["a", "b"], ["c", "d"], merges=[Merge(0, 10**9, 2, 10**9), Merge(5, 10**9, 0, 10**9)])
    assert tables(document) == [[("a", "b"), ("c", "d")]]


@given(
    st.lists(st.lists(st.sampled_from(["", "word", "7"]), min_size=3, max_size=3), max_size=6),
    st.lists(st.tuples(*[st.integers(0, 6)] * 4), max_size=4),
)
def test_any_merged_cells_give_rows_that_can_be_read(
    rows: list[list[str]], corners: list[tuple[int, int, int, int]]
) -> None:
    merges = [Merge(min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in corners]
    document = sheet(*rows, merges=merges)
    assert {cell for table in tables(document) for row in table for cell in row} <= {"", "word", "7"}


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
        for number in itertools.count():
            yield number, dict.fromkeys(range(10), "0123456789")

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
