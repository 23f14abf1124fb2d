"""How likely it is that hits hold an answer: a calibration of scores, learned from labelled questions.

What belongs here: the signals of a list of hits, fitting, keeping and applying the calibration. What does
not: asking labelled questions (`evaluation`), and what follows from a low confidence (`context`).

The model is logistic regression on a few scores; with one signal it is Platt's scaling (Platt 1999), whose
smoothed targets it uses. It is small on purpose: some tens of labelled questions must do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.errors import UsageError
from rag_pipelines.index.versions import Version
from rag_pipelines.query.hits import Hit, Mode
from rag_pipelines.store.database import Pg, query
from rag_pipelines.stored import Form

RIDGE = 1.0
"""Weight of the penalty on standardised coefficients, which keeps separable data finite."""
MAX_STEPS = 100
LEAST_EACH = 5
"""Labelled questions that are needed of each kind."""


class Calibration(msgspec.Struct, frozen=True):
    """Turns signals into the probability that the hits hold an answer.

    ``1 / (1 + exp(-(intercept + sum of weight * signal)))``. At `threshold` and above they are taken to.
    `answerable` and `unanswerable` count the questions it was fitted on: the probability is for their mix.
    They are those of `golden`, a golden set whose fingerprint is `golden_key`.
    """

    weights: Mapping[str, float]
    intercept: float
    threshold: float
    answerable: int = 0
    unanswerable: int = 0
    golden: str = ""
    golden_key: str = ""

    def probability(self, signals: Mapping[str, float]) -> float:
        """The probability for the signals of one question; a signal that is missing counts as 0."""
        import math

        logit = self.intercept + sum(weight * signals.get(name, 0.0) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(min(logit, 500.0), -500.0)))


CALIBRATION = Form("calibration", Calibration)


def put_calibration(connection: Pg, version: Version, mode: Mode, calibration: Calibration) -> None:
    """Keep a calibration for this version and those built alike, in place of an earlier one."""
    params = {
        "index_name": version.index_name,
        "fingerprint": version.fingerprint,
        "mode": mode,
        "learned": Jsonb(CALIBRATION.encode(calibration)),
    }
    query(connection, "put_calibration", params)


def calibration_of(connection: Pg, version_id: int, mode: Mode) -> Calibration | None:
    """The calibration that holds for searches of a version, if one was learned."""
    row = query(connection, "calibration_of", {"version_id": version_id, "mode": mode}).fetchone()
    learned = row["learned"] if row else None
    return None if learned is None else CALIBRATION.decode(learned)


def signals_of(hits: Sequence[Hit]) -> dict[str, float]:
    """What hits say about being an answer: the best cosine and the best BM25 score among them."""
    return {
        "dense": max((hit.scores.dense or 0.0 for hit in hits), default=0.0),
        "lexical": max((hit.scores.lexical or 0.0 for hit in hits), default=0.0),
    }


def calibrate(examples: Sequence[tuple[Mapping[str, float], bool]]) -> Calibration:
    """Fit a calibration to questions of which it is known whether their hits hold an answer.

    The threshold is where the shares of both kinds that are told right add up to most (Youden 1950).

    Args:
        examples: the signals of each question's hits, and whether there is an answer.

    Raises:
        UsageError: fewer than `LEAST_EACH` questions of either kind, or no signal.
    """
    import numpy as np

    labels = np.array([answerable for _, answerable in examples], dtype=bool)
    positive, negative = int(labels.sum()), int((~labels).sum())
    names = sorted({name for signals, _ in examples for name in signals})
    if min(positive, negative) < LEAST_EACH or not names:
        raise UsageError(
            f"there are {positive} answerable and {negative} unanswerable questions with {len(names)} "
            f"signals; a calibration needs at least {LEAST_EACH} of each kind and one signal"
        )
    values = np.array([[signals.get(name, 0.0) for name in names] for signals, _ in examples])
    centre, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0
    design = np.column_stack([np.ones(len(values)), (values - centre) / scale])
    targets = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))
    penalty = RIDGE * np.eye(design.shape[1])
    penalty[0, 0] = 0.0

    solution = np.zeros(design.shape[1])
    for _ in range(MAX_STEPS):
        probabilities = 1 / (1 + np.exp(-design @ solution))
        gradient = design.T @ (probabilities - targets) + penalty @ solution
        spread = (probabilities * (1 - probabilities))[:, None]
        step = np.linalg.solve(
            design.T @ (design * spread) + penalty + 1e-9 * np.eye(len(solution)), gradient
        )
        solution -= step
        if np.abs(step).max() < 1e-9:
            break
    weights = solution[1:] / scale
    probabilities = 1 / (1 + np.exp(-design @ solution))
    return Calibration(
        weights={name: float(weight) for name, weight in zip(names, weights, strict=True)},
        intercept=float(solution[0] - weights @ centre),
        threshold=best_threshold(probabilities.tolist(), labels.tolist()),
        answerable=positive,
        unanswerable=negative,
    )


def best_threshold(probabilities: Sequence[float], answerable: Sequence[bool]) -> float:
    """The threshold with the greatest sum of sensitivity and specificity, halfway between two examples."""
    ordered = sorted(zip(probabilities, answerable, strict=True))
    positive = sum(answerable)
    negative = len(ordered) - positive
    best, threshold = 1.0, 0.0
    kept, refused = positive, 0
    for at, (probability, is_answerable) in enumerate(ordered):
        kept -= is_answerable
        refused += not is_answerable
        following = ordered[at + 1][0] if at + 1 < len(ordered) else 1.0
        told_right = kept / positive + refused / negative
        if following > probability and told_right > best:
            best, threshold = told_right, (probability + following) / 2
    return threshold
