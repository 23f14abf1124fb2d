"""The operating commands on a small pipeline: what they print, what they change, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

import rag_pipelines.config
from rag_pipelines import demo
from rag_pipelines.cli import main
from rag_pipelines.demo.help_center import HelpCenter
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

HERON = "# Herons\n\nThe grey heron waits by the weir for eels."
SALARIES = "# Salaries\n\nBand D earns well."

Call = Callable[..., Result]


def fill_published(made: Workspace) -> None:
    """One document and a live version 1, without a copy, which would have a number too."""
    made.write("birds/heron.md", HERON)
    made.document["indexes"]["main"]["keep"] = {"spare": False}
    for command in (["ingest"], ["index", "build", "main"]):
        assert CliRunner().invoke(main.app, ["--config", str(made.config_file), *command]).exit_code == 0


@pytest.fixture
def workspace(request: pytest.FixtureRequest, stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    """The published one where a test asks for that, else an empty one."""
    if "published" in request.fixturenames:
        with stock_of(fill_published).lend() as lent:
            yield lent
        return
    made = Workspace(request.getfixturevalue("tmp_path"), request.getfixturevalue("database_url"))
    yield made
    made.close()


@pytest.fixture
def published(workspace: Workspace) -> Workspace:
    return workspace


def objects(result: Result) -> Any:
    return json.loads(result.stdout)


def make_vanished_source(workspace: Workspace, call: Call) -> None:
    """Put a source before the others whose only document is gone, which a run does not believe."""
    old = workspace.folder / "attic" / "old.md"
    old.parent.mkdir()
    old.write_text("# Old")
    attic = {"connector": "filesystem", "options": {"root": str(old.parent)}}
    workspace.document["sources"] = {"attic": attic, **workspace.document["sources"]}
    assert call("ingest", "attic").exit_code == 0
    old.unlink()


def test_ingest_says_what_changed_and_then_that_nothing_did(workspace: Workspace, call: Call) -> None:
    workspace.write("heron.md", HERON)
    first = call("ingest")
    assert first.exit_code == 0
    assert "changes   1 added" in first.stdout
    assert "statuses  1 ok" in first.stdout
    assert "1 embedded, 0 reused" in first.stdout
    second = call("ingest", "docs")
    assert second.stdout.startswith("docs: 1 document listed in ")
    assert second.stdout.endswith(" s, nothing to do\n")


def test_ingest_ends_with_3_when_a_document_failed(workspace: Workspace, call: Call) -> None:
    workspace.write("torn.pdf", b"%PDF-1.4 torn")
    workspace.write("heron.md", HERON)
    result = call("ingest", "--json")
    assert result.exit_code == 3
    (report,) = objects(result)["sources"]
    assert report["statuses"] == {"ok": 1, "corrupt": 1}
    workspace.write("torn.pdf", b"%PDF-1.4 torn again")
    again = call("ingest")
    assert again.exit_code == 3
    assert "1 document failed; see: rag-pipelines quarantine list --source docs" in again.stderr
    assert call("ingest").exit_code == 0, "what failed before is not tried again while nothing has changed"


def test_a_source_that_fails_does_not_stop_the_others(workspace: Workspace, call: Call) -> None:
    make_vanished_source(workspace, call)
    workspace.write("heron.md", HERON)
    result = call("ingest")
    assert result.exit_code == 1
    assert "error: attic: source 'attic' listed nothing but holds 1 documents" in result.stderr
    assert "docs: 1 document listed" in result.stdout
    assert workspace.stored() == {"old.md", "heron.md"}
    assert list(objects(call("ingest", "--json"))["errors"]) == ["attic"]


def test_ingest_takes_a_window_of_time(workspace: Workspace, call: Call) -> None:
    workspace.write("heron.md", HERON)
    assert call("ingest", "--until", "2001-01-01").exit_code == 0
    assert workspace.stored() == set()
    assert call("ingest", "--since", "2001-01-01").exit_code == 0
    assert workspace.stored() == {"heron.md"}
    refused = call("ingest", "--since", "2001-01-02", "--until", "2001-01-01")
    assert refused.exit_code == 2
    assert "is not before" in refused.stderr


def test_an_ingest_with_nothing_to_do_imports_nothing_heavy(workspace: Workspace) -> None:
    workspace.write("heron.md", HERON)
    workspace.ingest()
    heavy = {
        "torch",
        "dagster",
        "numpy",
        "rich",
        "openvino",
        "pymupdf",
        "lxml",
        "psycopg_pool",
        "great_expectations",
    }
    code = (
        "import sys; from rag_pipelines.cli.main import main\n"
        "try: main(['--config', sys.argv[1], 'ingest'])\n"
        "except SystemExit as end: assert not end.code\n"
        f"loaded = {heavy!r} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace.config_file)], check=True, capture_output=True, text=True
    )
    assert "nothing to do" in done.stdout


def test_plan_tells_what_an_ingest_would_do_and_does_nothing(workspace: Workspace, call: Call) -> None:
    workspace.write("heron.md", HERON)
    workspace.write("torn.pdf", b"%PDF-1.4 torn")
    (plan,) = objects(call("plan", "--json"))
    assert plan["changes"] == {"added": 2}
    assert plan["statuses"] == {"ok": 1, "corrupt": 1}
    assert plan["chunks"] == 1
    assert plan["tokens"] > 0
    shown = call("plan").stdout
    assert "heron.md" in shown
    assert workspace.stored() == set()
    call("ingest")
    assert "an ingest would change no document" in call("plan").stdout


def test_build_shows_the_gates_and_makes_the_version_live(workspace: Workspace, call: Call) -> None:
    workspace.write("heron.md", HERON)
    call("ingest")
    result = call("index", "build", "main")
    assert result.exit_code == 0
    assert "version 1 of main: 1 chunk of 1 document, built in full" in result.stdout
    assert "row_parity" in result.stdout
    assert result.stdout.endswith("version 1 of main is live\n")


def test_a_build_that_finds_nothing_changed_says_so_and_makes_no_version(
    published: Workspace, call: Call
) -> None:
    before = call("index", "versions", "main", "--json").stdout
    for asked in ([], ["--if-changed"]):
        again = call("index", "build", "main", *asked)
        assert (again.exit_code, again.stdout) == (
            0,
            "main: nothing has changed since the live version was built\n",
        )
    assert objects(call("index", "build", "main", "--json")) == {"index": "main", "built": False}
    assert call("index", "versions", "main", "--json").stdout == before
    assert "version 2 of main is live" in call("index", "build", "main", "--full").stdout


def test_refresh_ingests_builds_and_promotes_and_the_one_after_it_catches_up(
    workspace: Workspace, call: Call
) -> None:
    workspace.document["indexes"]["main"]["full_build_share"] = 1.0
    workspace.write("heron.md", HERON)
    first = call("refresh")
    assert first.exit_code == 0
    assert "1 added" in first.stdout
    assert first.stdout.endswith("version 1 of main is live\n")
    workspace.write("heron.md", HERON + "\n\nIt stands still.")
    second = call("refresh", "main")
    assert "1 chunk of 1 document, caught up from the newest retired version" in second.stdout
    assert workspace.paths("still", mode="lexical") == {"heron.md"}
    found = objects(call("refresh", "--json"))
    assert found["sources"][0]["listed"] == 1
    assert (found["errors"], found["indexes"]) == ({}, [{"index": "main", "built": False}])
    assert "there is no index 'other'; valid: main" in call("refresh", "other").stderr


def test_refresh_builds_what_it_can_and_ends_with_what_went_wrong(published: Workspace, call: Call) -> None:
    published.write("birds/owl.md", "# Owl\n\nAt night.")
    published.document["sources"]["gone"] = {
        "connector": "filesystem",
        "options": {"root": str(published.folder / "nowhere")},
        "access": "public",
    }
    published.document["indexes"]["main"]["sources"] = ["docs", "gone"]
    result = call("refresh")
    assert result.exit_code == 1
    assert "error: gone: " in result.stderr
    assert "birds/owl.md" in published.paths("night", mode="lexical")


def test_a_version_that_fails_a_gate_stays_a_candidate(published: Workspace, call: Call) -> None:
    published.document["indexes"]["main"]["gates"]["max_chunk_drop"] = 0.0
    (published.docs / "birds" / "heron.md").unlink()
    published.write("empty.md", "# One\n\nword")
    published.write("heron.md", "# Two\n\nwords")
    published.ingest(allow_deletes=True)
    assert call("index", "build", "main").exit_code == 0
    (published.docs / "empty.md").unlink()
    call("ingest", "--allow-deletes")
    refused = call("index", "build", "main")
    assert refused.exit_code == 1
    assert "FAILED" in refused.stdout
    assert "gate chunk_statistics failed (observed 0.5, threshold 0)" in refused.stderr
    assert objects(call("status", "--json"))["indexes"][0]["live_version"] == 2
    promoted = call("index", "promote", "main")
    assert promoted.exit_code == 1
    assert "version 3 of index 'main' may not go live: gate chunk_statistics failed" in promoted.stderr


def test_what_a_golden_set_finds_wrong_is_told_and_overridden_by_somebody_with_a_reason(
    published: Workspace, call: Call
) -> None:
    golden = published.folder / "golden.jsonl"
    golden.write_text(json.dumps({"id": "eels", "query": "heron", "expect": [{"path": "birds/owl.md"}]}))
    published.document["indexes"]["main"] |= {
        "golden": "golden.jsonl",
        "gates": {"quality": {"floors": {"RR@10": 0.9}}},
    }
    refused = call("index", "build", "main", "--full")
    assert refused.exit_code == 1
    assert "gate quality failed: hybrid: RR@10 is 0.0000, below its floor 0.9" in refused.stderr
    unsigned = call("index", "promote", "main", "--override", "quality", "--by", "ann@example.com")
    assert unsigned.exit_code == 2
    assert "needs the name of who decides it and a reason" in unsigned.stderr
    assert call("index", "promote", "main", "--reason", "hurry").exit_code == 2
    by = ("--override", "quality", "--by", "ann@example.com", "--reason", "owls follow tomorrow")
    assert call("index", "promote", "main", *by).stdout == "version 2 of main is live\n"


def test_a_candidate_is_judged_again_once_its_golden_set_is_mended(published: Workspace, call: Call) -> None:
    golden = published.folder / "golden.jsonl"
    published.document["indexes"]["main"]["golden"] = "golden.jsonl"
    missing = call("index", "build", "main", "--full")
    assert missing.exit_code == 2
    assert f"there is no golden set {golden}" in missing.stderr
    row = {"id": "herons", "query": "heron", "must_not_return": [{"path": "birds/heron.md"}]}
    golden.write_text(json.dumps(row))
    leaking = call("index", "judge", "main")
    assert leaking.exit_code == 1
    assert "hybrid: question herons: birds/heron.md came back at rank 1 (access)" in leaking.stderr
    golden.write_text(json.dumps({**row, "must_not_return": [], "expect": [{"path": "birds/heron.md"}]}))
    judged = call("index", "judge", "main", "2")
    assert judged.exit_code == 0
    assert judged.stdout.endswith("make it live with: rag-pipelines index promote main 2\n")
    assert objects(call("index", "judge", "main", "--json"))["refused"] == []


def test_versions_can_be_built_aside_promoted_rolled_back_and_collected(
    published: Workspace, call: Call
) -> None:
    built = objects(call("index", "build", "main", "--full", "--no-promote", "--json"))
    assert (built["version"], built["promoted"], built["refused"]) == (2, False, [])
    assert call("index", "promote", "main", "2").stdout == "version 2 of main is live\n"
    assert call("index", "rollback", "main").stdout == "version 1 of main is live\n"
    versions = {v["version"]: v for v in objects(call("index", "versions", "main", "--json"))}
    assert (versions[1]["state"], versions[2]["state"]) == ("live", "retired")
    assert all(gate["passed"] for gate in versions[2]["gates"])
    assert "retired" in call("index", "versions").stdout
    published.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    assert call("index", "gc", "main").stdout == "main: dropped 1 version: 2\n"
    assert call("index", "rollback", "main").exit_code == 2


def test_collecting_garbage_purges_deleted_documents_after_their_grace(
    published: Workspace, call: Call
) -> None:
    published.write("gone.md", "# Gone")
    call("ingest")
    (published.docs / "gone.md").unlink()
    call("ingest")
    assert objects(call("index", "gc", "--json"))["removed"]["documents"] == 0
    published.document["sources"]["docs"]["grace"] = "0s"
    done = call("index", "gc")
    assert "removed: 1 documents" in done.stdout
    assert published.rows("SELECT count(*) AS n FROM rag.document")[0]["n"] == 1


def test_a_query_of_the_only_index_and_tenant_needs_neither_named(published: Workspace, call: Call) -> None:
    result = call("query", "grey heron")
    assert result.exit_code == 0
    assert "Herons" in result.stdout
    assert "birds/heron.md" in result.stdout
    assert "The grey heron waits by the weir" in result.stdout
    assert "1 passage from version 1 of main" in result.stderr
    found = objects(call("query", "grey heron", "--mode", "lexical", "-k", "1", "--json"))
    assert found["hits"][0]["citation"] == "Herons"
    assert found["hits"][0]["external_id"] == "birds/heron.md"


def test_a_query_names_the_valid_tenants_indexes_and_sources(published: Workspace, call: Call) -> None:
    for arguments, words in (
        (["--tenant", "acme"], "index 'main' has no tenant 'acme'; valid: default"),
        (["--index", "mian"], "there is no index 'mian'; valid: main"),
        (["--source", "dosc"], "index 'main' has no source 'dosc'; valid: docs"),
        (["--meta", "author"], "--meta received 'author'; valid: KEY=VALUE"),
    ):
        result = call("query", "heron", *arguments)
        assert result.exit_code == 2
        assert words in result.stderr
    published.document["indexes"]["other"] = {"sources": ["docs"]}
    assert "name an index with --index; valid: main, other" in call("query", "heron").stderr


def test_a_query_sees_what_its_principals_may_see(published: Workspace, call: Call) -> None:
    published.write("hr/salaries.md", SALARIES)
    published.write("hr/.access.yaml", "allow: [group:hr]\n")
    call("ingest")
    call("index", "build", "main")

    def seen(*arguments: str) -> set[str]:
        return {hit["external_id"] for hit in objects(call("query", "band", "--json", *arguments))["hits"]}

    assert "hr/salaries.md" not in seen()
    assert "hr/salaries.md" in seen("--as", "group:hr")
    assert seen("--as", "group:hr", "--path", "birds/") == {"birds/heron.md"}
    assert seen("--until", "2001-01-01") == set()
    assert "use --user or --as to find what is restricted" in call("query", "band").stderr


def test_quarantine_lists_shows_and_retries(workspace: Workspace, call: Call) -> None:
    assert call("quarantine", "list").stdout == "nothing is in quarantine\n"
    workspace.write("torn.pdf", b"%PDF-1.4 torn")
    call("ingest")
    (row,) = objects(call("quarantine", "list", "--json", "--status", "corrupt", "--stage", "parse"))
    assert row["external_id"] == "torn.pdf"
    assert objects(call("quarantine", "list", "--json", "--status", "encrypted")) == []
    assert "torn.pdf" in call("quarantine", "list", "--source", "docs").stdout
    number = str(row["quarantine_id"])
    assert "CorruptDocumentError" in call("quarantine", "show", number).stdout
    assert call("ingest").exit_code == 0
    assert call("quarantine", "retry", number).stdout == (
        "1 entry will be tried again; run: rag-pipelines ingest docs\n"
    )
    assert call("ingest").exit_code == 3


def test_quarantine_refuses_what_it_does_not_know(call: Call) -> None:
    for arguments, words in (
        (["show", "7"], "there is no quarantine entry 7"),
        (["retry"], "name what to retry"),
        (["retry", "7"], "there is no such quarantine entry: 7"),
        (["list", "--stage", "prase"], "there is no stage 'prase'; valid: list, fetch, parse, embed"),
        (["list", "--source", "dosc"], "there is no source 'dosc'; valid: docs"),
    ):
        result = call("quarantine", *arguments)
        assert result.exit_code == 2
        assert words in result.stderr


def test_status_shows_lag_failures_and_what_the_live_version_lacks(published: Workspace, call: Call) -> None:
    published.write("torn.pdf", b"%PDF-1.4 torn")
    published.write("new.md", "# New\n\nwords")
    call("ingest")
    found = objects(call("status", "--json"))
    (source,), (index,) = found["sources"], found["indexes"]
    assert (source["documents"], source["quarantined"], source["last_run"]) == (3, 1, "complete")
    assert not source["overdue"]
    assert (index["live_version"], index["rows"], index["documents_behind"]) == (1, 1, 2)
    shown = call("status").stdout
    assert "within 24h" in shown
    published.document["sources"]["docs"]["freshness"] = "0s"
    assert "OVERDUE" in call("status").stdout


@pytest.mark.usefixtures("suites_run_here")
def test_backfill_runs_each_source_through_dagster(workspace: Workspace, call: Call) -> None:
    make_vanished_source(workspace, call)
    workspace.write("heron.md", HERON)
    stopped = call("backfill")
    assert stopped.exit_code == 1
    assert "stopped; not run: docs" in stopped.stderr
    assert workspace.stored() == {"old.md"}
    went_on = call("backfill", "--continue", "--json")
    assert went_on.exit_code == 1
    assert [(run["name"], run["success"]) for run in objects(went_on)] == [
        ("attic", False),
        ("docs", True),
    ]
    assert workspace.stored() == {"old.md", "heron.md"}
    done = call("backfill", "docs", "--build", "--since", "2001-01-01")
    assert done.exit_code == 0, done.output
    assert objects(call("status", "--json"))["indexes"][0]["live_version"] == 1


def test_the_demo_tells_its_story_and_has_nothing_to_do_the_second_time(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the hash model: what the real one finds is tested with the golden questions."""
    config = yaml.safe_load(rag_pipelines.config.DEMO_CONFIG.read_text(encoding="utf-8"))
    for name in ("acme-sensors", "brightwater"):
        source = config["sources"][name]
        source["options"]["root"] = str(demo.corpus_path() / name)
    del config["indexes"]["handbook"]["golden"]
    config |= {
        "profiles": {"embedding": {"default": {"provider": "hash"}}},
        "limits": {"workers": 1, "sandbox": False},
    }
    file = tmp_path / "demo.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.setattr(rag_pipelines.config, "DEMO_CONFIG", file)
    monkeypatch.setenv("RAG_DATABASE_URL", database_url)
    monkeypatch.setenv("RAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody answers
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    first = CliRunner().invoke(main.app, ["demo"])
    assert first.exit_code == 0, first.output
    assert "These are meant to fail" in first.stdout
    assert "version 1 of handbook is live" in first.stdout
    assert "asked in tenant brightwater as group:everyone-brightwater" in first.stdout
    assert "6 groups with 8 members read" in first.stdout
    distributor, customer = first.stdout.split("How much discount is there on spare parts?")[1:]
    assert "as user:ilse@pegelnord.example" in distributor
    assert "Discount for distributors on spare parts" in distributor
    assert "as user:j.thwaite@wyke-forecast.example" in customer
    assert "What customers pay for spare parts" in customer
    assert "Discount for distributors" not in customer
    second = CliRunner().invoke(main.app, ["demo"])
    assert second.exit_code == 0, second.output
    assert "nothing had changed, so nothing was parsed, embedded or built" in second.stdout
    assert "no_proxy" not in os.environ


def test_the_stand_in_of_the_demo_says_that_its_address_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with HelpCenter() as center:
        monkeypatch.setenv("DEMO_HELP_CENTER", center.url)
        taken = CliRunner().invoke(main.app, ["demo", "--serve"])
    assert taken.exit_code == 2
    assert f"cannot answer at {center.url}: Address already in use; name another" in taken.stderr


def test_a_process_prints_results_apart_from_messages_and_no_traceback(published: Workspace) -> None:
    command = [sys.executable, "-m", "rag_pipelines.cli.main", "--config", str(published.config_file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment)

    found = run("query", "heron", "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout)["hits"]
    refused = run("index", "rollback", "main")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: index 'main' cannot be rolled back: no retired version is left")
    assert "Traceback" not in refused.stderr
