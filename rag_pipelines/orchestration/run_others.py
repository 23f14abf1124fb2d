"""Jobs that want other jobs run: everything at once, and another try for what failed.

What belongs here: asking for runs. What does not: what is run (`jobs`). A run runs no other: it says in tags
of its own which sources are to be ingested, and a sensor requests these runs, which wait in the queue, have a
log each and end alone. The build waits for the last of them.
See https://docs.dagster.io/guides/automate/sensors/run-status-sensors
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from rag_pipelines.config.settings import Settings
from rag_pipelines.config.values import parse_duration
from rag_pipelines.errors import UsageError
from rag_pipelines.orchestration.busy import PARTITION
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.names import BUILD_INDEX, INGEST_SOURCE
from rag_pipelines.store.database import Database
from rag_pipelines.store.documents import QuarantineFilter, retry_quarantined

THEN_INGEST = "rag/then_ingest"
"""The tag that names the sources to ingest after a run, with commas."""

THEN_BUILD = "rag/then_build"
"""The tag that says that a build follows these ingests, if none of them failed."""

ASKED_BY = "rag/asked_by"
"""The tag that says which run asked for this one."""


def ask_for_ingests(context: dg.OpExecutionContext, sources: Sequence[str], *, build: bool = False) -> None:
    """Have these sources ingested once this run has succeeded, and what changed built after them."""
    if sources:
        tags = {THEN_INGEST: ",".join(sources), **({THEN_BUILD: "true"} if build else {})}
        context.instance.add_run_tags(context.run_id, tags)
    context.add_output_metadata({"asked_for": ", ".join(sources) or "none"})


def follow_ups(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[dg.RunRequest]:
    """What a run that succeeded asked for: its ingests, or the build after the last of those."""
    build = {THEN_BUILD: run.tags[THEN_BUILD]} if THEN_BUILD in run.tags else {}
    if THEN_INGEST in run.tags:
        for source in run.tags[THEN_INGEST].split(","):
            yield dg.RunRequest(
                job_name=INGEST_SOURCE,
                partition_key=source,
                run_key=f"{run.run_id}:{source}",
                tags={ASKED_BY: run.run_id, **build},
            )
    elif build and (asking := instance.get_run_by_id(run.tags.get(ASKED_BY, ""))):
        asked = dg.RunsFilter(tags={ASKED_BY: asking.run_id}, statuses=[dg.DagsterRunStatus.SUCCESS])
        done = {one.tags.get(PARTITION) for one in instance.get_runs(asked)}
        if done >= set(asking.tags[THEN_INGEST].split(",")):
            yield dg.RunRequest(job_name=BUILD_INDEX, run_key=f"{asking.run_id}:build")


def follow_up_sensor(jobs: Iterable[Any]) -> dg.SensorDefinition:
    """The sensor that requests what runs asked for; `jobs` are those that may be asked for."""

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="follow_up_sensor",
        default_status=dg.DefaultSensorStatus.RUNNING,
        request_jobs=list(jobs),
        description="Start what a run asked for: the ingests of `refresh_all` and `retry_quarantine`, and "
        "the build after the last of those.",
    )
    def sensor(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        requests = list(follow_ups(context.instance, context.dagster_run))
        yield from requests
        if not requests:
            yield dg.SkipReason("the run asked for nothing, or others are to end first")

    return sensor


@dg.op(description="Ask for the ingest of every source, and for a build after them.")
def refresh(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Ask for everything."""
    ask_for_ingests(context, list(settings.sources), build=True)


@dg.job(
    executor_def=dg.in_process_executor,
    description="Everything at once: ingest every source, each in a run of its own, then build what changed "
    "if none of them failed. `follow_up_sensor` starts these runs.",
)
def refresh_all() -> None:
    """Ingest and build everything."""
    refresh()


class RetryConfig(dg.Config):
    """Which quarantine entries are tried again: those that fit all that is given."""

    source: str | None = Field(default=None, description="Only this source.")
    stage: str | None = Field(default=None, description="Only this stage, such as fetch or parse.")
    status: str | None = Field(default=None, description="Only with this status, such as encrypted.")
    error_class: str | None = Field(
        default=None, description="Only with this error, such as ParseTimeoutError."
    )
    older_than: str | None = Field(
        default=None, description="Only what first failed at least this long ago, such as 7d."
    )
    ids: list[int] = Field(default=[], description="Only these entries.")
    everything: bool = Field(default=False, description="Everything, where nothing else is given.")

    @property
    def chosen(self) -> QuarantineFilter:
        """The filter. Raises `UsageError` where nothing is given, or what is no span of time."""
        age = None if self.older_than is None else _span(self.older_than)
        found = QuarantineFilter(self.source, self.stage, self.status, self.error_class, age, tuple(self.ids))
        if not (any(found) or self.everything):
            raise UsageError("nothing says what to retry; give a filter, or `everything: true`")
        return found


def _span(text: str) -> timedelta:
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"older_than: received {text!r}; valid: {error}") from None
    if not isinstance(found, timedelta):
        raise UsageError(
            f"older_than: received {text!r}; valid: a number with a unit, such as 90m, 24h or 7d"
        )
    return found


@dg.op(description="Let quarantine entries be tried again, and ask for the ingest of their sources.")
def retry_and_ingest(
    context: dg.OpExecutionContext,
    config: RetryConfig,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
) -> None:
    """Retry what the configuration chooses; each source is ingested in a run of its own."""
    with dagster_failures(), database.transaction() as connection:
        rows = retry_quarantined(connection, config.chosen)
    sources = [name for name in settings.sources if name in {row["source"] for row in rows}]
    context.add_output_metadata({"retried_entries": len(rows)})
    ask_for_ingests(context, sources)


@dg.job(
    executor_def=dg.in_process_executor,
    description="Try documents again that are in quarantine, by a filter, whatever was tried before, and "
    "ingest their sources, each in a run of its own that `follow_up_sensor` starts.",
)
def retry_quarantine() -> None:
    """Retry and ingest."""
    retry_and_ingest()
