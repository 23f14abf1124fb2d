"""Lists whose columns are parted by blanks, in plain text."""

from __future__ import annotations

import pytest

from rag_pipelines.model import BlockKind
from rag_pipelines.text.print_lists import find_list
from rag_pipelines_tests.unit.parsing.reading import read, tables, texts

LIST = """\
ACCOUNT    NAME             CITY         BALANCE
-------    ----             ----         -------
4701       Harbour Ltd      Kiel          1000.50
4714       Mill & Sons      Ulm             12.00
4727       Old Quarry       Bonn         20400.00
                                         ========
TOTAL                                    21412.50
"""
ROWS = [
    ("ACCOUNT", "NAME", "CITY", "BALANCE"),
    ("4701", "Harbour Ltd", "Kiel", "1000.50"),
    ("4714", "Mill & Sons", "Ulm", "12.00"),
    ("4727", "Old Quarry", "Bonn", "20400.00"),
    ("TOTAL", "", "", "21412.50"),
]


def test_a_print_list_is_a_table_with_its_header() -> None:
    document = read(f"LIST OF BALANCES      PAGE 1\n\n{LIST}\nEnd of list.\n", "list.txt")
    assert tables(document) == [ROWS]
    assert [block.header_rows for block in document.blocks if block.rows] == [1]
    assert texts(document, BlockKind.PARAGRAPH) == ["LIST OF BALANCES      PAGE 1", "End of list."]


def test_a_title_close_above_a_list_stays_text() -> None:
    document = read(f"LIST OF BALANCES AS OF THE LAST DAY OF THE MONTH\n{LIST}", "list.txt")
    assert texts(document, BlockKind.PARAGRAPH) == ["LIST OF BALANCES AS OF THE LAST DAY OF THE MONTH"]
    assert tables(document) == [ROWS]


def test_a_first_row_without_figures_above_rows_with_some_is_a_header() -> None:
    found = find_list(["id   name   rent", "1    Bonn   1200", "2    Kiel    900", "3    Ulm     800"])
    assert found is not None
    assert found[2] == 1


@pytest.mark.parametrize(
    "text",
    [
        "The rent is due on Monday.\nIt is paid by card.\nNo cash is taken.\nThank you all.",
        "Two  spaces here.\nAnd two  there.\nThen none at all.\nAnd  one more line.",
        "if a:      # first\n    b()    # then\n    c()    # last\nd()        # and so on",
        "Anna Miller   12 Main Street\nBob Stone     7 Hill Road\nCarl Woods    9 Lake View\nDora May  1 End",
        "+---+---+\n| a | b |\n+---+---+",
    ],
)
def test_prose_code_and_two_columns_are_no_list(text: str) -> None:
    assert find_list(text.split("\n")) is None
