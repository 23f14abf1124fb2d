"""Steps that work in other processes: the same rows as in the process of the run, whatever the executor."""

from __future__ import annotations

import os
import sys

import dagster as dg
import pytest

from rag_pipelines.config.execution import ExecutionSettings
from rag_pipelines.errors import ConfigError
from rag_pipelines.orchestration.executors import EXTRAS, run_executor, stage_tags
from rag_pipelines.orchestration.names import INGEST_SOURCE
from rag_pipelines.store.shards import Shard, shard_lease
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import Shell
from rag_pipelines_tests.orchestration.elsewhere import parse


def test_processes_parse_shards_and_one_that_failed_is_repeated_alone(
    divided: Workspace, shell: Shell, kept: dg.DagsterInstance
):
    shell.run(INGEST_SOURCE, "docs", asset_selection=[dg.AssetKey(["rag", "raw_documents"])])
    with shard_lease(divided.database, "docs", "filesystem", Shard(1, 3)):
        stopped = parse(divided, kept, {"multiprocess": {"max_concurrent": 2}})

    assert not stopped.success
    assert set(stopped.processes) == {"0_of_3", "2_of_3"}
    assert len({os.getpid(), *stopped.processes.values()}) == 3

    repeated = parse(divided, kept, {"in_process": {}}, failed=stopped.run_id)

    assert repeated.success
    assert set(repeated.processes) == {"1_of_3"}
    (record,) = kept.all_logs(repeated.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
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
