"""Sensors: overdue sources, sources that were hinted at, stale indexes, and what a dead run leaves behind.

What belongs here: turning a question to our own database into run requests. What does not: the question
(`sync.freshness`, `index.build`). A sensor has a minute, so none of them speaks to a source, and of a queue
only so many messages are read (`triggers.drain`). Those that start work by themselves begin stopped.
See https://docs.dagster.io/guides/automate/sensors
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.index.build import pending_changes
from rag_pipelines.orchestration.busy import busy_partitions
from rag_pipelines.orchestration.index_assets import candidate_key, live_key
from rag_pipelines.orchestration.ingest_assets import LOOKS, RAW, ListingConfig
from rag_pipelines.orchestration.names import AUTOMATION, BUILD_INDEX, INGEST_SOURCE
from rag_pipelines.orchestration.observe import catalogue_sensor
from rag_pipelines.orchestration.run_others import follow_up_sensor
from rag_pipelines.retention.abandoned import mark_abandoned
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.documents import server_time
from rag_pipelines.store.hints import pending_hints
from rag_pipelines.sync.freshness import source_freshness
from rag_pipelines.triggers.drain import drain_queues

AUTOMATED = dg.SkipReason(f"{AUTOMATION} is switched on, and does this by the conditions of the assets")


@dg.sensor(
    job_name=INGEST_SOURCE,
    minimum_interval_seconds=60,
    description="Ingest each source whose last complete listing is older than its `freshness`. Reads times "
    "from the data, so a run that succeeded without listing everything does not count.",
)
def source_freshness_sensor(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One request for each overdue source that is not being ingested."""
    if is_automated(context):
        yield AUTOMATED
        return
    with database.connection() as connection:
        now = server_time(connection)
        sources = source_freshness(connection, settings)
    busy = busy_partitions(context.instance)
    waiting: list[str] = []
    for one in sources:
        if not one.overdue(now):
            waiting.append(f"{one.source} is due {one.due_at:%Y-%m-%d %H:%M %Z}")
        elif one.source in busy:
            waiting.append(f"{one.source} is being ingested")
        else:
            yield dg.RunRequest(
                run_key=f"{one.source}:{one.slot(now):%Y%m%dT%H%M%S}", partition_key=one.source
            )
    if len(waiting) == len(sources):
        yield dg.SkipReason("; ".join(waiting) or "no source is configured")


@dg.sensor(
    job_name=INGEST_SOURCE,
    minimum_interval_seconds=30,
    description="Ingest each source that a queue or a notification said something changed in (`triggers`): "
    "one run at a time, and one for the same hints, which stay until a run has looked.",
)
def events_sensor(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One request for each source that has hints and is not being ingested."""
    waiting = [
        f"the queue of {name} cannot be read: {error}"
        for name, error in drain_queues(database, settings, settings.sources).items()
    ]
    for reason in waiting:
        context.log.error(reason)
    with database.connection() as connection:
        hinted = pending_hints(connection, settings.sources).values()
    busy = busy_partitions(context.instance)
    requested = 0
    for one in hinted:
        if one.source in busy:
            waiting.append(f"{one.source} is being ingested")
        else:
            requested += 1
            yield dg.RunRequest(
                run_key=f"{one.source}:{one.newest.isoformat()}",
                partition_key=one.source,
                run_config=dg.RunConfig({RAW.to_python_identifier(): ListingConfig(hinted=True)}),
            )
    if not requested:
        yield dg.SkipReason("; ".join(waiting) or "no source was hinted at")


@dg.sensor(
    job_name=BUILD_INDEX,
    minimum_interval_seconds=60,
    description="Build and promote each index whose live version lacks something that its sources have. "
    "Waits until no source is being ingested; what failed its gates is not tried again until it changes.",
)
def index_staleness_sensor(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
    embedders: dg.ResourceParam[Embedders],
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One request for each stale index."""
    if is_automated(context):
        yield AUTOMATED
        return
    mark_abandoned(database)
    busy = busy_partitions(context.instance)
    stale = 0
    for name in settings.indexes:
        if busy & set(settings.sources_of(name)):
            continue
        state = pending_changes(Runtime(database, settings, embedders), name)
        if state is not None:
            stale += 1
            yield dg.RunRequest(
                run_key=f"{name}:{state}", asset_selection=[candidate_key(name), live_key(name)]
            )
    if not stale:
        reason = f"being ingested: {', '.join(sorted(busy))}" if busy else "every index is up to date"
        yield dg.SkipReason(reason)


def clean_up(database: Database) -> str:
    """Mark syncs and builds whose process is gone as failed; their locks went with them already."""
    found = mark_abandoned(database)
    return f"marked as failed: syncs of {found.sources or 'no source'}, versions {found.versions or 'none'}"


@dg.run_failure_sensor(
    name="clean_up_after_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="After a failed run: mark what a killed process left as running, so that people see the "
    "truth at once and not only when the next run begins.",
)
def clean_up_after_failure(
    context: dg.RunFailureSensorContext, database: dg.ResourceParam[Database]
) -> dg.SkipReason:
    """Tidy up after a failed run."""
    return dg.SkipReason(clean_up(database))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="clean_up_after_cancellation",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="After a cancelled run: the same as after a failed one.",
)
def clean_up_after_cancellation(
    context: dg.RunStatusSensorContext, database: dg.ResourceParam[Database]
) -> dg.SkipReason:
    """Tidy up after a cancelled run."""
    return dg.SkipReason(clean_up(database))


def automation_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that evaluates the conditions of the path from the sources to the live indexes."""
    pairs = [key for name in settings.indexes for key in (candidate_key(name), live_key(name))]
    return dg.AutomationConditionSensorDefinition(
        AUTOMATION,
        target=dg.AssetSelection.assets(*LOOKS, *pairs),
        use_user_code_server=True,
        emit_backfills=False,
        run_tags={"dagster/max_runtime": str(6 * 3600)},
        default_status=dg.DefaultSensorStatus.RUNNING
        if settings.automation.running
        else dg.DefaultSensorStatus.STOPPED,
        description="Keep indexes live by the automation conditions of the assets: ingest each source that "
        "is due, and build and promote each index that lacks something. `source_freshness_sensor` and "
        "`index_staleness_sensor` do nothing while this one is switched on.",
    )


def is_automated(context: dg.SensorEvaluationContext) -> bool:
    """Whether the automation sensor of the same code location is switched on."""
    here, storage = context.code_location_origin, context.instance.schedule_storage
    if here is None or storage is None:
        return False
    return any(
        state.is_running and state.name == AUTOMATION
        for state in storage.all_instigator_state()
        if state.repository_selector.location_name == here.location_name
    )


def default_sensors(settings: Settings, asset_jobs: Sequence[Any]) -> list[dg.SensorDefinition]:
    """Every sensor; `asset_jobs` are those that runs may ask for."""
    return [
        catalogue_sensor,
        automation_sensor(settings),
        follow_up_sensor(asset_jobs),
        source_freshness_sensor,
        events_sensor,
        index_staleness_sensor,
        clean_up_after_failure,
        clean_up_after_cancellation,
    ]
