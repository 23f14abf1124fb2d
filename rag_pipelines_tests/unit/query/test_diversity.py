"""Maximal marginal relevance and hits per document, without a database."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.query.diversity import PerDocument, marginal_order
from rag_pipelines_tests.unit.query.examples import asked, candidates, hit


def unit_rows(seed: int, count: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)
def test_each_choice_is_the_one_the_definition_asks_for(
    relevance: list[float], seed: int, share: float
) -> None:
    """Against the formula, candidate by candidate: the greatest λ·relevance - (1-λ)·nearest chosen."""
    vectors = unit_rows(seed, len(relevance))
    chosen: list[int] = []
    for at, score in marginal_order(relevance, vectors, share):

        def marginal(one: int) -> float:
            nearest = max([0.0, *(float(vectors[one] @ vectors[other]) for other in chosen)])
            return share * relevance[one] - (1 - share) * nearest

        best = max(marginal(one) for one in range(len(relevance)) if one not in chosen)
        assert score == pytest.approx(best, abs=1e-5)
        assert marginal(at) == pytest.approx(best, abs=1e-5)
        chosen.append(at)
    assert sorted(chosen) == list(range(len(relevance)))


def test_a_copy_of_the_best_comes_after_something_new() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert [at for at, _ in marginal_order([1.0, 0.9, 0.5], vectors, 0.5)] == [0, 2, 1]


def test_full_relevance_leaves_the_order_as_it_is() -> None:
    relevance = [0.9, 0.8, 0.7, 0.1]
    assert [at for at, _ in marginal_order(relevance, unit_rows(1, 4), 1.0)] == [0, 1, 2, 3]


def test_each_document_keeps_its_best_hits() -> None:
    pool = candidates(*(hit(document=n % 2, ordinal=n, fused=-n) for n in range(6)))
    outcome = PerDocument(2).apply(asked(), pool)
    assert [one.hit.chunk_id[-1] for one in outcome.candidates] == ["0", "1", "2", "3"]
    assert outcome.note == "2 further hits of 2 documents left out"
