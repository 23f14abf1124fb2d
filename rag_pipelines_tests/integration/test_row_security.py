"""The reader's login: what it sees by itself, what it refuses to serve with, and searches through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from rag_pipelines.errors import UsageError
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.reader import OPEN_TABLES, admit_reader, prove_reader, reading_as
from rag_pipelines.store.sql import queries
from rag_pipelines.store.switches import turn_on
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

FILES = {
    "open.md": ("# Kites\n\nA kite flies in the wind.", ""),
    "hr.md": ("# Pay\n\nA kite costs forty crowns.", "allow: ['group:hr']"),
    "both.md": ("# Board\n\nThe kite merger is secret.", "all_of: [['group:hr'], ['group:board']]"),
    "denied.md": ("# Gift\n\nA kite for everybody but bob.", "public: true\ndeny: ['user:bob']"),
}


FORGOTTEN = {
    "d.tenant = %(tenant)s AND d.state <> 'tombstoned'": "%(tenant)s::text IS NOT NULL",
    "(tenant = %(tenant)s AND access_id IN (SELECT access_id FROM allowed)) IS NOT TRUE": "false",
    "rag.rules_of(%(tenant)s, %(principals)s)": (
        "ARRAY(SELECT access_id FROM rag.access_rule WHERE %(principals)s::text[] IS NOT NULL)"
    ),
}
"""What in the named queries says for whom they read, and what a statement that forgot it says instead."""


@pytest.fixture
def reader_role(database_url: str) -> Iterator[str]:
    """The name of a role of this test's own; roles belong to the server, not to a database."""
    role = f"reader_{psycopg.conninfo.conninfo_to_dict(database_url)['dbname']}"
    yield role
    with psycopg.connect(database_url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).rowcount:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def fill_shelf(workspace: Workspace) -> None:
    """Four documents about kites under different rules, live in an index."""
    for path, (text, access) in FILES.items():
        workspace.write(path, text)
        if access:
            workspace.write(f"{path}.access.yaml", access)
    workspace.refresh()


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


@pytest.fixture
def database_url(shelf: Workspace) -> str:
    return shelf.url


@pytest.fixture
def reader(shelf: Workspace, reader_role: str) -> Iterator[Database]:
    """A login that was admitted."""
    with shelf.database.connection() as connection:
        admit_reader(connection, reader_role)
    database = Database(as_role(shelf.url, reader_role))
    yield database
    database.close()


def as_role(url: str, role: str) -> str:
    """The same database by another login."""
    return url.replace("postgresql://postgres@", f"postgresql://{role}@")


def execute(shelf: Workspace, statements: str) -> None:
    """Run statements as the owner."""
    with shelf.database.connection() as connection:
        connection.execute(statements)


def without_predicate() -> Callable[[], dict[str, str]]:
    """The named queries, with a search that forgot for whom it is: every document and every rule passes."""
    broken = dict(queries())
    for part, nothing in FORGOTTEN.items():
        assert any(part in text for text in broken.values()), f"no query says {part!r} any more"
        broken = {name: text.replace(part, nothing) for name, text in broken.items()}
    return lambda: broken


def seen(connection: Pg, table: str) -> int:
    """How many rows of a table the connection sees."""
    row = connection.execute(
        sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier("rag", table))
    ).fetchone()
    assert row is not None
    return int(row["n"])


def protected(shelf: Workspace) -> list[str]:
    """Every table of the schema that has policies."""
    rows = shelf.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'rag'::regnamespace AND relrowsecurity"
    )
    return [row["relname"] for row in rows]


def readable(connection: Pg) -> list[str]:
    return [row["name"] for row in query(connection, "readable_relations")]


def test_every_table_with_text_that_a_reader_may_read_is_under_a_policy(
    shelf: Workspace, reader: Database
) -> None:
    with reader.connection() as connection:
        names = readable(connection)
    assert {"document", "chunk", "chunk_set", "parse"} < set(names)
    assert {name for name in names if not OPEN_TABLES.match(name)} <= set(protected(shelf))


