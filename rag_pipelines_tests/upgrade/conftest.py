"""Fixtures: every kept release in turn, restored once a session and cloned for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import psycopg
import pytest

from rag_pipelines_tests.databases import copied_database, database_of
from rag_pipelines_tests.upgrade.restored import RELEASES, Restored, restore_database

DUMPED_BY = 18
"""The major version of Postgres whose dumps the samples are; an older one does not read them."""


@pytest.fixture(scope="session")
def release_template(postgres: str) -> Iterator[Callable[[str], str]]:
    """The name of a database that holds a release's dump, as it was."""
    with psycopg.connect(postgres) as connection:
        if connection.info.server_version < DUMPED_BY * 10_000:
            pytest.skip(f"the samples are dumps of Postgres {DUMPED_BY}")
    with ExitStack() as kept:

        @cache
        def restore(release: str) -> str:
            url = kept.enter_context(copied_database(postgres, "template1"))
            restore_database(release, url)
            return database_of(url)

        yield restore


@pytest.fixture(params=RELEASES)
def restored(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: str, release_template: Callable[[str], str]
) -> Iterator[Restored]:
    """A release's pipeline as its own code left it."""
    with copied_database(postgres, release_template(request.param)) as url:
        made = Restored(request.param, tmp_path, url)
        yield made
        made.close()
