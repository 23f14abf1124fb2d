"""Columns of PDF pages: prose beside bullets, labels and listings, and what is a table all the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rag_pipelines.parsing.pdf.columns import columns
from rag_pipelines.parsing.pdf.lines import Box, Line, rows

PROSE = (
    "The board heard a report about the state of",
    "the bridge, which had been closed since the",
    "flood of last autumn. The engineers had found",
    "that two of its piers had moved and that the",
    "bed of the river was being washed away below",
    "them. They asked for divers to look at it, and",
    "for stones to be laid before the next spring,",
    "when the water rises again. The board agreed",
    "and put the sum into the budget of the year.",
    "It will meet again when the divers are done.",
)
LEADING, SIZE = 13.0, 10.0


def lines(left: float, texts: Sequence[str], top: float = 100, step: float = LEADING) -> list[Line]:
    """Lines below each other; a blank text leaves its place empty."""
    return [
        Line(text, Box(left, top + step * number, left + 5 * len(text), top + step * number + SIZE), SIZE)
        for number, text in enumerate(texts)
        if text
    ]


def read(*sides: list[Line]) -> list[list[str]]:
    """The texts of each strip in reading order."""
    page_rows = rows([line for side in sides for line in side])
    return [[line.text for row in strip for line in row] for strip in columns(page_rows)]


@pytest.mark.parametrize(
    "beside",
    [
        ["• piers", "• divers", "• stones", "• budget", "• flood", "• board", "• spring"],
        ["for pier in piers:", "  check(pier)", "", "", "end", "stop()"],
        ["Start", "", "Wet", "", "", "Dry", "", "Stop"],
        ["Figure 1", "", "", *PROSE[:4]],
    ],
)
@pytest.mark.parametrize("prose_left", [True, False])
def test_prose_is_read_through_whatever_stands_beside_it(beside: list[str], prose_left: bool) -> None:
    left, right = (50, 320) if prose_left else (320, 50)
    strips = read(lines(left, PROSE), lines(right, beside))
    shown = [text for text in beside if text]
    assert strips == ([list(PROSE), shown] if prose_left else [shown, list(PROSE)])


def test_a_line_of_prose_that_happens_to_begin_with_a_name_begins_no_row() -> None:
    prose = [
        "The board heard a report by the engineers of",
        "the bridge, who said that the piers above the",
        "Upper Ford had moved since April, and that it",
        "would have to be closed to the carts from the",
        "mill until divers had gone down to look at it",
        "and stones had been laid. They also asked the",
        "Harbour Office for help with the bed of river",
        "below the piers, which was being washed away",
        "by each flood, and with the road to the mill.",
    ]
    beside = ["", "", "Piers", "Carts", "Divers", "", "Bed", "Flood"]
    assert read(lines(50, prose), lines(320, beside)) == [prose, [text for text in beside if text]]


def test_lines_beside_large_type_keep_their_order() -> None:
    prose = lines(320, PROSE)
    large = [
        Line(text, Box(50, line.box.middle - 20, 290, line.box.middle + 20), 36)
        for text, line in zip(
            ("We aim to mend", "every old bridge", "in this country"), prose[1::3], strict=True
        )
    ]
    by_top = sorted(rows([*prose, *large]), key=lambda row: row[0].box.y0)
    strips = [[line.text for row in strip for line in row] for strip in columns(by_top)]
    assert strips == [[line.text for line in large], list(PROSE)]


def test_a_column_of_terms_beside_their_explanations_is_a_table() -> None:
    texts = [*PROSE[:3], "", *PROSE[3:6], "", *PROSE[6:9]]
    for at in (0, 1, 2):
        terms = [""] * len(texts)
        for number, start in enumerate((0, 4, 8)):
            terms[start + at] = f"Term {number}"
        assert len(read(lines(50, terms), lines(150, texts))) == 1


def test_a_column_of_figures_beside_wrapped_labels_is_a_table() -> None:
    figures = ["", "1,234", "", "", "88.5", "", "(17)", "", "", "2,000"]
    assert len(read(lines(50, PROSE), lines(330, figures))) == 1


def test_labels_of_one_line_beside_their_values_are_a_table() -> None:
    labels = ["Revenue from contracts with customers", "Interest and other income of the year"] * 4
    values = ["see note 4", "see note 5"] * 4
    assert len(read(lines(50, labels), lines(330, values))) == 1
