"""Runs of the jobs in this process: backfills without a daemon, recorded in the Dagster instance.

What belongs here: one `ingest_source` run a source, and the `build_index` run after them. What does not: the
command line, the definitions (it is handed the jobs), and backfills through the daemon, which need no code of
ours. A run of Dagster starts no other in this way (`run_others`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from rag_pipelines.errors import UsageError
from rag_pipelines.orchestration.ingest_assets import RAW, ListingConfig

SILENT = {"console": {"config": {"log_level": "CRITICAL"}}}
"""The caller says on the console what happened; the instance has the whole log."""


@dataclass(frozen=True)
class RunOutcome:
    """How one run ended. `name` is the source or the job.

    `failed_checks` names blocking and warning checks as ``asset.check``; `error` says why the run failed.
    """

    name: str
    run_id: str
    success: bool
    error: str | None = None
    failed_checks: tuple[str, ...] = ()


def run_backfill(
    job: dg.JobDefinition,
    sources: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    full: bool = False,
    allow_deletes: bool = False,
    continue_on_failure: bool = False,
    instance: dg.DagsterInstance | None = None,
    ended: Callable[[RunOutcome], None] = lambda outcome: None,
) -> list[RunOutcome]:
    """Run the job `ingest_source` for each source, in order, in this process; no daemon is needed.

    Args:
        job: the job, as `shared_definitions` resolves it.
        since, until: take only what was modified in this half-open window; deletes nothing, moves no cursor.
        full: list everything and load every document again.
        allow_deletes: apply deletions above the delete guard.
        continue_on_failure: go on with the next source after a failed one.
        instance: where the runs are recorded; by default the one of DAGSTER_HOME, else one in memory.
        ended: called as each run ends.

    Raises:
        UsageError: there is no such source; nothing was run.
    """
    known = job.partitions_def.get_partition_keys() if job.partitions_def else []
    for name in sources:
        if name not in known:
            raise UsageError(f"there is no source {name!r}; valid: {', '.join(known)}")
    config = ListingConfig(
        full=full,
        since=since.isoformat() if since else None,
        until=until.isoformat() if until else None,
        allow_deletes=allow_deletes,
    )
    outcomes: list[RunOutcome] = []
    with _instance(instance) as used:
        for name in sources:
            outcome = _execute(job, name, used, config, partition=name)
            outcomes.append(outcome)
            ended(outcome)
            if not outcome.success and not continue_on_failure:
                break
    return outcomes


def run_build(job: dg.JobDefinition, *, instance: dg.DagsterInstance | None = None) -> RunOutcome:
    """Run the job `build_index` in this process: every index in which something changed."""
    with _instance(instance) as used:
        return _execute(job, job.name, used)


def _execute(
    job: dg.JobDefinition,
    name: str,
    instance: dg.DagsterInstance,
    config: ListingConfig | None = None,
    partition: str | None = None,
) -> RunOutcome:
    run_config = dg.RunConfig({RAW.to_python_identifier(): config} if config else {}, loggers=SILENT)
    result = job.execute_in_process(
        instance=instance, partition_key=partition, run_config=run_config, raise_on_error=False
    )
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    return RunOutcome(
        name,
        result.run_id,
        result.success,
        None if result.success else "; ".join(_reasons(result.all_events, failed)),
        tuple(_check_name(check) for check in failed),
    )


def _reasons(events: Sequence[dg.DagsterEvent], failed: Sequence[dg.AssetCheckEvaluation]) -> Iterator[str]:
    """Why a run failed, for people: the failed blocking checks, and what failed steps said."""
    blocking = [_check_name(check) for check in failed if check.blocking]
    if blocking:
        yield f"blocking checks failed: {', '.join(blocking)}"
    for event in events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                yield data.user_failure_data.description
            elif data.error and data.error.cls_name != "DagsterAssetCheckFailedError":
                error = data.error
                while error.cause:
                    error = error.cause
                yield error.message.strip()


def _check_name(check: dg.AssetCheckEvaluation) -> str:
    return f"{check.asset_key.path[-1]}.{check.check_name}"


@contextmanager
def _instance(given: dg.DagsterInstance | None) -> Iterator[dg.DagsterInstance]:
    if given is not None:
        yield given
    elif os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.get() as instance:
            yield instance
    else:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
