"""The key figures in Dagster: a materialization of figures, and checks that say which of them are wrong."""

from __future__ import annotations

import dagster as dg

from rag_pipelines.orchestration.key_figures import KEY_FIGURES
from rag_pipelines.orchestration.names import KEEP_KEY_FIGURES
from rag_pipelines_tests.orchestration.conftest import Shell


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_figures_are_kept_each_day_and_a_missed_target_is_named(shell: Shell) -> None:
    shell.workspace.document["kpis"] = {"targets": {"coverage": 0.9, "cache_hits": 0.9}}
    shell.ingest()
    result = shell.run(KEEP_KEY_FIGURES)
    assert result.success
    (made,) = result.asset_materializations_for_node("rag__key_figures")
    assert made.asset_key == KEY_FIGURES
    assert made.metadata["coverage"].value == 1.0
    assert "ingestion_success" in made.metadata
    judged = checks(result)
    assert not judged["targets_met"].passed
    assert "cache_hits of docs" in (judged["targets_met"].description or "")
    assert "coverage" not in (judged["targets_met"].description or "")
    assert judged["distributions_steady"].passed
    kept = shell.workspace.rows("SELECT DISTINCT name FROM rag.kpi")
    assert {"name": "coverage"} in kept
