"""The schema: what makes it, how databases of earlier code come to it, and what later code leaves to us."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.store import schema as schema_module
from rag_pipelines.store.database import Database, PreparedQuery
from rag_pipelines.store.schema import Schema, checksum, current_schema, migrate
from rag_pipelines_tests.integration import last_release
from rag_pipelines_tests.integration.workspace import Workspace
from tools.dump_schema import dump_schema, render, schema_file

Connection = psycopg.Connection[dict[str, Any]]

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture
def connect() -> Iterator[Callable[[str], Connection]]:
    """Opens connections that are closed after the test."""
    opened: list[Connection] = []

    def connect_to(url: str) -> Connection:
        opened.append(psycopg.connect(url, autocommit=True, row_factory=dict_row))
        return opened[-1]

    yield connect_to
    for connection in opened:
        connection.close()


def as_code_of_0_1_0_left_it(connection: Connection, count: int) -> None:
    """Apply the first migrations of 0.1.0 as that release did."""
    connection.execute("CREATE SCHEMA rag")
    connection.execute(
        "CREATE TABLE rag.migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for name, text in list(current_schema().legacy.items())[:count]:
        connection.execute(text)
        connection.execute("INSERT INTO rag.migration (name) VALUES (%s)", (name,))


def with_object(identity: str, text: str) -> Schema:
    """This code's schema with one object more, or another text of one."""
    return replace(current_schema(), objects={**current_schema().objects, identity: text})


# --- one schema, whatever way leads to it


def test_the_committed_dump_is_what_migrations_and_objects_make(database_url: str) -> None:
    made = render(database_url)
    committed = schema_file().read_text(encoding="utf-8")
    if made.splitlines()[0] != committed.splitlines()[0]:
        pytest.skip(f"written with another Postgres: {made.splitlines()[0]}")
    assert made == committed, "run `make schema` and commit the file"


@pytest.mark.parametrize("count", [1, 3, 6, 9, 13])
def test_a_database_with_some_migrations_of_0_1_0_ends_with_the_same_schema(
    count: int, empty_database_url: str, database_url: str, connect: Callable[[str], Connection]
) -> None:
    as_code_of_0_1_0_left_it(connect(empty_database_url), count)
    assert Database(empty_database_url).migrate()
    assert Database(empty_database_url).migrate() == []
    assert dump_schema(empty_database_url) == dump_schema(database_url)
    names = "SELECT name FROM rag.migration ORDER BY name"
    upgraded, fresh = (connect(url).execute(names).fetchall() for url in (empty_database_url, database_url))
    assert upgraded == fresh


