"""Running heads and feet of PDF documents: what repeats, and what only stands near the edge."""

from __future__ import annotations

import pytest

from rag_pipelines.parsing.pdf.lines import Box, Line
from rag_pipelines.parsing.pdf.page import Page
from rag_pipelines.parsing.pdf.structure import Furniture, find_furniture


def at(top: float, text: str, label: str | None = None) -> Line:
    return Line(text, Box(60, top, 60 + 5 * len(text), top + 10), 10, label=label)


def pages(*lines: list[Line]) -> list[Page]:
    """Pages of these lines, each above a paragraph of its own."""
    return [
        Page(number, 595, 842, [*own, at(400, f"What page {number} is about, in a sentence.")])
        for number, own in enumerate(lines, 1)
    ]


def furniture(*lines: list[Line]) -> Furniture:
    return find_furniture(pages(*lines), [[] for _ in lines])


@pytest.mark.parametrize(
    ("top", "text", "label"),
    [
        (30, "Invoice A-1187, 3 May 2023", "page-header"),
        (30, "CHAPTER ONE", "page-header"),
        (815, "Signed in Bergen on 4 May", "page-footer"),
    ],
)
def test_what_stands_once_is_content_although_the_layout_model_calls_it_furniture(
    top: float, text: str, label: str
) -> None:
    found = furniture([at(top, text, label)], [at(30, "Another line")], [], [])
    assert found == Furniture()


def test_two_places_are_enough_for_what_the_layout_model_calls_furniture() -> None:
    head = "Minutes of the board"
    found = furniture([at(30, head, "page-header")], [], [at(30, head, "page-header")], [])
    assert found.headers == {head: 1}
    assert furniture([at(30, head)], [], [at(30, head)], []) == Furniture()


def test_a_labelled_row_with_the_number_of_the_page_is_furniture_where_it_counts_pages() -> None:
    def foot(number: int) -> Line:
        return at(815, f"Bergen {number} of 9", "page-footer")

    assert furniture([foot(1)], [foot(2)], [], []).footers == {"Bergen 1 of 9": 1}
    assert furniture([foot(1)], [foot(5)], [], []).footers == {}


def test_what_repeats_with_all_of_its_page_is_content() -> None:
    def sheet(number: int, body: str) -> Page:
        return Page(number, 595, 842, [at(30, "Good morning, all"), at(400, body)])

    same = [sheet(number, "The ferry leaves at nine.") for number in range(1, 5)]
    assert find_furniture(same, [[] for _ in same]) == Furniture()
    others = [sheet(number, f"The ferry leaves at {number}.") for number in range(5, 7)]
    found = find_furniture([*same, *others], [[] for _ in range(6)])
    assert found.headers == {"Good morning, all": 1}


def test_heads_of_left_and_right_pages_that_take_turns_are_furniture() -> None:
    left, right = [at(30, "A history of salt")], [at(30, "The first mines")]
    assert furniture(left, right, left, right).headers == {"A history of salt": 1, "The first mines": 2}
    assert furniture(left, right, left, []) == Furniture()
    lower = [at(50, "The first mines")]
    assert furniture(left, lower, left, lower) == Furniture()
