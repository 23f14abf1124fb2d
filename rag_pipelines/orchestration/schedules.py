"""Schedules: each source at its own times, a nightly full listing, and housekeeping. All begin stopped.

What belongs here: when. What does not: what a job does. A person starts a schedule in the UI, or with
`dagster schedule start NAME`.
See https://docs.dagster.io/guides/automate/schedules
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.orchestration.busy import busy_partitions
from rag_pipelines.orchestration.ingest_assets import RAW, ListingConfig
from rag_pipelines.orchestration.names import INGEST_SOURCE, KEEP_KEY_FIGURES, VERIFY_SOURCE

NIGHTLY = "0 1 * * *"
VERIFYING = "0 3 * * *"
DAILY = "30 4 * * *"
MORNINGS = "0 6 * * *"
WEEKLY = "0 5 * * 0"
OFTEN = "17 */6 * * *"


def default_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Every schedule."""
    own = [
        _source_schedule(name, source.schedule)
        for name, source in settings.sources.items()
        if source.schedule
    ]
    return [
        *own,
        _full_listing(settings),
        _verification(settings),
        dg.ScheduleDefinition(
            name="collect_garbage_daily",
            job_name="collect_garbage",
            cron_schedule=DAILY,
            description="Drop old index versions, purge deleted documents whose grace is over, and remove "
            "what nothing refers to.",
        ),
        dg.ScheduleDefinition(
            name="key_figures_daily",
            job_name=KEEP_KEY_FIGURES,
            cron_schedule=MORNINGS,
            description="Keep the key figures of the day, and say which miss their target and what moved.",
        ),
        dg.ScheduleDefinition(
            name="renew_webhooks_often",
            job_name="renew_webhooks",
            cron_schedule=OFTEN,
            description="Ask for notifications of the sources with a webhook address again before they end.",
        ),
        dg.ScheduleDefinition(
            name="prune_runs_weekly",
            job_name="prune_runs",
            cron_schedule=WEEKLY,
            description="Delete old Dagster runs.",
        ),
    ]


def _source_schedule(name: str, cron: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"ingest_{name.replace('-', '_')}",
        job_name=INGEST_SOURCE,
        cron_schedule=cron,
        description=f"Ingest the source `{name}` at the times that its configuration gives.",
    )
    def source_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if name in busy_partitions(context.instance):
            return dg.SkipReason(f"{name} is being ingested")
        return dg.RunRequest(partition_key=name)

    return source_schedule


def _full_listing(settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="full_listing_nightly",
        job_name=INGEST_SOURCE,
        cron_schedule=NIGHTLY,
        description="List everything of those sources that otherwise only name changes, so that what their "
        "change feeds missed is mended; loaded is only what changed. Other sources are listed in full by "
        "every run.",
    )
    def full_listing(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        feeds = [name for name in settings.sources if settings.connector(name).capabilities.changes]
        if not feeds:
            yield dg.SkipReason("no source has a change feed: every run lists everything already")
        for name in feeds:
            config = dg.RunConfig({RAW.to_python_identifier(): ListingConfig(list_all=True)})
            yield dg.RunRequest(partition_key=name, run_config=config, run_key=_run_key(context, name))

    return full_listing


def _verification(settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="verify_daily",
        job_name=VERIFY_SOURCE,
        cron_schedule=VERIFYING,
        description="Compare every source afresh with what is stored and indexed, and certify the result.",
    )
    def verification(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if not settings.sources:
            yield dg.SkipReason("no source is configured")
        for name in settings.sources:
            yield dg.RunRequest(partition_key=name, run_key=_run_key(context, name))

    return verification


def _run_key(context: dg.ScheduleEvaluationContext, source: str) -> str:
    """Dagster asks for a key where one tick requests several runs."""
    return f"{source}:{context.scheduled_execution_time:%Y%m%dT%H%M}"
