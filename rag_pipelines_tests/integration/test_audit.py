"""The audit's chain: whatever is done to its rows is found, and what a purge takes out is accounted for."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from typer.testing import Result

from rag_pipelines.audit.chain import Anchor, Chain, check_chain, read_head
from rag_pipelines.audit.ocsf import OCSF
from rag_pipelines.errors import UsageError
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.database import Database, Pg
from rag_pipelines.store.schema import current_schema
from rag_pipelines_tests.integration.workspace import Workspace

ROWS = 6
"""So many are left before a row is tampered with."""

OTHERS = {
    "at": "now() + interval '1 microsecond'",
    "actor": "actor || ' '",
    "login": "'somebody'",
    "action": "'promote'",
    "subject": "subject || '2'",
    "detail": 'detail || \'{"reason": "another"}\'',
    "salt": "gen_random_uuid()",
}
"""Another value of each column that a row's digest covers."""

DIGESTS = {"content": "sha256(content)", "hash": "sha256(hash)", "position": "-position"}
"""Another value of what the chain adds."""


@pytest.fixture
def audited(workspace: Workspace) -> Workspace:
    with workspace.database.connection() as connection:
        for number in range(1, ROWS + 1):
            record_audit(connection, "collect", f"index {number}", {"reason": f"because {number}"}, "ann")
    return workspace


@pytest.fixture
def audit_writer(audited: Workspace) -> Iterator[Database]:
    """The login that the documentation makes, under a name of this test's own."""
    role = f"audit_writer_{uuid4().hex[:8]}"
    page = (Path(__file__).parents[2] / "docs/operations/audit.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```text\n([^`]*CREATE ROLE audit_writer[^`]*)```", page, re.DOTALL)
    with audited.database.connection() as connection:
        connection.execute(statements.replace("audit_writer", role).encode())
    database = Database(audited.url.replace("postgresql://postgres@", f"postgresql://{role}@"))
    yield database
    database.close()
    with audited.database.connection() as connection:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def checked(workspace: Workspace, *anchors: Anchor) -> Chain:
    with workspace.database.snapshot() as connection:
        return check_chain(connection, anchors)


def behind_the_triggers(connection: Pg, statement: str) -> None:
    """As somebody does it who owns the database."""
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute(statement.encode())


def chain_as_the_migration(connection: Pg) -> None:
    (text,) = (text for name, text in current_schema().migrations.items() if name.endswith("_audit_chain"))
    connection.execute("UPDATE rag.audit_head SET position = 0, hash = ''")
    connection.execute(text[text.index("DO $$") :].encode())


def test_rows_that_nobody_touched_are_as_they_were_written(audited: Workspace) -> None:
    found = checked(audited)

    assert (found.rows, found.faults, found.redacted) == (ROWS, [], [])
    assert found.head.position == ROWS


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(1, ROWS),
    others=st.integers(1, ROWS - 1),
    column=st.sampled_from(sorted(OTHERS)),
    digest=st.sampled_from(sorted(DIGESTS)),
    deed=st.sampled_from(
        ["changed", "digest", "fitting", "removed", "closed up", "moved", "put in", "at the end"]
    ),
)
def test_whatever_is_done_to_one_row_is_found(
    audited: Workspace, row: int, others: int, column: str, digest: str, deed: str
) -> None:
    """Without an anchor, and also where the tamperer makes the row's own digests fit."""
    other = (row + others - 1) % ROWS + 1
    change = f"UPDATE rag.audit SET {column} = {OTHERS[column]} WHERE position = {row}"
    fitting = f"""UPDATE rag.audit a SET content = rag.audit_content(a), hash = sha256(
        coalesce((SELECT b.hash FROM rag.audit b WHERE b.position = {row} - 1), '')
        || int8send(position) || rag.audit_content(a)) WHERE position = {row}"""
    remove = f"DELETE FROM rag.audit WHERE position = {row}"
    statements = {
        "changed": [change],
        "digest": [f"UPDATE rag.audit SET {digest} = {DIGESTS[digest]} WHERE position = {row}"],
        "fitting": [change, fitting],
        "removed": [remove],
        "closed up": [
            remove,
            f"UPDATE rag.audit SET position = -position WHERE position > {row}",
            "UPDATE rag.audit SET position = -position - 1 WHERE position < 0",
        ],
        "moved": [
            f"UPDATE rag.audit SET position = -position WHERE position IN ({row}, {other})",
            f"UPDATE rag.audit SET position = {row + other} + position WHERE position < 0",
        ],
        "put in": ["INSERT INTO rag.audit (actor, action, subject) VALUES ('bob', 'promote', 'main')"],
        "at the end": [
            "INSERT INTO rag.audit (actor, action, subject, position, content, hash)"
            f" VALUES ('bob', 'promote', 'main', {ROWS + 1}, '', '')"
        ],
    }
    with audited.database.connection() as connection, connection.transaction(force_rollback=True):
        for statement in statements[deed]:
            behind_the_triggers(connection, statement)

        assert check_chain(connection).faults


