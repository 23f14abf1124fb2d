"""Schedules: each source at its own times, a nightly full listing, and housekeeping. All begin stopped.

What belongs here: when. What does not: what a job does. A person starts a schedule in the UI, or with
`dagster schedule start NAME`.
See https://docs.dagster.io/guides/automate/schedules
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.orchestration.ingest_assets import RAW, ListingConfig
from rag_pipelines.orchestration.jobs import INGEST_SOURCE

NIGHTLY = "0 1 * * *"
DAILY = "30 4 * * *"
WEEKLY = "0 5 * * 0"


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
        dg.ScheduleDefinition(
            name="collect_garbage_daily",
            job_name="collect_garbage",
            cron_schedule=DAILY,
            description="Drop index versions that nobody needs any more.",
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
    def source_schedule() -> dg.RunRequest:
        return dg.RunRequest(partition_key=name)

    return source_schedule


def _full_listing(settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="full_listing_nightly",
        job_name=INGEST_SOURCE,
        cron_schedule=NIGHTLY,
        description="List everything of those sources that otherwise only name changes, and load it again, "
        "so that what their change feeds missed is mended. Other sources are listed in full by every run.",
    )
    def full_listing() -> Iterator[dg.RunRequest | dg.SkipReason]:
        feeds = [name for name in settings.sources if settings.connector(name).capabilities.changes]
        if not feeds:
            yield dg.SkipReason("no source has a change feed: every run lists everything already")
        for name in feeds:
            config = dg.RunConfig({RAW.to_python_identifier(): ListingConfig(full=True)})
            yield dg.RunRequest(partition_key=name, run_config=config)

    return full_listing
