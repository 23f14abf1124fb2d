"""What the quality gate found, as Dagster shows it: figures to plot, the report, the scores of versions.

What belongs here: stored runs of golden sets as metadata. What does not: judging
(`rag_pipelines.evaluation`), other metadata (`metadata`).
See https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.evaluation.report import judgement_report
from rag_pipelines.evaluation.run import ALL, Run, RunSummary
from rag_pipelines.evaluation.scoring import main_measure
from rag_pipelines.evaluation.store import version_scores
from rag_pipelines.gates.quality import load_judged_runs
from rag_pipelines.index.gate_results import Gate
from rag_pipelines.orchestration.metadata import Metadata, table
from rag_pipelines.store.database import Pg


def quality_metadata(connection: Pg, settings: Settings, index: str, gate: Gate) -> Metadata:
    """The report of a judgement, also as an HTML page under `data_dir`, and what versions scored before it.

    Nothing where the index has no golden set.
    """
    runs = load_judged_runs(connection, gate)
    if not runs:
        return {}
    report = judgement_report(index, runs)
    candidate = next(iter(runs.values()))[1]
    return {
        "report": dg.MetadataValue.md(report.markdown()),
        "report_page": dg.MetadataValue.path(_write_page(settings, index, report.html())),
        "scores_of_versions": _scores(connection, candidate),
    }


def quality_figures(gates: Iterable[Gate]) -> Metadata:
    """The main measure of each mode as a number of its own, which Dagster plots over versions."""
    found: Metadata = {}
    for gate in gates:
        for mode, figures in gate.detail.get("figures", {}).items():
            measure = main_measure(figures["means"])
            found[f"{mode}_{measure}"] = figures["means"].get(measure, 0.0)
    return found


def _scores(connection: Pg, candidate: Run) -> dg.TableMetadataValue | dg.TextMetadataValue:
    measure = main_measure(name for answer in candidate.answers for name in answer.figures)
    return table(
        {
            "version": row["version_id"],
            "state": row["state"],
            "mode": row["mode"],
            measure: _mean(found, measure),
            "questions": found.questions,
            "must_not_return": found.violations,
            "p95_ms": round(found.p95_ms, 1),
            "same_questions": row["same_questions"],
            "asked_at": row["started_at"],
        }
        for row, found in version_scores(connection, candidate)
    )


def _mean(found: RunSummary, measure: str) -> float:
    figure = found.figures.get(ALL, {}).get(measure)
    return round(figure.mean, 4) if figure else 0.0


def _write_page(settings: Settings, index: str, page: str) -> Path:
    """The page of an index's newest judgement; the one before it is written over."""
    path = settings.data_dir / "reports" / f"{index}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path
