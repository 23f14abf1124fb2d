"""Learns from a golden set how sure the hits of an index have to be, and says how well that tells.

What belongs here: asking labelled questions for a calibration, and its cross validation. What does not: the
model that is fitted, and using it (`query.confidence`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.run import Setting, results_of, version_of
from rag_pipelines.evaluation.significance import Roc, roc
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.query.confidence import LEAST_EACH, Calibration, calibrate, put_calibration, signals_of
from rag_pipelines.runtime import Runtime

FOLDS = 5

Example = tuple[Mapping[str, float], bool]
"""The signals of a question's hits, and whether there is an answer."""


class CalibrationTrial(msgspec.Struct, frozen=True):
    """How calibrations judge questions that they were not learned from.

    `answered` is the share of the answerable ones above the threshold, `refused` that of the others below it.
    """

    answered: float
    refused: float
    curve: Roc


class Learned(msgspec.Struct, frozen=True):
    """A calibration of a version and a mode; `trial` is None where there are too few questions for one."""

    index: str
    version: int
    mode: str
    calibration: Calibration
    trial: CalibrationTrial | None


def learn(
    runtime: Runtime,
    index: str,
    golden: GoldenSet,
    *,
    setting: Setting = Setting(),
    tenant: str | None = None,
    progress: Progress = no_progress,
) -> Learned:
    """Calibrate `index` by the questions of `golden` that say whether there is an answer, and keep that.

    Raises:
        UsageError: as `evaluate`, or there are too few questions with an answer, or without.
    """
    with runtime.database.connection() as connection:
        version = version_of(connection, index, setting.version)
    results = results_of(runtime, version, golden, setting=setting, tenant=tenant, progress=progress)
    examples = [
        (signals_of(result.hits), question.answerable)
        for question, result in zip(golden.questions, results, strict=True)
        if question.answerable is not None
    ]
    found = calibrate(examples)
    kept = msgspec.structs.replace(found, golden=golden.name, golden_key=golden.fingerprint)
    with runtime.database.transaction() as connection:
        put_calibration(connection, version, setting.mode, kept)
    return Learned(index, version.version_id, setting.mode, kept, cross_validate(examples))


def cross_validate(examples: Sequence[Example]) -> CalibrationTrial | None:
    """Each question judged by a calibration of the others, in `FOLDS` parts that are mixed alike."""
    kinds = [[one for one in examples if one[1] is answerable] for answerable in (True, False)]
    if min(map(len, kinds)) * (FOLDS - 1) < LEAST_EACH * FOLDS:
        return None
    sure: dict[bool, list[float]] = {True: [], False: []}
    right: dict[bool, int] = {True: 0, False: 0}
    for fold in range(FOLDS):
        rest = [one for kind in kinds for place, one in enumerate(kind) if place % FOLDS != fold]
        calibration = calibrate(rest)
        for kind in kinds:
            for signals, answerable in kind[fold::FOLDS]:
                probability = calibration.probability(signals)
                sure[answerable].append(probability)
                right[answerable] += (probability >= calibration.threshold) == answerable
    answered, refused = (right[answerable] / len(sure[answerable]) for answerable in (True, False))
    return CalibrationTrial(answered, refused, roc(sure[True], sure[False]))
