"""Runs the suites over a source, and keeps the results where promotion reads them.

What belongs here: the parameters of the suites' queries and the stored results. What does not: expectations
(`suites`), the library that computes them (`library`), and what a failure means for a run (`orchestration`)
or a version (`gates`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import logs
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.quality.library import ExpectationResult, run_suite
from rag_pipelines.quality.suites import Suite, chunks_suite, documents_suite, own_suite, vectors_suite
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Pg, query
from rag_pipelines.sync.targets import source_targets

log = logs.get(__name__)

SUITES = ("documents", "chunks", "vectors")
"""The names of the built-in suites, in the order of the stages."""

RunSuite = Callable[[str, Suite, Mapping[str, Any]], list[ExpectationResult]]
"""Runs a suite: the URL of the database, the suite, the parameters of its query."""


def suite_names(settings: Settings, source: str) -> list[str]:
    """The suites that look at `source`: the built-in ones, then those of the configuration."""
    return [*SUITES, *(name for name, suite in settings.quality.suites.items() if suite.covers(source))]


def suite_of(settings: Settings, source: str, name: str) -> Suite:
    """The suite `name` with the bounds that hold for `source`."""
    if name == "documents":
        chosen = settings.source(source)
        return documents_suite(chosen.delete_guard.share, chosen.quarantine.documents, chosen.quarantine.age)
    if name in settings.quality.suites:
        return own_suite(name, settings.quality.suites[name])
    return {"chunks": chunks_suite, "vectors": vectors_suite}[name]()


def check_source(
    runtime: Runtime,
    source: str,
    *,
    names: Iterable[str] | None = None,
    run: RunSuite | None = None,
) -> list[ExpectationResult]:
    """Run suites over what is stored of `source` and keep the results.

    Args:
        names: which suites; by default all that look at the source.
        run: how a suite is run; by default `run_suite`, in this process.

    Raises:
        UsageError: there is no such source.
        ConfigError: Great Expectations refuses the arguments of an expectation.
        TransientError: Postgres cannot be reached.
    """
    runtime.settings.source(source)
    results: list[ExpectationResult] = []
    with runtime.database.connect() as connection:
        params = _params(connection, runtime.settings, source, runtime.embedders)
        if params is None:
            return []
        known = suite_names(runtime.settings, source)
        query(connection, "forget_retired_quality", {"source_id": params["source_id"], "suites": known})
        for name in known if names is None else names:
            found = (run or run_suite)(
                runtime.database.session_url, suite_of(runtime.settings, source, name), params
            )
            _store(connection, params["source_id"], name, found)
            for one in found:
                log.log(
                    logging.INFO if one.passed else logging.WARNING,
                    "expectation passed" if one.passed else "expectation failed",
                    source=source,
                    suite=one.suite,
                    expectation=one.expectation,
                    blocking=one.blocking,
                    rows=one.rows,
                    unexpected=one.unexpected,
                )
            results += found
    return results


def newest_results(connection: Pg, source: str) -> list[ExpectationResult]:
    """What suites found in what the newest run of a source left; empty where none ran after it."""
    rows = query(connection, "quality_of_last_run", {"source": source})
    return [msgspec.convert(row, ExpectationResult) for row in rows]


def _params(connection: Pg, settings: Settings, source: str, embedders: Embedders) -> dict[str, Any] | None:
    """What the suites' queries ask for; None for a source that has never been listed."""
    row = query(connection, "source_by_name", {"name": source}).fetchone()
    if row is None:
        return None
    targets = source_targets(connection, settings, source, embedders)
    losses = settings.source(source).losses
    words, kinds = list(losses.word_bounds()), list(losses.document_bounds())
    return {
        "source_id": row["source_id"],
        "max_bytes": settings.limits.parse.max_bytes,
        "least_words": losses.least_words,
        "word_types": [media_type for media_type, _ in words],
        "word_bounds": [most for _, most in words],
        "least_documents": losses.least_documents,
        "kind_types": [media_type for media_type, _, _ in kinds],
        "kinds": [kind for _, kind, _ in kinds],
        "kind_bounds": [most for _, _, most in kinds],
        "chunkers": [target.profile_id for target in targets.chunkers],
        "max_tokens": [
            None if spec.options.whole_document else spec.options.max_tokens or spec.tokenizer.max_tokens
            for spec in (target.spec for target in targets.chunkers)
        ],
        "models": [target.profile_id for target in targets.models],
        "model_chunkers": [target.chunker_id for target in targets.models],
        "dimensions": [target.embedder.identity.dimensions for target in targets.models],
    }


def _store(connection: Pg, source_id: int, suite: str, results: Iterable[ExpectationResult]) -> None:
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
