"""A backfill as the Dagster UI launches it: one run a source, whose checks are evaluated for that source."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.definitions.automation_tick_evaluation_context import (
    build_run_requests_with_backfill_policies,
)
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus

from rag_pipelines_tests.orchestration.conftest import Shell, failed_checks

INGEST = ("raw_documents", "parsed_documents", "chunks", "embeddings")


def requested(shell: Shell, *sources: str) -> list[dg.RunRequest]:
    """The runs that the daemon requests for a backfill of the ingest group over some partitions."""
    chosen = [
        AssetKeyPartitionKey(dg.AssetKey(["rag", name]), source) for name in INGEST for source in sources
    ]
    graph = shell.definitions.get_repository_def().asset_graph
    return list(build_run_requests_with_backfill_policies(chosen, graph, shell.instance))


def backfill(shell: Shell, *sources: str) -> list[dg.ExecuteInProcessResult]:
    return [
        shell.run(
            "ingest_source", request.partition_key, asset_selection=request.asset_selection, tags=request.tags
        )
        for request in requested(shell, *sources)
    ]


def by_partition(shell: Shell, asset: str, check: str) -> dict[str, set[str]]:
    """What Dagster shows of a check: its partitions by status."""
    key = dg.AssetCheckKey(dg.AssetKey(["rag", asset]), check)
    partitions = shell.definitions.get_repository_def().asset_graph.get(key).partitions_def
    state = shell.instance.event_log_storage.get_asset_check_state([(key, partitions)])[key]
    return {
        status.value: set(subset.value.get_partition_keys())
        for status, subset in state.subsets.items()
        if subset.size
    }


def test_a_backfill_is_one_run_a_source_and_each_run_has_a_partition(shell: Shell):
    requests = requested(shell, "docs", "team-notes")

    assert [request.partition_key for request in requests] == ["docs", "team-notes"]
    assert all(len(request.asset_selection or []) == len(INGEST) for request in requests)


@pytest.mark.usefixtures("real_suites")
def test_checks_of_a_backfill_are_evaluated_for_the_source_of_their_run(shell: Shell):
    shell.workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 2}
    shell.workspace.ingest("docs")
    for number in range(4):
        (shell.workspace.docs / f"guide-{number}.md").unlink()

    docs, notes = backfill(shell, "docs", "team-notes")

    assert "raw_documents.deletions_decided" in failed_checks(docs)
    assert failed_checks(notes) == set()
    evaluations = [*docs.get_asset_check_evaluations(), *notes.get_asset_check_evaluations()]
    assert {one.partition for one in evaluations} == {"docs", "team-notes"}
    failed, passed = (AssetCheckExecutionResolvedStatus.FAILED, AssetCheckExecutionResolvedStatus.SUCCEEDED)
    assert by_partition(shell, "raw_documents", "deletions_decided") == {
        failed.value: {"docs"},
        passed.value: {"team-notes"},
    }
    assert by_partition(shell, "chunks", "has_tokens") == {passed.value: {"docs", "team-notes"}}


@pytest.mark.parametrize("last", ["docs", "team-notes"])
def test_a_run_of_a_range_of_partitions_is_refused(shell: Shell, last: str):
    span = {"dagster/asset_partition_range_start": "docs", "dagster/asset_partition_range_end": last}

    result = shell.run("ingest_source", tags=span)

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    said = failure.step_failure_data.user_failure_data.description
    assert f"covers the partitions docs...{last}; valid: one partition a run" in said
    assert shell.workspace.stored() == set()
