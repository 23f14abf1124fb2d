"""The component: another Dagster project mounts a configuration in YAML, beside its own assets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.core.package_entry import discover_entry_point_package_objects
from dagster.components.testing.utils import DefsFolderSandbox, create_defs_folder_sandbox

from rag_pipelines import RagPipeline
from rag_pipelines.errors import ConfigError
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import CHAIN, QUIET, materialized

ROOT = Path(__file__).parents[2]
LIVE = dg.AssetKey(["rag", "main", "live_index"])

OWN = """
import dagster as dg
from rag_pipelines_tests.orchestration.conftest import every_expectation_holds

@dg.asset(group_name="ingest", deps=[dg.AssetKey(["rag", "main", "live_index"])])
def newsletter() -> None:
    ...

suites = dg.ResourceDefinition(lambda _: every_expectation_holds)
defs = dg.Definitions(assets=[newsletter], resources={"suites": suites})
"""


@pytest.fixture
def project() -> Iterator[DefsFolderSandbox]:
    """A scaffolded project with an asset of its own, in a group that has the name of one of ours, and with a
    resource that may serve as one of ours."""
    with create_defs_folder_sandbox() as made:
        (made.defs_folder_path / "own.py").write_text(OWN, "utf-8")
        yield made


def mount(project: DefsFolderSandbox, attributes: dict[str, Any], **more: Any) -> None:
    contents = {"type": "rag_pipelines.RagPipeline", "attributes": attributes, **more}
    project.scaffold_component(RagPipeline, "search", defs_yaml_contents=contents)


def test_a_project_has_sources_and_indexes_beside_its_own_assets_and_resources(
    project: DefsFolderSandbox, workspace: Workspace
):
    mount(project, {"config": str(workspace.config_file), "resources": {"quality": "suites"}})
    with project.build_all_defs() as definitions, dg.DagsterInstance.ephemeral() as instance:
        graph = definitions.resolve_asset_graph()
        assert graph.get(dg.AssetKey("newsletter")).parent_keys == {LIVE}

        def run(job: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
            return definitions.resolve_job_def(job).execute_in_process(
                instance=instance, partition_key=partition, run_config={"loggers": QUIET}
            )

        ingested = run("ingest_source", "docs")
        assert materialized(ingested) == CHAIN, "and nothing that the project calls ingest"
        checked = {one.check_name: one.metadata for one in ingested.get_asset_check_evaluations()}
        assert checked["has_tokens"]["rows_checked"].value == 1, "as the project's resource says"
        assert run("build_index").success
    assert workspace.search("oil")


def test_a_configuration_may_stand_in_the_yaml_itself(project: DefsFolderSandbox, workspace: Workspace):
    workspace.document["sources"]["docs"]["options"]["root"] = "${CONFIG_DIR}/docs"
    mount(project, {"config": workspace.document | {"data_dir": str(workspace.folder / "data")}})

    with project.build_all_defs() as definitions:
        settings = definitions.resources["settings"]

    assert settings.sources["docs"].options.root == str(project.defs_folder_path / "search" / "docs")
    assert settings.data_dir == workspace.folder / "data"


def test_owners_groups_and_automation_are_overridden_by_asset(
    project: DefsFolderSandbox, workspace: Workspace
):
    translation = {
        "owners": ["team:search"],
        "group_name": "rag_{{ spec.group_name }}",
        "tags": {"domain": "knowledge"},
    }
    nightly = {
        "target": "key:rag/raw_documents",
        "attributes": {"automation_condition": "{{ automation_condition.on_cron('0 2 * * *') }}"},
    }
    mount(
        project,
        {"config": str(workspace.config_file), "translation": translation},
        post_processing={"assets": [nightly]},
    )
    with project.build_all_defs() as definitions:
        graph = definitions.resolve_asset_graph()
        ours = [node for node in graph.asset_nodes if node.key.path[0] == "rag"]
        jobs = {name: definitions.resolve_job_def(name) for name in ("ingest_source", "build_index")}

    assert {tuple(node.owners) for node in ours} == {("team:search",)}
    assert {node.group_name for node in ours} == {
        "rag_ingest",
        "rag_index",
        "rag_reconcile",
        "rag_monitoring",
    }
    assert {node.tags["domain"] for node in ours} == {"knowledge"}
    assert graph.get(LIVE).tags["rag/index"] == "main", "tags are added to"
    assert "on_cron" in str(graph.get(dg.AssetKey(["rag", "raw_documents"])).automation_condition.get_label())
    assert len(jobs["ingest_source"].asset_layer.selected_asset_keys) == len(CHAIN)
    assert len(jobs["build_index"].asset_layer.selected_asset_keys) == 2


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"translation": {"key_prefix": "search"}}, "received the key search/rag/"),
        ({"resources": {"settings": "mine"}}, "received settings; valid: database, embedders, quality"),
        ({"config": {"sources": {"a": {"connector": "nonsense"}}}}, "nonsense"),
        ({"config": "missing.yaml"}, "cannot read the configuration"),
    ],
)
def test_what_cannot_be_is_said_when_the_project_loads(
    project: DefsFolderSandbox, workspace: Workspace, attributes: dict[str, Any], said: str
):
    mount(project, {"config": str(workspace.config_file), **attributes})

    with pytest.raises(ComponentTreeException) as error, project.build_all_defs():
        pass

    cause = error.value.__cause__
    assert isinstance(cause, ConfigError)
    assert said in str(cause)


def test_the_scaffolded_component_loads_and_indexes_its_folder(project: DefsFolderSandbox):
    folder = project.scaffold_component(RagPipeline, "search")

    assert (folder / "docs" / "hello.md").exists()
    with project.build_all_defs() as definitions:
        assert definitions.resources["settings"].sources["docs"].options.root == str(folder / "docs")
        assert definitions.resources["settings"].data_dir == project.project_root / ".rag"


def test_every_project_that_has_the_package_installed_lists_the_component():
    listed = {key.to_typename() for key in discover_entry_point_package_objects()}

    assert "rag_pipelines.RagPipeline" in listed


def test_this_repository_is_a_project_of_dg(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAG_CONFIG", str(workspace.config_file))
    command = [sys.executable, "-m", "dagster_dg_cli.cli", "check", "defs"]

    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert answer.returncode == 0, answer.stderr
    assert "All definitions loaded successfully" in answer.stdout
    assert "Warning" not in answer.stdout + answer.stderr
