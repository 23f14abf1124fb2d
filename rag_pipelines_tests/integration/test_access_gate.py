"""The access gate: passes what obeys the rules, and finds each way in which a search would not."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.connectors.base import Group
from rag_pipelines.errors import GateError
from rag_pipelines.gates import access_proof as access_gate
from rag_pipelines.gates.access_proof import Facts, Oracle, SampleCaller, callers
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import Version, version_by_id
from rag_pipelines.model import CLOSED, PUBLIC, AccessRule
from rag_pipelines.store.principals import replace_groups
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.databases import copied_database, database_of
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


@pytest.fixture(scope="module")
def stocked(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, template_database: str
) -> Iterator[tuple[Path, str]]:
    """Documents under six kinds of rules, nested groups, a version: their folder, and the database."""
    folder = tmp_path_factory.mktemp("shelf")
    with copied_database(postgres, template_database) as url:
        workspace = Workspace(folder, url)
        for number in range(18):
            workspace.write(
                f"d{number}.md", f"# Kite {number}\n\nKite number {number} flies over field {number}."
            )
            workspace.write(f"d{number}.md.access.yaml", ACCESS[number % len(ACCESS)])
        workspace.ingest()
        with workspace.database.connection() as connection:
            row = connection.execute("SELECT source_id, now() AS at FROM rag.source").fetchone()
            assert row is not None
            groups = [
                Group(principal="group:hr", members=("user:carl", "group:payroll")),
                Group(principal="group:payroll", members=("user:dora",)),
                Group(principal="group:board", members=("user:dora", "user:ann")),
            ]
            replace_groups(connection, row["source_id"], groups, row["at"])
        workspace.build()
        workspace.close()
        yield folder, database_of(url)


@pytest.fixture
def database_url(postgres: str, stocked: tuple[Path, str]) -> Iterator[str]:
    with copied_database(postgres, stocked[1]) as url:
        yield url


@pytest.fixture
def shelf(
    stocked: tuple[Path, str], database_url: str, reader_role: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """The documents and the version of them, with a reader; one question."""
    monkeypatch.setattr(access_gate, "QUESTIONS", 1)
    workspace = Workspace(stocked[0], database_url)
    with workspace.database.connection() as connection:
        admit_reader(connection, reader_role)
    yield workspace
    workspace.close()


@pytest.fixture
def version(shelf: Workspace) -> Version:
    with shelf.database.connection() as connection:
        return version_by_id(connection, 1)


def proof(shelf: Workspace, version: Version) -> dict[str, Any]:
    (row,) = shelf.rows(
        "SELECT passed, detail FROM rag.gate_result WHERE gate = 'access_proof' AND version_id = %s",
        version.version_id,
    )
    return {"passed": row["passed"], **row["detail"]}


def test_a_version_passes_and_the_proof_says_what_was_tried(
    shelf: Workspace, version: Version, reader_role: str
) -> None:
    assert shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    assert found["passages"] == 18
    assert found["leaked"] == found["denied"] == 0
    assert found["decisions"] > 18 * found["callers"]
    assert found["reader"] == reader_role
    assert {"nobody", "all but one", "all clauses but one", "denied", "other tenant", "member"} <= set(
        found["kinds"]
    )


def withhold(shelf: Workspace) -> None:
    """Two open documents hold text from a time when only the board might read them; one is deleted."""
    execute(
        shelf,
        "UPDATE rag.document_content c SET tenant = 'default', access_id = b.access_id "
        "FROM rag.document d, rag.document b "
        "WHERE c.document_id = d.document_id AND d.path IN ('d6.md', 'd12.md') AND b.path = 'd2.md';"
        "UPDATE rag.document SET state = 'tombstoned', deleted_at = now() WHERE path = 'd0.md'",
    )


LOOK_UP = r"AND \(SELECT .* FROM rag\.document d .*\n* *"
STATEMENTS = {
    "the tenant": ("visible_document", r"d\.tenant = %\(tenant\)s AND", "%(tenant)s::text IS NOT NULL AND"),
    "deletion": ("visible_document", "d.state <> 'tombstoned' AND", ""),
    "the rule": ("visible_document", r"d\.access_id IN \(SELECT access_id FROM allowed\)", "true"),
    "withheld text": ("current_text", r"v\.chunk_set_id\) IN", "-v.chunk_set_id) IN"),
    "the tenant of few": ("few_by_access", r"d\.tenant = %\(tenant\)s AND", ""),
    "deletion of few": ("few_by_access", "AND d.state <> 'tombstoned'", ""),
    "the rule of few": ("few_by_access", r"d\.access_id = a\.access_id AND", ""),
    "whose text is withheld": ("caller", r"AND access_id IN \(SELECT access_id FROM allowed\)", ""),
    "the caller": ("rules", r"rag\.rules_of\(.*\)", "ARRAY(SELECT access_id FROM rag.access_rule)"),
    "who is near": ("walkable", LOOK_UP, ""),
    "who has the words": ("search", LOOK_UP + "LIMIT", "LIMIT"),
    "withheld text of few": ("search", r"(WHERE \(SELECT exact FROM route\)) AND \{text\}", r"\1"),
}
"""What a statement may forget: the query, a pattern of what it says, what it says without it."""


@pytest.mark.parametrize("forgotten", STATEMENTS)
def test_a_search_that_forgets_part_of_the_rule_is_refused(
    shelf: Workspace, version: Version, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    from rag_pipelines.store import sql as stored

    withhold(shelf)
    name, said, left = STATEMENTS[forgotten]
    broken = dict(stored.queries())
    broken[name], times = re.subn(said, left, broken[name])
    assert times, f"{name} does not say {said} any more"
    monkeypatch.setattr("rag_pipelines.store.database.queries", lambda: broken)
    assert not shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    assert found["leaked"] > 0
    assert {"caller", "principals", "way", "document_id"} <= found["leaks"][0].keys()
    assert not any(one["way"].endswith("as reader") for one in found["leaks"])
    with pytest.raises(GateError, match="access_proof"):
        promote(shelf.database, "main", version.version_id)


def test_a_version_with_withheld_and_deleted_text_passes(shelf: Workspace, version: Version) -> None:
    withhold(shelf)
    assert shelf.validate(version)["access_proof"]


RULES_OF = "( SELECT unnest(rag.reader_rules()) AS unnest)"
TENANT = "(tenant = ( SELECT rag.reader_tenant() AS reader_tenant))"
FORMER = "(c.access_id IS NULL)"
ANY_DOCUMENT = "d.document_id = (SELECT min(e.document_id) FROM rag.document e)"
POLICIES = {
    "the tenant": ("document", TENANT, "true"),
    "deletion": ("document", "(state <> 'tombstoned'::text)", "true"),
    "the rule": ("document", f"(access_id IN {RULES_OF})", "true"),
    "documents of vectors": (
        "vectors_1",
        "d.document_id = vectors_1.document_id",
        ANY_DOCUMENT,
    ),
    "documents of words": (
        "lexical_1",
        "d.document_id = lexical_1.document_id",
        ANY_DOCUMENT,
    ),
    "withheld vectors": ("vectors_1", "c.access_id IS NOT NULL", "false"),
    "withheld words": ("lexical_1", "c.access_id IS NOT NULL", "false"),
    "rules of withheld vectors": ("vectors_1", f"(c.access_id IN {RULES_OF})", "true"),
    "documents of texts": ("chunk", "c.chunk_set_id = chunk.chunk_set_id", "true"),
    "withheld texts": ("chunk", FORMER, "true"),
    "documents of titles": ("chunk_set", "c.chunk_set_id = chunk_set.chunk_set_id", "true"),
    "withheld titles": ("chunk_set", FORMER, "true"),
    "documents that have a text": (
        "document_content",
        "d.document_id = document_content.document_id",
        "false",
    ),
}
"""What a policy may forget: the table, what the policy says, what it says without it."""


@pytest.mark.parametrize("forgotten", POLICIES)
def test_a_policy_that_forgets_part_of_the_rule_is_refused(
    shelf: Workspace, version: Version, forgotten: str
) -> None:
    withhold(shelf)
    table, before, after = POLICIES[forgotten]
    (row,) = shelf.rows("SELECT qual FROM pg_policies WHERE schemaname = 'rag' AND tablename = %s", table)
    assert before in row["qual"], row["qual"]
    execute(
        shelf,
        f"DROP POLICY reader ON rag.{table}; "
        f"CREATE POLICY reader ON rag.{table} FOR SELECT USING ({row['qual'].replace(before, after)})",
    )
    assert not shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    assert found["leaks"] or found["denials"]
    assert all(one["way"].endswith("as reader") for one in found["leaks"] + found["denials"])


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("leaks", "CREATE POLICY wide ON rag.document FOR SELECT USING (true)"),
        ("leaks", "ALTER TABLE rag.document DISABLE ROW LEVEL SECURITY"),
        ("leaks", "ALTER TABLE rag.chunk DISABLE ROW LEVEL SECURITY"),
        ("denials", "DROP POLICY reader ON rag.chunk"),
        ("denials", "DROP POLICY reader ON rag.terms_1"),
    ],
)
def test_a_policy_that_lets_in_or_keeps_out_is_refused(
    shelf: Workspace, version: Version, part: str, fault: str
) -> None:
    execute(shelf, fault)
    assert not shelf.validate(version)["access_proof"]
    found = proof(shelf, version)
    assert found[part]
    assert all(one["way"].endswith("as reader") for one in found[part])


def test_a_rule_that_sql_judges_wrongly_is_found(shelf: Workspace, version: Version) -> None:
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
    assert oracle.effective_principals(SampleCaller("", "t", ("user:x",))) == {
        "everyone",
        "user:x",
        "group:a",
        "group:b",
    }


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
    assert Oracle([]).may_read(SampleCaller("", "t", ()), {"a", "b"}, facts) == expected


def test_the_same_seed_asks_the_same() -> None:
    rules = [AccessRule((("a", "b"), ("c",)), ("d",)), PUBLIC, CLOSED]
    first, second = (callers(["t"], rules, ["user:x"], random.Random(1)) for _ in range(2))
    assert first == second
    assert {"nobody", "denied", "all but one"} <= {caller.kind for caller in first}
