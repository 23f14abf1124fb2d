"""Checks: the quality suites between the stages, and the gates of an index candidate.

What belongs here: how a result looks in Dagster. What does not: what is checked (`rag_pipelines.quality`,
`rag_pipelines.gates.checks`). A blocking check stops its own run only; what refuses a promotion in every run
is the stored result, which `promote` reads. No check may be left out of its group (`can_subset` stays off),
because Dagster lets a run pass a blocking check that was not evaluated.
See https://docs.dagster.io/guides/test/asset-checks
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

import re

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.index.gate_results import GATE_MEANINGS, QUALITY, REQUIRED_GATES, Gate, gates_of
from rag_pipelines.index.versions import candidate_version, live_version
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.orchestration.disclosure import disclosed, is_public
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.index_assets import candidate_key
from rag_pipelines.orchestration.ingest_assets import CHUNKS, EMBEDDINGS, PARSED
from rag_pipelines.orchestration.partitions import source_of, source_partitions
from rag_pipelines.orchestration.quality_metadata import quality_metadata
from rag_pipelines.quality.library import ExpectationResult
from rag_pipelines.quality.runner import RunSuite, check_source, newest_results, suite_names
from rag_pipelines.quality.suites import Suite, chunks_suite, documents_suite, own_suite, vectors_suite
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database, Pg


def quality_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The suites of each stage's asset, built-in and configured, evaluated for the partition of the run."""
    built_in = (documents_suite(), chunks_suite(), vectors_suite())
    own = (own_suite(name, chosen) for name, chosen in settings.quality.suites.items())
    return [_suite_checks(settings, _asset_of(settings, suite.name), suite) for suite in (*built_in, *own)]


def quality_results(connection: Pg, settings: Settings, source: str) -> list[dg.AssetCheckResult]:
    """What suites found in what the newest run of a source left, whoever had them run."""
    configured = {*STAGES, *settings.quality.suites}
    public = is_public(connection, source)
    return [
        _expectation_check(
            _asset_of(settings, one.suite),
            _check_name(settings, one.suite, one.expectation),
            source,
            one,
            public=public,
        )
        for one in newest_results(connection, source)
        if one.suite in configured
    ]


STAGES = {"documents": PARSED, "chunks": CHUNKS, "vectors": EMBEDDINGS}
"""The asset that the rows of a stage belong to; the built-in suites are named after the stages."""


def _asset_of(settings: Settings, suite: str) -> dg.AssetKey:
    own = settings.quality.suites.get(suite)
    return STAGES[own.stage if own else suite]


def gate_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The gates of every index's candidate."""
    return [_gate_checks(name) for name in settings.indexes]


def _suite_checks(settings: Settings, key: dg.AssetKey, suite: Suite) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(
            _check_name(settings, suite.name, one.name),
            asset=key,
            description=one.description,
            blocking=one.blocking,
            partitions_def=source_partitions(settings),
        )
        for one in suite.expectations
    ]

    @dg.multi_asset_check(name=f"{suite.name.replace('-', '_')}_quality", specs=specs)
    def checks(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
        quality: dg.ResourceParam[RunSuite],
    ):
        source = source_of(context)
        if suite.name not in suite_names(settings, source):
            note = {"source": source, "skipped": "this suite is not for this source"}
            for spec in specs:
                yield dg.AssetCheckResult(asset_key=key, check_name=spec.name, passed=True, metadata=note)
            return
        with dagster_failures():
            results = check_source(
                Runtime(database, settings, embedders), source, names=[suite.name], run=quality
            )
        with database.connection() as connection:
            public = is_public(connection, source)
        for one in results:
            name = _check_name(settings, suite.name, one.expectation)
            yield _expectation_check(key, name, source, one, public=public)

    return checks


def _check_name(settings: Settings, suite: str, expectation: str) -> str:
    """Checks of configured suites carry the suite's name, so that they stand apart from the built-in ones."""
    name = f"{suite}__{expectation}" if suite in settings.quality.suites else expectation
    return re.sub(r"\W", "_", name)


def _expectation_check(
    key: dg.AssetKey, name: str, source: str, result: ExpectationResult, *, public: bool
) -> dg.AssetCheckResult:
    found: shown.Metadata = {"source": source}
    if result.rows is not None:
        found["rows_checked"] = result.rows
    if result.unexpected is not None:
        found["unexpected_rows"] = result.unexpected
    if result.rows and result.unexpected is not None:
        found["unexpected_share"] = round(result.unexpected / result.rows, 6)
    if result.samples:
        found["broken_rows" if not result.passed else "unexpected_samples"] = shown.table(result.samples)
    if result.error:
        found["error"] = result.error
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.ERROR if result.blocking else dg.AssetCheckSeverity.WARN,
        metadata=disclosed(found, public=public),
    )


def _gate_checks(name: str) -> dg.AssetChecksDefinition:
    key = candidate_key(name)
    specs = [
        dg.AssetCheckSpec(gate, asset=key, blocking=True, description=f"Gate of promotion: {meaning}")
        for gate, meaning in GATE_MEANINGS.items()
    ]

    @dg.multi_asset_check(name=f"{name.replace('-', '_')}_gates", specs=specs)
    def checks(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
    ):
        with dagster_failures(), database.connection() as connection:
            results = gate_results(connection, settings, name)
        yield from results

    return checks


def gate_results(connection: Pg, settings: Settings, name: str) -> list[dg.AssetCheckResult]:
    """The stored gates of an index's candidate, of its live version where there is none."""
    version = candidate_version(connection, name) or live_version(connection, name)
    stored = gates_of(connection, version.version_id) if version else []
    results = {gate.gate: gate for gate in stored}
    quality = results.get(QUALITY)
    answered = quality_metadata(connection, settings, name, quality) if quality else {}
    number = version.version_id if version else None
    return [
        _gate_check(candidate_key(name), gate, number, results.get(gate), answered if gate == QUALITY else {})
        for gate in REQUIRED_GATES
    ]


def _gate_check(
    key: dg.AssetKey, name: str, version: int | None, gate: Gate | None, more: shown.Metadata
) -> dg.AssetCheckResult:
    found: shown.Metadata = {"version": version if version is not None else "none"}
    if gate is None:
        found["missing"] = "the gate has not been run for this version"
    else:
        figures = {"observed": gate.observed, "threshold": gate.threshold}
        found |= {figure: value for figure, value in figures.items() if value is not None}
        found |= {part: shown.detail(value) for part, value in gate.detail.items()} | more
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=gate is not None and gate.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=found,
    )
