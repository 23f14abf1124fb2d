"""A pooler in transaction mode before the database: what works through it, and what says that it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from typer.testing import Result

from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import DatabaseError, TransientError, UsageError
from rag_pipelines.index.promotion import collect_versions
from rag_pipelines.query.hits import Filters
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime, open_database, open_runtime
from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.serving.backend import Backend
from rag_pipelines.store.database import Database
from rag_pipelines.store.reader import admit_reader
from rag_pipelines.sync.engine import ingest
from rag_pipelines_tests.databases import database_of, with_database
from rag_pipelines_tests.doubles.pgbouncer import find_pgbouncer, pgbouncer
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_row_security import as_role, fill_shelf
from rag_pipelines_tests.integration.test_row_security import reader_role as reader_role
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture(scope="module")
def pool_of(postgres: str) -> Iterator[Callable[..., str]]:
    """The address of a database through a pooler, which hands transactions out unless told otherwise."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip("pgbouncer is not installed; on Debian: apt-get install pgbouncer")
    with (
        pgbouncer(program, postgres, pool_mode="transaction") as transaction,
        pgbouncer(program, postgres, pool_mode="session") as session,
        pgbouncer(program, postgres, pool_mode="statement") as statement,
    ):
        modes = {"transaction": transaction, "session": session, "statement": statement}
        yield lambda url, mode="transaction": with_database(modes[mode], database_of(url))


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        lent.document["query"] = {"cache": {"results": "1MB"}}
        yield lent


@pytest.fixture
def database_url(shelf: Workspace) -> str:
    return shelf.url


@pytest.fixture
def workspace(shelf: Workspace) -> Workspace:
    return shelf


@pytest.fixture(params=["owner", "reader"])
def pooled(
    request: pytest.FixtureRequest, shelf: Workspace, reader_role: str, pool_of: Callable[..., str]
) -> Workspace:
    """The shelf with every address that may lead to the pooler leading there."""
    pool = pool_of(shelf.url)
    shelf.document["database"] = {"url": pool, "session_url": shelf.url}
    if request.param == "reader":
        with shelf.database.connection() as connection:
            admit_reader(connection, reader_role)
        shelf.document["database"]["reader_url"] = as_role(pool, reader_role)
    return shelf


@pytest.fixture
def runtime(pooled: Workspace) -> Iterator[Runtime]:
    settings = pooled.settings
    made = Runtime(open_database(settings), settings, Embedders(settings.data_dir))
    yield made
    made.close()


def found(searcher: Searcher, *principals: str) -> set[str]:
    return {hit.path for hit in searcher.search("kite", tenant="default", principals=principals).hits}


def sessions_shown(url: str, setting: str) -> set[str]:
    """What a setting is in the sessions that a pooler has open, as many as can be had at once."""
    shown = set()
    with closing(psycopg.connect(url, autocommit=True)) as one, closing(psycopg.connect(url)) as other:
        for connection in (other, one):  # the other stays in its transaction, so that two sessions answer
            row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
            assert row is not None
            shown.add(row[0])
    return shown


def test_searches_go_through_the_pooler_and_runs_beside_it(pooled: Workspace, runtime: Runtime) -> None:
    with closing(Searcher(runtime.database, runtime.settings, "main")) as searcher:
        assert found(searcher) == {"open.md", "denied.md"}
        assert found(searcher, "group:hr", "group:board") == {"open.md", "denied.md", "hr.md", "both.md"}
        pooled.write("new.md", "A kite with two tails.")
        assert ingest(runtime, "docs").parsed == 1
        pooled.database = runtime.database  # type: ignore[assignment]
        pooled.publish(full=True)
        collect_versions(runtime.database, "main", runtime.settings.index("main"))
        assert found(searcher) == {"open.md", "denied.md", "new.md"}


def test_the_service_answers_and_takes_votes_through_the_pooler(pooled: Workspace, runtime: Runtime) -> None:
    caller = RequestCaller("user:ann", "default", ("group:hr",))
    limit = timedelta(minutes=1)
    with closing(Backend(runtime.settings, runtime.database, runtime.embedders, time_limit=limit)) as backend:
        answered = backend.search(
            "main", "kite", caller, mode="hybrid", k=9, filters=Filters(), context_tokens=99
        )
        assert {hit.path for hit in answered.result.hits} == {"open.md", "denied.md", "hr.md"}
        assert backend.vote(answered.receipt, caller, "up", None) == ("main", answered.result.version)
        assert set(backend.readiness().values()) == {"ok"}
    assert pooled.rows("SELECT verdict FROM rag.feedback") == [{"verdict": "up"}]


