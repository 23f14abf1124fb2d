"""`doctor --production`: what a deployment lacks is told, each with what to do, and fails the command."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import Result

from rag_pipelines.cli import production
from rag_pipelines.cli.checks import Check
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def checks(workspace: Workspace, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "true")

    def run() -> dict[str, Check]:
        found = json.loads(call("doctor", "--production", "--json").stdout)
        return {one["name"]: Check(**one) for one in found}

    return run


def test_a_deployment_without_anything_fails_and_says_what_to_do(workspace, call, checks):
    workspace.document["database"] = {"url": workspace.url}
    workspace.document["sources"]["docs"]["options"] = {
        "root": str(workspace.docs),
        "storage_secrets": {"key": "written-down"},
    }
    found = checks()
    assert call("doctor", "--production").exit_code == 1
    expected = {
        "secrets": r"sources\.docs\.options\.storage_secrets\.key: secrets in clear text; refer to \$\{file",
        "row security": r"rag-pipelines access reader --role NAME",
        "backups": r"rag-pipelines backup FOLDER",
    }
    for name, said in expected.items():
        assert found[name].ok is False, name
        assert re.search(said, found[name].detail), found[name].detail
    assert "written-down" not in json.dumps(found)
    assert found["blobs"].ok is None
    assert "set blobs.url to an object store" in found["blobs"].detail
    assert found["maintenance memory"].ok is None
    assert found["login"].ok is None, "the tests' server knows a superuser only"
    assert found["clock"].ok is True
    assert found["pgvector"].ok is True
    assert "socket of this machine" in found["encryption of database.url"].detail


def test_without_the_option_none_of_it_is_asked(call):
    names = {one["name"] for one in json.loads(call("doctor", "--json").stdout)}
    assert not names & {"secrets", "row security", "backups", "clock"}


def test_a_backup_that_was_made_or_told_of_counts_until_it_is_old(workspace, call, checks):
    assert call("backup", "--note", "snapshot 4711 of the cloud").exit_code == 0
    assert checks()["backups"].ok is True
    with workspace.database.connection() as connection:
        connection.execute("ALTER TABLE rag.audit DISABLE TRIGGER USER")
        connection.execute("UPDATE rag.audit SET at = at - interval '27 hours' WHERE action = 'backup'")
    found = checks()["backups"]
    assert found.ok is False
    assert "the newest is 1 d 3 h old" in found.detail


def test_the_embedded_postgres_is_not_for_production(workspace, call, tmp_path: Path):
    workspace.document.pop("database")
    found = {one["name"]: one for one in json.loads(call("doctor", "--production", "--json").stdout)}
    assert found["own database"]["ok"] is False
    assert "set database.url" in found["own database"]["detail"]


def test_telemetry_that_may_be_on_is_a_failure(workspace, call, monkeypatch, tmp_path: Path):
    monkeypatch.delenv("DAGSTER_DISABLE_TELEMETRY")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    for arguments, ok in ((("doctor", "--json"), None), (("doctor", "--production", "--json"), False)):
        found = {one["name"]: one for one in json.loads(call(*arguments).stdout)}
        assert found["telemetry"]["ok"] is ok


def test_a_blob_store_that_cannot_be_written_to_fails(workspace, checks):
    workspace.document["blobs"] = {"url": "file:///proc/nowhere/blobs"}
    found = checks()["blobs"]
    assert found.ok is False
    assert "cannot be written to" in found.detail


def test_an_object_store_that_works_passes_and_keeps_nothing(workspace, checks, s3, tmp_path: Path):
    s3.make("production")
    workspace.document["blobs"] = {"url": "s3://production/blobs", "storage_options": s3.storage_options}
    assert checks()["blobs"].ok is True
    assert s3.keys("production") == []


def test_a_database_that_is_away_is_told_once_for_each_address(workspace, checks):
    workspace.document["database"] = {"url": "postgresql://rag:correct-horse@127.0.0.1:1/rag"}
    found = checks()
    assert found["state of the database"].ok is False
    assert found["encryption of database.url"].ok is False
    assert "correct-horse" not in json.dumps(found)


@pytest.mark.parametrize(("seconds", "ok"), [(0.0, True), (5.0, None), (-5.0, None), (60.0, False)])
def test_clocks_that_differ_are_noted_and_then_fail(seconds: float, ok: bool | None):
    now = datetime.now(UTC).timestamp()
    found = production._clock(now + seconds, now, now)
    assert found.ok is ok
    assert ok is True or "time server" in found.detail


def test_a_full_disk_fails(workspace, checks, monkeypatch: pytest.MonkeyPatch):
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda place: real(place)._replace(free=10**9))
    found = checks()["disk"]
    assert found.ok is False
    assert "give it a larger volume" in found.detail


def test_an_extension_that_lags_behind_its_package_is_told():
    state = {"installed": "0.8.0", "available": "0.8.1"}
    assert "ALTER EXTENSION vector UPDATE" in production._extension(state).detail
    assert production._extension({"installed": None, "available": "0.8.1"}).ok is False
