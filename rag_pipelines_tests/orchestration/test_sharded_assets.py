"""Stages that are worked off in shards: the same assets, rows, figures and checks, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from rag_pipelines.errors import TransientError
from rag_pipelines.orchestration import failures, sharded_assets
from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.quality.library import ExpectationResult
from rag_pipelines.quality.suites import Suite
from rag_pipelines.store.shards import Shard
from rag_pipelines.sync.report import SyncReport
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.orchestration.conftest import CHAIN, Shell, contents, failed_checks, materialized


def test_a_divided_source_ends_as_an_undivided_one_does(divided: Workspace, shell: Shell):
    result = shell.ingest("docs")
    del divided.document["execution"]
    undivided = shell.ingest("team-notes")

    assert result.success
    assert undivided.success
    assert materialized(result) == materialized(undivided) == CHAIN
    assert contents(divided, "docs") == contents(divided, "team-notes")
    assert {row["vectors"] for row in contents(divided)} == {1}
    checks = result.get_asset_check_evaluations()
    assert {check.partition for check in checks} == {"docs"}
    assert {check.asset_check_key for check in checks} == {
        check.asset_check_key for check in undivided.get_asset_check_evaluations()
    }
    assert failed_checks(result) == set()


def test_what_the_shards_did_is_told_as_one_stage_and_one_run(divided: Workspace, shell: Shell):
    (divided.docs / "broken.pdf").write_bytes(b"%PDF-1.7 not really")

    result = shell.ingest()

    parsed, chunks, vectors = (shell.metadata(result, name) for name in CHAIN[1:])
    assert (parsed["shards"], parsed["documents_parsed"], parsed["documents_failed"]) == (3, 24, 1)
    assert parsed["quarantined_documents"] == 1
    assert chunks["new_chunks"] == vectors["new_vectors"] == vectors["dagster/partition_row_count"] == 24
    (row,) = divided.rows("SELECT outcome, report FROM rag.run")
    assert row["outcome"] == "complete"
    assert row["report"]["statuses"]["ok"] == 24
    assert row["report"]["embedded"] == row["report"]["chunks"] == 24


def test_little_work_is_one_shard_and_a_run_may_ask_for_other_numbers(divided: Workspace, shell: Shell):
    asked = {"rag__parsed_documents": {"ops": {"plan_parse": {"config": {"shards": 2}}}}}

    first = shell.run("ingest_source", "docs", asked)
    idle = shell.ingest()

    assert _shards(first, "parse") == ["0_of_2", "1_of_2"]
    assert _shards(first, "embed") == ["0_of_3", "1_of_3", "2_of_3"]
    assert [_shards(idle, stage) for stage in ("parse", "chunk", "embed")] == [["0_of_1"]] * 3


def test_a_failed_check_stops_a_divided_run_as_any_other(divided: Workspace, shell: Shell):
    def nothing_holds(url: str, suite: Suite, params: Mapping[str, Any]) -> list[ExpectationResult]:
        return [
            ExpectationResult(suite.name, one.name, False, one.blocking, rows=1) for one in suite.expectations
        ]

    shell.quality = nothing_holds

    result = shell.ingest()

    assert not result.success
    assert materialized(result) == CHAIN[:2]


def test_a_shard_that_fails_for_now_is_tried_again_alone(
    divided: Workspace, shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    worked: list[Shard] = []
    work = sharded_assets.work_shard

    def flaky(runtime: Any, source: str, shard: Shard, **options: Any) -> SyncReport:
        worked.append(shard)
        if worked.count(shard) == 1 and shard.index == 1:
            raise TransientError("the blob store is away")
        return work(runtime, source, shard, **options)

    monkeypatch.setattr(sharded_assets, "work_shard", flaky)
    monkeypatch.setattr(failures, "RETRY_SECONDS", 0)

    result = shell.ingest()

    assert result.success
    assert worked[:4].count(Shard(1, 3)) == 2
    assert {worked[:4].count(Shard(index, 3)) for index in (0, 2)} == {1}
    assert shell.metadata(result, "parsed_documents")["documents_parsed"] == 24


def test_dividing_changes_nothing_about_the_assets(divided: Workspace, shell: Shell):
    def nodes() -> dict[dg.AssetKey, tuple[Any, ...]]:
        repository = build_definitions(settings=divided.settings).get_repository_def()
        return {
            node.key: (
                *(node.code_version, node.description, node.group_name, node.kinds, node.owners, node.pools),
                *(node.partitions_def, node.backfill_policy, node.parent_keys, node.check_keys),
            )
            for node in repository.asset_graph.asset_nodes
        }

    several = nodes()
    divided.document["execution"] = {"shards": 1}

    assert several == nodes()


def _shards(result: dg.ExecuteInProcessResult, stage: str) -> list[str]:
    """The mapping keys of the steps of a stage."""
    steps = [event.step_key or "" for event in result.all_events if event.is_step_start]
    return sorted(step.partition("[")[2][:-1] for step in steps if f".{stage}_shard[" in step)
