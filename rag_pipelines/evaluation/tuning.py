"""Finds the fusion that ranks a golden set best, and says honestly how much it gains.

What belongs here: the grid, cross validation, the choice. What does not: writing a configuration; what is
found is printed for a person to put there.

The gain of the best of many settings on the questions that it was chosen by is always flattering. So the
questions are dealt into folds; the setting is chosen on all folds but one and scored on that one, for each in
turn. The figure of these scores is what the *choice* is worth on questions it has not seen.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.embeddings import RememberingEmbedders
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.run import Run, Setting, evaluate
from rag_pipelines.evaluation.significance import SEED, Difference, difference
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime

WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
RRF_K = (10, 60)
CANDIDATES = (100, 200)


class FusionTrial(msgspec.Struct, frozen=True):
    """A fusion with its mean over all questions."""

    fusion: Mapping[str, Any]
    mean: float


class Tuning(msgspec.Struct, frozen=True):
    """What came out: every trial, best first, and the best one.

    `gain` compares, on questions that the choice did not see, the chosen setting with the index's own one.
    `stable` is the share of folds that chose the best.
    """

    measure: str
    questions: int
    folds: int
    trials: tuple[FusionTrial, ...]
    best: Mapping[str, Any]
    current: Mapping[str, Any]
    gain: Difference
    stable: float

    @property
    def worth_it(self) -> bool:
        """Whether the choice helps on unseen questions, more than chance would."""
        return self.gain.mean > 0 and self.gain.significant


def grid() -> Iterator[dict[str, Any]]:
    """The fusions that are tried."""
    for candidates in CANDIDATES:
        for weight in WEIGHTS:
            yield {"method": "weighted", "dense_weight": weight, "candidates": candidates}
        for rrf_k in RRF_K:
            yield {"method": "rrf", "dense_weight": 0.5, "rrf_k": rrf_k, "candidates": candidates}


def tune(
    runtime: Runtime,
    index: str,
    golden: GoldenSet,
    *,
    measure: str,
    k: int = 10,
    folds: int = 5,
    tenant: str | None = None,
    version: int | None = None,
    fusions: Sequence[Mapping[str, Any]] | None = None,
    progress: Progress = no_progress,
) -> Tuning:
    """Try every fusion on every question, and choose by cross validation.

    Raises:
        UsageError: there are fewer questions with this measure than folds.
    """
    current = runtime.settings.index(index).fusion.model_dump()
    tried = [current, *({**current, **fusion} for fusion in fusions or grid())]
    shared = RememberingEmbedders(runtime.embedders)
    scores: list[dict[str, float]] = []
    for number, fusion in enumerate(tried, 1):
        setting = Setting(k=k, version=version, fusion=fusion)
        run = evaluate(
            Runtime(runtime.database, runtime.settings, shared), index, golden, setting=setting, tenant=tenant
        )
        scores.append(_scores(run, measure))
        progress("settings", number, len(tried))
    questions = sorted(scores[0])
    if not 2 <= folds <= len(questions):
        raise UsageError(
            f"{folds} folds of {len(questions)} questions that have {measure}; "
            f"valid: from 2 folds to one a question"
        )
    table = [[one[question] for question in questions] for one in scores]
    return _choose(tried, table, folds, measure)


def _choose(
    tried: Sequence[Mapping[str, Any]], table: Sequence[Sequence[float]], folds: int, measure: str
) -> Tuning:
    """`table` holds the scores of each fusion by question; the first fusion is the current one."""
    count = len(table[0])
    order = list(range(count))
    random.Random(SEED).shuffle(order)
    chosen: list[int] = []
    unseen = [0.0] * count
    for fold in range(folds):
        held_out = order[fold::folds]
        seen = sorted(set(range(count)) - set(held_out))
        best = max(range(len(tried)), key=lambda number: sum(table[number][place] for place in seen))
        chosen.append(best)
        for place in held_out:
            unseen[place] = table[best][place]
    means = [sum(row) / count for row in table]
    best = max(range(len(tried)), key=means.__getitem__)
    ranked = sorted(range(len(tried)), key=lambda number: -means[number])
    return Tuning(
        measure,
        count,
        folds,
        tuple(FusionTrial(tried[number], means[number]) for number in ranked),
        tried[best],
        tried[0],
        difference(table[0], unseen),
        chosen.count(best) / folds,
    )


def _scores(run: Run, measure: str) -> dict[str, float]:
    return {answer.id: answer.figures[measure] for answer in run.answers if measure in answer.figures}
