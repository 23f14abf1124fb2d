"""The access gate: passes what obeys the rules, and finds each way in which a search would not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.connectors.base import Group
from rag_pipelines.errors import GateError
from rag_pipelines.index.access_gate import Caller, Facts, Oracle, callers
from rag_pipelines.index.promotion import promote
from rag_pipelines.model import CLOSED, PUBLIC, AccessRule
from rag_pipelines.store.principals import replace_groups
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.test_row_security import execute, reader_role
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]

ACCESS = [
    "public: true",
    "allow: ['group:hr']",
    "all_of: [['group:hr', 'user:ann'], ['group:board']]",
    "public: true\ndeny: ['user:bob']",
    "allow: []",
    "allow: ['group:all']\ntenant: other",
]


@pytest.fixture
def shelf(tmp_path: Path, database_url: str, reader_role: str) -> Iterator[Workspace]:
    """Documents under six kinds of rules, nested groups, a reader; nothing built yet."""
    workspace = Workspace(tmp_path, database_url)
    for number in range(18):
        workspace.write(
            f"d{number}.md", f"# Kite {number}\n\nKite number {number} flies over field {number}."
        )
        workspace.write(f"d{number}.md.access.yaml", ACCESS[number % len(ACCESS)])
    workspace.ingest()
    with workspace.database.connection() as connection:
        admit_reader(connection, reader_role)
        row = connection.execute("SELECT source_id, now() AS at FROM rag.source").fetchone()
        assert row is not None
        groups = [
            Group(principal="group:hr", members=("user:carl", "group:payroll")),
            Group(principal="group:payroll", members=("user:dora",)),
            Group(principal="group:board", members=("user:dora", "user:ann")),
        ]
        replace_groups(connection, row["source_id"], groups, row["at"])
    yield workspace
    workspace.close()


def proof(shelf: Workspace, version: Any) -> dict[str, Any]:
    (row,) = shelf.rows(
        "SELECT passed, detail FROM rag.gate_result WHERE gate = 'access_proof' AND version_id = %s",
        version.version_id,
    )
    return {"passed": row["passed"], **row["detail"]}


def test_a_version_passes_and_the_proof_says_what_was_tried(shelf: Workspace, reader_role: str) -> None:
    version = shelf.build()
    assert shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    assert found["passages"] == 18
    assert found["leaked"] == found["denied"] == 0
    assert found["decisions"] > 18 * found["callers"]
    assert found["reader"] == reader_role
    assert {"nobody", "all but one", "all clauses but one", "denied", "other tenant", "member"} <= set(
        found["kinds"]
    )


PREDICATES = {
    "the tenant": ("d.tenant = %(tenant)s AND", "%(tenant)s::text IS NOT NULL AND"),
    "deletion": ("d.state <> 'tombstoned' AND", ""),
    "the rule": ("d.access_id IN (SELECT access_id FROM allowed)", "true"),
}


@pytest.mark.parametrize("forgotten", PREDICATES)
def test_a_search_that_forgets_part_of_the_rule_is_refused(
    shelf: Workspace, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    from rag_pipelines.store import sql as stored

    version = shelf.build()
    execute(shelf, "UPDATE rag.document SET state = 'tombstoned', deleted_at = now() WHERE path = 'd0.md'")
    before, after = PREDICATES[forgotten]
    broken = dict(stored.queries())
    assert before in broken["visible_document"]
    broken["visible_document"] = broken["visible_document"].replace(before, after)
    monkeypatch.setattr("rag_pipelines.store.database.queries", lambda: broken)
    assert not shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    assert found["leaked"] > 0
    assert {"caller", "principals", "way", "document_id"} <= found["leaks"][0].keys()
    with pytest.raises(GateError, match="access_proof"):
        promote(shelf.database, "main", version.version_id)


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("lets in", "CREATE POLICY wide ON rag.document FOR SELECT USING (true)"),
        ("lets in", "ALTER TABLE rag.document DISABLE ROW LEVEL SECURITY"),
        ("keeps out", "DROP POLICY reader ON rag.chunk"),
    ],
)
def test_a_policy_that_lets_in_or_keeps_out_is_refused(shelf: Workspace, part: str, fault: str) -> None:
    version = shelf.build()
    execute(shelf, fault)
    assert not shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    faults = found["leaks"] if part == "lets in" else found["denials"]
    assert faults
    assert {one["way"] for one in faults} <= {"vectors as reader", "lexical as reader"}


def test_a_rule_that_sql_judges_wrongly_is_found(shelf: Workspace) -> None:
    version = shelf.build()
    execute(
        shelf,
        "CREATE OR REPLACE FUNCTION rag.principals_of(tenant text, principals text[]) RETURNS text[] "
        "LANGUAGE sql STABLE STRICT RETURN principals || ARRAY['group:board']",
    )
    assert not shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    assert found["leaked"] > 0
    assert found["denied"] > 0


def test_the_oracle_follows_groups_through_groups_of_the_same_tenant() -> None:
    oracle = Oracle([("t", "group:a", "user:x"), ("t", "group:b", "group:a"), ("u", "group:c", "user:x")])
    assert oracle.held(Caller("", "t", ("user:x",))) == {"everyone", "user:x", "group:a", "group:b"}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts("t", False, PUBLIC), True),
        (Facts("t", True, PUBLIC), False),
        (Facts("u", False, PUBLIC), False),
        (Facts("t", False, CLOSED), False),
        (Facts("t", False, AccessRule((("a", "z"), ("b",)))), True),
        (Facts("t", False, AccessRule((("a",), ("z",)))), False),
        (Facts("t", False, AccessRule((), ("b",))), False),
        (Facts("t", False, PUBLIC, ("t", CLOSED)), False),
        (Facts("t", False, PUBLIC, ("u", PUBLIC)), False),
        (Facts("t", False, PUBLIC, ("t", AccessRule((("a",),)))), True),
    ],
)
def test_the_oracle_decides_as_the_rules_say(facts: Facts, expected: bool) -> None:
    assert Oracle([]).may_read(Caller("", "t", ()), {"a", "b"}, facts) == expected


def test_the_same_seed_asks_the_same() -> None:
    rules = [AccessRule((("a", "b"), ("c",)), ("d",)), PUBLIC, CLOSED]
    first, second = (callers(["t"], rules, ["user:x"], random.Random(1)) for _ in range(2))
    assert first == second
    assert {"nobody", "denied", "all but one"} <= {caller.kind for caller in first}
