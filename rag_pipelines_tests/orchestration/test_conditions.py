"""Automation conditions: what they request of the path from the sources to the live index, and when not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines_tests.orchestration.conftest import CHAIN, QUIET, Shell

PAIR = ["index_candidate", "live_index"]
INGEST_BOTH = {(name, source) for name in CHAIN for source in ("docs", "team-notes")}


class Automation:
    """The automation sensor and the queue, a tick at a time."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._cursor: Any = None
        self.definitions = build_definitions(
            settings=shell.workspace.settings, resource_overrides=shell.resources
        )

    def tick(self, at: datetime | None = None) -> set[tuple[str, str | None]]:
        """What one evaluation requests: the last part of each asset's key with the partition."""
        result = dg.evaluate_automation_conditions(
            self.definitions, self._shell.instance, cursor=self._cursor, evaluation_time=at
        )
        self._cursor = result.cursor
        return {
            (one.key.path[-1], partition)
            for one in result.results
            if one.true_subset.size
            for partition in (
                one.true_subset.expensively_compute_partition_keys()
                if one.true_subset.partitions_def
                else [None]
            )
        }

    def run(self, requested: set[tuple[str, str | None]]) -> list[dg.ExecuteInProcessResult]:
        """The runs of a tick's requests: one a partition, one of what has none."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return [
            job.execute_in_process(
                instance=self._shell.instance,
                partition_key=partition,
                asset_selection=[
                    key for key in _keys(self.definitions) if (key.path[-1], partition) in requested
                ],
                run_config={"loggers": QUIET},
                raise_on_error=False,
            )
            for partition in sorted({partition for _, partition in requested}, key=str)
        ]

    def settle(self) -> list[set[tuple[str, str | None]]]:
        """Ticks and their runs, until nothing is requested."""
        asked = []
        while requested := self.tick():
            assert all(result.success for result in self.run(requested))
            asked.append(requested)
        return asked


def _keys(definitions: dg.Definitions) -> Iterator[dg.AssetKey]:
    yield from definitions.get_repository_def().asset_graph.materializable_asset_keys


@pytest.fixture
def automation(shell: Shell) -> Automation:
    return Automation(shell)


def test_a_new_deployment_ingests_every_source_then_builds_then_rests(shell: Shell, automation: Automation):
    assert automation.settle() == [INGEST_BOTH, {(name, None) for name in PAIR}]

    states = shell.workspace.rows("SELECT state FROM rag.index_version WHERE state = 'live'")
    assert len(states) == 1
    assert automation.tick() == set()


def test_an_edited_document_goes_live_once_its_source_is_due(shell: Shell, automation: Automation):
    automation.settle()
    shell.workspace.write("guide-0.md", "# Guide 0\n\nThe valve is turquoise now.")
    assert automation.tick() == set(), "its source is fresh"

    overdue(shell, "docs")
    assert automation.settle() == [{(name, "docs") for name in CHAIN}, {(name, None) for name in PAIR}]

    hits = shell.workspace.search("turquoise valve")
    assert "turquoise" in hits[0].text


def test_a_listing_that_changes_nothing_builds_nothing(shell: Shell, automation: Automation):
    automation.settle()
    overdue(shell, "docs")

    assert automation.settle() == [{(name, "docs") for name in CHAIN}]


def test_what_a_job_or_a_sensor_ingests_is_not_ingested_again(shell: Shell, automation: Automation):
    automation.settle()
    overdue(shell, "docs")
    shell.ingest()

    assert automation.tick() == set()


def test_what_the_command_line_did_is_not_done_again(shell: Shell, automation: Automation):
    automation.settle()
    shell.workspace.write("guide-0.md", "# Guide 0\n\nOther words.")
    shell.workspace.ingest("docs")
    shell.workspace.publish()
    shell.run("observe_catalogue")

    assert automation.tick() == set()


def test_a_stage_that_a_person_runs_alone_is_followed_by_the_others(shell: Shell, automation: Automation):
    automation.settle()
    shell.workspace.write("guide-0.md", "# Guide 0\n\nOther words.")
    automation.run({("raw_documents", "docs")})

    assert automation.settle() == [{(name, "docs") for name in CHAIN[1:]}, {(name, None) for name in PAIR}]


def test_a_run_that_failed_is_repeated_when_the_next_attempt_is_due(shell: Shell, automation: Automation):
    automation.settle()
    overdue(shell, "docs")
    root = shell.workspace.docs.rename(shell.workspace.docs.with_name("away"))
    (failed,) = automation.run(automation.tick())
    assert not failed.success
    assert automation.tick() == set()

    overdue(shell, "docs", "10 minutes")
    root.rename(shell.workspace.docs)
    assert automation.tick() == {(name, "docs") for name in CHAIN}


def test_a_version_that_failed_its_gates_is_not_built_again_until_something_changes(
    shell: Shell, automation: Automation
):
    automation.settle()
    shell.workspace.document["indexes"]["main"]["gates"] = {"min_recall": 0.5, "max_chunk_drop": 0.1}
    automation = Automation(shell)
    for number in range(5):
        (shell.workspace.docs / f"guide-{number}.md").unlink()
    shell.ingest()
    (failed,) = automation.run(automation.tick())
    assert not failed.success
    assert automation.tick() == set()

    shell.workspace.write("guide-0.md", "# Guide 0\n\nOther words.")
    shell.ingest()
    assert automation.tick() == {(name, None) for name in PAIR}


def test_an_index_waits_while_one_of_its_sources_is_ingested(shell: Shell, automation: Automation):
    shell.ingest()
    shell.ingest("team-notes")
    job = automation.definitions.resolve_job_def("ingest_source")
    run = shell.instance.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset({dg.AssetKey(["rag", "embeddings"])}),
        tags={"dagster/partition": "team-notes"},
    )
    assert automation.tick() == set()

    shell.instance.report_run_canceled(run)
    assert automation.tick() == {(name, None) for name in PAIR}


def test_a_source_with_a_schedule_is_ingested_at_its_times_though_it_is_fresh(
    shell: Shell, automation: Automation
):
    automation.settle()
    tonight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=3, minute=0, second=0, microsecond=0)
    assert automation.tick(tonight - timedelta(minutes=1)) == set()

    requested = automation.tick(tonight + timedelta(minutes=1))

    assert requested == {(name, "docs") for name in CHAIN}, "team-notes has no schedule"
    assert automation.tick(tonight + timedelta(minutes=2)) == set()


def test_checks_of_a_run_that_automation_requests_are_those_of_its_source(
    shell: Shell, automation: Automation
):
    results = automation.run(automation.tick())

    assert {one.partition for result in results for one in result.get_asset_check_evaluations()} == {
        "docs",
        "team-notes",
    }


def overdue(shell: Shell, source: str, passed: str = "30 hours") -> None:
    """Let time pass, so that the promise of a source runs out."""
    with shell.workspace.database.connection() as connection:
        connection.execute(
            "UPDATE rag.source SET listed_at = listed_at - %s::interval WHERE name = %s", [passed, source]
        )
