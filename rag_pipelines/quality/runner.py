"""Runs the suites with Great Expectations inside Postgres, and keeps the results where promotion reads them.

What belongs here: the adapter and the parameters of the suites' queries. What does not: expectations
(`suites`), and what a failure means for a run (`orchestration`) or a version (`index.gates`).

A suite's query becomes one temporary table, on which the library computes counts; at most a few broken
rows come into this process. The library takes seconds to import, so that happens once a process: when the
first suite runs, or in the background before (`warm_up`).
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import Settings
from rag_pipelines.quality.suites import (
    Expectation,
    Suite,
    chunks_suite,
    documents_suite,
    parses_suite,
    vectors_suite,
)
from rag_pipelines.store.database import Database, Pg, mapped_errors, query
from rag_pipelines.store.sql import queries
from rag_pipelines.sync.targets import Embedders, source_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = 10
"""Broken rows kept of each expectation."""

_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
"""The library takes only a query that begins with SELECT."""

_ROWS = Expectation("rows", "ExpectTableRowCountToBeBetween", {"min_value": 0}, "How many rows there are.")

SUITES = ("documents", "parses", "chunks", "vectors")
"""The names of the suites, in the order of the stages."""


@dataclass(frozen=True)
class Result:
    """How one expectation came out. `unexpected` of `rows` broke it; `samples` holds some of them.

    `error` is set instead where the expectation could not be computed, which counts as failed.
    """

    suite: str
    expectation: str
    passed: bool
    blocking: bool
    rows: int | None = None
    unexpected: int | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


def warm_up() -> None:
    """Begin to import the library in the background; the first suite waits for it if need be.

    It takes about 3 s of a core, which the first stages of a run, waiting for files, parsers and Postgres,
    leave idle.
    """
    Thread(target=_library, name="warm-up of the quality library", daemon=True).start()


def suite_of(settings: Settings, source: str, name: str) -> Suite:
    """The suite `name` with the bounds that hold for `source`."""
    if name == "documents":
        return documents_suite(settings.source(source).delete_guard.share)
    return {"parses": parses_suite, "chunks": chunks_suite, "vectors": vectors_suite}[name]()


def check_source(
    database: Database,
    settings: Settings,
    source: str,
    *,
    embedders: Embedders,
    names: Iterable[str] = SUITES,
) -> list[Result]:
    """Run suites over what is stored of `source` and keep the results.

    Raises:
        UsageError: there is no such source.
        TransientError: Postgres cannot be reached.
    """
    settings.source(source)
    results: list[Result] = []
    with database.connect() as connection:
        params = _params(connection, settings, source, embedders)
        if params is None:
            return []
        for name in names:
            found = run_suite(database.url, suite_of(settings, source, name), params)
            _store(connection, params["source_id"], name, found)
            results += found
    return results


def run_suite(url: str, suite: Suite, params: Mapping[str, Any]) -> list[Result]:
    """Run one suite over the rows of its query in the database at `url`; nothing is kept.

    Whether each expectation holds is asked first, which is cheap; broken rows are then looked for only
    where it does not.
    """
    with mapped_errors(), psycopg.connect(url) as connection:
        statement = _COMMENT.sub("", queries()[suite.query])
        rows = psycopg.ClientCursor(connection).mogrify(statement, params)
    with _batch(url, rows) as batch:
        answers = _validate(batch, suite.expectations, "BOOLEAN_ONLY")
        counted = [
            one for one in suite.expectations if not answers[one.name].success or "mostly" in one.arguments
        ]
        summary = {
            "result_format": "SUMMARY",
            "unexpected_index_column_names": list(suite.key),
            "partial_unexpected_count": SAMPLES,
        }
        answers |= _validate(batch, [*counted, _ROWS], summary)
    checked = answers[_ROWS.name].result.get("observed_value")
    return [_result(suite, one, answers[one.name], checked) for one in suite.expectations]


def _validate(batch: Any, expectations: Iterable[Expectation], result_format: Any) -> dict[str, Any]:
    """The library's answers by the names of the expectations."""
    library = _library()
    made = [
        getattr(library.expectations, one.kind)(**one.arguments, meta={"name": one.name})
        for one in expectations
    ]
    suite = library.ExpectationSuite(name="suite", expectations=made)
    report = batch.validate(suite, result_format=result_format)
    return {answer.expectation_config.meta["name"]: answer for answer in report.results}


def _params(connection: Pg, settings: Settings, source: str, embedders: Embedders) -> dict[str, Any] | None:
    """What the suites' queries ask for; None for a source that has never been listed."""
    row = query(connection, "source_by_name", {"name": source}).fetchone()
    if row is None:
        return None
    targets = source_targets(connection, settings, source, embedders)
    return {
        "source_id": row["source_id"],
        "max_bytes": settings.limits.parse.max_bytes,
        "chunkers": [target.profile_id for target in targets.chunkers],
        "max_tokens": [
            None if spec.options.whole_document else spec.options.max_tokens or spec.tokenizer.max_tokens
            for spec in (target.spec for target in targets.chunkers)
        ],
        "models": [target.profile_id for target in targets.models],
        "model_chunkers": [target.chunker_id for target in targets.models],
        "dimensions": [target.embedder.identity.dimensions for target in targets.models],
    }


def _store(connection: Pg, source_id: int, suite: str, results: Iterable[Result]) -> None:
    with connection.transaction():
        query(connection, "forget_quality", {"source_id": source_id, "suite": suite})
        for one in results:
            params = {
                "source_id": source_id,
                "suite": one.suite,
                "expectation": one.expectation,
                "passed": one.passed,
                "blocking": one.blocking,
                "rows_checked": one.rows,
                "unexpected": one.unexpected,
                "samples": Jsonb(one.samples),
                "error": one.error,
            }
            query(connection, "put_quality", params)


def _library() -> Any:
    """The library, imported; it must know of no telemetry before."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations.expectations

    return great_expectations


@cache
def _context() -> Any:
    """The library's context: in memory and silent."""
    context: Any = _library().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


@contextmanager
def _batch(url: str, rows: str) -> Iterator[Any]:
    """The rows of a query as a batch. The connection string stays out of the library's configuration."""
    sources, name = _context().data_sources, uuid4().hex
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = sources.add_sql(
            name, connection_string="postgresql+psycopg://", kwargs={"creator": lambda: psycopg.connect(url)}
        )
    try:
        with mapped_errors():
            yield source.add_query_asset(name, query=rows).add_batch_definition_whole_table(name).get_batch()
    finally:
        source.get_engine().dispose()
        sources.delete(name)


def _result(suite: Suite, expectation: Expectation, answer: Any, rows: int | None) -> Result:
    """The library's answer to one expectation, as plain values."""
    raised = answer.exception_info or {}
    faults = [raised] if "raised_exception" in raised else list(raised.values())
    errors = [fault["exception_message"] for fault in faults if fault.get("raised_exception")]
    found = answer.result
    return Result(
        suite.name,
        expectation.name,
        passed=bool(answer.success) and not errors,
        blocking=expectation.blocking,
        rows=rows,
        unexpected=found.get("unexpected_count", 0 if answer.success else None),
        samples=[_plain(row) for row in found.get("partial_unexpected_index_list") or []],
        error=errors[0].partition("\n[SQL")[0] if errors else None,
    )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in row.items()
    }
