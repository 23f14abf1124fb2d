"""Backups: what is destroyed comes back from one, complete and with the same hits; half of one is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from rag_pipelines.backup import programs
from rag_pipelines.cli import main
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines_tests.integration.workspace import Workspace

QUESTIONS = ("thirty days of leave", "the badge of a visitor", "kites")


@pytest.fixture
def shelf(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "first", database_url)
    made.write("leave.md", "# Leave\n\nThirty days of annual leave.")
    made.write("visitors.md", "# Visitors\n\nThe badge of a visitor is yellow.")
    made.write("kites.md", "# Kites\n\nKites need wind.")
    made.refresh()
    yield made
    made.close()


def call(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["--config", str(workspace.config_file), *arguments])


def hits(workspace: Workspace) -> dict[str, Any]:
    found = {}
    for question in QUESTIONS:
        answer = call(workspace, "query", question, "--json")
        assert answer.exit_code == 0, answer.output
        kept = ("external_id", "text", "chunk_id", "scores")
        found[question] = [{name: hit[name] for name in kept} for hit in json.loads(answer.stdout)["hits"]]
    return found


def destroy(workspace: Workspace, empty_database_url: str) -> None:
    """Nothing is left of what was stored, and the configuration leads to an empty server."""
    with psycopg.connect(workspace.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA rag, rag_facts CASCADE")
    shutil.rmtree(workspace.settings.data_dir)
    workspace.document["database"] = {"url": empty_database_url}


def test_what_is_destroyed_comes_back_complete_and_gives_the_same_hits(
    shelf: Workspace, tmp_path: Path, empty_database_url: str
):
    before, folder = hits(shelf), tmp_path / "backup"
    assert all(before.values())
    made = json.loads(call(shelf, "backup", str(folder), "--json").stdout)
    assert (made["documents"], made["objects"]) == (3, 6)
    assert folder.stat().st_mode & 0o777 == 0o700
    destroy(shelf, empty_database_url)

    restored = call(shelf, "restore", str(folder))
    assert restored.exit_code == 0, restored.output
    assert restored.stdout.startswith("restored 3 documents of ")
    proof = call(shelf, "verify", "--deep", "--json")
    assert proof.exit_code == 0, proof.output
    assert hits(shelf) == before
    assert call(shelf, "audit", "verify").exit_code == 0


def test_the_proof_notices_an_object_that_a_backup_lost(
    shelf: Workspace, tmp_path: Path, empty_database_url: str
):
    folder = tmp_path / "backup"
    call(shelf, "backup", str(folder))
    next((folder / "blobs" / "raw").rglob("*.zst")).unlink()
    destroy(shelf, empty_database_url)
    assert call(shelf, "restore", str(folder)).exit_code == 0
    assert call(shelf, "verify", "--deep").exit_code == 3


def test_an_object_that_is_collected_meanwhile_is_left_out(shelf: Workspace, tmp_path: Path, monkeypatch):
    real = BlobStore.digests
    monkeypatch.setattr(BlobStore, "digests", lambda store, kind: [*real(store, kind), bytes(32)])
    done = call(shelf, "backup", str(tmp_path / "backup"), "--json")
    assert json.loads(done.stdout)["objects"] == 6


def test_a_damaged_object_ends_the_backup(shelf: Workspace, tmp_path: Path):
    next((shelf.settings.data_dir / "blobs" / "raw").rglob("*.zst")).write_bytes(b"damaged")
    done = call(shelf, "backup", str(tmp_path / "backup"))
    assert (done.exit_code, "is damaged" in done.stderr) == (1, True)
    assert not (tmp_path / "backup" / "backup.json").exists()


def test_without_the_objects_the_database_alone_answers(
    shelf: Workspace, tmp_path: Path, empty_database_url: str
):
    before, folder = hits(shelf), tmp_path / "backup"
    said = call(shelf, "backup", str(folder), "--no-objects")
    assert "3 documents" in said.stdout
    assert "without the blob store" in said.stdout
    assert not (folder / "blobs").exists()
    destroy(shelf, empty_database_url)
    assert call(shelf, "restore", str(folder)).exit_code == 0
    assert hits(shelf) == before


def test_a_folder_that_holds_something_and_a_database_that_does_are_left_alone(
    shelf: Workspace, tmp_path: Path
):
    folder = tmp_path / "backup"
    call(shelf, "backup", str(folder))
    kept = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    again = call(shelf, "backup", str(folder))
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)
    assert kept == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    refused = call(shelf, "restore", str(folder))
    assert (refused.exit_code, "has a schema 'rag' already" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("lost", "said"), [("backup.json", "is no whole backup"), ("rag.dump", "is no whole")]
)
def test_half_a_backup_is_refused(shelf: Workspace, tmp_path: Path, empty_database_url: str, lost, said):
    folder = tmp_path / "backup"
    call(shelf, "backup", str(folder))
    (folder / lost).unlink()
    shelf.document["database"] = {"url": empty_database_url}
    refused = call(shelf, "restore", str(folder))
    assert (refused.exit_code, said in refused.stderr) == (2, True)


def test_a_dump_that_was_changed_is_refused(shelf: Workspace, tmp_path: Path, empty_database_url: str):
    folder = tmp_path / "backup"
    call(shelf, "backup", str(folder))
    with (folder / "rag.dump").open("ab") as file:
        file.write(b"x")
    shelf.document["database"] = {"url": empty_database_url}
    refused = call(shelf, "restore", str(folder))
    assert (refused.exit_code, "is not what was written" in refused.stderr) == (2, True)


def test_programs_older_than_the_server_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(programs, "_of_wheel", lambda name: None)
    with pytest.raises(Exception, match=r"pg_dump is of 9\. Install it: apt install postgresql-client-17"):
        programs.run_program("pg_dump", "dbname=rag", 170_004)
