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

from rag_pipelines.config.suites import CONTENT_COLUMNS
from rag_pipelines.errors import ConfigError, DatabaseError, TransientError
from rag_pipelines.quality.suites import Expectation, Suite
from rag_pipelines.store.database import mapped_errors
from rag_pipelines.store.sql import queries

SAMPLES = 10
"""Broken rows kept of each expectation."""

_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
"""The library takes only a query that begins with SELECT."""

_ROWS = Expectation(
    "rows", "expect_table_row_count_to_be_between", {"min_value": 0}, "How many rows there are."
)


@dataclass(frozen=True)
class ExpectationResult:
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


def run_suite(url: str, suite: Suite, params: Mapping[str, Any]) -> list[ExpectationResult]:
    """Run one suite over the rows of its query in the database at `url`; nothing is kept.

    Whether each expectation holds is asked first, which is cheap; broken rows are then looked for only
    where it does not.

    Raises:
        ConfigError: the library refuses the arguments of an expectation.
        DatabaseError: the suite's rows cannot be read.
        TransientError: the database went away.
        TransientError: Postgres cannot be reached.
    """
    made = _make_all(suite)
    with _validator(url, suite, params) as validator:
        answers = _by_name(_validate(validator, made.values(), "BOOLEAN_ONLY"))
        counted = [
            made[one.name]
            for one in suite.expectations
            if not answers[one.name].success or "mostly" in one.arguments
        ]
        rows = _make(_ROWS)
        answers |= _by_name(_validate(validator, [*counted, rows], _summary(suite)))
    return _results(suite, answers)


def run_whole_suite(
    url: str, suite: Suite, params: Mapping[str, Any], name: str
) -> tuple[list[ExpectationResult], Any]:
    """What `run_suite` gives, and the library's own report called `name`, with figures of what holds too.

    Raises:
        As `run_suite`.
    """
    made = _make_all(suite)
    with _validator(url, suite, params) as validator:
        report = _validate(validator, made.values(), _summary(suite), name)
        rows = _validate(validator, [_make(_ROWS)], _summary(suite))
    return _results(suite, _by_name(report) | _by_name(rows)), report


def check_suites(suites: Iterable[Suite]) -> None:
    """Raises `ConfigError` with every argument of an expectation that the library refuses."""
    problems: list[str] = []
    for suite in suites:
        try:
            _make_all(suite)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems=problems)


def _make_all(suite: Suite) -> dict[str, Any]:
    """The library's own expectations of `suite`, by name. Raises `ConfigError` as `check_suites`."""
    problems: list[str] = []
    made: dict[str, Any] = {}
    for one in suite.expectations:
        try:
            made[one.name] = _make(one)
        except Exception as error:
            problems += _refusals(suite, one, error)
    if problems:
        raise ConfigError(problems=problems)
    return made


def _make(one: Expectation) -> Any:
    load_library()
    from great_expectations.expectations.registry import get_expectation_impl

    kind: Any = get_expectation_impl(one.kind)
    return kind(
        **one.arguments,
        meta={"name": one.name},
        description=one.description,
        severity="critical" if one.blocking else "warning",
    )


def _refusals(suite: Suite, one: Expectation, error: Exception) -> list[str]:
    """What the library has against the arguments of an expectation, one line for each."""
    from great_expectations.expectations.registry import get_expectation_impl

    place = f"quality.suites.{suite.name}, {one.name} ({one.kind})"
    if not hasattr(error, "errors"):
        return [f"{place}: {error}"]
    takes = sorted({*get_expectation_impl(one.kind).__fields__} - _FIELDS_OF_ALL)
    lines = []
    for fault in error.errors():
        argument = ".".join(str(part) for part in fault["loc"] if part != "__root__")
        lines.append(f"{place}: {f'{argument}: ' if argument else ''}{fault['msg']}")
    return [f"{line}; arguments that it takes: {', '.join(takes)}" for line in dict.fromkeys(lines)]


_FIELDS_OF_ALL = {
    *("id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content"),
    *("severity", "windows", "batch_id"),
}
"""Fields of every expectation that are not arguments, or that are ours to set."""


