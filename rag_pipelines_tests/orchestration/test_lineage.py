"""Lineage of Dagster's runs: what a run over a source is told as, whatever its steps are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.orchestration import sharded_assets
from rag_pipelines.orchestration.ingest_assets import CHUNKS, PARSED
from rag_pipelines.orchestration.names import BUILD_INDEX
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import QUIET, Shell


@pytest.fixture(autouse=True)
def to_a_file(workspace: Workspace) -> None:
    workspace.document["telemetry"] = {"lineage": {"file": str(workspace.folder / "lineage.ndjson")}}


def events(shell: Shell) -> list[dict[str, Any]]:
    file = shell.workspace.folder / "lineage.ndjson"
    return [json.loads(line) for line in file.read_text().splitlines()]


def told(shell: Shell) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events(shell)]


def test_the_stages_of_a_run_are_one_run_and_a_build_follows_with_its_gates(shell: Shell):
    assert shell.ingest().success
    assert shell.ingest("team-notes").success
    assert shell.run(BUILD_INDEX).success

    assert told(shell) == [
        (job, kind)
        for job in ("ingest.docs", "ingest.team-notes", "build.main", "judge.main")
        for kind in ("START", "COMPLETE")
    ]
    found = events(shell)
    runs = [event["run"]["runId"] for event in found]
    assert runs[0::2] == runs[1::2]
    assert len(set(runs)) == 4
    (stored,) = found[1]["outputs"]
    assert stored["outputFacets"]["outputStatistics"]["rowCount"] == 6
    assert [one["name"].rpartition(".")[2] for one in found[5]["inputs"]] == ["docs", "team-notes"]
    assert all("dataQualityAssertions" in one["inputFacets"] for one in found[5]["inputs"])


def test_a_run_of_some_stages_begins_and_ends_with_these(shell: Shell):
    assert shell.ingest().success
    job = shell.definitions.resolve_implicit_global_asset_job_def()
    chosen = [PARSED, CHUNKS]

    result = job.execute_in_process(
        instance=shell.instance, partition_key="docs", asset_selection=chosen, run_config={"loggers": QUIET}
    )

    assert result.success
    assert told(shell) == [("ingest.docs", "START"), ("ingest.docs", "COMPLETE")] * 2


def test_a_divided_run_is_told_as_an_undivided_one(divided: Workspace, shell: Shell):
    assert shell.ingest().success

    assert told(shell) == [("ingest.docs", "START"), ("ingest.docs", "COMPLETE")]


def test_a_shard_that_fails_is_a_run_that_failed(
    divided: Workspace, shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any, **__: Any) -> None:
        raise CorruptDocumentError("guide-3.md is broken")

    monkeypatch.setattr(sharded_assets, "work_shard", fail)

    assert not shell.ingest().success

    assert told(shell)[0] == ("ingest.docs", "START")
    assert {kind for _, kind in told(shell)[1:]} == {"FAIL"}
    assert len({event["run"]["runId"] for event in events(shell)}) == 1
    assert "guide-3" not in json.dumps(events(shell))