def test_a_searcher_notices_that_the_version_it_knows_was_collected(
    pooled: Workspace, runtime: Runtime
) -> None:
    with closing(Searcher(runtime.database, runtime.settings, "main")) as searcher:
        before = searcher.search("kite", tenant="default").version
        pooled.publish(full=True)
        pooled.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
        assert collect_versions(runtime.database, "main", pooled.settings.index("main")) == [before]
        assert searcher.search("kite", tenant="default").version != before


def test_a_search_is_given_up_when_its_callers_time_is_over(pooled: Workspace, runtime: Runtime) -> None:
    hurried = runtime.database.with_server_settings({"statement_timeout": "1ms"})
    with (
        closing(Searcher(hurried, runtime.settings, "main")) as searcher,
        pytest.raises(TransientError, match="statement timeout"),
    ):
        searcher.search("kite", tenant="default")


def test_what_is_set_for_one_client_of_the_pooler_is_no_others(
    shelf: Workspace, pool_of: Callable[..., str]
) -> None:
    pool = pool_of(shelf.url)
    database = Database(pool).with_server_settings({"statement_timeout": "12345ms"})
    with closing(database):
        for taken in (database.connection, database.transaction, database.snapshot):
            with taken() as connection:
                shown = connection.execute("SHOW statement_timeout").fetchone()
                assert shown == {"statement_timeout": "12345ms"}
        assert sessions_shown(pool, "statement_timeout") == {"0"}


def test_a_run_that_has_only_the_pooler_is_told_what_it_needs(
    shelf: Workspace, pool_of: Callable[..., str]
) -> None:
    shelf.document["database"] = {"url": pool_of(shelf.url)}
    settings = shelf.settings
    with (
        closing(open_database(settings)) as database,
        pytest.raises(UsageError, match=r"database\.url leads to .* Set database\.session_url"),
    ):
        ingest(Runtime(database, settings, Embedders(settings.data_dir)), "docs")
    locks = "SELECT d.datname FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
    held = shelf.rows(f"{locks} WHERE locktype = 'advisory'")
    assert database_of(shelf.url) not in {row["datname"] for row in held}


def test_a_process_that_only_searches_needs_only_the_pooler(
    shelf: Workspace, pool_of: Callable[..., str], empty_database_url: str
) -> None:
    shelf.document["database"] = {"url": pool_of(shelf.url)}
    opened = open_runtime(shelf.settings)
    with closing(opened), closing(Searcher(opened.database, opened.settings, "main")) as searcher:
        assert found(searcher) == {"open.md", "denied.md"}
    shelf.document["database"] = {"url": pool_of(empty_database_url)}
    with pytest.raises(UsageError, match=r"Set database\.session_url"):
        open_runtime(shelf.settings)


def test_doctor_says_what_each_address_leads_to(pooled: Workspace, call: Callable[..., Result]) -> None:
    found = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)}
    for name in {"database", "database.reader_url"} & found.keys():
        assert "through a pooler" in found[name]["detail"]
    assert found["database.session_url"]["ok"]
    del pooled.document["database"]["session_url"]
    found = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)}
    assert "Set database.session_url" in found["database"]["detail"]


def test_a_session_address_that_leads_to_transactions_is_named(
    shelf: Workspace, pool_of: Callable[..., str]
) -> None:
    with (
        closing(Database(shelf.url, session_url=pool_of(shelf.url))) as database,
        pytest.raises(UsageError, match=r"^database\.session_url leads to"),
        database.connect(),
    ):
        pass


def test_a_pooler_of_sessions_serves_everything(shelf: Workspace, pool_of: Callable[..., str]) -> None:
    shelf.document["database"] = {"url": pool_of(shelf.url, "session")}
    settings = shelf.settings
    with closing(open_database(settings)) as database:
        with database.connect() as connection:
            assert connection.execute("SHOW jit").fetchone() == {"jit": "off"}
        shelf.write("new.md", "A kite with two tails.")
        assert ingest(Runtime(database, settings, Embedders(settings.data_dir)), "docs").parsed == 1
        with closing(Searcher(database, settings, "main")) as searcher:
            assert found(searcher) == {"open.md", "denied.md"}


@pytest.mark.parametrize(
    ("spoil", "mode", "says"),
    [
        (lambda url: f"{url}&options=-cjit%3Doff", "transaction", "unsupported startup parameter"),
        (lambda url: as_role(url, "nobody_there"), "transaction", "no such user"),
        (lambda url: url, "statement", "statement pooling mode"),
    ],
    ids=["options", "login", "statements"],
)
def test_an_address_that_a_pooler_refuses_is_no_passing_fault(
    shelf: Workspace,
    pool_of: Callable[..., str],
    spoil: Callable[[str], str],
    mode: str,
    says: str,
) -> None:
    with closing(Database(spoil(pool_of(shelf.url, mode)))) as database:
        for taken in (database.connection, database.connect):
            with pytest.raises(DatabaseError, match=f"is refused: .*{says}"), taken():
                pass
