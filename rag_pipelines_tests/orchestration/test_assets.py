"""Assets and checks run as Dagster runs them, in this process, on real files and a real Postgres."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from psycopg.conninfo import conninfo_to_dict

from rag_pipelines.errors import GateError
from rag_pipelines.index.promotion import promote
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.store.lease import source_lease
from rag_pipelines.sync.deletions import approve, list_deletions
from rag_pipelines_tests.orchestration.conftest import CHAIN, Shell, failed_checks, materialized


@pytest.mark.usefixtures("real_suites")
def test_a_source_goes_through_every_stage_and_each_says_what_it_did(shell: Shell):
    (shell.workspace.docs / "broken.pdf").write_bytes(b"%PDF-1.7 not really")

    result = shell.ingest()

    assert result.success
    assert materialized(result) == CHAIN
    raw = shell.metadata(result, "raw_documents")
    assert (raw["documents_listed"], raw["documents_added"], raw["documents_deleted"]) == (7, 7, 0)
    assert raw["loaded_bytes"] > 1000
    assert raw["source"] == "docs"
    assert raw["run_id"] == result.run_id
    assert raw["outcome"] == "complete"
    parsed = shell.metadata(result, "parsed_documents")
    assert parsed["documents_parsed"] == 6
    assert parsed["quarantined_documents"] == 1
    assert [row["external_id"] for row in parsed["quarantine"]] == ["broken.pdf"]
    formats = {row["external_id"]: row["format"] for row in parsed["sample_rows"]}
    assert formats.pop("broken.pdf") == ""
    assert set(formats.values()) == {"markdown"}
    chunks = shell.metadata(result, "chunks")
    assert chunks["new_chunks"] == chunks["dagster/partition_row_count"] >= 6
    assert "█" in chunks["chunks_by_tokens"]
    assert {"external_id", "tokens", "text"} <= set(chunks["sample_rows"][0])
    vectors = shell.metadata(result, "embeddings")
    assert vectors["new_vectors"] == vectors["dagster/partition_row_count"] == chunks["new_chunks"]


def test_a_second_run_changes_nothing_and_says_so(shell: Shell):
    shell.ingest()
    again = shell.ingest()

    assert again.success
    raw = shell.metadata(again, "raw_documents")
    assert (raw["documents_unchanged"], raw["documents_added"], raw["documents_changed"]) == (6, 0, 0)
    assert "loaded_bytes" not in raw
    assert shell.metadata(again, "parsed_documents")["documents_parsed"] == 0
    assert shell.metadata(again, "chunks")["new_chunks"] == 0
    assert shell.metadata(again, "embeddings")["new_vectors"] == 0


def test_the_figures_that_people_ask_for_come_first_and_others_only_where_there_is_something_to_say(
    shell: Shell,
):
    (shell.workspace.docs / "broken.pdf").write_bytes(b"%PDF-1.7 not really")
    first, again = shell.ingest(), shell.ingest()
    built = shell.run("build_index")

    asked = {
        "raw_documents": [
            "documents",
            "documents_added",
            "documents_changed",
            "documents_deleted",
            "quarantined_documents",
            "elapsed_s",
        ],
        "parsed_documents": [
            "parsed",
            "documents_parsed",
            "documents_failed",
            "quarantined_documents",
            "elapsed_s",
        ],
        "chunks": ["chunks", "new_chunks", "stored_tokens", "elapsed_s"],
        "embeddings": ["vectors", "new_vectors", "embed_tokens", "embed_cost", "elapsed_s"],
    }
    for run in (first, again):
        for asset, names in asked.items():
            found = shell.metadata(run, asset)
            assert list(found)[: len(names)] == names, "also where they are zero: a history has no gaps"
            rest = [value for name, value in found.items() if name not in names]
            assert not [value for value in rest if isinstance(value, int | float) and value == 0]
    candidate = shell.metadata(built, "main", "index_candidate")
    assert list(candidate)[:5] == ["version", "documents", "chunks", "version_bytes", "gates_failed"]
    assert (candidate["documents"], candidate["gates_failed"]) == (6, 0)
    assert candidate["version_bytes"] > 8192


def test_more_documents_in_quarantine_than_are_shown_are_counted(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
):
    for number in range(3):
        (shell.workspace.docs / f"broken-{number}.pdf").write_bytes(b"%PDF-1.7 not really")
    monkeypatch.setattr(shown, "QUARANTINED", 2)
    shell.workspace.document["serving"] = {
        "url": "https://search.acme.example",
        "admin": {"read": ["group:kb"]},
    }

    raw = shell.metadata(shell.ingest(), "embeddings")

    assert raw["quarantined_documents"] == 3
    assert len(raw["quarantine"]) == 2
    assert raw["quarantine_command"] == "rag-pipelines quarantine list --source docs"
    assert raw["quarantine_page"] == "https://search.acme.example/admin#quarantine-head"


def test_lineage_tools_find_the_table_of_each_asset_and_its_columns(shell: Shell):
    ingested, built = shell.ingest(), shell.run("build_index")

    dbname = conninfo_to_dict(shell.workspace.url)["dbname"]
    for asset, table, column in (
        ("raw_documents", "document", None),
        ("parsed_documents", "parse", None),
        ("chunks", "chunk", ("text", "text")),
        ("embeddings", "embedding", ("input_key", "uuid")),
    ):
        found = shell.metadata(ingested, asset)
        assert found["dagster/table_name"] == f"{dbname}.rag.{table}"
        schema = found.get("dagster/column_schema")
        columns = [(one.name, one.type) for one in schema.columns] if schema else [None]
        assert column in columns, "those of a wide table would push the figures off the first screen"
    live = shell.metadata(built, "main", "live_index")
    (version,) = shell.workspace.rows("SELECT storage FROM rag.index_version WHERE state = 'live'")
    assert live["dagster/table_name"] == f"{dbname}.rag.vectors_{version['storage']}"
    assert live["dagster/uri"].startswith("postgres://localhost:")
    assert live["dagster/uri"].endswith(f"/{dbname}")


def test_the_live_index_links_to_the_page_that_searches_it(shell: Shell):
    shell.workspace.document["serving"] = {"url": "https://search.acme.example"}
    shell.ingest()

    live = shell.metadata(shell.run("build_index"), "main", "live_index")

    assert live["search_page"] == "https://search.acme.example/#index=main"


def test_the_stages_of_one_run_are_one_row_of_the_run_history(shell: Shell):
    shell.ingest()
    shell.ingest("team-notes")

    rows = shell.workspace.rows(
        "SELECT s.name, r.outcome, r.report FROM rag.run r JOIN rag.source s USING (source_id) ORDER BY 1"
    )

    assert [(row["name"], row["outcome"]) for row in rows] == [
        ("docs", "complete"),
        ("team-notes", "complete"),
    ]
    report = rows[0]["report"]
    assert (report["listed"], report["parsed"], report["statuses"]) == (6, 6, {"ok": 6})
    assert report["embedded"] == report["chunks"] > 0


def test_the_log_of_a_run_holds_what_the_core_logged_in_it(shell: Shell):
    (shell.workspace.docs / "locked.pdf").write_bytes(b"%PDF-1.4 nobody can open this")

    result = shell.ingest()

    told = {
        (record.level, record.user_message.split("  ")[0])
        for record in shell.instance.all_logs(result.run_id)
        if record.dagster_event is None
    }
    assert {(logging.INFO, "stage ended"), (logging.WARNING, "quarantined")} <= told
    assert not logging.getLogger("rag_pipelines").handlers[1:], "a run leaves no handler behind"


def test_a_window_takes_only_what_changed_in_it_and_deletes_nothing(shell: Shell):
    shell.ingest()
    (shell.workspace.docs / "guide-0.md").unlink()

    result = shell.ingest(since="2001-01-01", until="2002-01-01")

    raw = shell.metadata(result, "raw_documents")
    assert (raw["documents_deleted"], raw["outcome"]) == (0, "partial")
    assert "documents_listed" not in raw
    assert "guide-0.md" in shell.workspace.stored()


def test_a_wrong_time_fails_the_run_with_what_is_valid(shell: Shell):
    result = shell.ingest(since="last week")

    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "received 'last week'; valid: a date or time such as" in str(failure.step_failure_data.error)
    assert materialized(result) == []


@pytest.mark.usefixtures("real_suites")
def test_what_changed_becomes_the_live_version_and_nothing_is_built_without_a_change(shell: Shell):
    shell.ingest()
    shell.ingest("team-notes")
    first = shell.run("build_index")
    second = shell.run("build_index")

    assert first.success
    assert second.success
    candidate = shell.metadata(first, "main", "index_candidate")
    assert candidate["rebuilt"] is True
    assert candidate["gate_recall"] >= 0.5
    assert {row["gate"] for row in candidate["gates"]} >= {"row_parity", "recall", "source_quality"}
    live = shell.metadata(first, "main", "live_index")
    assert (live["promoted"], live["state"], live["version"]) == (True, "live", candidate["version"])
    assert live["dagster/row_count"] == candidate["dagster/row_count"] > 0
    assert shell.metadata(second, "main", "index_candidate")["rebuilt"] is False
    assert shell.metadata(second, "main", "live_index")["promoted"] is False
    assert failed_checks(second) == set()
    assert shell.workspace.paths("gate opens at seven") & {"note.txt"}


def test_a_failed_gate_stops_the_promotion_in_its_run_and_is_refused_in_any_other(shell: Shell):
    shell.ingest()
    shell.run("build_index")
    shell.workspace.document["indexes"]["main"]["gates"] = {"min_recall": 0.5, "max_chunk_drop": 0.1}
    for number in range(5):
        (shell.workspace.docs / f"guide-{number}.md").unlink()
    shell.ingest()

    build = shell.run("build_index")
    alone = shell.run("build_index", asset_selection=[_key("main", "live_index")])

    assert not build.success
    assert "index_candidate.chunk_statistics" in failed_checks(build)
    assert materialized(build) == ["index_candidate"]
    assert not alone.success
    (failure,) = [event for event in alone.all_events if event.is_step_failure]
    assert "gate chunk_statistics failed" in failure.step_failure_data.user_failure_data.description
    with pytest.raises(GateError, match="chunk_statistics"):
        promote(shell.workspace.database, "main")


def test_the_check_of_quality_shows_the_comparison_with_the_live_version_and_what_versions_scored(
    shell: Shell,
):
    golden = shell.workspace.folder / "golden.jsonl"
    rows = ({"id": str(n), "query": f"pump {n}", "expect": [{"path": f"guide-{n}.md"}]} for n in range(6))
    golden.write_text("\n".join(map(json.dumps, rows)))
    shell.workspace.document["indexes"]["main"]["golden"] = "golden.jsonl"
    shell.ingest()
    shell.run("build_index")
    shell.workspace.write("guide-0.md", "# Zero\n\nNothing of what it was.")
    shell.ingest()

    result = shell.run("build_index")

    (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "quality"]
    shown = {name: value.value for name, value in check.metadata.items()}
    assert "| nDCG@10 | " in shown["report"]
    lost = shown["report"].partition("## lexical: Lost most, nDCG@10")[2]
    assert "| 0 | pump 0 | 1.000 | 0.000 |" in lost
    assert "<svg" in Path(shown["report_page"]).read_text(encoding="utf-8")
    scores = [dict(record.data) for record in check.metadata["scores_of_versions"].records]
    (newest,) = (
        row["id"]
        for row in shell.workspace.rows("SELECT version_id AS id FROM rag.index_version WHERE state = 'live'")
    )
    assert {(row["version"], row["mode"]) for row in scores} == {
        (version, mode) for version in (1, newest) for mode in ("hybrid", "dense", "lexical")
    }
    assert {row["same_questions"] for row in scores} == {True}
    lexical = next(row["nDCG@10"] for row in scores if (row["version"], row["mode"]) == (newest, "lexical"))
    assert shell.metadata(result, "main", "index_candidate")["lexical_nDCG@10"] == pytest.approx(
        lexical, abs=1e-4
    )
    assert shell.metadata(result, "main", "live_index")["lexical_nDCG@10"] == pytest.approx(lexical, abs=1e-4)


def test_somebody_with_a_reason_promotes_a_candidate_that_a_gate_refuses(shell: Shell):
    golden = shell.workspace.folder / "golden.jsonl"
    golden.write_text('{"id": "1", "query": "oil", "must_not_return": [{"path": "guide-3.md"}]}')
    shell.workspace.document["indexes"]["main"]["golden"] = "golden.jsonl"
    shell.ingest()

    def promoted(**config: Any) -> dg.ExecuteInProcessResult:
        ops = {"rag__main__live_index": {"config": config}}
        return shell.run("build_index", ops=ops, asset_selection=[_key("main", "live_index")])

    build = shell.run("build_index")
    unsigned = promoted(override=["quality"], by="ann@example.com")
    signed = promoted(override=["quality"], by="ann@example.com", reason="guide 3 is public since today")

    assert not build.success
    assert failed_checks(build) == {"index_candidate.quality"}
    assert not unsigned.success
    assert signed.success
    assert shell.metadata(signed, "main", "live_index")["promoted"] is True
    (kept,) = shell.workspace.rows("SELECT actor, detail FROM rag.audit WHERE action = 'override'")
    assert kept["actor"] == "ann@example.com"
    assert kept["detail"]["through"] == f"dagster run {signed.run_id}"


@pytest.mark.usefixtures("real_suites")
def test_a_broken_row_stops_the_chain_and_the_next_build_is_refused(shell: Shell):
    shell.ingest()
    shell.run("build_index")
    shell.workspace.write("guide-0.md", "# Guide 0\n\nNew words for everyone.")
    with shell.workspace.database.connection() as connection:
        connection.execute("UPDATE rag.chunk SET end_at = end_at + 100000 WHERE ordinal = 0")

    ingest = shell.ingest()
    build = shell.run("build_index")

    assert failed_checks(ingest) >= {"chunks.span_is_text", "chunks.ends_inside"}
    assert materialized(ingest) == CHAIN[:-1]
    assert "index_candidate.source_quality" in failed_checks(build)
    assert "live_index" not in materialized(build)


def test_a_source_that_another_run_holds_fails_at_once_and_leaves_the_others_alone(shell: Shell):
    with source_lease(shell.workspace.database, "team-notes", "filesystem"):
        busy = shell.ingest("team-notes")
        fine = shell.ingest("docs")

    assert not busy.success
    (failure,) = [event for event in busy.all_events if event.is_step_failure]
    assert "source 'team-notes' is being synced" in failure.step_failure_data.user_failure_data.description
    assert fine.success
    assert materialized(fine) == CHAIN


def _key(*parts: str) -> dg.AssetKey:
    return dg.AssetKey(["rag", *parts])


def test_deletions_that_wait_are_a_failed_check_with_the_list(shell: Shell):
    shell.workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 2}
    shell.ingest()
    for number in range(4):
        (shell.workspace.docs / f"guide-{number}.md").unlink()

    waiting = shell.ingest()
    with shell.workspace.database.connection() as connection:
        (deletion,) = list_deletions(connection)
    approve(shell.workspace.database, deletion.deletion_id, reason="the guides were retired")
    decided = shell.ingest()

    assert waiting.success
    assert "raw_documents.deletions_decided" in failed_checks(waiting)
    evaluations = waiting.get_asset_check_evaluations()
    (check,) = [one for one in evaluations if one.check_name == "deletions_decided"]
    assert check.metadata["waiting_documents"].value == 4
    rows = [record.data["external_id"] for record in check.metadata["documents"].records]
    assert rows == [f"guide-{number}.md" for number in range(4)]
    assert "raw_documents.deletions_decided" not in failed_checks(decided)


def test_a_run_above_its_budget_fails_with_the_plan_to_apply(shell: Shell):
    shell.workspace.document["sources"]["docs"]["budget"] = {"documents": 2}

    refused = shell.ingest()
    shell.workspace.document["sources"]["docs"]["budget"] = {"documents": 6, "tokens": 100_000}
    within = shell.ingest()

    (failure,) = [event for event in refused.all_events if event.is_step_failure]
    assert "rag-pipelines apply 1" in failure.step_failure_data.user_failure_data.description
    assert materialized(refused) == []
    raw = shell.metadata(within, "raw_documents")
    assert raw["planned_tokens"] == shell.metadata(within, "embeddings")["embed_tokens"] > 0
    assert raw["plan"] == 2
