"""The table finder reads a page once, finds what it finds by itself, and leaves nothing of that behind."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from rag_pipelines.parsing.pdf.engine import _takes_pictures, mupdf
from rag_pipelines.parsing.pdf.finder import reading_once

pymupdf = mupdf()

ROWS = (
    ("Quarter", "Revenue", "Share"),
    ("Q1 2025", "$ 1,204", "31 %"),
    ("Q2 2025", "$ 1,310", "29 %"),
    ("Q3 2025", "$ 990", "40 %"),
)


def page_with_table(turn: int = 0) -> Any:
    page = pymupdf.open().new_page()
    for number, row in enumerate(ROWS):
        for column, text in enumerate(row):
            page.insert_text((64 + column * 110, 135 + number * 22), text, fontsize=10)
    for number in range(len(ROWS) + 1):
        page.draw_line((60, 120 + number * 22), (390, 120 + number * 22))
    for column in range(len(ROWS[0]) + 1):
        page.draw_line((60 + column * 110, 120), (60 + column * 110, 120 + len(ROWS) * 22))
    page.set_rotation(turn)
    return page


def found(page: Any) -> list[tuple[int, list[list[tuple[str, int, int]]]]]:
    finder = page.find_tables(use_layout=False, strategy="lines_strict", refine=True)
    return [
        (
            table.header_rows,
            [[(cell.text, cell.colspan, cell.rowspan) for cell in row] for row in table.placements],
        )
        for table in finder.tables
    ]


@pytest.mark.parametrize("turn", [0, 90])
def test_the_tables_are_those_of_a_page_that_is_read_anew_each_time(turn: int) -> None:
    expected = found(page_with_table(turn))
    page = page_with_table(turn)
    with reading_once(page):
        assert found(page) == expected
    assert len(expected) == 1


def test_two_looks_at_a_page_read_its_text_twice_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    as_ever = pymupdf.Page.get_textpage

    def counted(page: Any, **how: Any) -> Any:
        read.append(how)
        return as_ever(page, **how)

    monkeypatch.setattr(pymupdf.Page, "get_textpage", counted)
    page = page_with_table()
    with reading_once(page):
        assert found(page) == found(page)
    assert len(read) == 2, "once for the characters, once for the words, spans and turned lines"


def test_pictures_on_a_page_are_not_decoded_for_its_text() -> None:
    page = page_with_table()
    page.insert_image((400, 600, 500, 700), pixmap=pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 8, 8), False))
    with reading_once(page):
        assert {block["type"] for block in page.get_text("dict")["blocks"]} == {0}
    assert {block["type"] for block in page.get_text("dict")["blocks"]} == {0, 1}


def test_text_asked_for_with_settings_is_read_with_them() -> None:
    page = page_with_table()
    with reading_once(page):
        assert page.get_text("words", clip=(60, 120, 170, 142))[0][4] == "Quarter"
        assert len(page.get_text("words", clip=(60, 120, 170, 142))) == 1


def test_after_an_error_the_finder_is_as_it_was() -> None:
    as_ever = pymupdf.table.make_chars
    page = page_with_table()
    with pytest.raises(RuntimeError, match="broken"), reading_once(page):
        raise RuntimeError("broken")
    assert pymupdf.table.make_chars is as_ever
    assert "get_text" not in vars(page)


class Given(NamedTuple):
    shape: list[Any]


class Session(NamedTuple):
    given: list[Given]

    def get_inputs(self) -> list[Given]:
        return self.given


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([["batch_size", 1, 300, 300]], True),
        ([["batch", 3, "height", "width"]], False),
        ([["nodes", 8], [2, "edges"]], False),
    ],
)
def test_only_a_model_of_pictures_of_one_size_keeps_its_memory(shapes: list[Any], expected: bool) -> None:
    assert _takes_pictures(Session([Given(shape) for shape in shapes])) is expected
