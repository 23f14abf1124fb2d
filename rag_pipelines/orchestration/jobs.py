"""Jobs: what a person, a schedule or a sensor starts by name.

What belongs here: selections of assets, and the few operations that are no asset. What does not: when a job
runs (`schedules`, `sensors`). All run their steps in one process, but for `ingest_source` where the
configuration names another executor: the steps share a model and a connection pool, and a process a step
would cost seconds each. Runs, not steps, go in parallel.
See https://docs.dagster.io/guides/build/jobs
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import RagError
from rag_pipelines.index.promotion import collect_versions, rollback
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.index_assets import candidate_key, live_key
from rag_pipelines.orchestration.ingest_assets import LOOKS
from rag_pipelines.orchestration.key_figures import KEY_FIGURES
from rag_pipelines.orchestration.names import BUILD_INDEX, INGEST_SOURCE, KEEP_KEY_FIGURES, VERIFY_SOURCE
from rag_pipelines.orchestration.observe import observe_catalogue
from rag_pipelines.orchestration.reconcile import COMPLETENESS
from rag_pipelines.orchestration.run_others import refresh_all, retry_quarantine
from rag_pipelines.retention import garbage
from rag_pipelines.retention.abandoned import mark_abandoned
from rag_pipelines.store.database import Database
from rag_pipelines.triggers.subscriptions import renew_subscriptions

PRUNE_PAGE = 100
"""Old runs read at once."""


def asset_jobs(settings: Settings) -> list[Any]:
    """The jobs that materialize assets, with the checks of these assets; by key, as groups may be renamed."""
    pairs = [key for name in settings.indexes for key in (candidate_key(name), live_key(name))]
    return [
        dg.define_asset_job(
            INGEST_SOURCE,
            selection=dg.AssetSelection.assets(*LOOKS),
            description="Bring what is stored of one source in line with it: list, parse, chunk, embed, with "
            "the quality checks in between.",
            tags=_tags(hours=6),
        ),
        dg.define_asset_job(
            BUILD_INDEX,
            selection=dg.AssetSelection.assets(*pairs),
            description="Build a candidate of each index in which something changed, judge it by its gates, "
            "and promote it if it passed.",
            executor_def=dg.in_process_executor,
            tags=_tags(hours=6),
        ),
        dg.define_asset_job(
            VERIFY_SOURCE,
            selection=dg.AssetSelection.assets(COMPLETENESS),
            description="Compare one source afresh with what is stored and indexed, and certify the result; "
            "with `repair` in its configuration, mend what drifted.",
            executor_def=dg.in_process_executor,
            tags=_tags(hours=6),
        ),
        dg.define_asset_job(
            KEEP_KEY_FIGURES,
            selection=dg.AssetSelection.assets(KEY_FIGURES),
            description="Compute the key figures of today, keep them, and judge them by their targets.",
            executor_def=dg.in_process_executor,
            tags=_tags(hours=1),
        ),
    ]


class RollbackConfig(dg.Config):
    """Which index goes back, and to which retired version: by default the one that was live last."""

    index: str
    version: int | None = None


class PruneConfig(dg.Config):
    """Finished runs older than `days` are forgotten, with their logs and events."""

    days: int = 90


@dg.op(description="Make a retired version of an index live again.")
def roll_back(
    context: dg.OpExecutionContext, config: RollbackConfig, database: dg.ResourceParam[Database]
) -> None:
    """Roll one index back."""
    with dagster_failures():
        version = rollback(database, config.index, config.version, actor=f"dagster run {context.run_id}")
    context.add_output_metadata(shown.version_metadata(version))


@dg.op(
    description="Drop versions that no reader and no rollback needs, by each index's `keep` settings; purge "
    "deleted documents whose grace is over; remove what nothing refers to."
)
def collect(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
) -> None:
    """Collect versions, expired documents and unreferenced content."""
    dropped: dict[str, Any] = {}
    with dagster_failures():
        mark_abandoned(database)
        for name, index in settings.indexes.items():
            versions = collect_versions(database, name, index)
            dropped[f"versions_of_{name}"] = ", ".join(map(str, versions)) or "none"
        removed = garbage.collect_garbage(database, settings)
    context.add_output_metadata({**dropped, **msgspec.structs.asdict(removed)})


@dg.op(description="Forget old finished runs; Dagster itself keeps the events of every run for ever.")
def prune(context: dg.OpExecutionContext, config: PruneConfig) -> None:
    """Delete old runs from the instance."""
    before = datetime.now(UTC) - timedelta(days=config.days)
    finished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        created_before=before,
    )
    deleted = 0
    while records := context.instance.get_run_records(finished, limit=PRUNE_PAGE):
        for record in records:
            context.instance.delete_run(record.dagster_run.run_id)
        deleted += len(records)
    context.add_output_metadata({"deleted_runs": deleted, "before": before.isoformat(timespec="seconds")})


@dg.op(
    description="Make and renew what vendors send notifications by, of each source with a webhook address."
)
def subscribe(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Renew subscriptions; one that failed fails the run, when the others are done."""
    errors: list[RagError] = []
    counts: dict[str, str] = {}
    for name, done in renew_subscriptions(settings, settings.sources):
        if isinstance(done, RagError):
            errors.append(done)
            continue
        counts[name] = f"{done.made} made, {done.renewed} renewed, {done.kept} kept, {done.ended} ended"
        errors += done.errors.values()
    context.add_output_metadata(counts)
    for error in errors:
        context.log.error(str(error))
    with dagster_failures():
        if errors:
            raise errors[0]


@dg.job(
    executor_def=dg.in_process_executor,
    description="Make a retired version of an index live again, in seconds and without a build. Stop "
    "`automation_sensor` or `index_staleness_sensor` first: it would promote the newest state again.",
)
def rollback_index() -> None:
    """Roll one index back."""
    roll_back()


@dg.job(
    executor_def=dg.in_process_executor,
    description="Drop index versions that nobody needs, purge deleted documents whose grace is over, and "
    "remove content that nothing refers to, also while runs and builds are under way.",
)
def collect_garbage() -> None:
    """Collect versions, expired documents and unreferenced content."""
    collect()


@dg.job(executor_def=dg.in_process_executor, description="Delete finished Dagster runs older than some days.")
def prune_runs() -> None:
    """Delete old runs."""
    prune()


@dg.job(
    executor_def=dg.in_process_executor,
    description="Ask Microsoft Graph and Google Drive for notifications, and again before they forget.",
)
def renew_webhooks() -> None:
    """Make and renew subscriptions."""
    subscribe()


def default_jobs(asset_jobs: Sequence[Any]) -> list[Any]:
    """Every job, those among them that materialize assets."""
    operations = [rollback_index, collect_garbage, prune_runs, renew_webhooks]
    return [*asset_jobs, refresh_all, retry_quarantine, observe_catalogue, *operations]


def _tags(*, hours: int) -> dict[str, str]:
    return {"dagster/max_runtime": str(hours * 3600)}
