"""What is written names its form, no JSON is left out, and what a later release wrote is refused."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.errors import GateError
from rag_pipelines.index.promotion import promote
from rag_pipelines.stored import FORMAT
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.stored_samples import all_forms


def test_a_version_of_a_later_release_is_refused_in_one_line_and_can_be_collected(
    workspace: Workspace,
) -> None:
    workspace.write("a.md", "# A\n\nThe harbour.\n")
    old = workspace.refresh()
    workspace.rows(
        "UPDATE rag.index_version SET params = params || %s::jsonb WHERE version_id = %s RETURNING 1",
        '{"format": 99}',
        old.version_id,
    )
    done = CliRunner().invoke(main.app, ["--config", str(workspace.config_file), "query", "harbour"])
    assert done.exit_code == 1
    assert "the stored index version is of form 99" in done.stderr
    assert "a newer release stored it; use that release or a later one" in done.stderr
    workspace.publish(full=True)
    workspace.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    done = CliRunner().invoke(main.app, ["--config", str(workspace.config_file), "index", "gc"])
    assert done.exit_code == 0, done.output
    assert workspace.rows("SELECT state FROM rag.index_version ORDER BY version_id")[0]["state"] == "dropped"


def test_a_gate_that_was_retired_asks_for_a_new_build(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nThe harbour.\n")
    workspace.ingest()
    version = workspace.build()
    workspace.validate(version)
    workspace.rows(
        "UPDATE rag.index_version SET required_gates = required_gates || %s::text RETURNING 1", "word_count"
    )
    with pytest.raises(GateError, match=r"gate word_count is of another release.*; build the index anew"):
        promote(workspace.database, "main", version.version_id)
    assert workspace.publish(full=True).state == "live"


def test_what_is_written_now_names_its_form(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nThe harbour.\n")
    workspace.refresh()
    numbers = {form.kind: form.number for form in all_forms()}
    version = workspace.rows("SELECT params, statistics FROM rag.index_version")[0]
    assert version["params"][FORMAT] == numbers["index version"]
    assert "fusion" not in version["params"]["index"]
    assert version["statistics"][FORMAT] == numbers["index statistics"]
    assert workspace.rows("SELECT report FROM rag.run")[0]["report"][FORMAT] == numbers["run report"]
    for column, table in (("detail", "gate_result"), ("detail", "audit"), ("params", "profile")):
        rows = workspace.rows(f"SELECT {column} AS stored FROM rag.{table}")
        assert rows
        assert all(FORMAT in row["stored"] for row in rows)


STORED_AS = {
    "audit.detail": "audit entry",
    "calibration.learned": "calibration",
    "canary.bounds": "canary bounds",
    "certificate.counts": "certificate",
    "certificate.drift": "certificate",
    "erasure.receipt": "erasure receipt",
    "evaluation_answer.figures": "evaluation run",
    "evaluation_answer.hits": "evaluation run",
    "evaluation_answer.violations": "evaluation run",
    "evaluation_run.setting": "evaluation run",
    "evaluation_run.summary": "evaluation run",
    "gate_result.detail": "gate detail",
    "index_profile.classes": "index profile",
    "index_version.params": "index version",
    "index_version.statistics": "index statistics",
    "plan.arguments": "plan arguments",
    "plan.summary": "plan",
    "profile.params": "stage profile",
    "run.report": "run report",
    "source.cursor": "cursor of records",
    "inbox.item": "pushed document",
    "wanted.item": "wanted item",
}
"""The kind of what each column of JSON holds; a cursor is of the source's connector."""

NO_FORM = {
    "document.own_access": "a rule as in access_rule; both change together",
    "parse.found": "counts by name; one that is missing is 0",
    "parse.precedence": "entries of the file's metadata, by their names",
    "parse.places": "lists of kind, start, end, score and length, which only grow at their end",
    "access_rule.clauses": "part of the schema: functions of the database read it, migrations change it",
    "document.metadata": "the source's own, by the source's names",
    "parse.metadata": "the file's own, by the file's names",
    "parse.blocks": "counts by name; one that is missing is 0",
    "parse.counters": "counts by name; one that is missing is 0",
    "quality_result.samples": "rows for people to look at; nothing reads them",
}
"""Why the others have none."""


def test_every_column_of_json_has_a_form_or_a_reason_to_have_none(workspace: Workspace) -> None:
    found = workspace.rows(
        "SELECT table_name || '.' || column_name AS name FROM information_schema.columns "
        "WHERE table_schema = 'rag' AND data_type IN ('json', 'jsonb')"
    )
    assert {row["name"] for row in found} == STORED_AS.keys() | NO_FORM.keys()
    assert set(STORED_AS.values()) <= {form.kind for form in all_forms()}
