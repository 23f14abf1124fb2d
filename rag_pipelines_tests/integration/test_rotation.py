"""Logins whose secret is changed while the process lives: of the database, and of callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from rag_pipelines.config import load_config
from rag_pipelines.errors import DatabaseError
from rag_pipelines.secrets import references
from rag_pipelines.serving.app import _renew_secrets
from rag_pipelines.serving.auth import LoginError, Logins, digest
from rag_pipelines.store.database import Database


@pytest.fixture(autouse=True)
def asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "PAUSE", 0.0)


@pytest.fixture
def role(database_url: str) -> Iterator[Callable[[str, str], None]]:
    """Renames or makes a login of the server."""
    with psycopg.connect(database_url, autocommit=True) as connection:

        def swap(old: str, new: str) -> None:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(old)))
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(new)))

        yield swap
        for name in ("rotated_a", "rotated_b"):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def test_a_login_of_the_database_is_read_again_when_it_is_refused(tmp_path: Path, database_url: str, role):
    secret, config = tmp_path / "user", tmp_path / "rag.yaml"
    secret.write_text("rotated_a")
    url = make_conninfo(database_url, user="NOBODY").replace("NOBODY", f"${{file:{secret}}}")
    config.write_text(f'database: {{url: "{url}"}}')
    role("rotated_b", "rotated_a")
    database = Database(load_config(config).database.url.get_secret_value(), pool_size=2)

    def who() -> list[str]:
        with database.connection() as one, database.connect() as other:
            return [row.execute("SELECT current_user AS name").fetchone()["name"] for row in (one, other)]

    try:
        assert who() == ["rotated_a", "rotated_a"]
        database.close()
        database.__dict__.pop("_pool")
        role("rotated_a", "rotated_b")
        with pytest.raises(DatabaseError, match='role "rotated_a" does not exist'), database.connect():
            pass
        secret.write_text("rotated_b")
        assert who() == ["rotated_b", "rotated_b"]
    finally:
        database.close()


def test_a_key_of_a_caller_that_was_changed_in_its_store_is_known_and_the_old_one_is_not(tmp_path: Path):
    secret, config = tmp_path / "sha256", tmp_path / "rag.yaml"
    secret.write_text(digest("old"))
    config.write_text(
        f'serving: {{api_keys: {{intranet: {{sha256: "${{file:{secret}}}", tenant: acme}}}}}}\n'
    )
    logins = Logins(load_config(config).serving)
    assert logins.of_key("old").name == "key:intranet"

    secret.write_text(digest("new"))
    references.renew_all()

    assert logins.of_key("new").name == "key:intranet"
    with pytest.raises(LoginError):
        logins.of_key("old")


def test_the_service_goes_on_renewing_secrets_though_a_store_fails(monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []

    def fail() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            raise asyncio.CancelledError
        raise ValueError("a store of another package")

    monkeypatch.setattr(references, "KEPT", 0.0)
    monkeypatch.setattr(references, "renew_all", fail)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_renew_secrets())
    assert calls == [0, 1, 2]
