"""Documents that a system sends: taken once, told what became of them, gone when they are to be gone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.errors import ConfigError, UsageError
from rag_pipelines.retention.erasure import erase_subject, list_subject
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.serving.auth import digest
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.switches import turn_off, turn_on
from rag_pipelines_tests.integration.serving import CRM, HR, STAFF, made_app, served, texts
from rag_pipelines_tests.integration.workspace import Workspace


class Desk:
    """A source that is sent to, and its service."""

    def __init__(self, workspace: Workspace, client: httpx.Client) -> None:
        self.workspace = workspace
        self.client = client

    def send(self, identity: str, document: Any, *, key: str = "", login: str = CRM) -> httpx.Response:
        """Send a document, or a text."""
        body = document if isinstance(document, dict) else {"text": document, "media_type": "text/markdown"}
        return self.client.put(
            "/v1/push/crm/document",
            params={"id": identity},
            json=body,
            headers={"X-API-Key": login, "Idempotency-Key": key or uuid4().hex},
        )

    def withdraw(self, identity: str) -> httpx.Response:
        """Say that a document is gone."""
        headers = {"X-API-Key": CRM, "Idempotency-Key": uuid4().hex}
        return self.client.delete("/v1/push/crm/document", params={"id": identity}, headers=headers)

    def get(self, path: str, **params: str) -> httpx.Response:
        """Ask what became of something."""
        return self.client.get(f"/v1/push/crm/{path}", params=params, headers={"X-API-Key": CRM})

    def became(self, sent: httpx.Response) -> tuple[str, str | None]:
        """The state of a sending, and the reason."""
        assert sent.status_code == 202, sent.text
        found = self.get(f"receipts/{sent.json()['receipt']}").json()
        return found["state"], found["reason"]

    def found(self, question: str, login: str = STAFF) -> str:
        """The texts that a search gives."""
        body = {"query": question, "mode": "lexical", "index": "main"}
        return texts(self.client.post("/v1/search", json=body, headers={"X-API-Key": login}))

    def run(self) -> None:
        """Ingest, and make what is there live."""
        self.workspace.ingest("crm")
        self.workspace.publish()


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    made = Workspace(tmp_path, database_url)
    made.document["sources"] = {
        "crm": {
            "connector": "push",
            "options": {"max_bytes": 50_000},
            "access": "public",
            "delete_guard": {"share": 1.0},
        }
    }
    made.document["indexes"]["main"]["sources"] = ["crm"]
    made.document["serving"] = {
        "api_keys": {
            "crm": {"sha256": digest(CRM), "tenant": "default", "push": ["crm"]},
            "hr": {"sha256": digest(HR), "tenant": "default", "principals": ["group:hr"]},
            "staff": {"sha256": digest(STAFF), "tenant": "default"},
        },
        "limits": {"requests_per_minute": 6000, "burst": 1000},
    }
    with served(made) as client:
        yield Desk(made, client)
    made.close()


def test_what_is_sent_is_found_once_a_run_has_listed_it(desk: Desk) -> None:
    first = desk.send("17", "# Leave\n\nThe heron takes thirty days.")
    secret = {"text": "The heron keeper earns well.", "access": {"allow": ["group:hr"]}, "path": "hr/pay.txt"}
    second = desk.send("https://crm.example/18?a=b c", secret)
    assert desk.became(first) == desk.became(second) == ("waiting", None)

    desk.run()

    assert desk.became(first) == desk.became(second) == ("ok", None)
    assert "thirty days" in desk.found("heron")
    assert "earns" not in desk.found("heron")
    assert "earns" in desk.found("heron", HR)

    changed = desk.send("17", "# Leave\n\nThe heron takes forty days.")
    assert desk.became(first) == ("superseded", None)
    desk.run()
    assert desk.became(changed) == ("ok", None)
    assert "forty" in desk.found("heron")
    assert "thirty" not in desk.found("heron")


def test_what_is_withdrawn_is_hidden_by_the_next_run(desk: Desk) -> None:
    desk.send("17", "The heron waits.")
    desk.run()
    gone = desk.withdraw("17")
    assert desk.became(gone) == ("waiting", None)
    desk.workspace.ingest("crm")
    assert desk.became(gone) == ("deleted", None)
    assert desk.found("heron") == ""
    assert desk.became(desk.withdraw("never sent")) == ("deleted", None)


def test_a_sending_is_taken_once_and_its_key_stands_for_nothing_else(desk: Desk) -> None:
    first = desk.send("17", "The heron waits.", key="a").json()
    again = desk.send("17", "The heron waits.", key="a")
    assert (again.status_code, again.json()) == (202, {**first, "repeated": True})

    for identity, text in (("17", "Something else."), ("18", "The heron waits.")):
        refused = desk.send(identity, text, key="a")
        assert refused.status_code == 409
        assert refused.json()["type"].endswith(":key-used")
        assert "valid: the same again, or a new key" in refused.json()["detail"]
    assert desk.get("document", id="18").status_code == 404
    blobs = BlobStore.of(desk.workspace.settings)
    assert {blobs.get("raw", one) for one in blobs.digests("raw")} == {b"The heron waits."}
    assert len(desk.workspace.rows("SELECT FROM rag.inbox")) == 1
    assert len(desk.workspace.rows("SELECT FROM rag.audit WHERE action = 'push'")) == 1


def test_a_batch_is_taken_whole_or_not_at_all(desk: Desk) -> None:
    def send(*sendings: dict[str, Any]) -> httpx.Response:
        return desk.client.post("/v1/push/crm/batch", json={"sendings": sendings}, headers={"X-API-Key": CRM})

    put = {"action": "put", "key": "a", "id": "1", "document": {"text": "The heron waits."}}
    gone = {"action": "delete", "key": "b", "id": "1"}
    other = {**put, "key": "c", "id": "2"}
    taken = send(put, gone, other)
    assert taken.status_code == 202, taken.text
    assert [one["external_id"] for one in taken.json()["receipts"]] == ["1", "1", "2"]
    assert desk.get("document", id="1").json()["bytes"] is None

    assert send({**put, "key": "d"}, {**other, "id": "3"}).status_code == 409
    assert desk.get("document", id="1").json()["bytes"] is None, "the first of the batch was not taken"
    twice = send(put, put)
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (422, "sendings")
    audited = desk.workspace.rows("SELECT actor, subject, detail FROM rag.audit WHERE action = 'push'")
    assert [(row["actor"], row["subject"]) for row in audited] == [("key:crm", "crm")]
    assert (audited[0]["detail"]["put"], audited[0]["detail"]["delete"]) == (2, 1)


def test_a_document_that_cannot_be_read_is_told_with_its_reason(desk: Desk) -> None:
    broken = {"base64": base64.b64encode(b"%PDF-1.7 broken").decode(), "media_type": "application/pdf"}
    sent = desk.send("17", broken)
    desk.workspace.ingest("crm")
    state, reason = desk.became(sent)
    assert state == "quarantined"
    assert reason is not None
    assert reason.startswith("corrupt: ")
    assert desk.get("document", id="17").json()["reason"] == reason

    mended = desk.send("17", "The heron waits.")
    desk.workspace.ingest("crm")
    assert desk.became(mended) == ("ok", None)


@pytest.mark.parametrize(
    ("document", "status", "message"),
    [
        ({}, 422, "either 'text' or 'base64'"),
        ({"text": "a", "base64": "YQ=="}, 422, "either 'text' or 'base64'"),
        ({"base64": "YQ"}, 422, "base64 (RFC 4648"),
        ({"text": "a\x00"}, 422, "without NUL"),
        ({"text": "a", "access": {}}, 422, "'allow', 'all_of' or 'public: true'"),
        ({"text": "a", "access": {"public": True, "allow": ["group:hr"]}}, 422, "contradicts"),
        ({"text": "a", "access": {"deny": ["group:hr"]}}, 422, "deny"),
        ({"text": "a", "media_type": "markdown"}, 422, "media_type"),
        ({"text": "a", "colour": "red"}, 422, "only documented fields"),
        ({"text": "a" * 50_001}, 413, "valid: up to 50,000"),
    ],
)
def test_a_wrong_document_is_refused_with_what_is_valid(
    desk: Desk, document: dict[str, Any], status: int, message: str
) -> None:
    refused = desk.send("17", document)
    assert refused.status_code == status, refused.text
    assert message in refused.text
    assert desk.workspace.rows("SELECT FROM rag.inbox") == []


def test_only_a_key_that_may_sends_and_only_to_its_sources(desk: Desk) -> None:
    assert desk.send("17", "a", login=STAFF).status_code == 403
    assert desk.send("17", "a", login="nobody").status_code == 401
    headers = {"X-API-Key": CRM, "Idempotency-Key": "a"}
    elsewhere = desk.client.put("/v1/push/docs/document?id=1", json={"text": "a"}, headers=headers)
    assert elsewhere.status_code == 403
    assert "valid: crm" in elsewhere.json()["detail"]
    keyless = desk.client.put("/v1/push/crm/document?id=1", json={"text": "a"}, headers={"X-API-Key": CRM})
    assert (keyless.status_code, keyless.json()["errors"][0]["field"]) == (422, "header.Idempotency-Key")
    assert desk.workspace.rows("SELECT FROM rag.inbox") == []


def test_a_large_body_is_read_of_who_may_send_one_only(desk: Desk) -> None:
    large = {"text": "a" * 40_000, "title": "b" * 900, "metadata": {"c": "d" * 40_000}}
    assert desk.send("17", large).status_code == 202
    refused = desk.send("17", large, login=STAFF)
    assert refused.status_code == 413


def test_a_key_that_may_send_to_what_is_not_there_is_told_at_the_start(desk: Desk) -> None:
    keys = desk.workspace.document["serving"]["api_keys"]
    keys["crm"]["push"] = ["crm", "nope"]
    keys["staff"] |= {"push": ["crm"], "tenant": "globex"}
    with pytest.raises(ConfigError) as refused:
        made_app(desk.workspace)
    assert len(refused.value.problems) == 2
    assert "valid: sources of the connector push of tenant 'default': crm" in refused.value.problems[0]


def test_nothing_is_taken_while_ingest_is_read_only(desk: Desk) -> None:
    workspace = desk.workspace
    turn_on(workspace.database, workspace.settings, "read-only", reason="a migration")
    refused = desk.send("17", "The heron waits.")
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (503, "switched-off")
    assert "a migration" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    turn_off(workspace.database, workspace.settings, "read-only")
    assert desk.send("17", "The heron waits.").status_code == 202


def test_a_collection_leaves_what_waits_and_takes_what_was_sent_before(desk: Desk) -> None:
    workspace = desk.workspace
    desk.send("17", "The heron waits.")
    desk.run()
    desk.send("18", "The coot waits.")
    desk.send("18", "The coot swims.")
    desk.send("19", "A deletion of what was never listed.")
    desk.withdraw("19")
    blobs = BlobStore.of(workspace.settings)

    collect_garbage(workspace.database, workspace.settings, whole=True)
    held = {blobs.get("raw", one) for one in blobs.digests("raw")}
    assert held == {b"The heron waits.", b"The coot swims."}

    workspace.ingest("crm")
    collect_garbage(workspace.database, workspace.settings)
    ids = {row["external_id"] for row in workspace.rows("SELECT external_id FROM rag.inbox")}
    assert ids == {"17", "18"}


@pytest.mark.parametrize("listed", [True, False])
def test_a_purge_takes_what_was_sent_whether_or_not_a_run_has_listed_it(desk: Desk, listed: bool) -> None:
    workspace = desk.workspace
    sent = desk.send("case-of-the-heron", "The heron waits by the weir for eels.")
    desk.send("18", "The coot waits.")
    if listed:
        desk.run()
        desk.send("case-of-the-heron", "The heron waits by the weir for newts.")
    with pytest.raises(UsageError, match="still at its source"):
        purge_document(workspace.database, workspace.settings, "crm", "case-of-the-heron")

    purged = purge_document(
        workspace.database,
        workspace.settings,
        "crm",
        "case-of-the-heron",
        even_if_present=True,
        verify=True,
    )

    assert purged.proof is not None
    assert purged.proof.left == []
    blobs = BlobStore.of(workspace.settings)
    assert {blobs.get("raw", one) for one in blobs.digests("raw")} == {b"The coot waits."}
    assert desk.get(f"receipts/{sent.json()['receipt']}").status_code == 404
    assert "case-of-the-heron" not in str(workspace.rows("SELECT * FROM rag.inbox, rag.push_receipt"))
    workspace.ingest("crm", full=True)
    assert workspace.stored() == {"18"}


def test_a_person_is_erased_from_what_was_sent(desk: Desk) -> None:
    workspace = desk.workspace
    ann = ["ann.quetzal@example.com"]
    allowed = {"access": {"allow": ["user:ann.quetzal@example.com", "group:hr"]}}
    desk.send("17", {"text": "The heron waits.", **allowed})
    desk.run()
    desk.send("18", {"text": "The coot waits.", **allowed})
    desk.send("19", "Written by ann.quetzal@example.com herself.")
    desk.send("20", {"text": "The grebe waits.", "author": "ann.quetzal@example.com"})

    made = list_subject(workspace.database, workspace.settings, ann, reason="request 7")
    assert {one.external_id: one.places for one in made.found.documents} == {
        "19": ["raw bytes"],
        "20": ["listing"],
    }
    receipt = erase_subject(
        workspace.database, workspace.settings, made.erasure_id, ann, even_if_present=True
    )

    assert receipt.left == {}
    assert "quetzal" not in str(workspace.rows("SELECT * FROM rag.inbox"))
    workspace.ingest("crm", full=True)
    assert workspace.stored() == {"17", "18"}
    assert workspace.rows("SELECT FROM rag.access_rule WHERE clauses::text LIKE '%%quetzal%%'") == []


def test_a_source_that_is_sent_to_is_checked_and_verified_by_its_inbox(desk: Desk) -> None:
    desk.send("17", "The heron waits.")
    desk.run()
    config = ["--config", str(desk.workspace.config_file)]
    checked = CliRunner().invoke(main.app, [*config, "source", "check", "crm"])
    assert checked.exit_code == 0, checked.output
    assert "the number of the newest sending" in checked.output
    verified = CliRunner().invoke(main.app, [*config, "verify", "crm"])
    assert verified.exit_code == 0, verified.output
