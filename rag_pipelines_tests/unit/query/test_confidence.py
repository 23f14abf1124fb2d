"""Calibration of scores to the probability of an answer."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from rag_pipelines.errors import UsageError
from rag_pipelines.query.confidence import Calibration, best_threshold, calibrate, signals_of
from rag_pipelines_tests.unit.query.examples import hit


def sample(count: int, seed: int = 0) -> list[tuple[dict[str, float], bool]]:
    """Questions whose answerability follows a known logistic law."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        dense, lexical = rng.uniform(0, 1), rng.uniform(0, 20)
        probability = 1 / (1 + np.exp(-(6 * dense + 0.2 * lexical - 5)))
        made.append(({"dense": dense, "lexical": lexical}, rng.random() < probability))
    return made


def test_the_law_behind_the_labels_is_found_again() -> None:
    found = calibrate(sample(4000))
    assert found.weights["dense"] == pytest.approx(6, rel=0.15)
    assert found.weights["lexical"] == pytest.approx(0.2, rel=0.15)
    assert found.intercept == pytest.approx(-5, rel=0.15)


def test_probabilities_are_the_shares_that_come_true() -> None:
    found = calibrate(sample(4000))
    fresh = [(found.probability(signals), answerable) for signals, answerable in sample(4000, seed=1)]
    for low in (0.1, 0.4, 0.7):
        group = [answerable for probability, answerable in fresh if low <= probability < low + 0.2]
        assert np.mean(group) == pytest.approx(low + 0.1, abs=0.06)


def test_separable_labels_give_finite_weights() -> None:
    examples = [({"dense": n / 20}, n >= 10) for n in range(20)]
    found = calibrate(examples)
    assert np.isfinite(found.weights["dense"])
    assert all((found.probability(signals) >= found.threshold) == label for signals, label in examples)


def test_a_signal_that_never_varies_is_harmless() -> None:
    found = calibrate([({"dense": n / 20, "lexical": 3.0}, n >= 8) for n in range(20)])
    assert found.weights["lexical"] == pytest.approx(0)


def test_too_few_questions_of_a_kind_are_refused_with_their_numbers() -> None:
    with pytest.raises(UsageError, match="16 answerable and 4 unanswerable"):
        calibrate([({"dense": n / 20}, n >= 4) for n in range(20)])


def test_the_threshold_tells_most_right_of_both_kinds() -> None:
    assert best_threshold([0.1, 0.2, 0.6, 0.7, 0.8], [False, False, True, False, True]) == pytest.approx(0.4)


def test_a_calibration_survives_storage() -> None:
    found = calibrate(sample(100))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Calibration) == found


def test_the_signals_are_the_best_scores_of_each_side() -> None:
    hits = [hit(dense=0.4, lexical=7.0), hit(dense=0.6), hit()]
    assert signals_of(hits) == {"dense": 0.6, "lexical": 7.0}
    assert signals_of([]) == {"dense": 0.0, "lexical": 0.0}
