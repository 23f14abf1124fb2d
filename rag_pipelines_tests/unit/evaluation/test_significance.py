"""Intervals, the paired test and the curve, against values that are known."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.evaluation.significance import difference, interval, roc


def test_an_interval_holds_the_mean_and_narrows_with_more_values() -> None:
    few, many = ([0.0, 1.0] * count for count in (5, 500))
    assert interval(few).low < 0.5 < interval(few).high
    assert interval(many).high - interval(many).low < (interval(few).high - interval(few).low) / 5
    assert (interval([0.25]).low, interval([0.25]).high, interval([0.25]).n) == (0.25, 0.25, 1)


def test_equal_runs_do_not_differ() -> None:
    same = [0.1, 0.7, 1.0]
    found = difference(same, same)
    assert (found.mean, found.better, found.worse, found.p, found.p_worse) == (0, 0, 0, 1, 1)
    assert not found.significant


def test_ten_losses_of_ten_have_the_exact_chance_of_that() -> None:
    found = difference([1.0] * 10, [0.0] * 10)
    assert found.p_worse == pytest.approx(2**-10)
    assert found.p == pytest.approx(2 * 2**-10)
    assert (found.mean, found.better, found.worse) == (-1, 0, 10)
    assert difference([0.0] * 10, [1.0] * 10).p_worse == pytest.approx(1)


def test_one_change_may_be_chance() -> None:
    assert difference([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]).p_worse == 0.5


def test_the_test_agrees_with_the_paired_t_test_where_that_holds() -> None:
    draw = random.Random(7)
    before = [draw.gauss(0.5, 0.2) for _ in range(400)]
    after = [value + draw.gauss(0.015, 0.15) for value in before]
    from scipy import stats  # Takes a second, which every process would pay that looks for tests.

    assert difference(before, after).p == pytest.approx(stats.ttest_rel(after, before).pvalue, abs=0.02)


def test_questions_that_did_not_change_do_not_make_a_difference_surer() -> None:
    before, after = [0.0] * 6, [1.0] * 6
    padded = difference(before + [0.5] * 100, after + [0.5] * 100)
    assert padded.p == difference(before, after).p
    assert padded.n == 106


def test_the_area_is_the_chance_that_a_positive_scores_higher() -> None:
    found = roc([0.9, 0.8, 0.4], [0.5, 0.3])
    assert found.area == pytest.approx(5 / 6)
    assert found.threshold == 0.8
    assert found.correct == pytest.approx(4 / 5)
    assert found.points[0] == (0, 0)
    assert found.points[-1] == (1, 1)


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=1, max_size=12)
)
def test_the_curve_rises_and_its_area_counts_ties_half(high: list[int], low: list[int]) -> None:
    found = roc([float(value) for value in high], [float(value) for value in low])
    wins = sum((one > other) + 0.5 * (one == other) for one in high for other in low)
    assert found.area == pytest.approx(wins / (len(high) * len(low)))
    assert list(found.points) == sorted(found.points)