def test_a_reader_without_a_caller_sees_nothing(shelf: Workspace, reader: Database) -> None:
    with reader.connection() as connection:
        names = [name for name in readable(connection) if not OPEN_TABLES.match(name)]
        assert {name: seen(connection, name) for name in names if name != "parse"} == {
            name: 0 for name in names if name != "parse"
        }
        assert connection.execute("SELECT title FROM rag.parse").fetchall() == []


@pytest.mark.parametrize(
    ("principals", "paths"),
    [
        ([], {"open.md", "denied.md"}),
        (["group:hr"], {"open.md", "denied.md", "hr.md"}),
        (["group:hr", "group:board"], {"open.md", "denied.md", "hr.md", "both.md"}),
        (["group:board", "user:bob"], {"open.md"}),
    ],
)
def test_a_reader_sees_what_its_caller_may_in_every_table(
    shelf: Workspace, reader: Database, principals: list[str], paths: set[str]
) -> None:
    with reader.connection() as connection, reading_as(connection, "default", ["everyone", *principals]):
        rows = connection.execute("SELECT path FROM rag.document").fetchall()
        assert {row["path"] for row in rows} == paths
        (storage,) = query(connection, "version_storages").fetchall()
        number = storage["storage"]
        for table in ("document_content", "chunk_set", "chunk", f"vectors_{number}", f"lexical_{number}"):
            assert seen(connection, table) == len(paths), table
        found = connection.execute("SELECT title FROM rag.parse").fetchall()
        assert len(found) == len(paths)


def test_a_reader_of_another_tenant_sees_nothing(reader: Database) -> None:
    with reader.connection() as connection, reading_as(connection, "other", ["everyone", "group:hr"]):
        assert seen(connection, "document") == 0


def test_the_caller_is_forgotten_with_the_transaction(reader: Database) -> None:
    with reader.connection() as connection:
        with reading_as(connection, "default", ["everyone"]):
            assert seen(connection, "document") == 2
        assert seen(connection, "document") == 0


def test_a_reader_cannot_write(reader: Database) -> None:
    with reader.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE rag.document SET access_id = access_id")


def test_a_search_through_the_reader_gives_what_the_owner_gets(
    shelf: Workspace, reader: Database, reader_role: str
) -> None:
    expected = {
        principals: shelf.paths("kite", principals=principals)
        for principals in ((), ("group:hr",), ("group:hr", "group:board"), ("user:bob",))
    }
    shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    searcher = Searcher(shelf.database, shelf.settings, "main")
    for principals, paths in expected.items():
        hits = searcher.search("kite", tenant="default", principals=principals).hits
        assert {hit.path for hit in hits} == paths
    searcher.close()


def test_a_search_through_the_reader_obeys_switches(
    shelf: Workspace, reader: Database, reader_role: str
) -> None:
    shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    with Searcher(shelf.database, shelf.settings, "main") as searcher:
        assert searcher.search("kite", tenant="default").hits
        turn_on(shelf.database, shelf.settings, "source-off", "docs", reason="of a leak")
        found = searcher.search("kite", tenant="default")
    assert found.hits == ()
    assert found.notes == ("nothing of source docs because of a leak",)


def test_a_version_that_is_built_later_is_open_to_the_reader(
    shelf: Workspace, reader: Database, reader_role: str
) -> None:
    shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    searcher = Searcher(shelf.database, shelf.settings, "main")
    assert len(searcher.search("kite", tenant="default").hits) == 2
    shelf.write("new.md", "A kite with two tails.")
    shelf.ingest()
    shelf.publish(full=True)
    assert len(searcher.search("kite", tenant="default").hits) == 3
    searcher.close()


