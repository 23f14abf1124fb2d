"""Character ranges against sets of characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.evaluation.ranges import TextSpan, ideal_iou, overlap, range_scores, size

spans = st.lists(
    st.builds(
        lambda d, at, n: TextSpan(d, at, at + n),
        st.sampled_from("ab"),
        st.integers(0, 40),
        st.integers(0, 15),
    ),
    max_size=8,
)


def characters(found: list[TextSpan]) -> set[tuple[object, int]]:
    return {(span.document, at) for span in found for at in range(span.start, span.end)}


@given(spans, spans)
def test_sizes_and_overlaps_are_those_of_sets_of_characters(
    wanted: list[TextSpan], retrieved: list[TextSpan]
) -> None:
    assert size(wanted) == len(characters(wanted))
    assert overlap(wanted, retrieved) == len(characters(wanted) & characters(retrieved))


def test_what_is_retrieved_twice_counts_twice_against_precision_and_once_for_recall() -> None:
    found = range_scores(
        [TextSpan("a", 10, 20)], [TextSpan("a", 0, 15), TextSpan("a", 0, 15), TextSpan("b", 10, 20)]
    )
    assert found.recall == pytest.approx(5 / 10)
    assert found.precision == pytest.approx(5 / 40)
    assert found.iou == pytest.approx(5 / (40 + 5))


def test_the_ideal_takes_the_pieces_that_touch_what_is_wanted() -> None:
    pieces = [TextSpan("a", 0, 10), TextSpan("a", 10, 20), TextSpan("a", 20, 30), TextSpan("b", 10, 20)]
    assert ideal_iou([TextSpan("a", 5, 15)], pieces) == pytest.approx(10 / 20)


def test_nothing_wanted_or_nothing_retrieved_scores_nothing() -> None:
    assert range_scores([], []) == (0, 0, 0)
    assert range_scores([TextSpan("a", 0, 1)], []) == (0, 0, 0)
