"""What unfinished runs of an instance work on, for sensors that must not get in their way."""

from __future__ import annotations

import dagster as dg

from rag_pipelines.orchestration.names import OBSERVE_CATALOGUE

PARTITION = "dagster/partition"

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def list_unfinished_runs(instance: dg.DagsterInstance, *, all_jobs: bool = False) -> list[dg.DagsterRun]:
    """Runs that wait or work; without `all_jobs` not those that only record."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run for run in runs if all_jobs or run.job_name != OBSERVE_CATALOGUE]


def busy_partitions(instance: dg.DagsterInstance) -> set[str]:
    """Sources that an unfinished run works on, whichever job or backfill it belongs to."""
    return {run.tags[PARTITION] for run in list_unfinished_runs(instance) if PARTITION in run.tags}
