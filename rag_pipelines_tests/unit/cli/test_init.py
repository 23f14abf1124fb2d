"""``rag-pipelines init``: a configuration that works, whatever is to be ingested, and no secret in it."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.config import load_config
from rag_pipelines.config.starters import STARTERS, guess_kind, variables
from rag_pipelines.connectors.registry import BUILTIN
from rag_pipelines_tests.unit.cli.conftest import Call

PLACES: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "docs": ("filesystem", "docs", {"root": "${CONFIG_DIR}/docs"}, []),
    "s3://acme/handbook": ("filesystem", "handbook", {"root": "s3://acme/handbook"}, []),
    "abfs://acme/": ("filesystem", "acme", {"root": "abfs://acme/"}, []),
    "checkout": ("git", "checkout", {"repository": "${CONFIG_DIR}/checkout"}, []),
    "git@git.example:team/wiki.git": ("git", "wiki", {"repository": "git@git.example:team/wiki.git"}, []),
    "https://github.com/acme/handbook": ("git", "handbook", {"token": "${GIT_TOKEN:-}"}, []),
    "products.jsonl": ("records", "products", {"path": "${CONFIG_DIR}/products.jsonl"}, []),
    "https://docs.acme.example/sitemap.xml": (
        "web", "docs", {"sitemaps": ["https://docs.acme.example/sitemap.xml"]}, []
    ),
    "https://www.acme.example/help": ("web", "acme", {"start": ["https://www.acme.example/help"]}, []),
    "https://acme.atlassian.net/wiki/spaces/HR": (
        "confluence", "acme", {"url": "https://acme.atlassian.net"},
        ["CONFLUENCE_USERNAME", "CONFLUENCE_API_TOKEN"],
    ),
    "https://acme.atlassian.net/jira/projects": (
        "jira", "acme", {"api_token": "${JIRA_API_TOKEN}"}, ["JIRA_USERNAME", "JIRA_API_TOKEN"]
    ),
    "https://acme.sharepoint.com/sites/hr": (
        "sharepoint", "hr", {"sites": ["https://acme.sharepoint.com/sites/hr"]},
        ["SHAREPOINT_TENANT_ID", "SHAREPOINT_CLIENT_ID", "SHAREPOINT_CLIENT_SECRET"],
    ),
    "https://drive.google.com/drive/folders/1A_b-C": (
        "google_drive", "drive", {"folders": ["1A_b-C"]}, ["GOOGLE_SERVICE_ACCOUNT_FILE"]
    ),
    "https://acme.service-now.com/kb": (
        "servicenow", "acme", {"url": "https://acme.service-now.com"},
        ["SERVICENOW_CLIENT_ID", "SERVICENOW_CLIENT_SECRET"],
    ),
    "https://acme.zendesk.com/hc/en-us": (
        "zendesk", "acme", {"url": "https://acme.zendesk.com"}, ["ZENDESK_EMAIL", "ZENDESK_API_TOKEN"]
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(call: Call, tmp_path: Path) -> None:
    """What is on this machine: a folder, a repository, a file of rows."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    (tmp_path / "products.jsonl").write_text('{"id": 1, "text": "A lamp."}\n')


@pytest.mark.parametrize("place", PLACES)
def test_a_place_becomes_a_configuration_that_is_valid_once_its_secrets_are_there(
    call: Call, tmp_path: Path, place: str
) -> None:
    kind, name, options, needed = PLACES[place]
    access = () if STARTERS[kind].knows_access else ("--access", "public")
    result = call("init", place, *access)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "rag.yaml").read_text()
    source = yaml.safe_load(text)["sources"][name]
    assert source["connector"] == kind
    assert options.items() <= source["options"].items()
    assert variables(text) == needed
    assert all(f"export {one}=...\n" in result.stdout for one in needed)
    settings = load_config(tmp_path / "rag.yaml", dict.fromkeys(needed, "given"))
    assert list(settings.indexes_of(name)) == ["main"]
    commands = [line.strip() for line in result.stdout.splitlines()[-3:]]
    assert [one.split()[1] for one in commands] == ["source", "refresh", "query"]


