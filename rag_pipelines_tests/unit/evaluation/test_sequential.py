"""Tests that are looked at after every observation: how often they err, and how soon they see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.evaluation.sequential import evidence, upper_bound

ALPHA = 0.05


def noticed(observations: np.ndarray, limit: float) -> bool:
    """Whether the test calls out at any moment."""
    sums = observations.cumsum()
    return any(evidence(float(total), n, limit) >= 1 / ALPHA for n, total in enumerate(sums, 1))


@pytest.mark.parametrize("limit", [0.05, 0.5])
def test_what_keeps_the_limit_is_called_out_as_rarely_as_promised_however_often_one_looks(
    limit: float,
) -> None:
    draws = np.random.default_rng(7).random((200, 400)) < limit
    assert sum(noticed(row, limit) for row in draws) / len(draws) <= ALPHA


def test_what_is_far_above_the_limit_is_called_out_soon() -> None:
    draws = np.random.default_rng(7).random((100, 100)) < 0.2
    assert sum(noticed(row, 0.05) for row in draws) >= 80


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_a_mean_at_or_below_the_limit_is_never_evidence_against_it(
    n: int, share: float, limit: float
) -> None:
    assert evidence(share * limit * n, n, limit) < 1 / ALPHA


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_upper_bound_is_above_the_mean_and_closes_in_on_it(found: int, more: int) -> None:
    n = found + more
    bound = upper_bound(found, n, ALPHA)
    assert found / n <= bound <= 1
    assert upper_bound(found * 100, n * 100, ALPHA) <= bound + 1e-6


def test_nothing_observed_says_nothing() -> None:
    assert evidence(0, 0, 0.01) == 0
    assert evidence(10, 10, 1.0) == 0
    assert upper_bound(0, 0, ALPHA) == 1
