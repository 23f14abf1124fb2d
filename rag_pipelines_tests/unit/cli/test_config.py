"""``rag-pipelines config``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rag_pipelines_tests.unit.cli.conftest import Call

SECRET = "correct-horse-battery-staple"


def test_check_says_what_a_valid_file_holds(call: Call) -> None:
    result = call("config", "check")
    assert result.exit_code == 0
    assert result.stdout.endswith("demo.yaml is valid: 3 sources, 1 index\n")
    assert result.stderr == ""


def test_check_lists_every_problem_and_ends_with_2(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("limits: {workers: 0}\nindexes:\n  i: {sources: [x]}\n")
    result = call("config", "check", "--config", "bad.yaml")
    assert result.exit_code == 2
    assert "bad.yaml has 2 problems" in result.stderr
    assert "limits.workers (line 1)" in result.stderr
    assert "indexes.i.sources.0 (line 3)" in result.stderr
    assert "Traceback" not in result.stderr


def test_check_gives_problems_as_json(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("limits: {workers: 0}\n")
    result = call("config", "check", "--json", "--config", "bad.yaml")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert found["valid"] is False
    assert len(found["problems"]) == 1


def test_check_warns_of_a_secret_in_the_file_and_of_a_source_nobody_reads(call: Call, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        f"database:\n  url: postgresql://u:{SECRET}@h/d\n"
        "sources:\n  s: {connector: filesystem, options: {root: .}}\n"
    )
    result = call("config", "check", "--config", "c.yaml")
    assert result.exit_code == 0
    assert "database.url (line 2): a secret is written in the file" in result.stderr
    assert "sources.s (line 4): no index reads this source" in result.stderr
    assert SECRET not in result.output


def test_show_prints_what_is_in_effect_without_secrets(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(
        "database: {url: '${URL}'}\nsources:\n  s:\n    connector: filesystem\n    tenant: ${TENANT}\n"
        f"    options: {{root: x, storage_secrets: {{key: {SECRET}}}}}\n"
    )
    monkeypatch.setenv("URL", f"postgresql://u:{SECRET}@h/d")
    monkeypatch.setenv("TENANT", "acme-secretly")
    for arguments in (("config", "show"), ("config", "show", "--json")):
        result = call(*arguments, "--config", "c.yaml")
        shown = yaml.safe_load(result.stdout)
        assert shown["limits"]["batch_documents"] == 64
        assert shown["sources"]["s"]["freshness"] == "24h"
        assert shown["sources"]["s"]["tenant"] == "${TENANT}"
        assert SECRET not in result.output


def test_schema_describes_the_file_and_the_options_of_each_connector(call: Call) -> None:
    schema = json.loads(call("config", "schema").stdout)
    assert set(schema["properties"]) >= {"data_dir", "database", "sources", "indexes", "profiles"}
    assert schema["additionalProperties"] is False
    source = schema["$defs"]["SourceSettings"]
    assert {"filesystem", "git", "records"} <= set(source["properties"]["connector"]["enum"])
    by_kind = {b["if"]["properties"]["connector"]["const"]: b["then"] for b in source["allOf"]}
    name = by_kind["filesystem"]["properties"]["options"]["$ref"].rpartition("/")[2]
    assert "root" in schema["$defs"][name]["properties"]
