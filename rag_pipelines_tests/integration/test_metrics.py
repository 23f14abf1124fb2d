"""Sources and indexes as figures for Prometheus: what they say, and that alerts name no others."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import Result

from rag_pipelines.demo import corpus_path
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.monitoring.catalogue import CatalogueMetrics
from rag_pipelines.serving.app import create_app
from rag_pipelines.store.database import Database
from rag_pipelines.sync.stages import list_source, source_run
from rag_pipelines_tests.integration.workspace import Workspace
from tools.grafana import DASHBOARDS, FOLDER, rendered

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops" / "prometheus"
LOCKED = corpus_path() / "acme-sensors" / "finance" / "supplier-bank-details.pdf"
LABELS = {"source", "index", "state", "stage", "outcome", "gate", "table", "purpose", "model"}
NAME = re.compile(r"\brag_[a-z_]+")

Figures = dict[tuple[str, ...], float]


def figures(text: str) -> Figures:
    """Every sample: its name, then the values of its labels by their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(workspace: Workspace) -> Figures:
    registry = CollectorRegistry()
    registry.register(CatalogueMetrics(workspace.database, workspace.settings))
    return figures(generate_latest(registry).decode())


def test_a_configuration_that_nobody_has_run_yet_is_overdue_and_has_nothing_live(
    workspace: Workspace,
) -> None:
    found = scrape(workspace)
    assert found["rag_catalogue_up",] == 1
    assert found["rag_source_overdue", "docs"] == 1
    assert found["rag_index_live_version", "main"] == 0
    assert not [key for key in found if key[0] == "rag_source_listing_age_seconds"]


def test_documents_are_counted_where_they_are(workspace: Workspace) -> None:
    workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.1, "documents": 1}
    for name in "abcd":
        workspace.write(f"{name}.md", f"# {name}\n\nText of {name}.\n")
    shutil.copy(LOCKED, workspace.docs / "locked.pdf")
    workspace.ingest()
    workspace.publish()
    workspace.ingest()
    for name in "ab":
        (workspace.docs / f"{name}.md").unlink()
    workspace.write("c.md", "# c\n\nAnother text.\n")
    workspace.ingest()

    found = scrape(workspace)
    assert found["rag_source_documents", "docs", "present"] == 3
    assert found["rag_source_documents", "docs", "missing"] == 2
    assert found["rag_source_parked_deletions", "docs"] == 2
    assert found["rag_source_quarantined_documents", "docs", "parse"] == 1
    assert found["rag_source_overdue", "docs"] == 0
    assert 0 <= found["rag_source_listing_age_seconds", "docs"] < 600
    assert found["rag_source_runs_total", "complete", "docs"] == 3
    assert found["rag_source_embedded_tokens_total", "docs"] > 0
    assert found["rag_index_live_version", "main"] == 1
    assert found["rag_index_rows", "main"] == 4
    assert found["rag_index_behind_documents", "main"] >= 1
    assert found["rag_index_gate_failed", "access_proof", "main"] == 0
    assert found["rag_database_bytes", "vectors"] > 0


def test_a_document_waits_for_the_stage_that_it_has_not_had(workspace: Workspace) -> None:
    workspace.write("a.md", "# a\n\nText.\n")
    with source_run(workspace.database, workspace.settings, "docs") as run:
        list_source(run)
    stages = {
        stage: scrape(workspace)["rag_source_pending_documents", "docs", stage]
        for stage in ("parse", "chunk")
    }
    assert stages == {"parse": 1, "chunk": 0}

    workspace.ingest()
    workspace.rows("DELETE FROM rag.chunk_set_embedded RETURNING 1")
    assert scrape(workspace)["rag_source_pending_documents", "docs", "embed"] == 1
    workspace.rows("DELETE FROM rag.document_chunks RETURNING 1")
    assert scrape(workspace)["rag_source_pending_documents", "docs", "chunk"] == 1


def test_documents_that_no_index_takes_wait_for_nothing(workspace: Workspace) -> None:
    workspace.document["indexes"] = {}
    workspace.write("a.md", "# a\n\nText.\n")
    workspace.ingest()
    found = scrape(workspace)
    waiting = {key[-1]: value for key, value in found.items() if key[0] == "rag_source_pending_documents"}
    assert waiting == {"parse": 0, "chunk": 0, "embed": 0}


def test_a_run_is_counted_when_it_has_ended(workspace: Workspace) -> None:
    with source_run(workspace.database, workspace.settings, "docs"):
        assert not [key for key in scrape(workspace) if key[0] == "rag_source_runs_total"]
    assert scrape(workspace)["rag_source_runs_total", "complete", "docs"] == 1