@pytest.mark.parametrize(
    ("statement", "kind", "position"),
    [
        ("UPDATE rag.audit SET subject = 'other' WHERE position = 3", "changed", 3),
        ("DELETE FROM rag.audit WHERE position = 3", "removed", 3),
        (f"DELETE FROM rag.audit WHERE position = {ROWS}", "removed", ROWS),
        ("INSERT INTO rag.audit (actor, action, subject) VALUES ('bob', 'x', 'y')", "inserted", None),
    ],
)
def test_a_fault_names_the_row(audited: Workspace, statement: str, kind: str, position: int | None) -> None:
    with audited.database.transaction() as connection:
        behind_the_triggers(connection, statement)

    assert [(one.kind, one.position) for one in checked(audited).faults] == [(kind, position)]


def test_rows_taken_off_the_end_with_the_head_are_found_by_an_anchor(audited: Workspace) -> None:
    kept = checked(audited).head
    with audited.database.transaction() as connection:
        behind_the_triggers(connection, f"DELETE FROM rag.audit WHERE position = {ROWS}")
        connection.execute(
            "UPDATE rag.audit_head SET (position, hash) ="
            f" (SELECT position, hash FROM rag.audit WHERE position = {ROWS - 1})"
        )

    assert checked(audited).faults == []
    assert [(one.kind, one.position) for one in checked(audited, kept).faults] == [("removed", ROWS)]


def test_a_chain_that_was_computed_anew_is_found_by_an_anchor(audited: Workspace) -> None:
    kept = checked(audited).head
    with audited.database.transaction() as connection:
        behind_the_triggers(connection, "UPDATE rag.audit SET actor = 'eve' WHERE position = 2")
        chain_as_the_migration(connection)

    assert checked(audited).faults == []
    assert [one.kind for one in checked(audited, kept).faults] == ["rewritten"]


def test_rows_of_writers_at_once_are_one_chain(workspace: Workspace) -> None:
    """The row of a transaction that goes on comes when it commits, and nobody waits for it."""
    with workspace.database.connect() as slow, slow.transaction():
        record_audit(slow, "collect", "first to write, last to commit", {}, "slow")

        def write(name: str) -> None:
            for number in range(10):
                with workspace.database.connection() as connection:
                    record_audit(connection, "collect", f"{name} {number}", {}, name)

        threads = [threading.Thread(target=write, args=(f"writer {one}",)) for one in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert read_head_of(workspace).position == 40

    found = checked(workspace)
    assert (found.rows, found.head.position, found.faults) == (41, 41, [])
    (last,) = workspace.rows("SELECT actor FROM rag.audit WHERE position = 41")
    assert last["actor"] == "slow"


def read_head_of(workspace: Workspace) -> Anchor:
    with workspace.database.connection() as connection:
        return read_head(connection)


def test_a_transaction_that_is_taken_back_leaves_no_gap(audited: Workspace) -> None:
    with audited.database.connection() as connection:
        with connection.transaction(force_rollback=True):
            record_audit(connection, "collect", "main", {})
        record_audit(connection, "collect", "main", {})

    found = checked(audited)
    assert (found.head.position, found.faults) == (ROWS + 1, [])


def test_rows_from_before_the_chain_are_chained_by_the_migration(audited: Workspace) -> None:
    with audited.database.transaction() as connection:
        behind_the_triggers(
            connection, "UPDATE rag.audit SET position = NULL, content = NULL, hash = NULL, login = NULL"
        )
        chain_as_the_migration(connection)

    found = checked(audited)
    assert (found.rows, found.head.position, found.faults) == (ROWS, ROWS, [])


def test_an_update_by_sql_is_found_with_the_login_that_made_it(audited: Workspace) -> None:
    with audited.database.connection() as connection:
        connection.execute("UPDATE rag.audit SET actor = 'bob' WHERE position = 2")

    (fault,) = checked(audited).faults
    (login,) = audited.rows("SELECT session_user::text AS name")
    assert (fault.kind, fault.position) == ("changed", 2)
    assert f"by login {login['name']}, as row {ROWS + 1} says" in fault.says


@pytest.mark.parametrize("statement", ["DELETE FROM rag.audit WHERE position = 1", "TRUNCATE rag.audit"])
def test_no_row_can_be_removed_by_sql(audited: Workspace, statement: str) -> None:
    with (
        audited.database.connection() as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="never removed"),
    ):
        connection.execute(statement)


