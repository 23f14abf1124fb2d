"""Suites of the configuration: they run beside the built-in ones, refuse promotion, and show in Data Docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_pipelines.cli.main import main
from rag_pipelines.config.suites import COLUMNS
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import GateError, RagError
from rag_pipelines.index.promotion import promote
from rag_pipelines.quality.library import ExpectationResult
from rag_pipelines.quality.process import SuiteProcess
from rag_pipelines.quality.runner import check_source, suite_of
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import query
from rag_pipelines_tests.integration.workspace import Workspace

TITLED = {
    "type": "expect_column_values_to_match_regex",
    "kwargs": {"column": "title", "regex": "^Guide"},
    "name": "titled",
    "description": "Every document is a guide.",
}
OWNED = {
    "type": "unexpected_rows_expectation",
    "kwargs": {"unexpected_rows_query": "SELECT external_id FROM {batch} WHERE metadata ->> 'owner' IS NULL"},
    "name": "owned",
    "blocking": False,
}
SHORT = {
    "type": "expect_column_mean_to_be_between",
    "kwargs": {"column": "tokens", "max_value": 500},
    "name": "short",
}


@pytest.fixture
def house(workspace: Workspace) -> Workspace:
    """A workspace with two suites of its own and a document that breaks both of one."""
    workspace.document["quality"] = {
        "suites": {
            "house-rules": {"stage": "documents", "expectations": deepcopy([TITLED, OWNED])},
            "cutting": {"stage": "chunks", "expectations": deepcopy([SHORT])},
        }
    }
    workspace.write("guide.md", "# Guide to valves\n\nA valve opens slowly.")
    workspace.write("memo.md", "# Memo\n\nNothing to guide anybody.")
    workspace.ingest()
    return workspace


@pytest.fixture(scope="module")
def suite_process() -> Iterator[SuiteProcess]:
    """The process of runs; it imports the library once for those tests that need it."""
    with SuiteProcess() as process:
        yield process


def check(workspace: Workspace, **more: Any) -> dict[str, ExpectationResult]:
    results = check_source(
        Runtime(workspace.database, workspace.settings, Embedders(workspace.settings.data_dir)),
        "docs",
        **more,
    )
    return {f"{one.suite}.{one.expectation}": one for one in results}


def run(workspace: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(workspace.config_file), *arguments])
    return int(ended.value.code or 0)


def test_own_suites_run_with_the_built_in_ones_and_name_what_broke_them(house: Workspace):
    results = check(house)

    assert results["documents.unique_ids"].passed
    titled = results["house-rules.titled"]
    assert (titled.passed, titled.blocking, titled.unexpected, titled.rows) == (False, True, 1, 2)
    assert titled.samples == [{"external_id": "memo.md"}]
    assert not results["house-rules.owned"].passed
    assert not results["house-rules.owned"].blocking
    assert results["house-rules.owned"].error is None
    assert results["cutting.short"].passed


def test_no_result_repeats_what_a_document_says(house: Workspace):
    """Results outlive documents: a purge would have to look for their words there."""
    house.document["quality"]["suites"] = {
        "quiet": {
            "stage": "chunks",
            "expectations": [
                {
                    "type": "expect_column_values_to_not_match_regex",
                    "kwargs": {"column": "text", "regex": "valve"},
                    "name": "words",
                },
                {
                    "type": "expect_column_distinct_values_to_be_in_set",
                    "kwargs": {"column": "title", "value_set": ["Other"]},
                    "name": "titles",
                },
                {
                    "type": "expect_column_values_to_be_between",
                    "kwargs": {"column": "ordinal", "min_value": 7},
                    "name": "places",
                },
            ],
        }
    }

    results = check(house)

    assert [results[f"quiet.{name}"].passed for name in ("words", "titles", "places")] == [False] * 3
    assert set(results["quiet.words"].samples[0]) == {"external_id", "chunk_id"}
    assert results["quiet.titles"].samples == []
    assert results["quiet.places"].samples[0]["ordinal"] == 0
    with house.database.connection() as connection:
        stored = str(connection.execute("SELECT samples, error FROM rag.quality_result").fetchall()).lower()
    assert "valve" not in stored
    assert "memo.md" in stored


def test_an_aggregate_that_is_out_of_bounds_says_what_was_observed(house: Workspace):
    house.document["quality"]["suites"]["cutting"]["expectations"][0]["kwargs"]["max_value"] = 1

    short = check(house)["cutting.short"]

    assert not short.passed
    assert short.samples[0]["observed_value"] > 1


def test_a_blocking_one_refuses_promotion_until_it_passes_or_is_taken_out(house: Workspace):
    check(house)
    version = house.build()
    assert house.validate(version)["source_quality"] is False
    with pytest.raises(GateError, match="gate source_quality failed"):
        promote(house.database, "main")

    del house.document["quality"]
    check(house)

    assert house.validate(version)["source_quality"] is True


def test_a_suite_for_some_sources_leaves_the_others_alone(house: Workspace):
    house.document["sources"]["other"] = house.document["sources"]["docs"]
    for one in house.document["quality"]["suites"].values():
        one["sources"] = ["other"]

    assert {name.partition(".")[0] for name in check(house)} == {"documents", "chunks", "vectors"}


def test_the_process_of_its_own_runs_them_too(house: Workspace, suite_process: SuiteProcess):
    assert check(house, run=suite_process.run) == check(house)


@pytest.mark.parametrize("stage", COLUMNS)
def test_the_rows_have_the_columns_that_are_promised(house: Workspace, stage: str):
    params = {"source_id": 1, "chunkers": [], "model_chunkers": [], "models": []}
    with house.database.connection() as connection:
        found = query(connection, f"quality_own_{stage}", params)
        assert found.description is not None
        assert tuple(column.name for column in found.description) == COLUMNS[stage]


def test_every_stage_sees_its_rows(house: Workspace):
    house.document["quality"]["suites"] = {
        f"rows-of-{stage}": {
            "stage": stage,
            "expectations": [
                {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "external_id"}}
            ],
        }
        for stage in COLUMNS
    }

    results = check(house)

    assert {name: one.rows for name, one in results.items() if name.startswith("rows-of-")} == {
        f"rows-of-{stage}.column_values_to_not_be_null_external_id": 2 for stage in COLUMNS
    }


def test_arguments_that_the_library_refuses_are_named_by_config_check_and_by_a_run(
    house: Workspace, suite_process: SuiteProcess, capsys: pytest.CaptureFixture[str]
):
    kwargs = house.document["quality"]["suites"]["house-rules"]["expectations"][0]["kwargs"]
    kwargs["regexp"] = kwargs.pop("regex")

    assert run(house, "config", "check") == 2
    said = capsys.readouterr().err
    assert "quality.suites.house-rules, titled (expect_column_values_to_match_regex): regexp" in said
    assert re.search(r"arguments that it takes: column, .*regex", said)
    with pytest.raises(RagError, match="regexp"):
        check(house, run=suite_process.run)


def test_quality_shows_own_suites_and_fails_for_a_blocking_one(
    house: Workspace, capsys: pytest.CaptureFixture[str]
):
    assert run(house, "config", "check") == 0
    for arguments in (["quality"], ["quality", "docs"], ["quality", "run", "docs"]):
        assert run(house, *arguments) == 1
        assert "house-rules" in capsys.readouterr().out


def test_data_docs_are_a_site_of_what_was_just_found_that_fetches_nothing(
    house: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "site"

    assert run(house, "quality", "docs", "--out", str(out)) == 1

    assert f"written: {out / 'index.html'}" in capsys.readouterr().out
    index = (out / "index.html").read_text()
    assert re.search(
        r"<td>docs</td><td><a href=\"[^\"]+\">house-rules</a></td><td>FAILED</td><td>0 of 2", index
    )
    links = re.findall(r'href="([^"]+)"', index)
    assert len(links) == 5
    pages = [(out / link).read_text() for link in links]
    rules = next(page for page in pages if "Every document is a guide." in page)
    assert "Memo" in rules
    for page in (index, *pages, *(path.read_text() for path in out.glob("expectations/**/*.html"))):
        assert not re.search(r"<script|(?:src|<link[^>]*href)=.?(?:https?:)?//|url\(.?http", page)
        assert "postgresql" not in page
    with house.database.connection() as connection:
        row = connection.execute("SELECT count(*) FROM rag.quality_result WHERE NOT passed").fetchone()
    assert row is not None
    assert tuple(row.values() if isinstance(row, dict) else row) == (2,)


def test_data_docs_are_written_over_their_own_folder_and_over_no_other(
    house: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "site"
    run(house, "quality", "docs", "--out", str(out))
    assert run(house, "quality", "docs", "--out", str(out)) == 1
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("kept")

    assert run(house, "quality", "docs", "--out", str(tmp_path / "letters")) == 2

    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / "letters" / "dear.txt").read_text() == "kept"


def test_suite_of_knows_own_suites(house: Workspace):
    assert suite_of(house.settings, "docs", "cutting").query == "quality_own_chunks"


def test_config_show_prints_suites_as_they_can_be_read_again(
    house: Workspace, capsys: pytest.CaptureFixture[str]
):
    run(house, "config", "show")

    shown = yaml.safe_load(capsys.readouterr().out)["quality"]["suites"]["house-rules"]
    assert shown["sources"] == "*"
    assert shown["expectations"][0]["kwargs"] == TITLED["kwargs"]
