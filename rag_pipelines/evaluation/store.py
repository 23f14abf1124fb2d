"""Keeps runs in Postgres: a row for a run, a row for each answer.

What belongs here: writing and reading runs. What does not: making them (`run`). Only the first `KEPT` hits
of an answer are kept; a TREC file holds them all.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from psycopg.types.json import Json, Jsonb

from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.run import Run, Summary, summary
from rag_pipelines.evaluation.scoring import Answer
from rag_pipelines.store.database import Database, Pg, Row, query

KEPT = 10


def put_run(database: Database, run: Run) -> Run:
    """Store a run; returns it with its number."""
    figures = msgspec.to_builtins(summary(run))
    answers = [
        {
            **msgspec.to_builtins(answer),
            "position": position,
            "hits": msgspec.to_builtins(answer.hits[:KEPT]),
        }
        for position, answer in enumerate(run.answers)
    ]
    params = {
        "index_name": run.index,
        "version_id": run.version,
        "golden": run.golden,
        "golden_key": run.golden_key,
        "label": run.label,
        "setting": Jsonb(dict(run.setting)),
        "summary": Json(figures),
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
    answers = query(connection, "evaluation_answers", {"run_id": run_id}).fetchall()
    return Run(
        run_id=row["run_id"],
        index=row["index_name"],
        version=row["version_id"],
        golden=row["golden"],
        golden_key=row["golden_key"],
        label=row["label"],
        setting=row["setting"],
        started_at=row["started_at"],
        answers=tuple(msgspec.convert(answer, Answer) for answer in answers),
        notes=tuple(row["notes"]),
    )


def list_runs(connection: Pg, index: str | None = None, limit: int = 50) -> list[tuple[Row, Summary]]:
    """Rows of runs with their summaries, newest first; of one index or of all."""
    rows = query(connection, "evaluations", {"index_name": index, "limit": limit})
    return [(row, msgspec.convert(row["summary"], Summary)) for row in rows]


def version_scores(connection: Pg, run: Run, limit: int = 60) -> list[tuple[Row, Summary]]:
    """What the newest versions of the index of `run` scored on its golden set, by mode, newest first."""
    params = {
        "index_name": run.index,
        "golden": run.golden,
        "golden_key": run.golden_key,
        "limit": limit,
    }
    rows = query(connection, "version_scores", params)
    return [(row, msgspec.convert(row["summary"], Summary)) for row in rows]


def names_of(connection: Pg, documents: Iterable[int]) -> dict[int, str]:
    """``source/external id`` of documents; those that are gone are left out."""
    rows = query(connection, "evaluation_names", {"documents": sorted(set(documents))})
    return {row["document_id"]: f"{row['source']}/{row['external_id']}" for row in rows}
