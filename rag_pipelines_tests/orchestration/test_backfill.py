"""Backfills in this process, and the jobs that are no asset."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from rag_pipelines.errors import UsageError
from rag_pipelines.index.versions import live_version, versions
from rag_pipelines.orchestration.backfill import RunOutcome, run_backfill
from rag_pipelines.quality.library import run_suite
from rag_pipelines.store.lease import source_lease
from rag_pipelines_tests.orchestration.conftest import Shell


def backfill(shell: Shell, *sources: str, **options) -> list[RunOutcome]:
    return run_backfill(
        shell.workspace.settings,
        sources,
        instance=shell.instance,
        resource_overrides={"database": shell.workspace.database, "quality": run_suite},
        **options,
    )


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


def test_a_failed_check_is_named_in_the_outcome(shell: Shell):
    backfill(shell, "docs")
    with shell.workspace.database.connection() as connection:
        connection.execute("UPDATE rag.chunk SET tokens = 0")

    (outcome,) = backfill(shell, "docs")

    assert outcome.error == "blocking checks failed: chunks.has_tokens"
    assert outcome.failed_checks == ("chunks.has_tokens",)


def test_refresh_all_ingests_every_source_and_builds(shell: Shell):
    result = shell.run("refresh_all")

    assert result.success
    with shell.workspace.database.connection() as connection:
        live = live_version(connection, "main")
    assert live is not None
    assert live.document_count == 7


def test_refresh_all_builds_nothing_when_a_source_failed(shell: Shell):
    with source_lease(shell.workspace.database, "docs", "filesystem"):
        result = shell.run("refresh_all")

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "not built: the ingest of docs failed" in (failure.step_failure_data.user_failure_data.description)
    with shell.workspace.database.connection() as connection:
        assert versions(connection, "main") == []


def test_rollback_makes_the_version_before_live_again_and_collection_keeps_it(shell: Shell):
    shell.run("refresh_all")
    shell.workspace.write("extra.md", "# Extra\n\nOne more document.")
    shell.run("refresh_all")

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
