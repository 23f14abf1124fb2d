"""A step whose database goes away is tried again, as any other transient failure."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from rag_pipelines.orchestration import failures
from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.orchestration.names import INGEST_SOURCE
from rag_pipelines.quality.library import run_suite
from rag_pipelines_tests.integration.lost_sessions import Killer
from rag_pipelines_tests.orchestration.conftest import QUIET, Shell

pytestmark = pytest.mark.usefixtures("real_suites")


@pytest.fixture
def killer(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killer]:
    monkeypatch.setattr(failures, "RETRY_SECONDS", 0.01)
    made = Killer(shell.workspace.url, monkeypatch)
    yield made
    made.close()


def retries(result: dg.ExecuteInProcessResult) -> int:
    return len(result.filter_events(lambda event: event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY))


@pytest.mark.parametrize("at", [2, 30, 85])
def test_a_step_that_loses_its_session_is_tried_again(shell: Shell, killer: Killer, at: int) -> None:
    killer.arm(at)
    result = shell.ingest()
    assert (result.success, retries(result)) == (True, 1)
    assert len(shell.workspace.stored()) == 6
    assert shell.workspace.rows("SELECT FROM rag.run WHERE finished_at IS NULL") == []


def test_a_database_that_is_away_when_the_run_begins_is_asked_again_by_the_step(
    shell: Shell, killer: Killer
) -> None:
    """A resource that fails fails its run, so the database resource asks nothing before a step does."""
    definitions = build_definitions(
        settings=shell.workspace.settings, resource_overrides={"quality": run_suite}
    )
    killer.arm(1)
    result = definitions.resolve_job_def(INGEST_SOURCE).execute_in_process(
        instance=shell.instance,
        partition_key="docs",
        run_config={"loggers": QUIET},
        raise_on_error=False,
    )
    assert (result.success, retries(result)) == (True, 1)
