"""``rag-pipelines quality``: what is broken is named, stored, and refuses a promotion."""

from __future__ import annotations

import json

import psycopg
import pytest

from rag_pipelines.cli.main import main
from rag_pipelines.errors import GateError
from rag_pipelines_tests.integration.workspace import Workspace


def run(workspace: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(workspace.config_file), "quality", *arguments])
    return int(ended.value.code or 0)


def test_a_broken_chunk_is_found_and_refuses_promotion_until_it_is_mended(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.ingest()
    assert run(workspace) == 0
    assert "passed" in capsys.readouterr().out
    with psycopg.connect(workspace.url, autocommit=True) as connection:
        connection.execute("UPDATE rag.chunk SET end_at = end_at + 1000000")
    assert run(workspace, "--json") == 1
    results = json.loads(capsys.readouterr().out)["docs"]
    assert [one["expectation"] for one in results if one["blocking"] and not one["passed"]]
    with pytest.raises(GateError, match="source_quality"):
        workspace.publish()
    with psycopg.connect(workspace.url, autocommit=True) as connection:
        connection.execute("UPDATE rag.chunk SET end_at = end_at - 1000000")
    assert run(workspace) == 0
    assert workspace.publish().state == "live"


def test_a_source_that_was_never_ingested_says_what_to_do(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(workspace) == 0
    assert "rag-pipelines ingest docs" in capsys.readouterr().err
