"""Keeps runs in Postgres: a row for a run, a row for each answer.

What belongs here: writing and reading runs. What does not: making them (`run`). Only the first `KEPT` hits
of an answer are kept; a TREC file holds them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg.types.json import Json, Jsonb

from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.run import Run, RunSummary, summary
from rag_pipelines.evaluation.scoring import QuestionScore
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.stored import FORMAT, Form, split_form

KEPT = 10

_VIOLATION = re.compile(r"(?P<document>.*) at rank (?P<rank>\d+) \((?P<because>\w+)\)", re.DOTALL)


class StoredRun(msgspec.Struct, frozen=True):
    """What of a run is not in columns of its own."""

    setting: dict[str, Any]
    summary: RunSummary
    answers: tuple[QuestionScore, ...] = ()


def _violations_as_values(stored: dict[str, Any]) -> dict[str, Any]:
    """The first form may hold violations as sentences."""
    answers = [
        {**answer, "violations": [_violation(one) for one in answer["violations"]]}
        for answer in stored.get("answers", ())
    ]
    return {**stored, "answers": answers}


def _violation(told: str | dict[str, Any]) -> dict[str, Any]:
    found = _VIOLATION.fullmatch(told) if isinstance(told, str) else None
    if found is not None:
        return {**found.groupdict(), "rank": int(found["rank"])}
    return told if isinstance(told, dict) else {"document": told, "rank": 0, "because": "other"}


EVALUATION_RUN = Form("evaluation run", StoredRun, (_violations_as_values,))
"""Its number stands in the summary, and is that of the whole run."""


def put_run(database: Database, run: Run) -> Run:
    """Store a run; returns it with its number."""
    kept = tuple(msgspec.structs.replace(answer, hits=answer.hits[:KEPT]) for answer in run.answers)
    stored = EVALUATION_RUN.encode(StoredRun(dict(run.setting), summary(run), kept))
    answers = [{**answer, "position": position} for position, answer in enumerate(stored["answers"])]
    params = {
        "index_name": run.index,
        "version_id": run.version,
        "golden": run.golden,
        "golden_key": run.golden_key,
        "label": run.label,
        "setting": Jsonb(stored["setting"]),
        "summary": Json({FORMAT: stored[FORMAT], **stored["summary"]}),
        "notes": list(run.notes),
        "started_at": run.started_at,
    }
    with database.transaction() as connection:
        row = query(connection, "put_evaluation", params).fetchone()
        assert row is not None
        query(connection, "put_evaluation_answers", {"run_id": row["run_id"], "answers": Json(answers)})
    return msgspec.structs.replace(run, run_id=row["run_id"])


def get_run(connection: Pg, run_id: int) -> Run:
    """A stored run. Raises `UsageError` if there is none."""
    row = query(connection, "evaluation", {"run_id": run_id}).fetchone()
    if row is None:
        raise UsageError(f"there is no evaluation run {run_id}; see `rag-pipelines eval runs`")
    stored = _read(row, query(connection, "evaluation_answers", {"run_id": run_id}).fetchall())
    return Run(
        run_id=row["run_id"],
        index=row["index_name"],
        version=row["version_id"],
        golden=row["golden"],
        golden_key=row["golden_key"],
        label=row["label"],
        setting=stored.setting,
        started_at=row["started_at"],
        answers=stored.answers,
        notes=tuple(row["notes"]),
    )


def list_runs(connection: Pg, index: str | None = None, limit: int = 50) -> list[tuple[Row, RunSummary]]:
    """Rows of runs with their summaries, newest first; of one index or of all."""
    rows = query(connection, "evaluations", {"index_name": index, "limit": limit})
    return [(row, _read(row).summary) for row in rows]


def version_scores(connection: Pg, run: Run, limit: int = 60) -> list[tuple[Row, RunSummary]]:
    """What the newest versions of the index of `run` scored on its golden set, by mode, newest first."""
    params = {
        "index_name": run.index,
        "golden": run.golden,
        "golden_key": run.golden_key,
        "limit": limit,
    }
    rows = query(connection, "version_scores", params)
    return [(row, _read(row).summary) for row in rows]


def names_of(connection: Pg, documents: Iterable[int]) -> dict[int, str]:
    """``source/external id`` of documents; those that are gone are left out."""
    rows = query(connection, "evaluation_names", {"documents": sorted(set(documents))})
    return {row["document_id"]: f"{row['source']}/{row['external_id']}" for row in rows}


def _read(row: Row, answers: Sequence[Row] = ()) -> StoredRun:
    number, figures = split_form(row["summary"])
    return EVALUATION_RUN.decode(
        {FORMAT: number, "setting": row.get("setting", {}), "summary": figures, "answers": list(answers)}
    )
