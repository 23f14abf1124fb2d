"""Learning a matrix: what it brings nearer, what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from rag_pipelines.embedding.base import normalise
from rag_pipelines.evaluation.adapting import learn

DIMENSIONS, PASSAGES = 16, 200


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Passages, and questions that are their passages turned, all in the same way."""
    draw = np.random.default_rng(5)
    passages = normalise(draw.normal(size=(PASSAGES, DIMENSIONS)).astype(np.float32))
    turn, upper = np.linalg.qr(np.eye(DIMENSIONS) + 0.3 * draw.normal(size=(DIMENSIONS, DIMENSIONS)))
    turn *= np.sign(np.diag(upper))
    answers = draw.integers(PASSAGES, size=1200)
    noise = 0.1 * draw.normal(size=(1200, DIMENSIONS))
    questions = normalise((passages[answers] @ turn + noise).astype(np.float32))
    return passages, questions, answers


def share_first(passages: np.ndarray, questions: np.ndarray, answers: np.ndarray) -> float:
    return float(((questions @ passages.T).argmax(axis=1) == answers).mean())


def right(answers: np.ndarray) -> np.ndarray:
    return answers[:, None] == np.arange(PASSAGES)


def test_unseen_questions_come_nearer_to_their_answers(world):
    passages, questions, answers = world
    matrix = learn(questions[:1000], passages, right(answers[:1000]))
    before = share_first(passages, questions[1000:], answers[1000:])
    after = share_first(passages, normalise(questions[1000:] @ matrix), answers[1000:])
    assert after > before + 0.1


def test_few_questions_change_little(world):
    passages, questions, answers = world
    few, many = (learn(questions[:n], passages, right(answers[:n])) for n in (20, 1000))
    identity = np.eye(DIMENSIONS)
    assert np.linalg.norm(few - identity) < 0.3 * np.linalg.norm(many - identity)


def test_a_question_with_several_right_passages_is_drawn_to_any_of_them(world):
    passages, questions, answers = world
    either = right(answers[:1000]) | right((answers[:1000] + 1) % PASSAGES)
    matrix = learn(questions[:1000], passages, either)
    moved = normalise(questions[1000:] @ matrix)
    alone = share_first(passages, moved, answers[1000:])
    assert alone > share_first(passages, questions[1000:], answers[1000:])


def test_the_same_questions_give_the_same_matrix(world):
    passages, questions, answers = world
    first, second = (learn(questions[:300], passages, right(answers[:300])) for _ in range(2))
    np.testing.assert_array_equal(first, second)
