"""Connections: as many as are in use at once, and no more; and what an address is told that leads nowhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest

from rag_pipelines.errors import DatabaseError, TransientError
from rag_pipelines.store.database import Database
from rag_pipelines_tests.databases import with_database


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


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda url: with_database(url, "nowhere"), DatabaseError, 'refused: .*"nowhere" does not exist'),
        (lambda url: url.replace("postgres@", "nobody_there@"), DatabaseError, "refused: .* does not exist"),
        (lambda url: f"{url}&port=1", TransientError, "cannot reach Postgres"),
    ],
    ids=["database", "login", "server"],
)
def test_only_an_address_that_may_answer_later_is_a_passing_fault(
    database_url: str, spoil: Callable[[str], str], error: type[Exception], says: str
) -> None:
    with closing(Database(spoil(database_url))) as database:
        for taken in (database.connection, database.connect):
            with pytest.raises(error, match=says), taken():
                pass