def test_a_statement_that_forgets_the_predicate_still_leaks_nothing(
    shelf: Workspace, reader: Database, reader_role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_pipelines.store.database.queries", without_predicate())
    assert len(shelf.paths("kite")) == 4
    shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    searcher = Searcher(shelf.database, shelf.settings, "main")
    for mode in ("dense", "lexical", "hybrid"):
        hits = searcher.search("kite", tenant="default", mode=mode).hits
        assert {hit.path for hit in hits} == {"open.md", "denied.md"}
    searcher.close()


def test_searching_words_asks_the_word_index_also_under_the_policy(
    shelf: Workspace, reader: Database
) -> None:
    (storage,) = shelf.rows("SELECT storage FROM rag.index_version WHERE state = 'live'")
    with reader.connection() as connection, reading_as(connection, "default", ["everyone"]):
        connection.execute("SET LOCAL enable_seqscan = off")
        rows = connection.execute(
            f"EXPLAIN SELECT FROM rag.lexical_{storage['storage']} WHERE words @@ to_tsquery('kite')"
        ).fetchall()
    assert any("words @@" in row["QUERY PLAN"] and "Index Cond" in row["QUERY PLAN"] for row in rows)


def test_equality_of_metadata_asks_its_index_also_under_the_policy(
    shelf: Workspace, reader: Database
) -> None:
    execute(
        shelf,
        "INSERT INTO rag.document (source_id, external_id, tenant, token, name, path, hint, metadata, "
        "attributes_key, access_id, raw_sha256, raw_bytes) "
        "SELECT source_id, path || n, tenant, '', name, path, hint, jsonb_build_object('n', n), "
        "attributes_key, access_id, raw_sha256, raw_bytes "
        "FROM rag.document, generate_series(1, 1000) AS n; ANALYZE rag.document",
    )
    with reader.connection() as connection, reading_as(connection, "default", ["everyone"]):
        rows = connection.execute(
            """EXPLAIN SELECT FROM rag.document WHERE metadata @> ANY('{"{\\"n\\": 7}"}'::jsonb[])"""
        ).fetchall()
    assert any("metadata @>" in row["QUERY PLAN"] and "Index Cond" in row["QUERY PLAN"] for row in rows)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("ALTER ROLE {role} SUPERUSER", "superuser"),
        ("ALTER ROLE {role} BYPASSRLS", "bypasses policies"),
        ("GRANT postgres TO {role}", "owner"),
        ("ALTER TABLE rag.document OWNER TO {role}", "owner"),
        ("ALTER TABLE rag.chunk DISABLE ROW LEVEL SECURITY", "rag.chunk has no policy in force"),
        ("DROP POLICY reader ON rag.document", "rag.document has no policy in force"),
        ("GRANT SELECT ON rag.embedding TO {role}", "rag.embedding has no policy in force"),
        ("GRANT UPDATE ON rag.access_rule TO {role}", "rag.access_rule may be written to"),
        (
            "CREATE POLICY wide ON rag.document USING (true)",
            "rag.document shows rows although no caller is set",
        ),
        (
            "CREATE VIEW rag.v AS SELECT * FROM rag.chunk; GRANT SELECT ON rag.v TO {role}",
            "rag.v has no policy",
        ),
        ("REVOKE ALL ON ALL TABLES IN SCHEMA rag FROM {role}", "may not read the catalogue"),
    ],
)
def test_a_login_that_escapes_row_level_security_does_not_serve(
    shelf: Workspace, reader: Database, reader_role: str, fault: str, named: str
) -> None:
    with reader.connection() as connection:
        prove_reader(connection)
    execute(shelf, fault.format(role=reader_role))
    shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    searcher = Searcher(shelf.database, shelf.settings, "main")
    with pytest.raises(UsageError, match=named):
        searcher.search("kite", tenant="default")
    searcher.close()
    execute(shelf, "ALTER TABLE rag.document OWNER TO postgres")


def test_the_owner_of_the_tables_does_not_serve(shelf: Workspace) -> None:
    with shelf.database.connection() as connection, pytest.raises(UsageError, match="owner"):
        prove_reader(connection)


def test_a_reader_is_admitted_any_number_of_times(
    shelf: Workspace, reader: Database, reader_role: str
) -> None:
    with shelf.database.connection() as connection:
        assert admit_reader(connection, reader_role) == []
    with reader.connection() as connection:
        prove_reader(connection)


@pytest.mark.parametrize("role", ["Robert'); DROP TABLE", "", "9lives"])
def test_a_reader_needs_a_plain_name(shelf: Workspace, role: str) -> None:
    with shelf.database.connection() as connection, pytest.raises(UsageError, match="valid: up to 63"):
        admit_reader(connection, role)


def test_a_superuser_is_not_made_a_reader(shelf: Workspace) -> None:
    with shelf.database.connection() as connection, pytest.raises(UsageError, match="name another role"):
        admit_reader(connection, "postgres")
