"""Searches on a streaming replica: they write nothing, show what was replayed, and outlive its conflicts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from typer.testing import Result

from rag_pipelines.errors import TransientError
from rag_pipelines.query.search import Searcher
from rag_pipelines.query.statement import VersionSearch
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.conftest import SMALL_SERVER
from rag_pipelines_tests.doubles.pgbouncer import find_pgbouncer, pgbouncer
from rag_pipelines_tests.doubles.replica import REPLICATED, Replica, replica_of
from rag_pipelines_tests.integration.test_row_security import as_role, fill_shelf
from rag_pipelines_tests.integration.workspace import Workspace

READER = "reader_of_replicas"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, module_folder: Path) -> Iterator[Workspace]:
    """Documents about kites in a database whose server can be replicated; the tests add to it."""
    server = EmbeddedServer(module_folder / "primary", {**SMALL_SERVER, **REPLICATED})
    url = server.start()
    workspace = Workspace(tmp_path_factory.mktemp("replicated"), url)
    workspace.database.migrate()
    fill_shelf(workspace)
    with workspace.database.connection() as connection:
        admit_reader(connection, READER)
    stages = {"rewriting": {"spelling": True}, "diversity": {}, "neighbours": {}, "per_document": 2}
    workspace.document["indexes"]["main"]["stages"] = stages
    workspace.document["query"] = {"cache": {"results": "1MB"}, "unknown_user": "nothing"}
    yield workspace
    workspace.close()
    server.stop()


@pytest.fixture(scope="module")
def replica(shelf: Workspace, module_folder: Path) -> Iterator[Replica]:
    """A replica that ends what is in the way of its replay at once."""
    primary = EmbeddedServer(module_folder / "primary")
    settings = {**SMALL_SERVER, **REPLICATED, "max_standby_streaming_delay": "0"}
    with replica_of(primary, module_folder / "replica", **settings) as made:
        yield made


@pytest.fixture
def workspace(shelf: Workspace) -> Workspace:
    return shelf


@pytest.fixture
def searcher(shelf: Workspace, replica: Replica) -> Iterator[Searcher]:
    shelf.document["database"]["reader_url"] = as_role(replica.url, READER)
    replica.catch_up()
    made = Searcher(shelf.database, shelf.settings, "main")
    made.prepare("default")
    yield made
    made.close()


def ask(searcher: Searcher, text: str = "kite", **options: Any) -> Any:
    return searcher.search(text, tenant="default", principals=["group:hr"], **options)


def test_a_search_with_every_stage_writes_nothing(searcher: Searcher) -> None:
    for mode in ("dense", "lexical", "hybrid"):
        result = ask(searcher, "kyte flies", mode=mode)
        assert {hit.path for hit in result.hits} == {"open.md", "denied.md", "hr.md"}
        assert not any(step.failed for step in result.steps)
        assert searcher.pack(result, 200).passages


def test_doctor_says_how_old_what_a_replica_shows_is(
    shelf: Workspace, replica: Replica, searcher: Searcher, call: Callable[..., Result]
) -> None:
    shelf.rows("UPDATE rag.source SET lease_at = now() RETURNING source_id")
    replica.catch_up()
    found = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)}
    said = found["database.reader_url"]["detail"]
    assert re.search(r"at a replica; the newest change that it shows is \d+ \w+.* old", said)


def test_hits_are_as_of_what_the_replica_has_replayed(
    shelf: Workspace, replica: Replica, searcher: Searcher
) -> None:
    replica.pause()
    before = ask(searcher)
    shelf.write("new.md", "A kite with two tails.")
    newer = shelf.refresh()
    behind = ask(searcher)
    assert behind.version == before.version != newer.version_id
    assert [hit.as_of for hit in behind.hits] == [hit.as_of for hit in before.hits]
    replica.resume()
    replica.catch_up()
    after = ask(searcher)
    assert after.version == newer.version_id
    assert "new.md" in {hit.path for hit in after.hits}
    listed = shelf.rows("SELECT listed_at FROM rag.source")[0]["listed_at"]
    assert {hit.as_of for hit in after.hits} == {listed} != {hit.as_of for hit in before.hits}


@pytest.fixture
def conflicts(shelf: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Searches are in the way of what the replica has to replay, as many as the list says."""
    left = [0]
    rows = VersionSearch.rows

    def replay() -> None:
        with shelf.database.transaction() as connection:
            connection.execute("LOCK TABLE rag.source IN ACCESS EXCLUSIVE MODE")

    def interrupted(self: VersionSearch, connection: Any, *arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            connection.execute("SELECT FROM rag.source").fetchall()
            thread = Thread(target=replay)
            thread.start()
            try:
                connection.execute("SELECT pg_sleep(600)").fetchall()
            finally:
                thread.join()
        return rows(self, connection, *arguments, **options)

    monkeypatch.setattr(VersionSearch, "rows", interrupted)
    return left


def test_a_search_that_was_in_the_way_of_the_replay_is_asked_once_more(
    searcher: Searcher, conflicts: list[int]
) -> None:
    conflicts[0] = 1
    assert ask(searcher).hits
    conflicts[0] = 2
    with pytest.raises(TransientError, match="conflict with recovery") as caught:
        ask(searcher, "another kite")
    assert isinstance(caught.value.__cause__, psycopg.errors.SerializationFailure)


def test_a_pooler_may_stand_before_the_replica(
    shelf: Workspace, replica: Replica, searcher: Searcher
) -> None:
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed; on Debian: apt-get install pgbouncer")
    with pgbouncer(program, replica.url, pool_mode="transaction") as pool:
        shelf.document["database"]["reader_url"] = as_role(pool, READER)
        with closing(Searcher(shelf.database, shelf.settings, "main")) as through:
            assert ask(through).hits == ask(searcher).hits
