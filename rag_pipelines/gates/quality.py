"""The quality gate: whether a candidate answers an index's golden set as well as the live version does.

What belongs here: asking both versions, and the judgement. What does not: storing a gate's result and what
follows from it (`judge`, `index.promotion`), the bounds (`config.quality`).

Both versions are asked now, in every mode, one after the other: the documents of today, not those of the day
the live version was judged. Each mode counts, because fusion hides a broken side: a candidate whose words are
not found any more may rank nearly as well by vectors alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_pipelines.config.quality import QualityBounds
from rag_pipelines.evaluation.comparison import differences, pair_answers
from rag_pipelines.evaluation.embeddings import RememberingEmbedders
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.run import ALL, Run, RunSummary, Setting, evaluate, slices_of, summary
from rag_pipelines.evaluation.scoring import QuestionScore
from rag_pipelines.evaluation.significance import Difference
from rag_pipelines.evaluation.store import get_run, put_run
from rag_pipelines.index.gate_results import QUALITY, Gate
from rag_pipelines.index.versions import live_version
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Pg

MAX_REASONS = 20


def quality_gate(
    runtime: Runtime,
    index: str,
    version_id: int,
    *,
    golden: Path | None,
    bounds: QualityBounds = QualityBounds(),
) -> Gate:
    """Judge version `version_id` of `index` on `golden`, and keep the runs.

    `observed` is the largest loss against the live version over modes and measures (0 where nothing fell),
    `threshold` the tolerance; ``detail["refused"]`` says in sentences what is out of bounds. Without a golden
    set the gate passes and says so.

    Raises:
        UsageError, ConfigError: the golden set cannot be read, or does not fit the index.
    """
    if golden is None:
        return Gate(QUALITY, True, None, bounds.tolerance, {"golden": None})
    asked = read_golden(golden)
    with runtime.database.connection() as connection:
        live = live_version(connection, index)
    shared = RememberingEmbedders(runtime.embedders)

    def ask(version: int, mode: Any) -> Run:
        setting = Setting(mode=mode, k=bounds.k, version=version)
        made = evaluate(
            Runtime(runtime.database, runtime.settings, shared), index, asked, setting=setting, label="gate"
        )
        return put_run(runtime.database, made)

    refused: list[str] = []
    figures: dict[str, Any] = {}
    largest = 0.0
    for mode in bounds.modes:
        before = ask(live.version_id, mode) if live and live.version_id != version_id else None
        candidate = ask(version_id, mode)
        found = summary(candidate)
        if mode == bounds.modes[0]:
            refused += _below_floors(mode, found, bounds)
        refused += _violations(mode, candidate)
        refused += _too_slow(mode, before, candidate, bounds)
        figures[mode] = {"run": candidate.run_id, "means": _means(found)}
        if before is not None:
            compared = _compare(before, candidate, bounds)
            refused += _losses(mode, compared, bounds)
            largest = max([largest, *(-one.mean for one in compared[ALL].values())])
            figures[mode] |= {"live_run": before.run_id, "live_means": _means(summary(before))}
    detail = {
        "golden": asked.name,
        "questions": len(asked.questions),
        "live": live.version_id if live else None,
        "refused": _limit_reasons(refused),
        "figures": figures,
    }
    return Gate(QUALITY, not refused, round(largest, 6), bounds.tolerance, detail)


def load_judged_runs(connection: Pg, gate: Gate) -> dict[str, tuple[Run | None, Run]]:
    """The kept runs that a result of the gate rests on, by mode, hybrid first: the live version's, if there
    was one, and the candidate's."""
    figures: Mapping[str, Any] = gate.detail.get("figures", {})
    return {
        mode: (
            get_run(connection, figures[mode]["live_run"]) if "live_run" in figures[mode] else None,
            get_run(connection, figures[mode]["run"]),
        )
        for mode in QualityBounds().modes
        if mode in figures
    }


def _limit_reasons(reasons: Sequence[str]) -> list[str]:
    more = len(reasons) - MAX_REASONS
    return [*reasons[:MAX_REASONS], *([f"and {more:,} more reasons"] if more > 0 else [])]


def _means(found: RunSummary) -> dict[str, float]:
    return {measure: round(one.mean, 6) for measure, one in found.figures.get(ALL, {}).items()}


def _compare(before: Run, candidate: Run, bounds: QualityBounds) -> dict[str, dict[str, Difference]]:
    """Differences by slice and measure; small slices are left out."""
    pairs = pair_answers(before, candidate)
    after = {answer.id: answer for _, answer in pairs}
    return {
        name: differences([(answer, after[answer.id]) for answer in answers])
        for name, answers in slices_of(answer for answer, _ in pairs).items()
        if name == ALL or len(answers) >= bounds.slice_questions
    }


def _losses(
    mode: str, compared: Mapping[str, Mapping[str, Difference]], bounds: QualityBounds
) -> Iterator[str]:
    """What fell by more than the tolerance and not by chance; slices share one `alpha` (Bonferroni)."""
    slices = max(1, len(compared) - 1)
    for name, by_measure in compared.items():
        tolerance = bounds.tolerance if name == ALL else bounds.slice_tolerance
        alpha = bounds.alpha if name == ALL else bounds.alpha / slices
        for measure, one in by_measure.items():
            if one.mean < -tolerance and one.p_worse < alpha:
                where = "" if name == ALL else f" of {name}"
                yield (
                    f"{mode}: {measure}{where} is {-one.mean:.4f} below the live version's "
                    f"(tolerance {tolerance:g}, {one.n} questions, p {one.p_worse:.4f})"
                )


def _below_floors(mode: str, found: RunSummary, bounds: QualityBounds) -> Iterator[str]:
    for name, floors in {ALL: bounds.floors, **bounds.slice_floors}.items():
        for measure, floor in floors.items():
            mean = found.figures.get(name, {}).get(measure)
            where = "" if name == ALL else f" of {name}"
            if mean is None:
                yield f"{mode}: there is no {measure}{where} to hold against its floor {floor:g}"
            elif mean.mean < floor:
                yield f"{mode}: {measure}{where} is {mean.mean:.4f}, below its floor {floor:g}"


def _violations(mode: str, candidate: Run) -> Iterator[str]:
    """What came back and must not; that the live version returns it too is no excuse."""
    for answer in candidate.answers:
        for violation in answer.violations:
            yield f"{mode}: question {answer.id}: {violation}"


def _too_slow(mode: str, before: Run | None, candidate: Run, bounds: QualityBounds) -> Iterator[str]:
    allowed = bounds.latency_ms
    if before is not None:
        allowed = max(allowed, bounds.latency_factor * _p95(before.answers))
    took = _p95(candidate.answers)
    if took > allowed:
        yield f"{mode}: a search takes {took:.0f} ms at p95, allowed are {allowed:.0f} ms"


def _p95(answers: Sequence[QuestionScore]) -> float:
    import numpy as np

    return float(np.percentile([answer.search_ms for answer in answers], 95))
