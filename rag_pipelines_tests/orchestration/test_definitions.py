"""The definitions as a whole: what there is, that it loads, and how little loading it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.orchestration.state_checks import index_fresh
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import Shell

ROOT = Path(__file__).parents[2]

HEAVY = [
    "torch",
    "transformers",
    "sentence_transformers",
    "openvino",
    "great_expectations",
    "unstructured",
    "spacy",
    "pandas",
    "pyarrow",
    "pymupdf",
    "lxml",
]


def test_what_there_is(shell: Shell):
    repository = shell.definitions.get_repository_def()
    graph = repository.asset_graph

    assert sorted(key.to_user_string() for key in graph.materializable_asset_keys) == [
        "rag/chunks",
        "rag/completeness",
        "rag/embeddings",
        "rag/key_figures",
        "rag/main/index_candidate",
        "rag/main/live_index",
        "rag/parsed_documents",
        "rag/raw_documents",
    ]
    checks: dict[str, set[str]] = {}
    for key in graph.asset_check_keys:
        checks.setdefault(key.asset_key.path[-1], set()).add(key.name)
    assert checks == {
        "raw_documents": {"listing_complete", "deletions_decided", "fresh"},
        "live_index": {"fresh"},
        "parsed_documents": {
            "unique_ids",
            "content_stored",
            "size_within_limit",
            "volume_drop",
            "every_document_answered",
            "known_status",
            "text_found",
            "table_headers",
            "words_kept",
            "content_kept",
            "quarantine_documents",
            "quarantine_age",
        },
        "chunks": {
            "unique_ids",
            "none_lost",
            "not_empty",
            "has_tokens",
            "tokens_within_budget",
            "span_is_text",
            "starts_inside",
            "ends_inside",
            "pages_inside",
            "pages_known",
        },
        "completeness": {
            "listed_is_stored",
            "stored_is_processed",
            "content_is_there",
            "access_is_fresh",
            "processed_is_indexed",
        },
        "key_figures": {"targets_met", "distributions_steady"},
        "embeddings": {"coverage", "dimensions", "finite", "unit_length"},
        "index_candidate": {
            "row_parity",
            "completeness",
            "no_orphans",
            "dimension_and_norm",
            "vector_index_valid",
            "recall",
            "chunk_statistics",
            "source_quality",
            "quality",
            "access_proof",
            "personal_data",
            "canary",
        },
    }
    assert sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")) == [
        "build_index",
        "collect_garbage",
        "ingest_source",
        "keep_key_figures",
        "observe_catalogue",
        "prune_runs",
        "refresh_all",
        "renew_webhooks",
        "retry_quarantine",
        "rollback_index",
        "verify_source",
    ]
    assert sorted(schedule.name for schedule in repository.schedule_defs) == [
        "collect_garbage_daily",
        "full_listing_nightly",
        "ingest_docs",
        "key_figures_daily",
        "prune_runs_weekly",
        "renew_webhooks_often",
        "verify_daily",
    ]
    assert sorted(sensor.name for sensor in repository.sensor_defs) == [
        "automation_sensor",
        "catalogue_sensor",
        "clean_up_after_cancellation",
        "clean_up_after_failure",
        "events_sensor",
        "follow_up_sensor",
        "index_staleness_sensor",
        "source_freshness_sensor",
    ]


def test_every_asset_says_who_owns_it_what_it_is_and_which_code_it_has(shell: Shell):
    for asset in shell.definitions.get_repository_def().asset_graph.asset_nodes:
        assert asset.owners, asset.key
        assert asset.kinds, asset.key
        assert asset.description, asset.key
        assert asset.group_name in ("ingest", "index", "reconcile", "monitoring"), asset.key
        assert len(asset.code_version or "") == 32, asset.key


def test_the_live_index_is_checked_for_freshness_by_its_own_promise(workspace: Workspace, shell: Shell):
    workspace.document["indexes"]["main"]["freshness"] = "6h"
    key = dg.AssetKey(["rag", "main", "live_index"])

    with workspace.database.connection() as connection:
        answer = index_fresh(connection, workspace.settings, "main")

    assert answer.description == "not behind; promised within 6h"
    graph = shell.definitions.get_repository_def().asset_graph
    assert dg.AssetCheckKey(key, "fresh") in graph.asset_check_keys
    assert graph.get(key).freshness_policy is None, "a policy counts materializations"


def test_the_ingest_chain_shares_one_partitioning_and_a_backfill_is_one_run_a_source(shell: Shell):
    graph = shell.definitions.get_repository_def().asset_graph
    chain = [node for node in graph.asset_nodes if node.group_name == "ingest"]

    assert len({id(type(node.partitions_def)) for node in chain}) == 1
    assert {tuple(node.partitions_def.get_partition_keys()) for node in chain} == {("docs", "team-notes")}
    assert {node.backfill_policy for node in chain} == {None}


def test_an_index_depends_on_its_own_sources_only(workspace: Workspace, shell: Shell):
    workspace.document["indexes"]["main"]["sources"] = ["team-notes"]
    graph = shell.definitions.get_repository_def().asset_graph
    mapping = graph.get_partition_mapping(
        dg.AssetKey(["rag", "main", "index_candidate"]), dg.AssetKey(["rag", "embeddings"])
    )

    assert list(mapping.partition_keys) == ["team-notes"]


def test_a_code_version_changes_with_its_own_profile_alone(workspace: Workspace):
    def versions() -> dict[str, str | None]:
        definitions = build_definitions(settings=workspace.settings)
        nodes = definitions.get_repository_def().asset_graph.asset_nodes
        return {node.key.path[-1]: node.code_version for node in nodes}

    before = versions()
    workspace.document["profiles"]["chunking"] = {"default": {"max_tokens": 100}}
    after = versions()

    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"chunks", "index_candidate", "live_index"}


def test_automation_begins_switched_off_unless_the_configuration_says_otherwise(
    workspace: Workspace, shell: Shell
):
    def status() -> dg.DefaultSensorStatus:
        return shell.definitions.resolve_sensor_def("automation_sensor").default_status

    assert status() is dg.DefaultSensorStatus.STOPPED
    workspace.document["automation"] = {"running": True}
    assert status() is dg.DefaultSensorStatus.RUNNING


def test_a_configuration_without_sources_loads(workspace: Workspace, shell: Shell):
    workspace.document["sources"] = {}
    workspace.document["indexes"] = {}

    dg.Definitions.validate_loadable(shell.definitions)


def test_importing_the_definitions_loads_nothing_heavy_and_takes_little_beside_dagster(workspace: Workspace):
    program = (
        "import time, sys, json; began = time.process_time(); import dagster; between = time.process_time()\n"
        "import rag_pipelines.definitions\n"
        "costs = [between - began, time.process_time() - between]\n"
        f"print(json.dumps([*costs, [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    environment = {**os.environ, "RAG_CONFIG": str(workspace.config_file), "PYTHONDONTWRITEBYTECODE": ""}
    for _ in ("to compile", "to measure"):
        answer = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )

    of_dagster, of_definitions, heavy = json.loads(answer.stdout)
    assert heavy == []
    assert of_definitions < 1.5 * of_dagster


def test_a_wrong_configuration_is_reported_with_every_problem(tmp_path: Path):
    path = tmp_path / "rag.yaml"
    path.write_text("sources: {a: {connector: nonsense}}\nindexes: {b: {sources: [c]}}\n", encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, "-c", "import rag_pipelines.definitions"],
        capture_output=True,
        text=True,
        env={**os.environ, "RAG_CONFIG": str(path)},
    )

    assert answer.returncode != 0
    assert "2 problems" in answer.stderr
    assert "nonsense" in answer.stderr


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_the_instance_file_works_with_either_storage(
    storage: str, tmp_path: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
):
    text = (ROOT / "dagster.yaml").read_text(encoding="utf-8")
    if storage == "postgres":
        pytest.importorskip("dagster_postgres")
        text = _uncommented(text)
        url = empty_database_url.replace("postgresql://", "postgresql+psycopg2://")
        monkeypatch.setenv("DAGSTER_PG_URL", url)
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert storage in type(instance.run_storage).__name__.lower()
        assert instance.run_monitoring_enabled
        result = _hello.execute_in_process(instance=instance)
        assert instance.get_run_by_id(result.run_id).is_success


def _uncommented(text: str) -> str:
    """The instance file with its Postgres section in force."""
    head, marker, tail = text.partition("# storage:\n")
    assert marker, "dagster.yaml no longer shows how to use Postgres"
    lines = tail.splitlines()
    section = [line for line in lines[: lines.index("")] if line.startswith("#   ")]
    rest = lines[lines.index("") :]
    made = "\n".join([head, "storage:", *(line.removeprefix("# ") for line in section), *rest])
    assert "storage" in yaml.safe_load(made)
    return made


@dg.job
def _hello() -> None:
    """A run of nothing."""