def test_what_verification_found_is_told(workspace: Workspace, call: Callable[..., Result]) -> None:
    workspace.write("a.md", "# a\n\nText.\n")
    workspace.refresh()
    done = call("verify", "docs")
    assert done.exit_code == 0, done.output
    found = scrape(workspace)
    assert (
        found["rag_certificate_complete", "", "docs"]
        == found["rag_certificate_complete", "main", "docs"]
        == 1
    )
    assert 0 <= found["rag_certificate_age_seconds", "", "docs"] < 600


def test_a_database_that_cannot_be_asked_is_a_figure_too(workspace: Workspace) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    registry = CollectorRegistry()
    registry.register(CatalogueMetrics(away, workspace.settings))
    assert figures(generate_latest(registry).decode()) == {("rag_catalogue_up",): 0}


def test_figures_are_kept_for_as_long_as_was_asked(workspace: Workspace) -> None:
    kept = CatalogueMetrics(workspace.database, workspace.settings, kept=3600)
    before = [family.samples for family in kept.collect()]
    workspace.write("a.md", "# a\n\nText.\n")
    workspace.ingest()
    assert [family.samples for family in kept.collect()] == before


def test_no_label_holds_more_than_names_of_the_configuration(workspace: Workspace) -> None:
    workspace.write("secret-plan.md", "# Merger\n\nText.\n")
    workspace.refresh()
    registry = CollectorRegistry()
    registry.register(CatalogueMetrics(workspace.database, workspace.settings))
    text = generate_latest(registry).decode()
    labels = {
        name
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for name in sample.labels
    }
    assert labels <= LABELS
    assert "secret" not in text
    assert "Merger" not in text


def test_the_command_prints_them_and_answers_scrapes(
    workspace: Workspace, call: Callable[..., Result]
) -> None:
    printed = figures(call("metrics").output)
    assert printed["rag_source_overdue", "docs"] == 1
    command = [sys.executable, "-c", "from rag_pipelines.cli import run; run()", "--config"]
    with subprocess.Popen(
        [*command, str(workspace.config_file), "metrics", "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            found = (re.search(r"metrics on (http://\S+)", line) for line in process.stderr)
            address = next(one[1] for one in found if one)
            answered = figures(httpx.get(address, timeout=30).text)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert answered.keys() == printed.keys()


@pytest.fixture
def told(workspace: Workspace) -> str:
    """What the service answers to a scrape, after a search."""
    workspace.write("a.md", "# Herons\n\nThe heron waits.\n")
    workspace.refresh()
    workspace.document["serving"] = {"anonymous": {"tenant": "default"}}
    settings = workspace.settings
    with TestClient(create_app(settings, workspace.database, Embedders(settings.data_dir))) as client:
        assert client.post("/v1/search", json={"query": "heron"}).status_code == 200
        return client.get("/metrics").text


def test_the_service_tells_them_beside_its_own_and_alerts_and_dashboards_name_nothing_else(told: str) -> None:
    assert figures(told)["rag_index_live_version", "main"] == 1
    known = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    known |= {f"{name}_bucket" for name in known}
    named = NAME.findall((RULES / "rag.rules.yml").read_text())
    named += [
        name
        for panels in DASHBOARDS.values()
        for panel in panels
        for expression in panel.expressions
        for name in NAME.findall(expression)
    ]
    assert len(named) > 40
    assert set(named) - known == set()
    page = (ROOT / "docs" / "operations" / "monitoring.md").read_text()
    documented = {
        name for cells in re.findall(r"^\| (`rag_.*?) \|", page, re.MULTILINE) for name in NAME.findall(cells)
    }
    assert documented == {name for name in known if not name.endswith(("_bucket", "_created"))}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_files_of_dashboards_are_those_that_the_tool_writes(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert text == rendered(name)
    assert all(panel["targets"] for panel in json.loads(text)["panels"])


def test_every_alert_has_a_test_that_fires_it_and_a_section_of_the_runbooks() -> None:
    rules = [
        rule
        for group in yaml.safe_load((RULES / "rag.rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    fired = {
        case["alertname"]
        for test in yaml.safe_load((RULES / "rag.rules.test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert {rule["alert"] for rule in rules} == fired
    sections = re.findall(r"\{ #([a-z-]+) \}", (ROOT / "docs" / "operations" / "runbooks.md").read_text())
    assert {rule["annotations"]["runbook"] for rule in rules} <= set(sections)
    assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (apt install prometheus)")
@pytest.mark.parametrize(
    "command", [["check", "rules", "rag.rules.yml"], ["test", "rules", "rag.rules.test.yml"]]
)
def test_prometheus_own_tool_passes_them(command: list[str]) -> None:
    done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
