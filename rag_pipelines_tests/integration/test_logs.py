"""What commands log: enough to understand a run afterwards, and nothing that a log must not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from typer.testing import Result

from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]
Record = dict[str, Any]

AS_JSON = ("--log-format", "json")
LOCKED = b"%PDF-1.4 this is no PDF that anybody could open"


def records(result: Result) -> list[Record]:
    """The log of a command that was told to write JSON: every line of stderr is a record."""
    return [json.loads(line) for line in result.stderr.splitlines()]


def named(found: list[Record], message: str) -> list[Record]:
    return [record for record in found if record["message"] == message]


def test_every_stage_of_a_run_logs_its_beginning_and_its_end_with_counts(workspace: Workspace, call: Call):
    workspace.write("heron.md", "# Herons\n\nThe grey heron waits.")

    log = records(call(*AS_JSON, "ingest"))

    began, ended = named(log, "stage started"), named(log, "stage ended")
    assert [record["stage"] for record in began] == [record["stage"] for record in ended]
    assert {record["source"] for record in began} == {"docs"}
    assert all(record["seconds"] >= 0 for record in ended)
    gained = {record["stage"]: record for record in ended}
    assert gained["list and load"]["listed"] == gained["list and load"]["added"] == 1
    assert gained["parse, chunk and embed"]["embedded"] == 1
    (end,) = named(log, "run ended")
    assert (end["outcome"], end["level"], end["embedded"]) == ("complete", "info", 1)
    assert named(log, "lease taken")


def test_a_document_that_fails_is_named_with_its_stage_and_reason(workspace: Workspace, call: Call):
    workspace.write("locked.pdf", LOCKED)

    result = call(*AS_JSON, "--log-level", "warning", "ingest")

    (record,) = named(records(result), "quarantined")
    told = {name: record[name] for name in ("level", "source", "stage", "document", "status", "error")}
    assert told == {
        "level": "warning",
        "source": "docs",
        "stage": "parse",
        "document": "locked.pdf",
        "status": "corrupt",
        "error": "CorruptDocumentError",
    }


def test_a_refused_gate_is_logged_with_its_numbers_and_what_followed(workspace: Workspace, call: Call):
    for number in range(4):
        workspace.write(f"{number}.md", f"# Bird {number}\n\nIt sings.")
    assert call("ingest").exit_code == 0
    assert call("index", "build", "main").exit_code == 0
    workspace.document["indexes"]["main"]["gates"]["max_chunk_drop"] = 0.2
    for number in range(3):
        (workspace.docs / f"{number}.md").unlink()
    assert call("ingest").exit_code == 0

    result = call(*AS_JSON, "index", "build", "main")

    assert result.exit_code == 1
    log = records(result)
    (gate,) = named(log, "gate failed")
    assert (gate["index"], gate["gate"], gate["threshold"]) == ("main", "chunk_statistics", 0.2)
    assert gate["observed"] == 0.75
    assert named(log, "build started")[0]["version"] == gate["version"]
    (refused,) = [record for record in log if record["level"] == "error"]
    assert "may not go live" in refused["message"]


def test_an_error_that_ends_a_command_is_a_record_too(call: Call):
    result = call(*AS_JSON, "ingest", "nowhere")

    (record,) = records(result)
    assert record["level"] == "error"
    assert "'nowhere'" in record["message"]


def test_no_record_holds_content_secrets_or_principals(workspace: Workspace, call: Call, monkeypatch: Any):
    monkeypatch.setenv("MODELS_KEY", "hush-hush-4711")
    workspace.document["profiles"]["embedding"]["remote"] = {
        "provider": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": "${MODELS_KEY}",
        "model": "m",
        "dimensions": 8,
        "retries": 0,
    }
    workspace.document["indexes"]["main"]["embedding"] = "remote"
    workspace.write("pay.md", "# Salaries of the zanzibar team\n\nquagmire")
    workspace.write("pay.md.access.yaml", "allow: [group:okapi]\n")
    workspace.write("broken.json", '{"xylophone": ')

    result = call(*AS_JSON, "--log-level", "debug", "ingest")
    asked = call("--log-level", "debug", "query", "who earns a zanzibar quagmire", "--as", "group:okapi")

    assert records(result)
    for word in ("zanzibar", "quagmire", "okapi", "xylophone", "hush-hush"):
        assert word not in result.stderr + asked.stderr


def test_without_options_only_what_needs_a_look_is_logged(workspace: Workspace, call: Call):
    workspace.write("heron.md", "# Herons\n\nThe grey heron waits.")
    quiet = call("ingest")
    workspace.write("locked.pdf", LOCKED)
    warned = call("ingest")

    assert quiet.stderr == ""
    assert "WARNING store.documents: quarantined" in warned.stderr
