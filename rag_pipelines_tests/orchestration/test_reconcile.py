"""Verification and retries as Dagster runs them: a certificate a source, checks of its parts, another try."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from rag_pipelines_tests.orchestration.conftest import Shell, failed_checks, materialized


@pytest.fixture
def sound(shell: Shell) -> Shell:
    """Both sources ingested and the index live."""
    for source in ("docs", "team-notes"):
        shell.workspace.ingest(source)
    shell.workspace.publish()
    return shell


def verify(shell: Shell, source: str = "docs", **config: Any) -> dg.ExecuteInProcessResult:
    ops = {"rag__completeness": {"config": config}} if config else None
    return shell.run("verify_source", source, ops)


def severities(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {
        check.check_name: check.severity.value
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def retry(shell: Shell, **config: Any) -> tuple[dg.ExecuteInProcessResult, dict[str, Any]]:
    result = shell.run("retry_quarantine", ops={"retry_and_ingest": {"config": config}})
    handled = [event for event in result.all_node_events if event.event_type_value == "STEP_OUTPUT"]
    found = {
        name: value.value for event in handled for name, value in event.step_output_data.metadata.items()
    }
    return result, found


def test_a_sound_source_has_a_complete_certificate(sound: Shell):
    result = verify(sound)

    assert result.success
    assert materialized(result) == ["completeness"]
    assert failed_checks(result) == set()
    found = sound.metadata(result, "completeness")
    assert (found["complete"], found["drifted_documents"]) == (True, 0)
    assert (found["listed"], found["stored"], found["embedded"]) == (6, 6, 6)
    (version,) = found["versions"]
    assert (version["index"], version["indexed"], version["complete"]) == ("main", 6, True)


def test_drift_warns_and_damage_is_an_error_each_in_its_own_check(sound: Shell):
    (sound.workspace.docs / "guide-0.md").unlink()
    with sound.workspace.database.connection() as connection:
        connection.execute("DELETE FROM rag.embedding")

    result = verify(sound)

    assert result.success, "a finding is no failure of the run"
    assert severities(result) == {"listed_is_stored": "WARN", "content_is_there": "ERROR"}
    drift = {row["drift"]: row for row in sound.metadata(result, "completeness")["drift"]}
    assert drift["gone"]["such as"] == "guide-0.md"
    assert drift["vectors_lost"]["what to do"] == "rag-pipelines verify docs --repair"
    assert failed_checks(verify(sound, "team-notes")) == {"completeness.content_is_there"}


def test_a_repair_mends_what_it_finds_and_certifies_it_again(sound: Shell):
    (sound.workspace.docs / "guide-0.md").unlink()
    with sound.workspace.database.connection() as connection:
        connection.execute("DELETE FROM rag.chunk WHERE text LIKE '%Pump 1%'")

    result = verify(sound, repair=True)

    assert failed_checks(result) == set()
    found = sound.metadata(result, "completeness")
    assert found["complete"] is True
    assert "1 deleted" in found["repaired"]
    assert "guide-0.md" not in sound.workspace.stored()


def test_the_schedule_verifies_every_source(shell: Shell):
    schedule = shell.definitions.resolve_schedule_def("verify_daily")
    now = datetime(2026, 3, 1, 3, tzinfo=UTC)
    context = dg.build_schedule_context(instance=shell.instance, scheduled_execution_time=now)
    requests: list[Any] = list(schedule(context))  # type: ignore[arg-type]

    assert [request.partition_key for request in requests] == ["docs", "team-notes"]
    assert len({request.run_key for request in requests} - {None}) == 2, "Dagster wants a key of each"


def test_a_retry_by_filter_ingests_the_sources_of_what_it_chose(sound: Shell):
    (sound.workspace.docs / "broken.pdf").write_bytes(b"%PDF-1.7 not really")
    sound.workspace.ingest()

    result, found = retry(sound, stage="parse", status="corrupt")
    (ingest,) = sound.follow_up()

    assert result.success
    assert ingest.success
    assert (found["retried_entries"], found["asked_for"]) == (1, "docs")
    rows = sound.workspace.rows("SELECT attempts FROM rag.quarantine")
    assert rows == [{"attempts": 1}], "tried again, from the beginning"
    runs = sound.instance.get_runs(dg.RunsFilter(job_name="ingest_source"))
    assert [run.tags["dagster/partition"] for run in runs] == ["docs"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "give a filter"),
        ({"older_than": "a while"}, "received 'a while'"),
        ({"stage": "prase"}, "there is no stage 'prase'"),
        ({"ids": [99]}, "no such quarantine entry: 99"),
    ],
)
def test_a_retry_that_cannot_be_meant_is_refused(shell: Shell, config: dict[str, Any], words: str):
    result, _ = retry(shell, **config)

    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert words in str(failure.step_failure_data)


def test_a_retry_of_nothing_runs_nothing(sound: Shell):
    before = len(sound.instance.get_runs())

    result, found = retry(sound, everything=True)

    assert result.success
    assert (found["retried_entries"], found["asked_for"]) == (0, "none")
    assert sound.follow_up() == []
    assert len(sound.instance.get_runs()) == before + 1