def test_every_object_is_what_its_header_says(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    connection = connect(database_url)
    for identity in reversed(current_schema().objects):
        kind, _, rest = identity.partition(" ")
        with connection.transaction(force_rollback=True):
            connection.execute(f"DROP {kind} {rest} CASCADE")


# --- changes


def test_an_object_is_applied_again_when_its_text_changes_and_dropped_when_it_vanishes(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    connection = connect(database_url)
    identity = "FUNCTION rag.answer()"
    made = "CREATE OR REPLACE FUNCTION rag.answer() RETURNS integer LANGUAGE sql RETURN {};"
    assert migrate(connection, with_object(identity, made.format(41))) == [identity]
    assert migrate(connection, with_object(identity, made.format(42))) == [identity]
    assert connection.execute("SELECT rag.answer()").fetchone() == {"answer": 42}
    assert migrate(connection, with_object(identity, "-- Why.\n" + made.format(42))) == []
    assert migrate(connection) == [f"without {identity}"]
    assert connection.execute("SELECT to_regproc('rag.answer') AS found").fetchone() == {"found": None}


@pytest.mark.parametrize(
    "identity", ["POLICY reader ON rag.chunk", "TRIGGER end_canary ON rag.index_version"]
)
def test_what_postgres_cannot_replace_is_dropped_and_made_anew(
    identity: str, database_url: str, connect: Callable[[str], Connection]
) -> None:
    text = current_schema().objects[identity]
    assert migrate(connect(database_url), with_object(identity, f"{text}\nSELECT 1;")) == [identity]


def test_the_policies_of_versions_that_are_there_follow_their_definition(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.refresh()
    identity = "FUNCTION rag.protect_table(text)"
    text = current_schema().objects[identity]
    policies = (
        "SELECT tablename, policyname, qual FROM pg_policies "
        "WHERE schemaname = 'rag' AND tablename ~ '_[0-9]+$' ORDER BY tablename"
    )
    before = workspace.rows(policies)
    assert [row["policyname"] for row in before] == ["reader"] * 5
    changed = text.replace("CREATE POLICY reader", "CREATE POLICY searcher").replace(
        "USING (tenant =", "USING (term IS NOT NULL AND tenant ="
    )
    with workspace.database.connection() as connection:
        assert migrate(connection, with_object(identity, changed)) == [identity]
        after = workspace.rows(policies)
        assert [row["policyname"] for row in after] == ["searcher"] * 5
        assert sum("term IS NOT NULL" in row["qual"] for row in after) == 2
        assert migrate(connection) == [identity]
    assert workspace.rows(policies) == before


def test_a_migration_is_applied_once_and_objects_again_after_it(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    schema = current_schema()
    later = replace(
        schema,
        migrations={
            **schema.migrations,
            "9999_later": "DROP FUNCTION rag.search_state; ALTER TABLE rag.run ADD COLUMN later integer;",
        },
    )
    connection = connect(database_url)
    assert migrate(connection, later) == ["9999_later", *schema.objects]
    assert migrate(connection, later) == []
    connection.execute("SELECT version_id FROM rag.search_state('main', 'default')")


def test_a_migration_that_fails_leaves_nothing_of_itself(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    schema = current_schema()
    wrong = {**schema.migrations, "9999_wrong": "CREATE TABLE rag.half (); SELECT 1 / 0;"}
    before = dump_schema(database_url)
    connection = connect(database_url)
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(connection, replace(schema, migrations=wrong))
    assert dump_schema(database_url) == before
    assert migrate(connection) == []


def test_the_text_of_an_applied_migration_may_not_change(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    schema = current_schema()
    texts = dict(schema.migrations)
    texts[schema.baseline] += "CREATE TABLE rag.more ();"
    with pytest.raises(UsageError, match=rf"text of {schema.baseline} changed .* migration of its own"):
        migrate(connect(database_url), replace(schema, migrations=texts))


def test_a_checksum_is_of_what_statements_say() -> None:
    assert checksum("-- Why.\nSELECT 1;\n") == checksum("\n  SELECT 1;  \r\n\n-- Because.")
    assert checksum("SELECT 1;") != checksum("SELECT 2;")


# --- old code and new code


def test_code_that_does_not_know_a_migration_says_which(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    connection = connect(database_url)
    connection.execute("INSERT INTO rag.migration (name) VALUES ('0099_unheard_of')")
    connection.execute("UPDATE rag.schema_release SET digest = 'other'")
    with pytest.raises(UsageError, match=r"does not have: 0099_unheard_of\. Use the code that applied them"):
        migrate(connection)


def test_older_code_uses_a_newer_schema_that_serves_it_and_changes_nothing(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    connection, own = connect(database_url), current_schema()
    newer = replace(
        with_object("FUNCTION rag.one()", "CREATE FUNCTION rag.one() RETURNS integer LANGUAGE sql RETURN 1;"),
        release="9.1.0",
        serves_from=own.release,
        migrations={**own.migrations, "9999_later": "CREATE TABLE rag.later ();"},
    )
    migrate(connection, newer)
    made = dump_schema(database_url)
    assert migrate(connection) == []
    assert dump_schema(database_url) == made


def test_older_code_is_refused_by_a_schema_that_does_not_serve_it(
    database_url: str, connect: Callable[[str], Connection]
) -> None:
    connection = connect(database_url)
    migrate(connection, replace(current_schema(), release="9.2.0", serves_from="9.1.0"))
    with pytest.raises(
        UsageError, match=r"schema of rag-pipelines 9\.2\.0, .* Install rag-pipelines 9\.1\.0 or"
    ):
        migrate(connection)


def test_postgres_prepares_the_statements_of_the_last_release_as_it_did(
    empty_database_url: str, database_url: str, connect: Callable[[str], Connection]
) -> None:
    """Whatever tables, columns and functions that release names are still there."""
    before, now = connect(empty_database_url), connect(database_url)
    as_code_of_0_1_0_left_it(before, len(current_schema().legacy))
    statements = list(_statements_of_the_last_release())
    outcomes = {name: (_prepared(before, text), _prepared(now, text)) for name, text in statements}
    assert {name: pair for name, pair in outcomes.items() if pair[0] != pair[1]} == {}
    assert sum(pair == ("prepared", "prepared") for pair in outcomes.values()) > 150


def _statements_of_the_last_release() -> Iterator[tuple[str, str]]:
    """Plain queries by name; those that are put together from others are left to the processes below."""
    text = (SAMPLES / f"queries-{last_release.RELEASE}.sql").read_text(encoding="utf-8")
    for block in text.split("-- name: ")[1:]:
        name, _, body = block.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        statement = "\n".join(lines).strip().rstrip(";")
        if statement.startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")) and ";" not in statement:
            yield name, statement


def _prepared(connection: Connection, statement: str) -> str:
    """How Postgres takes a statement: prepared, or what it says against it."""
    if "{" in statement.replace("'{}'", "").replace("{}'", ""):
        return "put together"
    numbered = PreparedQuery(psycopg.sql.SQL(statement), "numbered")
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                connection.execute(b"PREPARE one AS " + numbered._text)
        except psycopg.Error as error:
            return str(error).splitlines()[0]
        connection.execute("DEALLOCATE one")
    return "prepared"


def test_processes_of_the_last_release_answer_while_this_one_migrates_and_work_on_after_it(
    tmp_path: Path, empty_database_url: str
) -> None:
    tree = last_release.checkout(tmp_path / "tree")
    folder, ready, stop = tmp_path / "work", tmp_path / "ready", tmp_path / "stop"
    old = last_release.start(tree, folder, empty_database_url, ready, stop)
    while not ready.exists():
        assert old.poll() is None, old.communicate()
    workspace = Workspace(folder, empty_database_url)
    assert workspace.database.migrate()
    assert workspace.paths("pump oil") == {"pump.md"}
    stop.touch()
    served = last_release.answer(old)
    assert served["wrong"] == []
    assert "valve.md" in served["after"]
    assert "valve.md" in workspace.paths("valve shut")
    assert workspace.database.migrate() == []
    workspace.close()


def test_a_change_gives_way_to_a_session_that_holds_a_table_and_comes_again(
    empty_database_url: str, connect: Callable[[str], Connection]
) -> None:
    as_code_of_0_1_0_left_it(connect(empty_database_url), 13)
    reading, other = connect(empty_database_url), connect(empty_database_url)
    applied: list[str] = []
    with reading.transaction():
        reading.execute("SELECT FROM rag.document")
        migrating = threading.Thread(
            target=lambda: applied.extend(Database(empty_database_url).migrate()), daemon=True
        )
        migrating.start()
        waiting = (
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while other.execute(waiting).fetchone() is None:
            assert migrating.is_alive()
        # A search that comes now queues behind the change, for no longer than the change waits.
        other.execute("SET statement_timeout = '5s'; SELECT FROM rag.document")
        assert migrating.is_alive()
    migrating.join(timeout=30)
    assert "POLICY reader ON rag.document" in applied


def test_a_change_that_never_gets_its_tables_is_a_passing_fault(
    empty_database_url: str, connect: Callable[[str], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_module, "PATIENCE", 0.0)
    monkeypatch.setattr(schema_module, "LOCK_TIMEOUT", "20ms")
    as_code_of_0_1_0_left_it(connect(empty_database_url), 13)
    reading = connect(empty_database_url)
    with reading.transaction():
        reading.execute("SELECT FROM rag.document")
        with pytest.raises(TransientError, match="other sessions hold its tables"):
            Database(empty_database_url).migrate()
