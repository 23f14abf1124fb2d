"""Connections: as many as are in use at once, and no more."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from rag_pipelines.store.database import Database


@pytest.mark.parametrize("users", [1, 3])
def test_no_more_connections_are_made_than_are_in_use_at_once(database_url: str, users: int) -> None:
    database = Database(database_url)
    with ExitStack() as held:
        for _ in range(users):
            connection = held.enter_context(database.connection())
        rows = connection.execute(
            "SELECT FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'rag_pipelines'"
        ).fetchall()
        assert len(rows) == users
    database.close()
