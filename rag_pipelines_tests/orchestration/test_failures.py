"""A fault that passes is tried again within the run, and what is given up is one line."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from rag_pipelines.orchestration import failures, ingest_assets
from rag_pipelines_tests.orchestration.conftest import CHAIN, Shell, materialized


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch):
    """Tries follow each other without a wait."""
    monkeypatch.setattr(failures, "RETRY_SECONDS", 0.01)


def cut_off(shell: Shell, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Have Postgres end the connection of the first listings, as a restart does."""
    listed, ended = ingest_assets.list_source, []

    def listing(run: Any, *arguments: Any) -> None:
        if len(ended) < times:
            pid = run.connection.info.backend_pid
            ended.append(pid)
            shell.workspace.rows("SELECT pg_terminate_backend(%s, 5000)", pid)
        listed(run, *arguments)

    monkeypatch.setattr(ingest_assets, "list_source", listing)
    return ended


def test_a_run_whose_connection_was_ended_tries_again_and_is_whole(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    ended = cut_off(shell, monkeypatch, times=1)

    result = shell.ingest()

    assert result.success
    assert len(ended) == 1
    assert materialized(result) == CHAIN
    assert len(shell.workspace.stored()) == 6


def test_a_fault_that_does_not_pass_ends_as_one_line_and_no_bug(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    ended = cut_off(shell, monkeypatch, times=99)

    result = shell.ingest()

    assert not result.success
    assert len(ended) == failures.RETRIES + 1
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    description = failure.step_failure_data.user_failure_data.description
    assert description.endswith("given up after 3 tries")
    assert "\n" not in description
    retried = [
        event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY
    ]
    assert len(retried) == failures.RETRIES
