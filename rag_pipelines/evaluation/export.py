"""Kept runs in the forms of other evaluation tools, which judge passages by a model, or keep figures.

What belongs here: these forms. What does not: BEIR and TREC (`trec`), making runs (`run`). They are those of

- RAGAS, `EvaluationDataset.from_jsonl`: ``user_input``, ``retrieved_contexts``, ``reference_contexts``
- DeepEval, `add_test_cases_from_json_file`: ``input``, ``actual_output``, ``retrieval_context``, ``context``
- TruLens, `add_ground_truth_to_dataset`: ``query``, ``query_id``, ``expected_chunks`` (a ``text`` each), and
  what came back
- MLflow, a run with parameters and metrics, by its own client

We write no answers, so ``actual_output`` is empty: metrics of passages need none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.run import ALL, Run, summary
from rag_pipelines.store.database import Pg, query

_MLFLOW_NAME = re.compile(r"[^A-Za-z0-9_\-. /]")


class Sample(msgspec.Struct, frozen=True):
    """A question with the text of what came back, best first, and the quotes that were expected."""

    id: str
    query: str
    retrieved: tuple[str, ...]
    expected: tuple[str, ...]


class Samples(msgspec.Struct, frozen=True):
    """Those of a run. `gone` passages were collected since, and are left out."""

    samples: tuple[Sample, ...]
    gone: int


def samples_of(connection: Pg, run: Run, golden: GoldenSet | None = None) -> Samples:
    """The questions of a run with texts. Quotes are known where the golden set is given."""
    wanted = sorted({hit.chunk_id for answer in run.answers for hit in answer.hits})
    keys, ordinals = [], []
    for chunk_id in wanted:
        key, _, ordinal = chunk_id.rpartition("-")
        keys.append(key)
        ordinals.append(int(ordinal))
    rows = query(connection, "passage_texts", {"keys": keys, "ordinals": ordinals})
    texts = {f"{row['key'].hex}-{row['ordinal']}": row["text"] for row in rows}
    quotes = {
        question.id: tuple(one.quote for one in question.expect or () if one.quote)
        for question in (golden.questions if golden else ())
    }
    samples = tuple(
        Sample(
            answer.id,
            answer.query,
            tuple(texts[hit.chunk_id] for hit in answer.hits if hit.chunk_id in texts),
            quotes.get(answer.id, ()),
        )
        for answer in run.answers
    )
    return Samples(samples, len(wanted) - len(texts))


def _ragas(sample: Sample) -> dict[str, Any]:
    return {
        "user_input": sample.query,
        "retrieved_contexts": sample.retrieved,
        "reference_contexts": sample.expected,
    }


def _deepeval(sample: Sample) -> dict[str, Any]:
    return {
        "name": sample.id,
        "input": sample.query,
        "actual_output": "",
        "retrieval_context": sample.retrieved,
        "context": sample.expected,
    }


def _trulens(sample: Sample) -> dict[str, Any]:
    return {
        "query": sample.query,
        "query_id": sample.id,
        "expected_chunks": [{"text": quote} for quote in sample.expected],
        "retrieved_chunks": sample.retrieved,
    }


FORMS: Mapping[str, Callable[[Sample], dict[str, Any]]] = {
    "deepeval": _deepeval,
    "ragas": _ragas,
    "trulens": _trulens,
}


def write_samples(path: Path, samples: Iterable[Sample], form: str) -> int:
    """Write them for a tool, for this user only: they hold text of documents. Returns how many."""
    made = [FORMS[form](sample) for sample in samples]
    lines = [msgspec.json.encode(one) for one in made]
    text = (
        b"[" + b",\n".join(lines) + b"]\n" if form == "deepeval" else b"".join(line + b"\n" for line in lines)
    )
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    return len(made)


def figures_for_mlflow(run: Run) -> tuple[dict[str, str], dict[str, float]]:
    """Parameters and metrics of a run, by names that MLflow takes: ``nDCG@10`` is ``nDCG_at_10``."""
    found = summary(run)
    parameters = {
        "index": run.index,
        "version": str(run.version),
        "golden": run.golden,
        "golden_key": run.golden_key,
        **{f"setting.{key}": str(value) for key, value in run.setting.items()},
    }
    metrics = {
        _metric(measure, None if part == ALL else part): one.mean
        for part, figures in found.figures.items()
        for measure, one in figures.items()
    }
    counts = {"questions": found.questions, "violations": found.violations}
    return parameters, {**metrics, **counts, "p50_ms": found.p50_ms, "p95_ms": found.p95_ms}


def log_to_mlflow(run: Run, experiment: str) -> str:
    """Keep a run's figures in the MLflow that MLFLOW_TRACKING_URI names; returns its number there.

    Raises:
        UsageError: the client is not installed.
        TransientError: MLflow refuses, or does not answer.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow
    except ImportError as error:
        raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[mlflow]'") from error
    parameters, metrics = figures_for_mlflow(run)
    try:
        mlflow.set_experiment(experiment)
        with mlflow.start_run(run_name=run.name) as started:
            mlflow.log_params(parameters)
            mlflow.log_metrics(metrics)
            return str(started.info.run_id)
    except mlflow.exceptions.MlflowException as error:
        raise TransientError(f"MLflow did not take the run: {error}") from error


def _metric(measure: str, part: str | None) -> str:
    name = measure.replace("@", "_at_") if part is None else f"{part}/{measure.replace('@', '_at_')}"
    return _MLFLOW_NAME.sub("_", name)
