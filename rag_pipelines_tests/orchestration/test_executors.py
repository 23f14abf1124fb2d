"""Steps that work in other processes: the same rows as in the process of the run, whatever the executor."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from rag_pipelines.config import load_config
from rag_pipelines.config.execution import ExecutionSettings
from rag_pipelines.errors import ConfigError
from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.orchestration.executors import EXTRAS, run_executor, stage_tags
from rag_pipelines.orchestration.ingest_assets import PARSED
from rag_pipelines.orchestration.names import INGEST_SOURCE
from rag_pipelines.store.shards import Shard, shard_lease
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import QUIET, Shell, contents

START_SECONDS = 60.0


def ingest_job(config_file: str) -> dg.JobDefinition:
    """The job `ingest_source` of a configuration, for the processes of its steps."""
    return build_definitions(settings=load_config(config_file, {})).resolve_job_def(INGEST_SOURCE)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that other processes can reach."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


def parse(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    executor: dict[str, Any],
    failed: str | None = None,
) -> tuple[bool, str, dict[str, int]]:
    """Run the stage `parse` of `docs`, or what failed of a run of it.

    Returns:
        Whether it succeeded, the run, and the process of each step that ended well.
    """
    job = dg.build_reconstructable_job(__name__, "ingest_job", (str(workspace.config_file),))
    result = dg.execute_job(
        job,
        instance,
        run_config={"execution": {"config": executor}, "loggers": QUIET},
        tags={"dagster/partition": "docs"},
        asset_selection=None if failed else [PARSED],
        reexecution_options=dg.ReexecutionOptions.from_failure(failed, instance) if failed else None,
    )
    with result:
        outputs = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.STEP_OUTPUT)
        found = {
            str(one.step_key).partition(".")[2]: one.dagster_event.step_output_data.metadata
            for one in outputs
            if one.dagster_event and "_shard[" in str(one.step_key)
        }
        workers = {step: int(str(told["worker"].value).rpartition(":")[2]) for step, told in found.items()}
        return result.success, result.run_id, workers


def assert_done_elsewhere(workspace: Workspace, shell: Shell, workers: dict[str, int]) -> None:
    """The three shards were parsed by other processes, and nothing is left to parse."""
    assert set(workers) == {f"parse_shard[{index}_of_3]" for index in range(3)}
    assert os.getpid() not in workers.values()
    shell.ingest("docs")
    del workspace.document["execution"]
    shell.ingest("team-notes")
    (docs, notes) = (contents(workspace, name) for name in ("docs", "team-notes"))
    assert docs == notes


def test_processes_parse_shards_and_one_that_failed_is_repeated_alone(
    divided: Workspace, shell: Shell, kept: dg.DagsterInstance
):
    shell.run(INGEST_SOURCE, "docs", asset_selection=[dg.AssetKey(["rag", "raw_documents"])])
    with shard_lease(divided.database, "docs", "filesystem", Shard(1, 3)):
        ended_well, failed, workers = parse(divided, kept, {"multiprocess": {"max_concurrent": 2}})

    assert not ended_well
    assert set(workers) == {"parse_shard[0_of_3]", "parse_shard[2_of_3]"}
    assert len({os.getpid(), *workers.values()}) == 3

    ended_well, again, repeated = parse(divided, kept, {"in_process": {}}, failed)

    assert ended_well
    assert set(repeated) == {"parse_shard[1_of_3]"}
    (record,) = kept.all_logs(again, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert record.asset_materialization is not None
    told = record.asset_materialization.metadata
    assert (told["shards"].value, told["documents_parsed"].value) == (3, 24)
    (run,) = divided.rows("SELECT report FROM rag.run")
    assert run["report"]["parsed"] == 24


def test_an_executor_that_is_not_installed_is_refused_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    for name, package in EXTRAS.items():
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ConfigError, match=rf"pip install 'rag-pipelines\[{name}\]'"):
            run_executor(ExecutionSettings(executor=name))


def test_options_that_an_executor_does_not_take_are_refused_when_the_definitions_load():
    with pytest.raises(ConfigError, match=r"'multiprocess' does not take them: .*max_concurrent.*\"two\""):
        run_executor(ExecutionSettings(executor="multiprocess", options={"max_concurrent": "two"}))


def test_a_stage_asks_every_executor_for_its_queue_and_resources():
    place = {"queue": "gpu", "cpu": 2, "memory": "8GiB", "gpu": 1, "pod": {"node_selector": {"pool": "gpu"}}}
    execution = ExecutionSettings.model_validate({"stages": {"embed": place}})

    assert stage_tags(execution, "parse") == {}
    assert stage_tags(execution, "embed") == {
        "dagster-celery/queue": "gpu",
        "dagster-k8s/config": {
            "container_config": {
                "resources": {
                    "requests": {"cpu": "2", "memory": "8589934592"},
                    "limits": {"memory": "8589934592", "nvidia.com/gpu": "1"},
                }
            },
            "pod_spec_config": {"node_selector": {"pool": "gpu"}},
        },
        "dagster-ray/config": {"num_cpus": 2.0, "num_gpus": 1, "memory": 8589934592},
    }
