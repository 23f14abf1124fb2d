"""``rag-pipelines source``."""

from __future__ import annotations

import json
from pathlib import Path

from rag_pipelines_tests.unit.cli.conftest import Call

TWO = """\
sources:
  good: {connector: filesystem, tenant: acme, access: public, options: {root: "${CONFIG_DIR}/docs"}}
  gone: {connector: filesystem, options: {root: "${CONFIG_DIR}/nowhere"}}
indexes:
  main: {sources: [good]}
"""


def test_list_shows_each_source_with_its_indexes(call: Call, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(TWO)
    good, gone = json.loads(call("source", "list", "--json", "--config", "c.yaml").stdout)
    assert (good["source"], good["tenant"], good["access"], good["indexes"]) == (
        "good",
        "acme",
        "public",
        ["main"],
    )
    assert (gone["access"], gone["indexes"]) == ("closed", [])
    table = call("source", "list", "--config", "c.yaml").stdout
    assert "good" in table
    assert "filesystem" in table


def test_check_tries_the_named_sources_and_fails_if_one_does(call: Call, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(TWO)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A")
    assert call("source", "check", "good", "--config", "c.yaml").exit_code == 0
    result = call("source", "check", "--json", "--config", "c.yaml")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert all(finding["ok"] for finding in found["good"])
    assert not all(finding["ok"] for finding in found["gone"])
    assert "FAILED" in call("source", "check", "--config", "c.yaml").stdout
