"""Great Expectations, as this project uses it: a suite over the rows of a query, computed inside Postgres.

What belongs here: the adapter. What does not: expectations (`suites`), which rows they see (`runner`). The
query becomes a temporary table on which the library counts; at most a few broken rows come into this process.
The library takes seconds to import, so that happens once a process, when the first suite runs; `process`
does it beside other work.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4

import psycopg

from rag_pipelines.errors import DatabaseError
from rag_pipelines.quality.suites import Expectation, Suite
from rag_pipelines.store.database import mapped_errors
from rag_pipelines.store.sql import queries

SAMPLES = 10
"""Broken rows kept of each expectation."""

_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
"""The library takes only a query that begins with SELECT."""

_ROWS = Expectation("rows", "ExpectTableRowCountToBeBetween", {"min_value": 0}, "How many rows there are.")


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


def run_suite(url: str, suite: Suite, params: Mapping[str, Any]) -> list[Result]:
    """Run one suite over the rows of its query in the database at `url`; nothing is kept.

    Whether each expectation holds is asked first, which is cheap; broken rows are then looked for only
    where it does not.

    Raises:
        DatabaseError: the suite's rows cannot be read.
        TransientError: Postgres cannot be reached.
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
    library = load_library()
    made = [
        getattr(library.expectations, one.kind)(**one.arguments, meta={"name": one.name})
        for one in expectations
    ]
    suite = library.ExpectationSuite(name="suite", expectations=made)
    report = batch.validate(suite, result_format=result_format)
    return {answer.expectation_config.meta["name"]: answer for answer in report.results}


def load_library() -> Any:
    """Great Expectations, imported; it must be told of no telemetry before that."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations.expectations

    return great_expectations


@cache
def _context() -> Any:
    """The library's context: in memory and silent."""
    context: Any = load_library().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


@contextmanager
def _batch(url: str, rows: str) -> Iterator[Any]:
    """The rows of a query as a batch. The connection string stays out of the library's configuration."""
    from sqlalchemy.exc import SQLAlchemyError

    sources, name = _context().data_sources, uuid4().hex
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = sources.add_sql(
            name,
            connection_string="postgresql+psycopg://",
            kwargs={"creator": lambda: psycopg.connect(url)},
            create_temp_table=True,
        )
    try:
        asset = source.add_query_asset(name, query=rows)
        try:
            batch = asset.add_batch_definition_whole_table(name).get_batch()
        except SQLAlchemyError as error:
            raise DatabaseError(f"the rows to check cannot be read: {error.args[0]}") from error
        yield batch
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
