"""Access: a change is in force for the next query and touches nothing else; decisions can be explained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from typer.testing import CliRunner, Result

from rag_pipelines.cli import main
from rag_pipelines.connectors.base import Capabilities, Complete, Failure, Group
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.errors import FetchError, UsageError
from rag_pipelines.model import AccessRule, user_principal
from rag_pipelines.query.explain_access import AccessExplanation, explain, judge
from rag_pipelines.store.documents import AccessRules
from rag_pipelines.store.principals import memberships_of
from rag_pipelines_tests.integration.workspace import Workspace

ANN = "user:ann@example.com"


class Team(Workspace):
    """A workspace whose source has a directory of its own: groups by principal, changed at will."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder, database_url)
        self.document["sources"]["docs"] |= {"access": "closed", "group_listing": "0s"}
        self.groups: dict[str, tuple[str, ...]] = {}

    def restrict(self, folder: str, *principals: str, deny: str = "") -> None:
        """Let only `principals` read what is below a folder."""
        denied = f"deny: [{deny}]\n" if deny else ""
        self.write(f"{folder}/.access.yaml", f"allow: [{', '.join(principals)}]\n{denied}")

    def explain(self, external_id: str, user: str | None = None, **options: Any) -> AccessExplanation:
        """Why a user may or may not read a document."""
        with self.database.connection() as connection:
            return explain(connection, "docs", external_id, user=user, **options)