def test_every_connector_can_be_begun_with() -> None:
    assert set(BUILTIN) - {"push"} <= set(STARTERS)
    assert {
        guess_kind(place) for place in ("https://acme.atlassian.net", "https://acme.atlassian.net/x")
    } == {None}


def test_a_file_that_is_there_stays_as_it_is(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rag.yaml").write_text("mine")
    result = call("init", "docs", "--access", "public")
    assert result.exit_code == 2
    assert "rag.yaml is there already" in result.stderr
    assert (tmp_path / "rag.yaml").read_text() == "mine"
    other = call("init", "docs", "--access", "public", "--config", "x/other.yaml")
    assert other.exit_code == 0
    assert "--config x/other.yaml refresh\n" in other.stdout
    root: Any = load_config(tmp_path / "x" / "other.yaml", {}).connector_options("docs")
    assert root.root == str(tmp_path / "docs")


def test_a_secret_is_refused_and_a_reference_to_one_is_not(call: Call, tmp_path: Path) -> None:
    words = ("init", "https://acme.zendesk.com", "--set")
    refused = call(*words, "api_token=correct-horse-battery")
    assert refused.exit_code == 2
    assert "sources.acme.options.api_token is a secret" in refused.stderr
    assert "correct-horse" not in refused.output
    assert not (tmp_path / "rag.yaml").exists()
    assert call(*words, "api_token=${file:/run/secrets/zendesk}").exit_code == 0
    assert "api_token: ${file:/run/secrets/zendesk}\n" in (tmp_path / "rag.yaml").read_text()


def test_what_would_not_be_valid_is_not_written(call: Call, tmp_path: Path) -> None:
    for words, said in (
        (("docs", "--access", "public", "--set", "includ=x"), "did you mean 'include'?"),
        (("docs", "--access", "public", "--source", "My Docs"), "lower-case letters"),
        (("nowhere", "--access", "public"), "there is no nowhere"),
        (("docs", "--access", "public", "--kind", "notion"), "received the connector 'notion'"),
        (("docs", "--access", "public", "--set", "include"), "valid: KEY=VALUE"),
    ):
        result = call("init", *words)
        assert result.exit_code == 2
        assert said in result.stderr
    assert not (tmp_path / "rag.yaml").exists()


def test_a_kind_that_is_named_goes_before_the_place(call: Call, tmp_path: Path) -> None:
    assert call("init", "https://help.acme.example", "--kind", "zendesk").exit_code == 0
    assert variables((tmp_path / "rag.yaml").read_text()) == ["ZENDESK_EMAIL", "ZENDESK_API_TOKEN"]


def test_a_file_that_cannot_be_written_is_told_in_a_line(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = call("init", "docs", "--access", "public", "--config", "file/rag.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: cannot write file/rag.yaml: ")


def test_nothing_is_decided_for_a_program_that_cannot_be_asked(call: Call, tmp_path: Path) -> None:
    for words, option in (((), "PLACE"), (("docs",), "--access"), (("https://a.atlassian.net",), "--kind")):
        result = call("init", *words)
        assert result.exit_code == 2
        assert f"Give {option}" in result.stderr
    assert not (tmp_path / "rag.yaml").exists()


def test_a_person_at_a_terminal_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("rag_pipelines.cli.init")
    monkeypatch.setattr(module, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    result = CliRunner().invoke(main.app, ["init"], input="docs\ngroup:hr\n")
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path / "rag.yaml").sources["docs"].access.clauses == (("group:hr",),)


def test_a_dollar_sign_of_a_path_is_one(call: Call, tmp_path: Path) -> None:
    (tmp_path / "cash$").mkdir()
    assert call("init", "cash$", "--access", "public").exit_code == 0
    options: Any = load_config(tmp_path / "rag.yaml", {}).connector_options("cash")
    assert options.root == str(tmp_path / "cash$")