def _summary(suite: Suite) -> dict[str, Any]:
    """The library's form of a result with counts and a few broken rows, each by its key."""
    return {
        "result_format": "SUMMARY",
        "unexpected_index_column_names": list(suite.key),
        "partial_unexpected_count": SAMPLES,
    }


def _validate(validator: Any, expectations: Iterable[Any], result_format: Any, name: str = "suite") -> Any:
    """The library's report on the rows of a validator."""
    validator.result_format = result_format
    return validator.validate_expectation_suite(
        load_library().ExpectationSuite(name=name, expectations=list(expectations))
    )


def _by_name(report: Any) -> dict[str, Any]:
    return {answer.expectation_config.meta["name"]: answer for answer in report.results}


def load_library() -> Any:
    """Great Expectations, imported; it must be told of no telemetry before that."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations.expectations

    return great_expectations


@cache
def library_context() -> Any:
    """The library's context: in memory and silent."""
    context: Any = load_library().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context


@contextmanager
def _validator(url: str, suite: Suite, params: Mapping[str, Any]) -> Iterator[Any]:
    """The library's validator of the rows of a suite, which are read once; a batch reads them each time.
    The connection string stays out of the library's configuration.

    The library takes whatever a database answers for the answer of an expectation: a connection that broke in
    the block is noticed here.
    """
    from sqlalchemy.exc import SQLAlchemyError

    load_library()
    from great_expectations.validator.v1_validator import Validator

    with mapped_errors(), psycopg.connect(url) as connection:
        statement = _COMMENT.sub("", queries()[suite.query])
        rows = psycopg.ClientCursor(connection).mogrify(statement, params)
    made: list[psycopg.Connection] = []

    def connect() -> psycopg.Connection:
        made.append(psycopg.connect(url))
        return made[-1]

    sources, name = library_context().data_sources, uuid4().hex
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = sources.add_sql(
            name,
            connection_string="postgresql+psycopg://",
            kwargs={"creator": connect},
            create_temp_table=True,
        )
    try:
        asset = source.add_query_asset(name, query=rows)
        validator = Validator(asset.add_batch_definition_whole_table(name))
        _ = validator.active_batch_id  # The rows are read.
        yield validator
        _refuse_broken(made)
    except SQLAlchemyError as error:
        _refuse_broken(made)
        raise DatabaseError(f"the rows to check cannot be read: {error.args[0]}") from error
    finally:
        source.get_engine().dispose()
        sources.delete(name)


def _refuse_broken(connections: Iterable[psycopg.Connection]) -> None:
    """Raises `TransientError` where the database went away."""
    if any(connection.broken for connection in connections):
        raise TransientError("the connection to Postgres was lost while a quality suite ran")


def _results(suite: Suite, answers: Mapping[str, Any]) -> list[ExpectationResult]:
    """The library's answers, by the names of the expectations and with that of the rows, as plain values."""
    rows = answers[_ROWS.name].result.get("observed_value")
    return [_result(suite, one, answers[one.name], rows) for one in suite.expectations]


def _result(suite: Suite, expectation: Expectation, answer: Any, rows: int | None) -> ExpectationResult:
    raised = answer.exception_info or {}
    faults = [raised] if "raised_exception" in raised else list(raised.values())
    errors = [fault["exception_message"] for fault in faults if fault.get("raised_exception")]
    found = answer.result
    samples = [_plain(row) for row in found.get("partial_unexpected_index_list") or []]
    if not samples and not answer.success and isinstance(found.get("observed_value"), int | float):
        samples = [{"observed_value": found["observed_value"]}]
    return ExpectationResult(
        suite.name,
        expectation.name,
        passed=bool(answer.success) and not errors,
        blocking=expectation.blocking,
        rows=rows,
        unexpected=found.get("unexpected_count", 0 if answer.success else None),
        samples=samples,
        error=errors[0].partition("\n[SQL")[0] if errors else None,
    )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A broken row as plain values, without what its document says: results outlive documents."""
    return {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in row.items()
        if name not in CONTENT_COLUMNS
    }
