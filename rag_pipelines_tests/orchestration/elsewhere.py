"""A stage whose steps work in other processes, which load this module to make the job anew.

What belongs here: the job and a run of it. What does not: the processes and services that work for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from rag_pipelines.config import load_config
from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.orchestration.ingest_assets import PARSED
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import QUIET

PARSE = "parse_alone"


def parse_job(config_file: str) -> dg.JobDefinition:
    """A job of the stage `parse` of a configuration, without its checks: their library costs seconds."""
    own = build_definitions(settings=load_config(config_file, {}))
    selection = dg.AssetSelection.assets(PARSED).without_checks()
    job = dg.define_asset_job(PARSE, selection=selection)
    return dg.Definitions.merge(own, dg.Definitions(jobs=[job])).resolve_job_def(PARSE)


@dataclass(frozen=True)
class Parsing:
    """How a run ended, and the process of each step of a shard that ended well, by the shard."""

    success: bool
    run_id: str
    processes: dict[str, int]


def parse(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    executor: dict[str, Any] | None = None,
    failed: str | None = None,
) -> Parsing:
    """Parse what was listed of `docs`, by the configured executor or by another; or repeat what failed so."""
    job = dg.build_reconstructable_job(__name__, parse_job.__name__, (str(workspace.config_file),))
    execution = {"execution": {"config": executor}} if executor else {}
    with dg.execute_job(
        job,
        instance,
        run_config={**execution, "loggers": QUIET},
        tags={"dagster/partition": "docs"},
        reexecution_options=dg.ReexecutionOptions.from_failure(failed, instance) if failed else None,
    ) as result:
        processes: dict[str, int] = {}
        for one in instance.all_logs(result.run_id, of_type=dg.DagsterEventType.STEP_OUTPUT):
            if one.dagster_event and "parse_shard[" in (one.step_key or ""):
                worker = one.dagster_event.step_output_data.metadata["worker"].value
                shard = (one.step_key or "").partition("[")[2].removesuffix("]")
                processes[shard] = int(str(worker).rpartition(":")[2])
        return Parsing(result.success, result.run_id, processes)
