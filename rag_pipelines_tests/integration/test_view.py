"""What a caller may read beside hits: documents' texts and counts of documents, by the rules of a search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from rag_pipelines.query.filter_predicate import NO_FILTER, predicate
from rag_pipelines.query.filters import Equals
from rag_pipelines.query.search import Searcher
from rag_pipelines.query.view import DocumentText, Facets
from rag_pipelines.store.reader import admit_reader
from rag_pipelines.store.switches import turn_off, turn_on
from rag_pipelines_tests.integration.serving import GLOBEX, HR, STAFF, served, two_tenants
from rag_pipelines_tests.integration.workspace import Workspace

LONG = "# Kites\n\n" + "\n\n".join(
    f"## Part {number}\n\n" + f"Kite number {number} flies over the bay. " * 60 for number in range(12)
)


@pytest.fixture
def team(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    made = two_tenants(tmp_path, database_url)
    yield made
    made.close()


def number_of(workspace: Workspace, path: str) -> int:
    (row,) = workspace.rows("SELECT document_id FROM rag.document WHERE path = %s", path)
    return int(row["document_id"])


def read(
    workspace: Workspace,
    path: str,
    *principals: str,
    tenant: str = "default",
    chunk_id: str | None = None,
    first: int | None = None,
) -> DocumentText | None:
    searcher = Searcher(workspace.database, workspace.settings, "main")
    with searcher, searcher.view(tenant, principals) as view:
        return view.document(number_of(workspace, path), chunk_id, first)


def count(workspace: Workspace, *principals: str, tenant: str = "default", label: str = "") -> Facets:
    narrowing = predicate(Equals("labels", label)) if label else NO_FILTER
    searcher = Searcher(workspace.database, workspace.settings, "main")
    with searcher, searcher.view(tenant, principals) as view:
        return view.facets(narrowing)


def values(counted: Facets, field: str) -> dict[str, int]:
    return {one.value: one.documents for one in counted.facets[field]}


def test_a_document_is_read_in_parts_that_make_the_whole_of_its_text(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("kites.md", LONG)
    workspace.refresh()
    whole = read(workspace, "kites.md")
    assert whole is not None
    assert (whole.title, whole.start, whole.length) == ("Kites", 0, len(whole.text))
    assert whole.text.split() == LONG.replace("#", "").split()
    assert {one.heading_path[-1] for one in whole.passages if len(one.heading_path) > 1} == {
        f"Part {number}" for number in range(12)
    }
    monkeypatch.setattr("rag_pipelines.query.view.TEXT_ROOM", 4000)
    monkeypatch.setattr("rag_pipelines.query.view.BEFORE_PASSAGE", 1000)
    parts: list[str] = []
    at = 0
    while at < whole.length:
        part = read(workspace, "kites.md", first=at)
        assert part is not None
        assert len(part.text) < 8000
        parts.append(part.text[max(at - part.start, 0) :])
        at = part.start + len(part.text)
    assert len(parts) > 2
    assert " ".join(parts).split() == whole.text.split()
    last = whole.passages[-1]
    around = read(workspace, "kites.md", chunk_id=last.chunk_id)
    assert around is not None
    assert around.found == last
    assert 0 < around.start <= last.start
    assert around.text[last.start - around.start :] == whole.text[last.start :]


def test_whoever_may_not_see_a_document_now_reads_none_of_it(team: Workspace) -> None:
    assert "band 7" in str(read(team, "hr/pay.md", "group:hr"))
    assert read(team, "hr/pay.md") is None
    assert read(team, "hr/pay.md", "group:hr", tenant="globex") is None
    assert read(team, "travel/policy.md") is not None
    team.write("travel/.access.yaml", "allow: [group:hr]\n")
    team.ingest("docs")
    assert read(team, "travel/policy.md") is None
    assert read(team, "travel/policy.md", "group:hr") is not None
    turn_on(team.database, team.settings, "source-off", "docs", reason="of a leak")
    assert read(team, "travel/policy.md", "group:hr") is None
    assert count(team, "group:hr").documents == 0
    turn_off(team.database, team.settings, "source-off", "docs")
    (team.docs / "travel" / "policy.md").unlink()
    team.ingest("docs")
    assert read(team, "travel/policy.md", "group:hr") is None


def test_what_a_document_said_while_it_was_closed_is_not_read_by_those_whom_it_is_open_to_now(
    team: Workspace,
) -> None:
    team.write("hr/.access.yaml", "public: true\n")
    team.write("hr/pay.md", "# Pay bands\n\nThe harbour master is well paid.\n")
    team.ingest("docs")
    assert read(team, "hr/pay.md") is None  # the live version has the former text
    assert "band 7" in str(read(team, "hr/pay.md", "group:hr"))
    assert values(count(team), "source") == {"docs": 1}
    team.publish()
    assert "well paid" in str(read(team, "hr/pay.md"))


def test_the_login_under_row_security_reads_the_same(team: Workspace) -> None:
    role = f"reader_{psycopg.conninfo.conninfo_to_dict(team.url)['dbname']}"
    with team.database.connection() as connection:
        admit_reader(connection, role)
    team.document["database"]["reader_url"] = psycopg.conninfo.make_conninfo(team.url, user=role)
    try:
        assert "band 7" in str(read(team, "hr/pay.md", "group:hr"))
        assert read(team, "hr/pay.md") is None
        assert values(count(team, "group:hr"), "source") == {"docs": 2}
        assert values(count(team), "source") == {"docs": 1}
    finally:
        with team.database.connection() as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_nobody_whom_the_tenant_does_not_know_reads_anything_where_that_is_configured(
    team: Workspace,
) -> None:
    team.document["query"] = {"unknown_user": "nothing"}
    assert read(team, "travel/policy.md", "user:stranger@example.org") is None
    assert count(team, "user:stranger@example.org").documents == 0
    assert read(team, "travel/policy.md", "group:hr") is not None


def test_documents_are_counted_as_far_as_the_caller_may_see_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"a.md": ["policy", "travel"], "b.md": ["policy"], "c.html": [], "secret.md": ["policy", "secret"]}
    for path in said:
        workspace.write(path, "<p>kites</p>" if path.endswith("html") else f"Kites of {path} fly.")
    workspace.write("secret.md.access.yaml", "allow: [group:hr]")
    workspace.refresh()
    for path, labels in said.items():
        listed = "{" + ",".join(labels) + "}"
        workspace.rows(
            "UPDATE rag.document SET metadata = jsonb_build_object('labels', to_jsonb(%s::text[])),"
            " modified_at = '2025-12-31T23:30:00Z' WHERE path = %s RETURNING 1",
            listed,
            path,
        )
    workspace.rows(
        "UPDATE rag.document SET modified_at = '2026-01-01T00:30:00Z' WHERE path = 'b.md' RETURNING 1"
    )
    counted = count(workspace)
    assert (counted.documents, counted.more) == (3, False)
    assert values(counted, "source") == {"docs": 3}
    assert values(counted, "media_type") == {"text/markdown": 2, "text/html": 1}
    assert values(counted, "labels") == {"policy": 2, "travel": 1}
    assert list(values(counted, "year").items()) == [("2026", 1), ("2025", 2)]
    assert values(count(workspace, "group:hr"), "labels") == {"policy": 3, "secret": 1, "travel": 1}
    assert values(count(workspace, label="travel"), "labels") == {"policy": 1, "travel": 1}
    assert count(workspace, label="secret").documents == 0
    assert count(workspace, tenant="other").documents == 0
    monkeypatch.setattr("rag_pipelines.query.view.MOST_DOCUMENTS", 2)
    counted = count(workspace)
    assert (counted.documents, counted.more) == (2, True)


def test_the_service_answers_by_the_callers_login(team: Workspace) -> None:
    pay, plan = number_of(team, "hr/pay.md"), number_of(team, "plan.md")
    with served(team) as client:

        def document(number: int, key: str, **asked: str) -> httpx.Response:
            asked = {"index": "main", **asked}
            return client.get(f"/v1/documents/{number}", params=asked, headers={"X-API-Key": key})

        found = client.post(
            "/v1/search", json={"query": "band", "index": "main"}, headers={"X-API-Key": HR}
        ).json()["hits"][0]
        seen = document(pay, HR, chunk_id=found["chunk_id"]).json()
        assert "band 7" in seen["text"]
        assert seen["found"]["chunk_id"] == found["chunk_id"]
        assert (seen["start"], seen["length"]) == (0, len(seen["text"]))
        for number, key in ((pay, STAFF), (plan, HR), (pay, GLOBEX), (2**62, HR)):
            refused = document(number, key)
            assert refused.status_code == 404
            assert refused.json()["type"].endswith(":no-such-document")
        assert document(pay, HR, index="private").json()["type"].endswith(":no-such-index")
        assert document(pay, "wrong").status_code == 401
        assert client.get("/v1/documents/one", headers={"X-API-Key": HR}).status_code == 422
        counted = client.post("/v1/facets", json={"index": "main"}, headers={"X-API-Key": STAFF}).json()
        assert counted["documents"] == 1
        assert counted["facets"]["source"] == [{"value": "docs", "documents": 1}]
        wrong = {"index": "main", "where": {"field": "colour", "equals": "red"}}
        refused = client.post("/v1/facets", json=wrong, headers={"X-API-Key": STAFF})
        assert refused.status_code == 422
        assert "received the field 'colour'" in refused.json()["errors"][0]["valid"]
