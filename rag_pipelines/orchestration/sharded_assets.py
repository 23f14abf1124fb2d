"""Assets of stages that are worked off in parts: a plan, a step a shard, and what all of them did.

What belongs here: the graph behind such an asset. What does not: how the asset looks (`ingest_assets`), what
a shard is and does (`sync.shards`), and where its steps run (`executors`).

Between the steps goes nothing that an executor would have to carry to another machine: a step knows its shard
by its mapping key, and leaves its report in its output's event, where the last step reads it. A shard that
failed is a step that failed; a re-execution from failure repeats it alone.
See https://docs.dagster.io/guides/build/ops/dynamic-graphs
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

import dagster as dg
from pydantic import Field

from rag_pipelines.config.execution import StageName
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.monitoring.lineage import Lineage
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.orchestration.disclosure import disclosed_report, is_public
from rag_pipelines.orchestration.executors import stage_tags
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.names import lineage_run
from rag_pipelines.orchestration.partitions import source_of
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.shards import BUCKETS, Shard
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.division import worthwhile_shards
from rag_pipelines.sync.report import RUN_REPORT, SyncReport
from rag_pipelines.sync.shards import record_shards, work_shard

REPORT = "report"
"""The figure of a shard's output that is its report."""

Show = Callable[[Database, str, SyncReport], shown.Metadata]
"""What a stage's materialization shows of a source, by what its shards did."""


def sharded_stage(
    settings: Settings,
    key: dg.AssetKey,
    above: dg.AssetKey,
    stage: Stage,
    name: StageName,
    show: Show,
    *,
    pool: str | None = None,
    **options: Any,
) -> dg.AssetsDefinition:
    """The asset `key` of a stage, as a graph of a plan, a step a shard and their collection."""
    light = stage_tags(settings.execution, "list")
    most = settings.execution.shards

    class PlanConfig(dg.Config):
        shards: int = Field(
            default=most,
            ge=1,
            le=BUCKETS,
            description="In how many parts at the most; one a batch of documents.",
        )

    @dg.op(
        name=f"plan_{name}",
        description="Divide what is pending into shards.",
        ins={"above": dg.In(dg.Nothing)},
        out=dg.DynamicOut(dg.Nothing),
        tags=light,
    )
    def plan(
        context: dg.OpExecutionContext,
        config: PlanConfig,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
    ) -> Iterator[dg.DynamicOutput[None]]:
        with dagster_failures():
            runtime = Runtime(database, settings, embedders)
            of = worthwhile_shards(runtime, source_of(context), config.shards, stage)
        for index in range(of):
            yield dg.DynamicOutput(None, mapping_key=f"{index}_of_{of}")

    @dg.op(
        name=f"{name}_shard",
        description="Bring the documents of one shard forward.",
        ins={"shard": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        tags=stage_tags(settings.execution, name),
        pool=pool,
    )
    def work(
        context: dg.OpExecutionContext,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
    ) -> dg.Output[None]:
        key = context.get_mapping_key()
        assert key is not None
        source, run = source_of(context), lineage_run(context.run)
        with dagster_failures(), Lineage(settings, database).ingest(source, run, begins=False, ends=False):
            report = work_shard(
                Runtime(database, settings, embedders),
                source,
                _shard_of(key),
                through=stage,
                progress=shown.log_progress(context.log.info),
            )
        with database.connection() as connection:
            public = is_public(connection, source_of(context))
        report = disclosed_report(report, public=public)
        for note in report.notes:
            context.log.warning(note)
        worker = f"{socket.gethostname()}:{os.getpid()}"
        found: shown.Metadata = {"worker": worker, REPORT: dg.MetadataValue.json(RUN_REPORT.encode(report))}
        return dg.Output(None, metadata=found)

    @dg.op(
        name=f"collect_{name}",
        description="Add what the shards did to the report of the run.",
        ins={"shards": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        tags=light,
    )
    def collect(
        context: dg.OpExecutionContext,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
    ) -> dg.Output[None]:
        source = source_of(context)
        reports = shard_reports(context, f"{name}_shard")
        run, ends = lineage_run(context.run), stage is Stage.EMBEDDED
        with dagster_failures(), Lineage(settings, database).ingest(source, run, begins=False, ends=ends):
            done = reduce(SyncReport.beside, reports, SyncReport(source))
            record_shards(database, source, [done], stage=True)
            found = show(database, source, done)
        return dg.Output(None, metadata={**found, "run_id": context.run_id, "shards": len(reports)})

    @dg.graph_asset(key=key, ins={"above": dg.AssetIn(key=above, dagster_type=dg.Nothing)}, **options)
    def advance(above):
        return collect(plan(above).map(work).collect())

    return advance


def shard_reports(context: dg.OpExecutionContext, work: str) -> list[SyncReport]:
    """What the shards of the graph of this step reported, each by its step `work`.

    Where this run repeats only what failed in an earlier one, the others' reports are there.
    """
    prefix = ".".join([*context.op_handle.path[:-1], f"{work}["])
    found: dict[Shard, SyncReport] = {}
    run: dg.DagsterRun | None = context.run
    while run and not (found and len(found) == next(iter(found)).of):
        for record in context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_OUTPUT):
            event = record.dagster_event
            if event is None or event.step_key is None or not event.step_key.startswith(prefix):
                continue
            shard = _shard_of(event.step_key.removeprefix(prefix).removesuffix("]"))
            if found and shard.of != next(iter(found)).of:
                continue
            report = event.step_output_data.metadata[REPORT]
            assert isinstance(report, dg.JsonMetadataValue)
            assert isinstance(report.data, Mapping)
            found.setdefault(shard, RUN_REPORT.decode(report.data))
        run = context.instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    return list(found.values())


def _shard_of(key: str) -> Shard:
    index, of = re.split("_of_", key)
    return Shard(int(index), int(of))
