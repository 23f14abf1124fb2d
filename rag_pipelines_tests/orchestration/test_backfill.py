"""Backfills in this process, and the jobs that are no asset."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from rag_pipelines.errors import ForbiddenEntityError, UsageError
from rag_pipelines.index.versions import live_version, versions
from rag_pipelines.orchestration import jobs
from rag_pipelines.orchestration.backfill import RunOutcome, run_backfill
from rag_pipelines.orchestration.build import shared_definitions
from rag_pipelines.store.lease import source_lease
from rag_pipelines.triggers.subscriptions import Pass
from rag_pipelines_tests.orchestration.conftest import Shell


def backfill(shell: Shell, *sources: str, **options) -> list[RunOutcome]:
    overrides = {"database": shell.workspace.database, "quality": shell.quality}
    with shared_definitions(shell.workspace.settings, resource_overrides=overrides) as definitions:
        job = definitions.resolve_job_def("ingest_source")
        return run_backfill(job, sources, instance=shell.instance, **options)


def test_a_backfill_runs_each_source_and_records_it_in_the_instance(shell: Shell):
    ended: list[RunOutcome] = []

    outcomes = backfill(shell, "docs", "team-notes", ended=ended.append)

    assert [(one.name, one.success, one.error) for one in outcomes] == [
        ("docs", True, None),
        ("team-notes", True, None),
    ]
    assert ended == outcomes
    runs = shell.instance.get_runs(dg.RunsFilter(job_name="ingest_source"))
    assert {run.tags["dagster/partition"] for run in runs} == {"docs", "team-notes"}


def test_a_backfill_stops_at_the_first_failure_unless_told_to_go_on(shell: Shell):
    with source_lease(shell.workspace.database, "docs", "filesystem"):
        stopped = backfill(shell, "docs", "team-notes")
        went_on = backfill(shell, "docs", "team-notes", continue_on_failure=True)

    assert [(one.name, one.success) for one in stopped] == [("docs", False)]
    assert "source 'docs' is being synced" in (stopped[0].error or "")
    assert [(one.name, one.success) for one in went_on] == [("docs", False), ("team-notes", True)]


def test_a_backfill_of_a_window_passes_it_to_the_source(shell: Shell):
    (outcome,) = backfill(shell, "docs", until=datetime(2002, 1, 1, tzinfo=UTC))

    assert outcome.success
    assert shell.workspace.stored() == set()


def test_a_backfill_of_an_unknown_source_runs_nothing(shell: Shell):
    with pytest.raises(UsageError, match="there is no source 'wiki'; valid: docs, team-notes"):
        backfill(shell, "docs", "wiki")

    assert shell.instance.get_runs_count() == 0


@pytest.mark.usefixtures("real_suites")
def test_a_failed_check_is_named_in_the_outcome(shell: Shell):
    backfill(shell, "docs")
    with shell.workspace.database.connection() as connection:
        connection.execute("UPDATE rag.chunk SET tokens = 0")

    (outcome,) = backfill(shell, "docs")

    assert outcome.error == "blocking checks failed: chunks.has_tokens"
    assert outcome.failed_checks == ("chunks.has_tokens",)


def test_refresh_all_ingests_every_source_in_a_run_of_its_own_and_builds_after_the_last(shell: Shell):
    asked = shell.run("refresh_all")
    results = shell.follow_up()

    assert asked.success
    assert all(result.success for result in results)
    assert [result.job_def.name for result in results] == ["ingest_source", "ingest_source", "build_index"]
    assert {run.tags.get("rag/asked_by") for run in shell.instance.get_runs()} == {None, asked.run_id}
    with shell.workspace.database.connection() as connection:
        live = live_version(connection, "main")
    assert live is not None
    assert live.document_count == 7


def test_refresh_all_builds_nothing_when_a_source_failed(shell: Shell):
    with source_lease(shell.workspace.database, "docs", "filesystem"):
        shell.run("refresh_all")
        results = shell.follow_up()

    assert sorted(result.success for result in results) == [False, True]
    (failed,) = [result for result in results if not result.success]
    (failure,) = [event for event in failed.all_events if event.is_step_failure]
    assert "source 'docs' is being synced" in failure.step_failure_data.user_failure_data.description
    with shell.workspace.database.connection() as connection:
        assert versions(connection, "main") == []


def test_the_sensor_requests_what_a_run_asked_for(shell: Shell):
    asked = shell.run("refresh_all")
    sensor = shell.definitions.resolve_sensor_def("follow_up_sensor")
    run = shell.instance.get_run_by_id(asked.run_id)
    event = next(event for event in asked.all_events if event.event_type_value == "PIPELINE_SUCCESS")
    context = dg.build_run_status_sensor_context(sensor.name, event, shell.instance, run)

    requests = list(sensor(context))

    assert [(one.job_name, one.partition_key) for one in requests] == [
        ("ingest_source", "docs"),
        ("ingest_source", "team-notes"),
    ]
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_rollback_makes_the_version_before_live_again_and_collection_keeps_it(shell: Shell):
    shell.workspace.refresh()
    shell.workspace.write("extra.md", "# Extra\n\nOne more document.")
    shell.workspace.refresh()

    rolled_back = shell.run("rollback_index", ops={"roll_back": {"config": {"index": "main"}}})
    collected = shell.run("collect_garbage")

    assert rolled_back.success
    assert collected.success
    with shell.workspace.database.connection() as connection:
        states = {version.version_id: version.state for version in versions(connection, "main")}
    assert [states[number] for number in sorted(states)] == ["live", "retired"]


def test_old_runs_are_pruned_and_young_ones_kept(shell: Shell):
    shell.run("collect_garbage")

    kept = shell.run("prune_runs", ops={"prune": {"config": {"days": 1}}})
    assert kept.success
    assert shell.instance.get_runs_count() == 2

    pruned = shell.run("prune_runs", ops={"prune": {"config": {"days": 0}}})
    assert pruned.success
    assert {run.run_id for run in shell.instance.get_runs()} == {pruned.run_id}


def test_a_run_that_could_not_ask_for_notifications_fails(shell: Shell, monkeypatch: pytest.MonkeyPatch):
    assert shell.run("renew_webhooks").success
    refused = Pass(1, 0, 0, 0, {"library": ForbiddenEntityError("the app may not subscribe")})
    monkeypatch.setattr(jobs, "renew_subscriptions", lambda settings, names: [("docs", refused)])
    assert not shell.run("renew_webhooks").success
