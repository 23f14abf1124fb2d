"""``rag-pipelines db`` and ``doctor`` with a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg


def call(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rag_pipelines.cli.main", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
        capture_output=True,
        text=True,
    )


def test_the_server_stays_up_between_commands_until_it_is_stopped(server_folder: Path) -> None:
    assert call(server_folder, "db", "status").returncode == 1
    try:
        assert call(server_folder, "db", "start").stdout.startswith("started in")
        assert call(server_folder, "db", "start").stdout.startswith("already running in")
        status = json.loads(call(server_folder, "db", "status", "--json").stdout)
        assert status["running"]
        with psycopg.connect(status["url"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        checks = {
            check["name"]: check for check in json.loads(call(server_folder, "doctor", "--json").stdout)
        }
        assert checks["database"]["ok"], checks["database"]
        assert "pgvector" in checks["database"]["detail"]
    finally:
        assert call(server_folder, "db", "stop").stdout == "stopped\n"
    assert call(server_folder, "db", "status").returncode == 1


def test_a_database_of_one_s_own_is_not_started_or_stopped_but_examined(
    tmp_path: Path, empty_database_url: str
) -> None:
    refused = call(tmp_path, "db", "stop", RAG_DATABASE_URL=empty_database_url)
    assert refused.returncode == 2
    assert "a database URL is configured" in refused.stderr
    found = json.loads(call(tmp_path, "doctor", "--json", RAG_DATABASE_URL=empty_database_url).stdout)
    assert "own Postgres" in next(check["detail"] for check in found if check["name"] == "database")
    assert not (tmp_path / ".rag").exists()


def test_doctor_names_a_database_that_does_not_answer_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://user:correct-horse@127.0.0.1:1/rag"
    result = call(tmp_path, "doctor", RAG_DATABASE_URL=url)
    assert result.returncode == 1
    assert "own Postgres does not answer" in result.stdout
    assert "correct-horse" not in result.stdout + result.stderr


def test_the_schema_of_a_database_is_brought_up_to_date_by_name(
    tmp_path: Path, empty_database_url: str
) -> None:
    def migrate() -> list[str]:
        return json.loads(
            call(tmp_path, "db", "migrate", "--json", RAG_DATABASE_URL=empty_database_url).stdout
        )["applied"]

    assert migrate()
    assert migrate() == []
    said = call(tmp_path, "db", "migrate", RAG_DATABASE_URL=empty_database_url).stdout
    assert said == "the schema is up to date\n"
