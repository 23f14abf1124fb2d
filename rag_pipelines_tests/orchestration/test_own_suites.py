"""Suites of the configuration in Dagster: each expectation is a check of its stage's asset."""

from __future__ import annotations

import pytest

from rag_pipelines_tests.orchestration.conftest import Shell, failed_checks, materialized

pytestmark = pytest.mark.usefixtures("real_suites")


def suite(column: str, stage: str, **more: object) -> dict[str, object]:
    return {
        "stage": stage,
        "expectations": [
            {"type": "expect_column_values_to_be_null", "kwargs": {"column": column}, "name": "none", **more}
        ],
    }


def test_a_blocking_one_stops_the_chain_and_refuses_the_next_build_and_others_only_warn(shell: Shell):
    shell.ingest()
    shell.run("build_index")
    shell.workspace.write("guide-0.md", "# Guide 0\n\nNew words for everyone.")
    shell.workspace.document["quality"] = {
        "suites": {
            "no-titles": suite("title", "documents", blocking=False),
            "no-tokens": suite("tokens", "chunks"),
        }
    }

    ingest = shell.ingest()
    build = shell.run("build_index")

    assert failed_checks(ingest) == {"parsed_documents.no_titles__none", "chunks.no_tokens__none"}
    assert materialized(ingest) == ["raw_documents", "parsed_documents", "chunks"]
    assert "index_candidate.source_quality" in failed_checks(build)


def test_a_suite_that_is_not_for_the_source_passes_and_says_so(shell: Shell):
    shell.workspace.document["quality"] = {
        "suites": {"no-titles": {**suite("title", "documents"), "sources": ["team-notes"]}}
    }

    ingest = shell.ingest()

    (check,) = [one for one in ingest.get_asset_check_evaluations() if one.check_name == "no_titles__none"]
    assert check.passed
    assert check.metadata["skipped"].value == "this suite is not for this source"
