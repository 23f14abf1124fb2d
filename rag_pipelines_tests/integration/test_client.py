"""The Python client sees what its login may see, and a problem is the same error everywhere."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from rag_pipelines.client.calls import ProblemAnswer
from rag_pipelines.client.client import AsyncClient, Client
from rag_pipelines.client.models import (
    BatchDelete,
    BatchPut,
    FacetsRequest,
    FeedbackRequest,
    PushBatch,
    PushedAccess,
    PushedDocument,
    SearchFilters,
    SearchRequest,
)
from rag_pipelines.errors import (
    ConflictError,
    CredentialError,
    ForbiddenEntityError,
    MissingEntityError,
    RagError,
    ThrottledError,
    TransientError,
    UsageError,
)
from rag_pipelines_tests.integration.serving import CRM, GLOBEX, HR, SEEN, STAFF
from tools import build_clients

Ask = Callable[..., Any]


@pytest.fixture(params=["waiting", "awaited"])
def ask(request: pytest.FixtureRequest, two_tenant_service: str) -> Ask:
    """Calls a method of a client with a login: of the one that waits, or of the one for event loops."""
    url = two_tenant_service

    def waiting(login: str | None, method: str, *given: Any, **named: Any) -> Any:
        with Client(url, key=login) as client:
            return getattr(client, method)(*given, **named)

    def awaited(login: str | None, method: str, *given: Any, **named: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(url, key=login) as client:
                return await getattr(client, method)(*given, **named)

        return asyncio.run(run())

    return waiting if request.param == "waiting" else awaited


@pytest.mark.parametrize("login", SEEN)
def test_three_users_see_what_each_may_see(ask: Ask, login: str) -> None:
    found = ask(login, "search", SearchRequest(query="harbour", index="main", mode="lexical"))
    assert {hit.path for hit in found.hits} == SEEN[login]
    counted = ask(login, "facets", FacetsRequest(index="main"))
    assert counted.documents == len(SEEN[login])
    one = found.hits[0]
    document = ask(login, "document", one.document_id, index="main", chunk_id=one.chunk_id)
    assert one.text in document.text
    voted = ask(login, "feedback", FeedbackRequest(receipt=found.receipt, verdict="up"))
    assert (voted.index, voted.version) == ("main", found.version)
    assert {index.name for index in ask(login, "indexes").indexes} >= {"main"}


def test_filters_and_a_plain_question_are_sent_as_they_are_given(ask: Ask) -> None:
    narrow = SearchRequest(query="harbour", index="main", k=1, filters=SearchFilters(path_prefix="hr/"))
    assert [hit.path for hit in ask(HR, "search", narrow).hits] == ["hr/pay.md"]
    where = {"field": "path", "prefix": "travel/"}
    found = ask(HR, "search", SearchRequest(query="meals", index="main", where=where, context_tokens=500))
    assert found.context is not None
    assert "40 euro" in found.context.text
    with pytest.raises(UsageError, match="name an index"):
        ask(GLOBEX, "search", "harbour")


@pytest.mark.parametrize(
    ("login", "asked", "kind", "status", "message"),
    [
        ("nobody", SearchRequest(query="a"), CredentialError, 401, "the API key is not known"),
        (None, SearchRequest(query="a"), CredentialError, 401, "a login is needed"),
        (STAFF, SearchRequest(query="a", index="nope"), UsageError, 404, "no index 'nope'; valid: main"),
        (STAFF, SearchRequest(query="a", index="private"), UsageError, 404, "no index 'private'"),
        (STAFF, SearchRequest(query="a", k=5000), UsageError, 422, "not valid: k"),
        (STAFF, SearchRequest(query="a" * 70_000), UsageError, 413, "up to 64,000 bytes"),
    ],
)
def test_a_problem_is_an_error_of_the_one_tree_with_its_details(
    ask: Ask, login: str | None, asked: SearchRequest, kind: type[RagError], status: int, message: str
) -> None:
    with pytest.raises(RagError, match=message) as raised:
        ask(login, "search", asked)
    assert type(raised.value) is kind
    assert isinstance(raised.value.__cause__, ProblemAnswer)
    details = raised.value.__cause__.details
    assert (details.status, details.request_id in str(raised.value)) == (status, True)
    assert bool(details.errors) == (status == 422)


def test_documents_are_sent_and_asked_for(ask: Ask) -> None:
    name, key = uuid4().hex, uuid4().hex
    sent = PushedDocument(text="The heron waits.", access=PushedAccess(public=True))
    receipt = ask(CRM, "put_document", "crm", f"{name}?a=b c", sent, key=key)
    assert ask(CRM, "receipt_state", "crm", receipt.receipt).state == "waiting"
    assert ask(CRM, "document_state", "crm", f"{name}?a=b c").bytes == len("The heron waits.")
    assert ask(CRM, "put_document", "crm", f"{name}?a=b c", sent, key=key).repeated
    with pytest.raises(ConflictError, match="another sending"):
        ask(CRM, "put_document", "crm", name, sent, key=key)
    sendings = [
        BatchPut(action="put", key=uuid4().hex, id=name, document=sent),
        BatchDelete(action="delete", key=uuid4().hex, id=name),
    ]
    taken = ask(CRM, "send_batch", "crm", PushBatch(sendings=sendings))
    assert [one.action for one in taken.receipts] == ["put", "delete"]
    assert ask(CRM, "delete_document", "crm", name, key=uuid4().hex).action == "delete"
    assert ask(CRM, "document_state", "crm", name).bytes is None
    with pytest.raises(MissingEntityError):
        ask(CRM, "receipt_state", "crm", uuid4())
    with pytest.raises(ForbiddenEntityError, match="may not send"):
        ask(STAFF, "document_state", "another source?", name)


def answers(status: int, body: bytes, **headers: str) -> httpx.MockTransport:
    """A service that always says the same."""
    return httpx.MockTransport(lambda _: httpx.Response(status, content=body, headers=headers))


PROBLEM = (
    b'{"type": "urn:rag-pipelines:problem:x", "title": "t", "status": 0, "detail": "d", "request_id": "r"}'
)


@pytest.mark.parametrize(
    ("transport", "kind", "message"),
    [
        (answers(429, PROBLEM, **{"Retry-After": "7"}), ThrottledError, "d"),
        (answers(503, PROBLEM), TransientError, "d"),
        (answers(504, PROBLEM), TransientError, "d"),
        (answers(500, PROBLEM), RagError, "d"),
        (answers(502, b"<html>"), TransientError, "answered 502"),
        (answers(404, b"<html>"), UsageError, "answered 404 Not Found, not as this service does"),
        (answers(200, b"<html>"), RagError, "is it this service"),
        (answers(302, b""), UsageError, "answered 302"),
    ],
)
def test_what_may_pass_is_transient_and_what_is_not_the_service_is_said(
    transport: httpx.MockTransport, kind: type[RagError], message: str
) -> None:
    with (
        Client("https://rag.example/below", transport=transport) as client,
        pytest.raises(RagError, match=message) as raised,
    ):
        client.search("a")
    assert type(raised.value) is kind
    if isinstance(raised.value, ThrottledError):
        assert raised.value.retry_after == 7


def test_a_service_that_is_away_is_a_passing_fault() -> None:
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(TransientError, match=r"no answer from http://127\.0\.0\.1:9"),
    ):
        client.indexes()


def test_a_client_is_told_what_its_address_and_login_may_be() -> None:
    with pytest.raises(UsageError, match="valid: one of them"):
        Client("https://rag.example", key="a", token="b")
    with pytest.raises(UsageError, match="valid: http"):
        Client("rag.example")


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        public = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: list(inspect.signature(one).parameters) for name, one in public if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)


def test_the_models_are_what_the_service_says() -> None:
    assert Path(build_clients.MODELS).read_text() == build_clients.models(), (
        "write them anew: python -m tools.build_clients"
    )


def test_every_operation_of_the_service_has_a_method() -> None:
    described = build_clients.describe()["paths"]
    operations = {one["operationId"] for path in described.values() for one in path.values()}
    assert operations - set(dir(Client)) == {"healthz", "readyz", "metrics"}
