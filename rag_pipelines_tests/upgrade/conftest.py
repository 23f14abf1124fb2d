"""Fixtures: every kept release in turn, restored once a session and cloned for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rag_pipelines_tests.conftest import _database, _with_database
from rag_pipelines_tests.upgrade.restored import RELEASES, Restored, restore_database


@pytest.fixture(scope="session")
def release_template(postgres: str) -> Callable[[str], str]:
    """The name of a database that holds a release's dump, as it was."""

    @cache
    def restore(release: str) -> str:
        name = f"template_{release}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        restore_database(release, _with_database(postgres, name))
        return name

    return restore


@pytest.fixture(params=RELEASES)
def restored(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: str, release_template: Callable[[str], str]
) -> Iterator[Restored]:
    """A release's pipeline as its own code left it."""
    for url in _database(postgres, release_template(request.param)):
        made = Restored(request.param, tmp_path, url)
        yield made
        made.close()