def test_what_a_purge_takes_out_of_a_row_is_no_fault_and_is_said(workspace: Workspace) -> None:
    workspace.write("other.md", "# Other\n\nIt stays.")
    workspace.write("ann-miller-leaves.md", "# Leaves\n\nAnn leaves us.")
    workspace.ingest()
    with workspace.database.connection() as connection:
        record_audit(connection, "override", "main", {"reason": "docs:ann-miller-leaves.md is known"}, "bob")
    (workspace.docs / "ann-miller-leaves.md").unlink()
    workspace.ingest()

    purge_document(workspace.database, workspace.settings, "docs", "ann-miller-leaves.md")

    found = checked(workspace)
    (kept,) = workspace.rows(
        "SELECT position, detail::text AS detail FROM rag.audit WHERE action = 'override'"
    )
    assert "ann-miller" not in kept["detail"]
    assert found.faults == []
    assert [one.position for one in found.redacted] == [kept["position"]]

    with workspace.database.transaction() as connection:
        behind_the_triggers(connection, "UPDATE rag.audit SET actor = 'eve' WHERE action = 'override'")
    assert [one.kind for one in checked(workspace).faults] == ["changed"]


def test_a_login_that_may_only_insert_writes_chained_rows_and_nothing_else(
    audited: Workspace, audit_writer: Database
) -> None:
    with audit_writer.connection() as connection:
        connection.execute(
            "INSERT INTO rag.audit (actor, action, subject) VALUES ('portal', 'approved', 'main')"
        )
        for statement in (
            "UPDATE rag.audit SET actor = 'x'",
            "DELETE FROM rag.audit",
            "TRUNCATE rag.audit",
            "SELECT actor FROM rag.audit",
            "INSERT INTO rag.audit (actor, action, subject, login) VALUES ('a', 'b', 'c', 'postgres')",
            "UPDATE rag.audit_head SET position = 0",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)

    (row,) = audited.rows("SELECT login, position FROM rag.audit WHERE actor = 'portal'")
    assert row["position"] == ROWS + 1
    assert row["login"].startswith("audit_writer")
    assert checked(audited).faults == []


def test_events_of_the_export_are_valid_by_the_schema_of_ocsf(
    audited: Workspace, call: Callable[..., Result]
) -> None:
    with audited.database.connection() as connection:
        for action in ("promote", "purge", "canary breach", "something new"):
            record_audit(connection, action, "main", {"reason": "é", "nested": {"n": [1, None]}})
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF)).get_class_schema("entity_management")
    validator = Draft202012Validator(schema)

    done = call("audit", "export", "--format", "ocsf")

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) == ROWS + 4
    assert [error.message for event in events for error in validator.iter_errors(event)] == []
    broken = {**events[0], "activity_id": 77}
    assert list(validator.iter_errors(broken)), "the schema refuses nothing"


def test_the_export_names_each_row_with_its_hash(audited: Workspace, call: Callable[..., Result]) -> None:
    done = call("audit", "export")

    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["position"] for row in rows] == list(range(1, ROWS + 1))
    assert rows[-1]["hash"] == read_head_of(audited).hash
    assert rows[0]["detail"]["reason"] == "because 1"


def test_the_command_prints_the_head_and_fails_where_a_row_was_changed(
    audited: Workspace, call: Callable[..., Result]
) -> None:
    good = call("audit", "verify")
    assert good.exit_code == 0
    assert f"head: {read_head_of(audited)}" in good.stdout
    with audited.database.transaction() as connection:
        behind_the_triggers(connection, "UPDATE rag.audit SET actor = 'eve' WHERE position = 4")

    bad = call("audit", "verify", "--anchor", str(read_head_of(audited)))

    assert bad.exit_code == 1
    assert "row 4 was changed" in bad.stderr


def test_rows_of_a_span_of_time_are_listed(audited: Workspace, call: Callable[..., Result]) -> None:
    assert "because 3" in call("audit", "list", "--since", "2020-01-01").stdout
    assert "nothing was done" in call("audit", "list", "--until", "2020-01-01").stdout


@pytest.mark.parametrize("text", ["", "12", "12:abc", f"-1:{'0' * 64}", f"1:{'G' * 64}"])
def test_what_is_no_anchor_is_refused_with_what_one_is(text: str) -> None:
    with pytest.raises(UsageError, match="POSITION:HASH"):
        Anchor.parse(text)