@pytest.fixture
def team(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """Two documents: one for the group `hr`, one for everybody; and a live version."""
    made = Team(tmp_path, database_url)

    def listing(_: FilesystemConnector) -> Iterator[Group | Failure | Complete]:
        for principal, members in made.groups.items():
            yield Group(principal=principal, name=principal.partition(":")[2].title(), members=members)
        yield Complete(len(made.groups))

    able = Capabilities(permissions=True, lookup=True, groups=True)
    monkeypatch.setattr(FilesystemConnector, "capabilities", able)
    monkeypatch.setattr(FilesystemConnector, "groups", listing)
    made.restrict("hr", "group:hr")
    made.write("hr/pay.md", "# Pay\n\nThe sensor team has a salary band.")
    made.restrict("open", "everyone")
    made.write("open/news.md", "# News\n\nThe sensor is popular.")
    made.refresh()
    yield made
    made.close()


def physical(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    """Where every row of content lies and which transaction wrote it: different after any write."""
    tables = ("chunk", "chunk_set", "document_chunks", "embedding", "parse", "vectors_1", "lexical_1")
    return {
        table: workspace.rows(f"SELECT ctid::text, xmin::text FROM rag.{table} ORDER BY ctid")
        for table in tables
    }


def test_a_change_of_access_is_in_force_for_the_next_query_and_touches_no_chunk_and_no_vector(
    team: Team,
) -> None:
    before = physical(team)
    assert all(before.values())
    assert team.paths("sensor", principals=["group:hr"]) == {"hr/pay.md", "open/news.md"}
    team.restrict("hr", "group:board")
    report = team.ingest()
    assert (report.changes, report.bytes_loaded) == ({"access_only": 1, "unchanged": 1}, 0)
    assert team.paths("sensor", principals=["group:hr"]) == {"open/news.md"}
    assert team.paths("sensor", principals=["group:board"]) == {"hr/pay.md", "open/news.md"}
    assert physical(team) == before


def test_a_change_of_a_group_is_in_force_for_the_next_query_and_touches_no_document(team: Team) -> None:
    documents = "SELECT ctid::text, xmin::text, access_id FROM rag.document ORDER BY document_id"
    before = physical(team), team.rows(documents)
    assert team.paths("sensor", principals=[ANN]) == {"open/news.md"}
    team.groups = {"group:hr": (ANN,)}
    report = team.ingest()
    assert (report.changes, report.groups, report.memberships) == ({"unchanged": 2}, 1, 1)
    assert team.paths("sensor", principals=[ANN]) == {"hr/pay.md", "open/news.md"}
    team.groups = {"group:hr": ("user:bob@example.com",)}
    team.ingest()
    assert team.paths("sensor", principals=[ANN]) == {"open/news.md"}
    assert team.paths("sensor", principals=["user:bob@example.com"]) == {"hr/pay.md", "open/news.md"}
    assert (physical(team), team.rows(documents)) == before


def test_groups_count_through_groups_and_cycles_end(team: Team) -> None:
    team.groups = {
        "user:acme/557": (ANN,),
        "group:payroll": ("user:acme/557", "group:hr"),
        "group:staff": ("group:payroll",),
        "group:hr": ("group:staff", "group:hr"),
    }
    team.ingest()
    assert "hr/pay.md" in team.paths("sensor", principals=[ANN])
    assert team.paths("sensor", principals=["user:bob@example.com"]) == {"open/news.md"}


def test_a_group_that_everyone_is_in_opens_what_names_it(team: Team) -> None:
    team.groups = {"group:hr": ("everyone",)}
    team.ingest()
    assert team.paths("sensor") == {"hr/pay.md", "open/news.md"}


def test_a_membership_can_deny(team: Team) -> None:
    team.restrict("open", "everyone", deny="group:contractors")
    team.ingest()
    assert team.paths("sensor", principals=[ANN]) == {"open/news.md"}
    team.groups = {"group:contractors": (ANN,)}
    team.ingest()
    assert team.paths("sensor", principals=[ANN]) == set()


def test_the_memberships_of_another_tenant_never_count(team: Team) -> None:
    team.groups = {"group:hr": (ANN,)}
    team.document["sources"]["docs"]["tenant"] = "globex"
    team.ingest()
    team.write("hr/.access.yaml", "allow: [group:hr]\ntenant: default\n")
    team.write("globex/.access.yaml", "allow: [group:hr]\n")
    team.write("globex/plan.md", "# Plan\n\nThe sensor plan.")
    team.refresh()
    assert "hr/pay.md" not in team.paths("sensor", principals=[ANN])
    assert "globex/plan.md" in team.paths("sensor", tenant="globex", principals=[ANN])
    assert not team.explain("hr/pay.md", "ann@example.com").may_read


def test_a_document_of_another_tenant_than_before_is_found_there_by_its_words(team: Team) -> None:
    team.publish()
    team.write("hr/.access.yaml", "public: true\ntenant: globex\n")
    team.ingest()
    assert team.paths("salary") == {"open/news.md"}
    assert team.paths("salary", tenant="globex") == {"hr/pay.md"}
    team.publish()
    assert team.paths("salary", tenant="globex", mode="lexical") == {"hr/pay.md"}
    assert team.paths("salary", mode="lexical") == set()


def test_narrowed_access_holds_although_the_new_content_cannot_be_loaded(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.restrict("hr", "group:board")
    team.write("hr/pay.md", "# Pay\n\nThe sensor team has a new salary band.")

    def refuse(*_: Any) -> FetchError:
        return FetchError("the disk is broken")

    monkeypatch.setattr("rag_pipelines.sync.origin.LiveOrigin._content", refuse)
    assert team.ingest().changes["failed"] == 1
    assert team.paths("sensor", principals=["group:hr"]) == {"open/news.md"}


def test_what_is_not_known_of_access_is_closed_and_counted(team: Team) -> None:
    team.write("hr/.access.yaml", "allow: [group:hr\n")
    team.write("nothing.md", "# Nothing\n\nNo rule speaks of this sensor.")
    report = team.ingest()
    assert report.access_closed == 2
    assert team.paths("sensor", principals=["group:hr"]) == {"open/news.md"}


def test_an_oversized_rule_closes_and_stays_in_quarantine_until_it_fits(team: Team) -> None:
    team.document["limits"]["access_principals"] = 3
    team.restrict("hr", "group:hr", "group:a", "group:b", "group:c")
    report = team.ingest()
    assert report.access_closed == 1
    assert team.paths("sensor", principals=["group:hr"]) == {"open/news.md"}
    team.write("hr/pay.md", "# Pay\n\nThe sensor team has another salary band.")
    team.ingest()
    (row,) = team.rows("SELECT stage, status, entity, message FROM rag.quarantine")
    assert (row["stage"], row["status"], row["entity"]) == ("access", "too_large", "access of hr/pay.md")
    assert "names 4 principals, the limit is 3" in row["message"]
    assert "closed" in team.explain("hr/pay.md", "ann@example.com").reasons[0]
    team.restrict("hr", "group:hr", "group:a")
    assert team.ingest().access_closed == 0
    assert team.rows("SELECT * FROM rag.quarantine") == []
    team.refresh()
    assert team.paths("sensor", principals=["group:hr"]) == {"hr/pay.md", "open/news.md"}


def test_the_quarantine_of_a_rule_ends_with_its_document(team: Team) -> None:
    team.document["limits"]["access_principals"] = 1
    team.restrict("hr", "group:hr", "group:a")
    team.ingest()
    assert len(team.rows("SELECT * FROM rag.quarantine")) == 1
    (team.docs / "hr" / "pay.md").unlink()
    team.ingest()
    assert team.rows("SELECT * FROM rag.quarantine") == []


# Explaining


def test_an_explanation_names_the_chain_of_groups_that_satisfies_a_clause(team: Team) -> None:
    team.groups = {"group:hr": ("group:payroll",), "group:payroll": (ANN,), "group:other": (ANN,)}
    team.ingest()
    found = team.explain("hr/pay.md", "ann@example.com")
    assert found.may_read
    assert found.reasons == ()
    (clause,) = found.verdict.clauses
    assert clause.satisfied_by == ("group:hr",)
    chains = {held.principal: held.through for held in found.verdict.held}
    assert chains.keys() == {"everyone", ANN, "group:payroll", "group:hr", "group:other"}
    assert [(step.member, step.group, step.source) for step in chains["group:hr"]] == [
        (ANN, "group:payroll", "docs"),
        ("group:payroll", "group:hr", "docs"),
    ]
    assert found.document.passages == {"main": 1}
    assert found.document.listed_at is not None
    assert found.document.groups_at == chains["group:hr"][0].observed_at


def test_an_explanation_says_which_clause_is_missing_and_what_would_do(team: Team) -> None:
    team.groups = {"group:hr": (ANN,), "group:board": ()}
    team.restrict("hr/board", "group:board", "user:cid@example.com")
    team.write("hr/board/plan.md", "# Plan\n\nThe sensor plan.")
    team.ingest()
    found = team.explain("hr/board/plan.md", "ann@example.com")
    missing, passed = found.verdict.clauses
    assert (missing.holds, missing.sample) == (False, ("group:board", "user:cid@example.com"))
    assert passed.satisfied_by == ("group:hr",)
    assert found.reasons == ("the caller has no principal of clause 1",)
    assert found.verdict.names["group:board"] == "Board"
    assert any("no live version" in hint for hint in found.hints)


def test_an_explanation_says_what_denies(team: Team) -> None:
    team.restrict("open", "everyone", deny="group:contractors")
    team.ingest()
    found = team.explain("open/news.md", principals=["group:contractors"])
    assert found.verdict.denied_by == ("group:contractors",)
    assert found.reasons == ("group:contractors is denied",)


def test_an_explanation_tells_of_deletion_and_of_other_tenants(team: Team) -> None:
    (team.docs / "open" / "news.md").unlink()
    team.ingest()
    found = team.explain("open/news.md", tenant="globex")
    assert "belongs to tenant 'default', not to 'globex'" in found.reasons[0]
    assert "deleted" in found.reasons[1]
    assert found.verdict.passes
    assert not found.may_read


def test_a_user_whom_nothing_knows_is_pointed_out(team: Team) -> None:
    team.groups = {"group:hr": (ANN,)}
    team.ingest()
    assert any("user:nan@example.com" in hint for hint in team.explain("hr/pay.md", "nan@example.com").hints)
    assert team.explain("hr/pay.md", "ann@example.com").hints == ()


def test_a_document_that_is_not_held_is_said_to_be_so(team: Team) -> None:
    with pytest.raises(UsageError, match=r"holds no document 'x\.md'; give its id"):
        team.explain("x.md")
    team.rows(
        "INSERT INTO rag.quarantine (source_id, external_id, stage, status, error_class, message)"
        " SELECT source_id, 'x.md', 'fetch', 'unreadable', 'FetchError', 'gone' FROM rag.source RETURNING 1"
    )
    with pytest.raises(UsageError, match="failed at stage fetch"):
        team.explain("x.md")


@pytest.mark.parametrize(
    ("user", "principal"),
    [
        ("ann@example.com", ANN),
        ("Ann@Example.com", ANN),
        ("ann", "user:ann"),
        ("Ann", "user:Ann"),
        ("user:Ann@example.com", "user:Ann@example.com"),
    ],
)
def test_a_user_is_a_principal(user: str, principal: str) -> None:
    assert user_principal(user) == principal


PRINCIPALS = [f"{kind}:{name}" for kind in ("user", "group") for name in "abc"] + ["everyone"]
SOME = st.frozensets(st.sampled_from(PRINCIPALS), max_size=3)
RULES = st.builds(
    lambda clauses, deny: AccessRule(tuple(map(tuple, clauses)), tuple(deny)),
    st.lists(SOME, max_size=3),
    st.frozensets(st.sampled_from(PRINCIPALS[:6]), max_size=1),
)


DECISIONS = """
WITH caller AS MATERIALIZED (SELECT rag.principals_of('acme', %(principals)s) AS held)
SELECT rag.may_read(clauses, deny, held) AS may_read, held,
       access_id = ANY(rag.rules_of('acme', %(principals)s)) AS searched
FROM rag.access_rule, caller WHERE access_id = %(access_id)s
"""


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rule=RULES,
    given_=st.frozensets(st.sampled_from(PRINCIPALS[:6]), max_size=2),
    edges=st.lists(st.tuples(*[st.sampled_from(PRINCIPALS)] * 2, st.booleans()), max_size=8),
)
def test_an_explanation_says_what_the_search_decides(
    sources: psycopg.Connection[dict[str, Any]], rule: AccessRule, given_: frozenset[str], edges: list[Any]
) -> None:
    """On any rule and any graph of groups of two tenants, cycles included."""
    with sources.transaction(force_rollback=True):
        for group, member, foreign in edges:
            params = {"source": "foreign" if foreign else "own", "group": group, "member": member}
            for statement in (
                "INSERT INTO rag.principal_group (source_id, principal, observed_at)"
                " SELECT source_id, %(group)s, now() FROM rag.source WHERE name = %(source)s"
                " ON CONFLICT DO NOTHING",
                "INSERT INTO rag.membership (source_id, principal, member, observed_at)"
                " SELECT source_id, %(group)s, %(member)s, now() FROM rag.source WHERE name = %(source)s"
                " ON CONFLICT DO NOTHING",
            ):
                sources.execute(statement, params)
        caller = ["everyone", *given_]
        row = sources.execute(
            DECISIONS, {"principals": caller, "access_id": AccessRules(sources).id_of(rule)}
        ).fetchone()
        verdict = judge(rule, given_, memberships_of(sources, "acme", caller))
    assert row is not None
    assert verdict.passes == row["may_read"] == row["searched"]
    assert {held.principal for held in verdict.held} == set(row["held"])
    for held in verdict.held:
        steps = [*(step.member for step in held.through), held.principal]
        assert steps[0] in caller
        assert [step.group for step in held.through] == steps[1:]


@pytest.fixture
def sources(database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to a database with a source of the tenant `acme` and one of another tenant."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(
            "INSERT INTO rag.source (name, connector, tenant)"
            " VALUES ('own', 'filesystem', 'acme'), ('foreign', 'filesystem', 'globex')"
        )
        yield connection


# On the command line

Call = Callable[..., Result]


@pytest.fixture
def call(team: Team, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls ``rag-pipelines`` on the team's configuration."""
    monkeypatch.chdir(team.folder)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main.app, ["--config", str(team.config_file), *arguments])

    return run


def test_the_command_explains_clause_by_clause(team: Team, call: Call) -> None:
    team.groups = {"group:hr": ("group:payroll",), "group:payroll": (ANN,), "group:other": (ANN,)}
    team.ingest()
    yes = call("access", "explain", "--user", "ann@example.com", "--document", "docs:hr/pay.md")
    assert yes.exit_code == 0
    assert yes.stdout.startswith("ann@example.com may read docs:hr/pay.md")
    assert f"{ANN} in group:payroll in group:hr" in yes.stdout
    assert "yes: group:hr (Hr)" in yes.stdout
    assert "2 other groups, which the rule does not name" in yes.stdout
    no = call("access", "explain", "--user", "bob@example.com", "--document", "docs:hr/pay.md")
    assert no.stdout.startswith("bob@example.com may not read docs:hr/pay.md")
    assert "no: none of group:hr (Hr)" in no.stdout
    assert "no group has user:bob@example.com as a member" in no.stderr
    found = json.loads(
        call("access", "explain", "--principal", "group:hr", "--document", "docs:hr/pay.md", "--json").stdout
    )
    assert found["may_read"] is True
    assert found["verdict"]["clauses"][0]["satisfied_by"] == ["group:hr"]


def test_the_command_explains_a_passage_by_the_rule_of_its_document_and_of_its_own_time(
    team: Team, call: Call
) -> None:
    (hit,) = team.search("salary", principals=["group:hr"], k=1)
    no = call("access", "explain", "--principal", "group:it", "--chunk", hit.chunk_id)
    assert no.stdout.startswith("group:it may not read docs:hr/pay.md")
    assert "1 passage in main" in no.stdout
    open_to_all = call("access", "explain", "--user", "eve", "--document", "docs:open/news.md")
    assert "spelled" not in open_to_all.stderr
    team.write("hr/pay.md", "# Pay\n\nThe sensor team has no salary band.")
    team.ingest()
    team.restrict("hr", "group:hr", "group:it")
    team.ingest()
    (found,) = json.loads(
        call("access", "explain", "--principal", "group:it", "--chunk", hit.chunk_id, "--json").stdout
    )
    assert found["may_read"] is False
    assert found["verdict"]["clauses"][0]["satisfied_by"] == ["group:it"]
    assert found["former"]["clauses"][0]["satisfied_by"] == []
    assert found["section"] == list(hit.heading_path)
    assert "the document's text was changed after this passage" in found["reasons"][0]
    for chunk, said in (
        ("x", "give the 'chunk_id' of a hit"),
        ("0" * 32 + "-0", "no document has a passage"),
    ):
        refused = call("access", "explain", "--chunk", chunk)
        assert refused.exit_code == 2
        assert said in refused.stderr
    assert call("access", "explain").exit_code == 2


def test_the_command_refuses_what_is_no_document(call: Call) -> None:
    for document, said in (("hr/pay.md", "valid: SOURCE:ID"), ("docs:x.md", "holds no document 'x.md'")):
        refused = call("access", "explain", "--document", document)
        assert refused.exit_code == 2
        assert said in refused.stderr


def test_the_command_lists_groups_with_members_and_age(team: Team, call: Call) -> None:
    assert "no group is known" in call("access", "groups").stdout
    team.groups = {"group:hr": (ANN, "user:bob@example.com"), "group:void": ()}
    team.ingest()
    rows = json.loads(call("access", "groups", "docs", "--json").stdout)
    assert [(row["principal"], row["name"], row["members"]) for row in rows] == [
        ("group:hr", "Hr", 2),
        ("group:void", "Void", 0),
    ]
    assert "ago" in call("access", "groups").stdout
    assert call("access", "groups", "dosc").exit_code == 2


def test_a_query_for_a_user_counts_the_groups_that_the_source_lists_the_user_in(
    team: Team, call: Call
) -> None:
    team.groups = {"group:hr": (ANN,)}
    team.ingest()

    def seen(*arguments: str) -> set[str]:
        hits = json.loads(call("query", "sensor", "--json", *arguments).stdout)["hits"]
        return {hit["external_id"] for hit in hits}

    assert seen("--user", "ann@example.com") == {"hr/pay.md", "open/news.md"}
    assert seen("--user", "bob@example.com") == {"open/news.md"}
    assert seen("--user", "bob@example.com", "--as", "group:hr") == {"hr/pay.md", "open/news.md"}
