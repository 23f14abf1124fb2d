"""What people who look after knowledge see and decide over HTTP, by role and tenant."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag_pipelines.client.client import Client
from rag_pipelines.client.models import DecisionRequest
from rag_pipelines.errors import MissingEntityError
from rag_pipelines.serving.auth import digest
from rag_pipelines.store.switches import turn_on
from rag_pipelines_tests.integration.serving import GLOBEX, STAFF, made_app, served, two_tenants
from rag_pipelines_tests.integration.workspace import Workspace

READER, LEAD, OTHER_LEAD = "key-of-a-reader", "key-of-the-lead", "key-of-a-globex-lead"


def knowledge_team(folder: Path, database_url: str) -> Workspace:
    """Two tenants; eight of eleven documents are gone at their source, which is above the guard, and one
    cannot be read. Three keys have roles."""
    made = two_tenants(folder, database_url)
    for number in range(8):
        made.write(f"old/{number}.md", f"# Old {number}\n\nAn old page on ferries, number {number}.")
    made.write("broken.pdf", b"%PDF-1.7 and nothing else")
    made.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 3}
    made.ingest("docs")
    made.publish()
    shutil.rmtree(made.docs / "old")
    made.ingest("docs")
    made.document["serving"]["admin"] = {"read": ["group:knowledge"], "decide": ["group:leads"]}
    made.document["serving"]["api_keys"] |= {
        "reader": {"sha256": digest(READER), "tenant": "default", "principals": ["group:knowledge"]},
        "lead": {"sha256": digest(LEAD), "tenant": "default", "principals": ["group:leads"]},
        "other": {"sha256": digest(OTHER_LEAD), "tenant": "globex", "principals": ["group:leads"]},
    }
    return made


@pytest.fixture
def team(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    made = knowledge_team(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture
def client(team: Workspace) -> Iterator[TestClient]:
    with TestClient(made_app(team), raise_server_exceptions=False) as made:
        yield made


def get(client: TestClient, path: str, key: str) -> dict[str, Any]:
    answer = client.get(f"/v1/admin{path}", headers={"X-API-Key": key})
    return {"status": answer.status_code, **answer.json()}


def decide(client: TestClient, number: int, key: str, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/admin/deletions/{number}", headers={"X-API-Key": key}, json=body)
    return {"status": answer.status_code, **answer.json()}


def waiting(client: TestClient) -> int:
    (one,) = get(client, "", LEAD)["deletions"]
    return int(one["deletion_id"])


def test_a_role_sees_lag_coverage_failures_gates_and_what_waits_for_a_decision(
    team: Workspace, client: TestClient
) -> None:
    turn_on(team.database, team.settings, "lexical-only", "main", reason="the model is down")
    turn_on(team.database, team.settings, "source-off", "globex", reason="another tenant's")

    found = get(client, "", READER)

    assert (found["status"], found["may_decide"]) == (200, False)
    (source,) = found["sources"]
    assert (source["source"], source["documents"], source["quarantined"]) == ("docs", 11, 1)
    assert round(source["coverage"], 3) == 0.667, (
        "those that wait under a deletion are not shown by the source"
    )
    assert source["lag_seconds"] < 600
    assert not source["overdue"]
    (deletion,) = found["deletions"]
    assert (deletion["waiting"], deletion["known"], deletion["state"]) == (8, 11, "parked")
    (index,) = found["indexes"]
    live = index["versions"][0]
    assert (index["index"], live["state"], live["passages"] > 8) == ("main", "live", True)
    assert {"access_proof", "recall"} <= {gate["gate"] for gate in live["gates"] if gate["passed"]}
    assert [one["kind"] for one in found["switches"]] == ["lexical-only"]


def test_failures_are_named_with_their_reason(client: TestClient) -> None:
    (entry,) = get(client, "/quarantine?source=docs", READER)["entries"]
    assert (entry["document"], entry["stage"], entry["status"]) == ("broken.pdf", "parse", "corrupt")
    assert "PDF" in entry["message"]


def test_a_decision_hides_at_once_and_the_audit_says_who_and_why(team: Workspace, client: TestClient) -> None:
    number = waiting(client)
    assert len(get(client, f"/deletions/{number}", READER)["documents"]) == 8
    assert team.paths("ferries")

    decided = decide(client, number, LEAD, decision="approve", reason="the ferry closed")

    assert (decided["status"], decided["deletion"]["state"]) == (200, "approved")
    assert team.paths("ferries", mode="lexical") == set()
    (row,) = team.rows("SELECT actor, detail FROM rag.audit WHERE action LIKE 'deletion%%'")
    assert row["actor"] == "key:lead"
    assert "the ferry closed" in str(row["detail"])
    again = decide(client, number, LEAD, decision="approve", reason="once more")
    assert (again["status"], again["type"].rpartition(":")[2]) == (409, "cannot-be-decided")
    shown = get(client, "", READER)["deletions"][0]
    assert (shown["decided_by"], shown["reason"]) == ("key:lead", "the ferry closed")


def test_a_rejected_deletion_is_served_on(team: Workspace, client: TestClient) -> None:
    decided = decide(client, waiting(client), LEAD, decision="reject", reason="the listing was cut short")
    assert (decided["status"], decided["deletion"]["state"]) == (200, "rejected")
    assert len(team.paths("ferries", mode="lexical", k=20)) == 8


@pytest.mark.parametrize("key", [STAFF, GLOBEX])
def test_without_a_role_nothing_is_told(client: TestClient, key: str) -> None:
    for path in ("", "/quarantine?source=docs", "/deletions/1"):
        told = get(client, path, key)
        assert (told["status"], told["type"].rpartition(":")[2]) == (403, "not-your-role")


def test_who_may_read_may_not_decide(team: Workspace, client: TestClient) -> None:
    refused = decide(client, waiting(client), READER, decision="approve", reason="I want to")
    assert (refused["status"], refused["type"].rpartition(":")[2]) == (403, "not-your-role")
    assert len(team.paths("ferries", mode="lexical", k=20)) == 8


def test_a_role_holds_for_its_own_tenant(team: Workspace, client: TestClient) -> None:
    number = waiting(client)
    found = get(client, "", OTHER_LEAD)
    assert [one["source"] for one in found["sources"]] == ["globex"]
    assert [one["index"] for one in found["indexes"]] == ["main", "private"]
    assert found["deletions"] == []
    assert get(client, "/quarantine?source=docs", OTHER_LEAD)["status"] == 404
    assert get(client, f"/deletions/{number}", OTHER_LEAD)["status"] == 404
    assert decide(client, number, OTHER_LEAD, decision="approve", reason="ours?")["status"] == 404
    assert len(team.paths("ferries", mode="lexical", k=20)) == 8


@pytest.mark.parametrize(
    "body", [{}, {"decision": "delete", "reason": "x"}, {"decision": "approve", "reason": " "}]
)
def test_a_decision_needs_a_word_and_a_reason(client: TestClient, body: dict[str, str]) -> None:
    assert decide(client, waiting(client), LEAD, **body)["status"] == 422


def test_the_page_is_told_of_by_whoever_has_a_role(client: TestClient) -> None:
    told = {
        key: client.get("/v1/indexes", headers={"X-API-Key": key}).json()["admin"]
        for key in (READER, LEAD, STAFF)
    }
    assert told == {READER: True, LEAD: True, STAFF: False}


def test_a_program_decides_by_the_client(team: Workspace) -> None:
    with served(team) as service, Client(str(service.base_url), key=LEAD) as client:
        (waits,) = client.admin().deletions
        assert client.quarantine("docs").entries[0].document == "broken.pdf"
        assert len(client.deletion(waits.deletion_id).documents) == 8
        decided = client.decide(
            waits.deletion_id, DecisionRequest(decision="reject", reason="a ticket said so")
        )
        assert (decided.deletion.state, decided.deletion.decided_by) == ("rejected", "key:lead")
        with pytest.raises(MissingEntityError):
            client.deletion(10_000)
