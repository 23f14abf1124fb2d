"""Tables of old binary presentations: the rows and columns of cells by where they stand."""

from __future__ import annotations

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.parsing.office.ppt_tables import Anchor, grid, is_table, read_anchor
from rag_pipelines_tests.golden.corpus import DOCUMENTS
from rag_pipelines_tests.unit.parsing.office import parse, tables


def test_a_table_on_a_slide_is_a_table() -> None:
    document = parse(gzip.decompress((DOCUMENTS / "deck.ppt.gz").read_bytes()), "deck.ppt")

    (table,) = tables(document)

    assert table[:3] == [
        ("", "Class1", "Class1", "Class1", "Class2", "Class2", "Class2"),
        ("", "A merged with B", "A merged with B", "C", "A", "B", "C"),
        ("R1", "True", "False", "", "False", "True", "True"),
    ]
    assert "words_missing" not in document.counters


@pytest.mark.parametrize(
    ("cells", "rows"),
    [
        ([(0, 0, 9, 9, "a"), (9, 0, 18, 9, "b"), (0, 9, 9, 18, "c"), (9, 9, 18, 18, "d")], ["a|b", "c|d"]),
        ([(9, 9, 18, 18, "d"), (0, 0, 9, 9, "a")], ["a|", "|d"]),
        ([(0, 0, 18, 9, "wide"), (0, 9, 9, 18, "c"), (9, 9, 18, 18, "d")], ["wide|wide", "c|d"]),
        ([(0, 0, 9, 18, "tall"), (9, 0, 18, 9, "b"), (9, 9, 18, 18, "d")], ["tall|b", "tall|d"]),
        ([(0, 0, 9, 9, "a"), (10, 1, 19, 10, "b"), (1, 10, 9, 18, "c"), (9, 9, 18, 18, "d")], ["a|b", "c|d"]),
        ([(0, 0, 9, 9, "a"), (0, 0, 9, 9, "b")], ["a b"]),
        ([], []),
    ],
)  # fmt: skip
def test_cells_are_rows_and_columns_by_their_edges(cells: list[tuple], rows: list[str]) -> None:
    assert ["|".join(row) for row in grid([(Anchor(*cell[:4]), cell[4]) for cell in cells])] == rows


@given(st.lists(st.tuples(*[st.integers(-200, 200)] * 2, *[st.integers(1, 300)] * 2), max_size=60))
def test_no_cell_is_lost_wherever_it_stands(places: list[tuple[int, int, int, int]]) -> None:
    cells = [
        (Anchor(left, top, left + width, top + height), f"cell{number}")
        for number, (left, top, width, height) in enumerate(places)
    ]

    shown = " ".join(text for row in grid(cells) for text in row).split()

    assert set(shown) == {text for _, text in cells}


def test_cells_without_common_edges_do_not_grow_into_a_large_table() -> None:
    cells = [(Anchor(9 * number, 9 * number, 9 * number + 9, 9 * number + 9), "x") for number in range(2000)]

    assert len(grid(cells)) == sum(map(len, grid(cells))) == 2000


def test_a_group_is_a_table_where_its_properties_say_so() -> None:
    said = struct.pack("<HIHI", 0x39F, 1, 0xC3A0, 4)

    assert is_table(memoryview(said), 2)
    assert not is_table(memoryview(struct.pack("<HI", 0x39F, 2)), 1)
    assert not is_table(memoryview(b"\0\0\0"), 1)


def test_a_line_is_no_cell() -> None:
    assert read_anchor(memoryview(struct.pack("<4i", 5, 5, 90, 5))) is None
    assert read_anchor(memoryview(b"\0" * 8)) is None
