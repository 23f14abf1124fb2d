"""What was done outside Dagster, told to Dagster: ingests, builds, promotions and verifications of the
command line on whatever machine, and what changes by itself, as when a source becomes overdue.

What belongs here: comparing what the catalogue holds with what the instance shows, and recording the
difference. What does not: how a thing looks (the modules of its assets and checks). The catalogue is the one
truth, and nothing but a comparison with it is kept, so any number of instances show the same.

The difference is recorded by a run and not by the sensor: Dagster keeps only one evaluation a partition that
belongs to no run (a second one breaks a unique index), and shows a check only if it names the materialization
that it looked at, which must have been recorded before.
See https://docs.dagster.io/guides/build/assets/external-assets
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from rag_pipelines.config.settings import Settings
from rag_pipelines.gates.canary import latest_reports
from rag_pipelines.index.gate_results import REQUIRED_GATES, gates_of
from rag_pipelines.index.versions import Version, candidate_version, live_version
from rag_pipelines.orchestration.busy import busy_partitions, list_unfinished_runs
from rag_pipelines.orchestration.canary import canary_result
from rag_pipelines.orchestration.checks import gate_results, quality_results
from rag_pipelines.orchestration.disclosure import is_public
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.index_assets import (
    candidate_key,
    candidate_metadata,
    live_key,
    live_metadata,
)
from rag_pipelines.orchestration.ingest_assets import LOOKS, RAW, SYNC_RUN, stage_metadata
from rag_pipelines.orchestration.names import ACTOR, OBSERVE_CATALOGUE
from rag_pipelines.orchestration.reconcile import (
    COMPLETENESS,
    certificate_metadata,
    certificate_results,
    certified_at,
)
from rag_pipelines.orchestration.state_checks import SOURCE_CHECKS, index_fresh
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.sync.report import RUN_REPORT
from rag_pipelines.verification.verify import newest_certificates

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation

NUMBERS = (SYNC_RUN, "version", "certified_at")
"""The figures that say what a materialization shows."""

AGAIN_SECONDS = 900
"""How long a difference that a run could not record waits for another run."""


def list_unrecorded(instance: dg.DagsterInstance, database: Database, settings: Settings) -> Iterator[Event]:
    """What the catalogue holds and the instance does not show, in the order in which it is to be recorded.

    Each event must be recorded before the next is asked for: a check looks for the materialization before it.
    What an unfinished run of Dagster works on is left to that run.
    """
    with database.connection() as connection:
        for source in settings.sources:
            yield from _SourceState(instance, connection, settings, source, partition=source).events()
        for index in settings.indexes:
            yield from _Index(instance, connection, settings, index).events()


class _Shown:
    """What an instance shows of one thing, against what the catalogue says of it."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Pg,
        settings: Settings,
        name: str,
        partition: str | None = None,
    ) -> None:
        self._instance = instance
        self._connection = connection
        self._settings = settings
        self._name = name
        self._partition = partition

    def materialization(self, key: dg.AssetKey) -> dg.EventLogRecord | None:
        """The newest materialization of an asset."""
        partitions = None if self._partition is None else [self._partition]
        wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=partitions)
        return next(iter(self._instance.fetch_materializations(wanted, limit=1).records), None)

    def figure(self, key: dg.AssetKey, name: str) -> Any:
        """One figure of the newest materialization of an asset; None where there is none."""
        record = self.materialization(key)
        made = record.asset_materialization if record else None
        value = made.metadata.get(name) if made else None
        return value.value if value else None

    def materialize(self, key: dg.AssetKey, metadata: Mapping[str, Any]) -> dg.AssetMaterialization:
        """A materialization that nobody has recorded."""
        return dg.AssetMaterialization(key, metadata=metadata, partition=self._partition)

    def evaluations(self, results: list[dg.AssetCheckResult]) -> Iterator[dg.AssetCheckEvaluation]:
        """Those results that say something else than what is shown, or of another materialization."""
        for one in results:
            assert one.asset_key is not None
            assert one.check_name is not None
            key = dg.AssetCheckKey(one.asset_key, one.check_name)
            record = self.materialization(one.asset_key)
            target = (
                AssetCheckEvaluationTargetMaterializationData(
                    run_id=record.run_id, storage_id=record.storage_id, timestamp=record.timestamp
                )
                if record
                else None
            )
            before = self._evaluation(key)
            if before and (before.passed, before.description) == (one.passed, one.description):
                looked_at = before.target_materialization_data
                if target is None or (looked_at and looked_at.storage_id == target.storage_id):
                    continue
            yield dg.AssetCheckEvaluation(
                asset_key=one.asset_key,
                check_name=one.check_name,
                passed=one.passed,
                severity=one.severity,
                description=one.description,
                metadata=one.metadata,
                target_materialization_data=target,
                partition=self._partition,
            )

    def _evaluation(self, key: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
        """The newest evaluation that is shown; None where the newest run planned one and never made it."""
        from dagster._core.storage.event_log.base import PartitionKeyFilter  # imports SQLAlchemy and Alembic

        records = self._instance.event_log_storage.get_asset_check_execution_history(
            key, limit=1, partition_filter=PartitionKeyFilter(key=self._partition)
        )
        known = records[0].evaluation if records else None
        return known if isinstance(known, dg.AssetCheckEvaluation) else None


class _SourceState(_Shown):
    """A source: its newest run by others, the checks of where it stands, its newest certificate."""

    def events(self) -> Iterator[Event]:
        run = query(self._connection, "last_run_of_others", {"source": self._name, "actor": ACTOR}).fetchone()
        certificates = newest_certificates(self._connection, self._name)
        if self._name in busy_partitions(self._instance):
            return
        if run is not None and self._is_news(run):
            report = RUN_REPORT.decode({"source": self._name, **run["report"]})
            for key in LOOKS:
                yield self.materialize(
                    key, stage_metadata(self._connection, self._settings, run, key, self._name, report)
                )
        if (
            self.materialization(RAW)
            or query(self._connection, "last_listing", {"source": self._name}).fetchone()
        ):
            answers = [
                answer(self._connection, self._settings, self._name) for answer, _ in SOURCE_CHECKS.values()
            ]
            yield from self.evaluations(answers)
        yield from self.evaluations(quality_results(self._connection, self._settings, self._name))
        if certificates:
            public = is_public(self._connection, self._name)
            if (self.figure(COMPLETENESS, "certified_at") or 0.0) < certified_at(certificates).timestamp():
                found = certificate_metadata(self._name, certificates, public=public)
                yield self.materialize(COMPLETENESS, found)
            yield from self.evaluations(certificate_results(self._name, certificates, public=public))

    def _is_news(self, run: Row) -> bool:
        """Whether the newest run that is shown is an older one."""
        record = self.materialization(RAW)
        number = self.figure(RAW, SYNC_RUN)
        if record is None or number is not None:
            return number is None or number < run["run_id"]
        return datetime.fromtimestamp(record.timestamp, UTC) < run["finished_at"]


class _Index(_Shown):
    """An index: its candidate with its gates and canary, its live version, and whether that is fresh."""

    def events(self) -> Iterator[Event]:
        live = live_version(self._connection, self._name)
        candidate = candidate_version(self._connection, self._name) or live
        if any("dagster/partition" not in run.tags for run in list_unfinished_runs(self._instance)):
            return
        if candidate is not None:
            key = candidate_key(self._name)
            if (self.figure(key, "version") or 0) < candidate.version_id:
                gates = gates_of(self._connection, candidate.version_id)
                yield self.materialize(key, candidate_metadata(self._connection, candidate, gates))
            if any(self.evaluations(self._verdicts(key, candidate))):
                yield from self.evaluations(gate_results(self._connection, self._settings, self._name))
            if reports := latest_reports(self._connection, self._name):
                yield from self.evaluations([canary_result(self._name, reports[0])])
        if live is not None:
            key = live_key(self._name)
            if self.figure(key, "version") != live.version_id:
                gates = gates_of(self._connection, live.version_id)
                found = live_metadata(self._connection, self._settings, live, gates)
                yield self.materialize(key, found)
            yield from self.evaluations([index_fresh(self._connection, self._settings, self._name)])

    def _verdicts(self, key: dg.AssetKey, version: Version) -> list[dg.AssetCheckResult]:
        """The gates without what they found, which costs more to put together."""
        passed = {gate.gate: gate.passed for gate in gates_of(self._connection, version.version_id)}
        return [
            dg.AssetCheckResult(asset_key=key, check_name=gate, passed=passed.get(gate, False))
            for gate in REQUIRED_GATES
        ]


@dg.op(description="Record what the catalogue holds and this instance does not show.")
def record_catalogue(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
):
    """Record every difference, materializations before the checks that look at them."""
    recorded: Counter[str] = Counter(materializations=0, evaluations=0)
    with dagster_failures():
        for event in list_unrecorded(context.instance, database, settings):
            yield event
            made = isinstance(event, dg.AssetMaterialization)
            recorded["materializations" if made else "evaluations"] += 1
    yield dg.Output(None, metadata=dict(recorded))


@dg.job(
    name=OBSERVE_CATALOGUE,
    executor_def=dg.in_process_executor,
    tags={"dagster/priority": "10"},
    description="Show in Dagster what was done outside it: runs, versions, gates, certificates and freshness "
    "as the catalogue has them. `catalogue_sensor` starts it when there is something to show.",
)
def observe_catalogue() -> None:
    """Record what is not shown."""
    record_catalogue()


@dg.sensor(
    job_name=OBSERVE_CATALOGUE,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Look whether the catalogue holds something that Dagster does not show (work of the command "
    "line, a source or an index that is late), and have it recorded.",
)
def catalogue_sensor(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
) -> dg.RunRequest | dg.SkipReason:
    """A run where there is a difference."""
    if any(
        run.job_name == OBSERVE_CATALOGUE for run in list_unfinished_runs(context.instance, all_jobs=True)
    ):
        return dg.SkipReason("what was not shown is being recorded")
    news = next(list_unrecorded(context.instance, database, settings), None)
    if news is None:
        return dg.SkipReason("Dagster shows what the catalogue holds")
    return dg.RunRequest(run_key=f"{_label(news)}:{int(time.time()) // AGAIN_SECONDS}")


def _label(event: Event) -> str:
    key, where = event.asset_key.to_user_string(), event.partition or ""
    if isinstance(event, dg.AssetCheckEvaluation):
        return f"{key}:{where}:{event.check_name}:{event.passed}:{event.description}"
    figure = (
        event.metadata.get(SYNC_RUN) or event.metadata.get("version") or event.metadata.get("certified_at")
    )
    return f"{key}:{where}:{figure.value if figure else ''}"
