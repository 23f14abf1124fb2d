"""Sensors and schedules: what they ask for, and when they keep quiet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    CodeLocationOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.sensors import clean_up
from rag_pipelines.store.hints import put_hints
from rag_pipelines.sync.freshness import SourceFreshness
from rag_pipelines_tests.doubles.queues import QueueServer
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import Shell


def tick(shell: Shell, name: str, location: CodeLocationOrigin | None = None) -> list[Any]:
    """What one evaluation of a sensor gives."""
    sensor = shell.definitions.resolve_sensor_def(name)
    needed = {key: shell.resources[key] for key in sensor.required_resource_keys}
    with dg.build_sensor_context(instance=shell.instance, resources=needed) as context:
        context._code_location_origin = location
        return list(sensor(context))


def test_a_source_that_was_never_listed_is_requested(shell: Shell):
    requests = tick(shell, "source_freshness_sensor")

    assert [request.partition_key for request in requests] == ["docs", "team-notes"]


def test_a_fresh_source_is_left_alone_until_its_promise_runs_out(shell: Shell):
    shell.ingest()
    shell.ingest("team-notes")
    (skipped,) = tick(shell, "source_freshness_sensor")
    assert "docs is due" in skipped.skip_message

    with shell.workspace.database.connection() as connection:
        connection.execute(
            "UPDATE rag.source SET listed_at = listed_at - interval '2 hours' WHERE name = 'docs'"
        )
    (request,) = tick(shell, "source_freshness_sensor")
    (again,) = tick(shell, "source_freshness_sensor")

    assert request.partition_key == "docs"
    assert again.run_key == request.run_key


def test_a_source_that_is_being_ingested_is_not_requested_again(shell: Shell):
    job = shell.definitions.resolve_job_def("ingest_source")
    shell.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "docs"}
    )

    requests = tick(shell, "source_freshness_sensor")

    assert [request.partition_key for request in requests] == ["team-notes"]


def test_a_source_that_was_hinted_at_is_requested_once_until_it_was_looked_at(shell: Shell):
    (skipped,) = tick(shell, "events_sensor")
    assert skipped.skip_message == "no source was hinted at"

    hint_at(shell, "docs")
    (request,) = tick(shell, "events_sensor")
    (again,) = tick(shell, "events_sensor")
    assert request.partition_key == "docs"
    assert request.run_config["ops"]["rag__raw_documents"]["config"]["hinted"] is True
    assert again.run_key == request.run_key, "Dagster starts no second run for the same hints"

    hint_at(shell, "docs")
    (newer,) = tick(shell, "events_sensor")
    assert newer.run_key != request.run_key

    shell.ingest("docs", hinted=True)
    assert isinstance(tick(shell, "events_sensor")[0], dg.SkipReason)


def test_a_hint_waits_while_its_source_is_ingested(shell: Shell):
    hint_at(shell, "docs")
    hint_at(shell, "team-notes")
    job = shell.definitions.resolve_job_def("ingest_source")
    shell.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "docs"}
    )

    requests = tick(shell, "events_sensor")

    assert [request.partition_key for request in requests] == ["team-notes"]


def test_the_sensor_drains_queues_and_says_which_it_cannot_read(shell: Shell):
    sources = shell.workspace.document["sources"]
    with QueueServer() as queue:
        queue.send({"Records": []})
        sources["docs"]["triggers"] = {"azure_queue": {"url": queue.azure_url}}
        sources["team-notes"]["triggers"] = {"azure_queue": {"url": "http://127.0.0.1:1/q?sig=a"}}
        (request,) = tick(shell, "events_sensor")
        assert (request.partition_key, queue.waiting) == ("docs", {})
        shell.workspace.ingest("docs")
        (skipped,) = tick(shell, "events_sensor")
    assert "the queue of team-notes cannot be read" in skipped.skip_message


@pytest.mark.parametrize("sensor", ["source_freshness_sensor", "index_staleness_sensor"])
def test_sensors_rest_while_the_automation_of_their_code_location_is_switched_on(
    workspace: Workspace, kept: dg.DagsterInstance, sensor: str
):
    shell = Shell(workspace, kept)
    workspace.ingest("docs")
    assert isinstance(tick(shell, sensor)[0], dg.RunRequest)

    switch(shell, "elsewhere", InstigatorStatus.DECLARED_IN_CODE)
    assert isinstance(tick(shell, sensor, here())[0], dg.RunRequest)

    switch(shell, here().location_name, InstigatorStatus.DECLARED_IN_CODE)
    (skipped,) = tick(shell, sensor, here())
    assert "automation_sensor is switched on" in skipped.skip_message

    switch(shell, here().location_name, InstigatorStatus.STOPPED)
    assert isinstance(tick(shell, sensor, here())[0], dg.RunRequest)


def here(location: str = "rag") -> ManagedGrpcPythonEnvCodeLocationOrigin:
    """The code location of the sensors."""
    loaded = LoadableTargetOrigin(module_name="rag_pipelines.definitions")
    return ManagedGrpcPythonEnvCodeLocationOrigin(loaded, location_name=location)


def switch(shell: Shell, location: str, status: InstigatorStatus) -> None:
    """Switch the automation of a code location on or off."""
    origin = RemoteRepositoryOrigin(here(location), "__repository__").get_instigator_origin(
        "automation_sensor"
    )
    state = InstigatorState(origin, InstigatorType.SENSOR, status)
    known = shell.instance.get_instigator_state(state.instigator_origin_id, state.selector_id)
    (shell.instance.update_instigator_state if known else shell.instance.add_instigator_state)(state)


def hint_at(shell: Shell, source: str) -> None:
    with shell.workspace.database.connection() as connection:
        put_hints(connection, [source], [None])


def test_an_overdue_source_is_tried_again_after_a_quarter_of_its_promise():
    listed = datetime(2026, 3, 1, tzinfo=UTC)
    source = SourceFreshness("docs", listed, timedelta(hours=4))

    assert not source.overdue(listed + timedelta(hours=3, minutes=59))
    assert source.slot(listed + timedelta(hours=4)) == source.slot(listed + timedelta(hours=4, minutes=59))
    assert source.slot(listed + timedelta(hours=5)) == listed + timedelta(hours=5)


def test_an_index_is_requested_when_its_sources_hold_something_new(shell: Shell):
    (skipped,) = tick(shell, "index_staleness_sensor")
    assert "up to date" in skipped.skip_message

    shell.ingest()
    (first,) = tick(shell, "index_staleness_sensor")
    assert [key.path for key in first.asset_selection] == [
        ["rag", "main", "index_candidate"],
        ["rag", "main", "live_index"],
    ]
    assert shell.run("build_index", asset_selection=first.asset_selection).success
    assert isinstance(tick(shell, "index_staleness_sensor")[0], dg.SkipReason)

    shell.workspace.write("guide-0.md", "# Guide 0\n\nOther words.")
    shell.ingest()
    (second,) = tick(shell, "index_staleness_sensor")
    assert second.run_key != first.run_key


def test_an_index_waits_while_one_of_its_sources_is_ingested(shell: Shell):
    shell.ingest()
    job = shell.definitions.resolve_job_def("ingest_source")
    shell.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "team-notes"}
    )

    (skipped,) = tick(shell, "index_staleness_sensor")

    assert skipped.skip_message == "being ingested: team-notes"


def test_a_backfill_that_was_launched_in_the_ui_counts_as_ingesting(shell: Shell):
    shell.ingest()
    job = shell.definitions.resolve_implicit_global_asset_job_def()
    shell.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "team-notes"}
    )

    (skipped,) = tick(shell, "index_staleness_sensor")

    assert skipped.skip_message == "being ingested: team-notes"


def test_what_a_killed_process_left_as_running_is_marked_as_failed(shell: Shell):
    shell.ingest()
    shell.run("build_index")
    with shell.workspace.database.connection() as connection:
        connection.execute(
            "INSERT INTO rag.run (source_id) SELECT source_id FROM rag.source WHERE name = 'docs'"
        )
        connection.execute(
            "INSERT INTO rag.index_version (index_name, fingerprint, state, kind, storage, chunker_id, "
            "model_id, params, required_gates, watermark, lease_token, lease_owner) SELECT index_name, "
            "fingerprint, 'building', kind, 99, chunker_id, model_id, params, required_gates, watermark, "
            "lease_token, lease_owner FROM rag.index_version WHERE state = 'live'"
        )

    said = clean_up(shell.workspace.database)

    assert "syncs of ['docs']" in said
    assert [
        row["state"] for row in shell.workspace.rows("SELECT state FROM rag.index_version ORDER BY 1")
    ] == [
        "failed",
        "live",
        "spare",
    ]
    assert shell.workspace.rows("SELECT FROM rag.run WHERE finished_at IS NULL") == []
    assert "no source" in clean_up(shell.workspace.database)


def test_a_source_is_scheduled_at_its_own_times(workspace: Workspace, kept: dg.DagsterInstance):
    shell = Shell(workspace, kept)
    schedule = shell.definitions.resolve_schedule_def("ingest_docs")

    request = schedule(dg.build_schedule_context(instance=kept))

    assert schedule.cron_schedule == "0 3 * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert request.partition_key == "docs"

    job = shell.definitions.resolve_job_def("ingest_source")
    kept.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "docs"})
    skipped = schedule(dg.build_schedule_context(instance=kept))
    assert skipped.skip_message == "docs is being ingested"


def test_only_sources_with_a_change_feed_need_the_nightly_full_listing(shell: Shell):
    (skipped,) = _full_listing(shell)
    assert "every run lists everything" in skipped.skip_message

    shell.workspace.document["sources"]["code"] = {
        "connector": "git",
        "options": {"repository": str(shell.workspace.docs)},
    }
    shell.workspace.document["sources"]["more-code"] = shell.workspace.document["sources"]["code"]
    requests = _full_listing(shell)

    assert [request.partition_key for request in requests] == ["code", "more-code"]
    assert len({request.run_key for request in requests} - {None}) == 2, "Dagster wants a key of each"
    assert requests[0].run_config["ops"]["rag__raw_documents"]["config"]["list_all"] is True


def _full_listing(shell: Shell) -> list[Any]:
    schedule = shell.definitions.resolve_schedule_def("full_listing_nightly")
    now = datetime(2026, 3, 1, 1, tzinfo=UTC)
    return list(schedule(dg.build_schedule_context(instance=shell.instance, scheduled_execution_time=now)))


def test_passing_faults_are_tried_again_and_others_are_not():
    from rag_pipelines.errors import CredentialError, ThrottledError

    def outcome(error: Exception) -> Exception:
        try:
            with dagster_failures():
                raise error
        except Exception as raised:
            return raised

    retry = outcome(ThrottledError("slow down", retry_after=7))
    failure = outcome(CredentialError("the token was refused"))

    assert isinstance(retry, dg.RetryRequested)
    assert retry.seconds_to_wait == 7
    assert isinstance(failure, dg.Failure)
    assert failure.allow_retries is False
    assert failure.description == "the token was refused"
