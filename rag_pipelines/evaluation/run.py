"""Asks an index every question of a golden set and keeps what came of it.

What belongs here: a setting, asking, the summary of a run. What does not: figures of one question
(`scoring`), keeping runs (`store`), comparing them (`comparison`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from rag_pipelines.config.settings import FusionSettings, Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.catalogue import Resolved, resolve
from rag_pipelines.evaluation.questions import GoldenSet, Question
from rag_pipelines.evaluation.scoring import (
    QuestionScore,
    ScoredHit,
    confidence,
    documents_of,
    place_figures,
    ranking_figures,
    ranking_measures,
    violations,
)
from rag_pipelines.evaluation.significance import Interval, Roc, interval, roc
from rag_pipelines.index.versions import Version, live_version, version_by_id
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.query.confidence import Calibration, calibration_of, signals_of
from rag_pipelines.query.hits import Mode, Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Pg
from rag_pipelines.store.documents import tenants_of

ALL = "all"
"""The slice that every question is in."""


class Setting(msgspec.Struct, frozen=True):
    """How questions are asked. `depth` passages are asked for (by default `k`), the first `k` are judged.

    `fusion` overrides settings of the index; `version` is one that need not be live.
    """

    mode: Mode = "hybrid"
    k: int = 10
    depth: int | None = None
    version: int | None = None
    fusion: Mapping[str, Any] = {}

    @property
    def asked_for(self) -> int:
        """How many passages a search brings."""
        return max(self.depth or 0, self.k)

    def apply_to(self, settings: Settings, index: str) -> Settings:
        """The settings with this fusion."""
        chosen = settings.index(index)
        if not self.fusion:
            return settings
        fusion = FusionSettings.model_validate({**chosen.fusion.model_dump(), **self.fusion})
        changed = chosen.model_copy(update={"fusion": fusion})
        return settings.model_copy(update={"indexes": {**settings.indexes, index: changed}})


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A golden set asked once. `setting` is complete: what was left to the index's settings is filled in."""

    run_id: int | None = None
    index: str
    version: int
    golden: str
    golden_key: str
    label: str = ""
    setting: Mapping[str, Any]
    started_at: datetime
    answers: tuple[QuestionScore, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a report calls it."""
        number = f"run {self.run_id}: " if self.run_id is not None else ""
        return f"{number}{self.label or describe_setting(self.setting)}, version {self.version}"


class RunSummary(msgspec.Struct, frozen=True):
    """The means of a run: by slice and measure (`ALL` is every question), latencies in ms, and whether
    questions without an answer can be told from those with one."""

    questions: int
    figures: Mapping[str, Mapping[str, Interval]]
    violations: int
    p50_ms: float
    p95_ms: float
    no_answer: Roc | None = None


def evaluate(
    runtime: Runtime,
    index: str,
    golden: GoldenSet,
    *,
    setting: Setting = Setting(),
    tenant: str | None = None,
    label: str = "",
    progress: Progress = no_progress,
) -> Run:
    """Ask `index` every question of `golden` as `setting` says.

    Args:
        tenant: of questions that name none; by default the only one of the index.

    Raises:
        UsageError: the version cannot be read, or a question names no tenant and there are several.
    """
    applied = setting.apply_to(runtime.settings, index)
    with runtime.database.connection() as connection:
        version = version_of(connection, index, setting.version)
        asked, notes = resolve(connection, version, golden.questions)
        calibration = calibration_of(connection, version.version_id, setting.mode)
        foreign = _tenant_notes(golden, tenant, tenants_of(connection, runtime.settings.sources_of(index)))
    started = datetime.now(UTC)
    results = results_of(
        Runtime(runtime.database, applied, runtime.embedders),
        version,
        golden,
        setting=setting,
        tenant=tenant,
        progress=progress,
    )
    fusion = applied.index(index).fusion.model_dump()
    return Run(
        index=index,
        version=version.version_id,
        golden=golden.name,
        golden_key=golden.fingerprint,
        label=label,
        setting={
            "mode": setting.mode,
            "k": setting.k,
            "depth": setting.asked_for,
            **({"fusion": fusion} if setting.mode == "hybrid" else {}),
        },
        started_at=started,
        answers=tuple(_answers(asked, results, setting, calibration)),
        notes=(*notes, *foreign, *_calibration_note(calibration, golden)),
    )


def results_of(
    runtime: Runtime,
    version: Version,
    golden: GoldenSet,
    *,
    setting: Setting,
    tenant: str | None = None,
    progress: Progress = no_progress,
) -> list[Result]:
    """What a version gives for each question of `golden`. Arguments and errors are those of `evaluate`."""
    index = version.index_name
    with runtime.database.connection() as connection:
        tenants = tenants_of(connection, runtime.settings.sources_of(index))
    own = tenant or (tenants[0] if len(tenants) == 1 else "")
    unplaced = [one.id for one in golden.questions if not (one.tenant or own)]
    if unplaced:
        raise UsageError(
            f"question {unplaced[0]!r} names no tenant and index {index!r} has several; "
            f"name one with --tenant; valid: {', '.join(tenants) or 'none'}"
        )
    searcher = Searcher(
        runtime.database,
        runtime.settings,
        index,
        runtime.embedders,
        version=version.version_id,
        purpose="judge",
    )
    results: list[Result] = []
    try:
        _ask(searcher, golden.questions[0], own, setting)  # loads the model
        for question in golden.questions:
            results.append(_ask(searcher, question, own, setting))
            progress("questions", len(results), len(golden.questions))
    finally:
        searcher.close()
    return results


def _tenant_notes(golden: GoldenSet, tenant: str | None, known: Sequence[str]) -> Iterator[str]:
    """Tenants that are asked in and of which the index has no document, so that nothing can be found."""
    asked = Counter(one.tenant or tenant for one in golden.questions)
    for name in sorted(name for name in asked if name and name not in known):
        share = f"{asked[name]:,} of {len(golden.questions):,} questions ask"
        yield f"the index has no tenant {name!r}, in which {share}; valid: {', '.join(known) or 'none'}"


def version_of(connection: Pg, index: str, number: int | None) -> Version:
    """The version with this number, or the live one of an index. Raises `UsageError` if there is none."""
    found = live_version(connection, index) if number is None else version_by_id(connection, number)
    if found is None:
        raise UsageError(f"index {index!r} has no live version; name one with --version, or promote one")
    return found


def summary(run: Run) -> RunSummary:
    """The means of a run, overall and by slice."""
    import numpy as np

    took = [answer.embed_ms + answer.search_ms for answer in run.answers]
    p50, p95 = np.percentile(took, [50, 95]) if took else (0.0, 0.0)
    return RunSummary(
        len(run.answers),
        {name: _means(answers) for name, answers in slices_of(run.answers).items()},
        sum(len(answer.violations) for answer in run.answers),
        float(p50),
        float(p95),
        no_answer(run.answers),
    )


def slices_of(answers: Iterable[QuestionScore]) -> dict[str, list[QuestionScore]]:
    """The answers of every slice: of all questions first, then by name those that hold some of them."""
    found: dict[str, list[QuestionScore]] = defaultdict(list)
    for answer in answers:
        for name in (ALL, *answer.slices):
            found[name].append(answer)
    every = len(found.get(ALL, ()))
    return {name: found[name] for name in sorted(found, key=lambda name: (name != ALL, name))
            if name == ALL or len(found[name]) < every}  # fmt: skip


def no_answer(answers: Iterable[QuestionScore]) -> Roc | None:
    """How well confidence tells questions with an answer from those without; None if one kind is missing."""
    answers = list(answers)
    with_answer = [one.confidence for one in answers if one.answerable is True]
    without = [one.confidence for one in answers if one.answerable is False]
    return roc(with_answer, without) if with_answer and without else None


def describe_setting(setting: Mapping[str, Any]) -> str:
    """A setting in a few words."""
    fusion = setting.get("fusion")
    if not fusion:
        return str(setting["mode"])
    how = f"dense weight {fusion['dense_weight']:g}"
    return f"{setting['mode']} ({fusion['method']}, {how}, {fusion['candidates']} candidates)"


def _ask(searcher: Searcher, question: Question, tenant: str, setting: Setting) -> Result:
    return searcher.search(
        question.query,
        tenant=question.tenant or tenant,
        principals=question.caller,
        mode=setting.mode,
        k=setting.asked_for,
        filters=question.filters,
    )


def _calibration_note(calibration: Calibration | None, golden: GoldenSet) -> Iterator[str]:
    if calibration is not None:
        own = (
            ", this same set, so it looks better than it is"
            if calibration.golden_key == golden.fingerprint
            else ""
        )
        yield f"confidence is by the calibration learned from {calibration.golden!r}{own}"


def _confidence(
    calibration: Calibration | None, answerable: bool | None, result: Result
) -> tuple[float, dict[str, float]]:
    """How sure a result is, and as a figure whether that tells right if the question has an answer."""
    if calibration is None:
        return confidence(result.hits), {}
    sure = calibration.probability(signals_of(result.hits))
    if answerable is None:
        return sure, {}
    return sure, {"Answerability": float((sure >= calibration.threshold) == answerable)}


def _answers(
    asked: Sequence[Resolved],
    results: Sequence[Result],
    setting: Setting,
    calibration: Calibration | None,
) -> Iterator[QuestionScore]:
    rankings = {one.question.id: documents_of(got.hits) for one, got in zip(asked, results, strict=True)}
    figures = ranking_figures(asked, rankings, ranking_measures(setting.k, setting.asked_for))
    for one, result in zip(asked, results, strict=True):
        identity = one.question.id
        sure, told = _confidence(calibration, one.question.answerable, result)
        yield QuestionScore(
            id=identity,
            query=one.question.query,
            slices=one.slices,
            answerable=one.question.answerable,
            confidence=sure,
            figures={**figures.get(identity, {}), **place_figures(one, result.hits, setting.k), **told},
            violations=tuple(violations(one, result.hits)),
            hits=tuple(
                ScoredHit(hit.document_id, hit.chunk_id, hit.pages, hit.scores.fused) for hit in result.hits
            ),
            embed_ms=result.embed_ms,
            search_ms=result.search_ms,
        )


def _means(answers: Sequence[QuestionScore]) -> dict[str, Interval]:
    values: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        for measure, value in answer.figures.items():
            values[measure].append(value)
    return {measure: interval(found) for measure, found in values.items()}
