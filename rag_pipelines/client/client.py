"""The Python clients: one that waits for each answer, one for an event loop.

What belongs here: connections, logins, and a method for each operation. What does not: what is sent and what
answers mean (`calls`).

Every method raises the errors of `rag_pipelines.errors`: `CredentialError` (401), `ForbiddenEntityError`
(403), `MissingEntityError` and `UsageError` (404), `ConflictError` (409), `UsageError` for anything else that
the request has wrong, `ThrottledError` (429, with `retry_after`), `TransientError` for what may pass, no
answer among it. What the service said in detail is the ``__cause__``, a `ProblemAnswer`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel

from rag_pipelines.client import calls
from rag_pipelines.client.calls import Call
from rag_pipelines.client.models import (
    AdminResponse,
    DecisionRequest,
    DeletionResponse,
    DocumentResponse,
    FacetsRequest,
    FacetsResponse,
    FeedbackRequest,
    FeedbackResponse,
    Indexes,
    PushBatch,
    PushedDocument,
    PushedState,
    PushReceipt,
    PushReceipts,
    PushReceiptState,
    QuarantineResponse,
    SearchRequest,
    SearchResponse,
)
from rag_pipelines.errors import UsageError

T = TypeVar("T", bound=BaseModel)

TIMEOUT = 30.0
"""Seconds."""


class Client:
    """Asks one service on behalf of one login. Safe to use from several threads.

    Args:
        url: where the service is, such as ``https://rag.acme.example``; a path in it is kept.
        key: an API key.
        token: a person's token of the OIDC issuer, instead of a key; without either nobody is logged in.
        timeout: seconds to wait for an answer.
        transport: how requests are sent, for proxies, own certificates and tests.

    Raises `UsageError` for a key and a token at once, or an address that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        token: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**_options(url, key, token, timeout), transport=transport)

    def search(self, asked: SearchRequest | str) -> SearchResponse:
        """The best passages that the caller may see; a text asks with the service's defaults."""
        return self._send(calls.search(_asked(asked)))

    def facets(self, asked: FacetsRequest) -> FacetsResponse:
        """Documents that the caller may see, counted by their values."""
        return self._send(calls.facets(asked))

    def document(
        self,
        document_id: int,
        *,
        index: str | None = None,
        chunk_id: str | None = None,
        first: int | None = None,
    ) -> DocumentResponse:
        """A document's text from a passage on, or from the code point `first`."""
        return self._send(calls.document(document_id, index, chunk_id, first))

    def feedback(self, said: FeedbackRequest) -> FeedbackResponse:
        """Vote on an answer."""
        return self._send(calls.feedback(said))

    def indexes(self) -> Indexes:
        """What the caller may ask."""
        return self._send(calls.indexes())

    def put_document(self, source: str, identity: str, sent: PushedDocument, *, key: str) -> PushReceipt:
        """Send a document to a source that takes them; `key` is new for each sending."""
        return self._send(calls.put_document(source, identity, sent, key))

    def delete_document(self, source: str, identity: str, *, key: str) -> PushReceipt:
        """Say that a document is gone."""
        return self._send(calls.delete_document(source, identity, key))

    def send_batch(self, source: str, sent: PushBatch) -> PushReceipts:
        """Send several documents, of which all are taken or none."""
        return self._send(calls.send_batch(source, sent))

    def document_state(self, source: str, identity: str) -> PushedState:
        """What became of the newest sending of a document."""
        return self._send(calls.document_state(source, identity))

    def receipt_state(self, source: str, receipt: UUID) -> PushReceiptState:
        """What became of a sending."""
        return self._send(calls.receipt_state(source, receipt))

    def admin(self) -> AdminResponse:
        """How sources and indexes stand, for a login with a role."""
        return self._send(calls.admin())

    def quarantine(self, source: str, *, limit: int = 100) -> QuarantineResponse:
        """What failed of a source, and why."""
        return self._send(calls.quarantine(source, limit))

    def deletion(self, deletion_id: int) -> DeletionResponse:
        """A deletion, and what waits under it."""
        return self._send(calls.deletion(deletion_id))

    def decide(self, deletion_id: int, decided: DecisionRequest) -> DeletionResponse:
        """Decide on a deletion, with a reason."""
        return self._send(calls.decide(deletion_id, decided))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        try:
            answer = self._http.request(**call.arguments())
        except httpx.TransportError as error:
            raise calls.unreached(error, str(self._http.base_url)) from error
        return call.read(answer)


class AsyncClient:
    """The same for an event loop: `Client`, with methods that are awaited."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        token: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**_options(url, key, token, timeout), transport=transport)

    async def search(self, asked: SearchRequest | str) -> SearchResponse:
        """As `Client.search`."""
        return await self._send(calls.search(_asked(asked)))

    async def facets(self, asked: FacetsRequest) -> FacetsResponse:
        """As `Client.facets`."""
        return await self._send(calls.facets(asked))

    async def document(
        self,
        document_id: int,
        *,
        index: str | None = None,
        chunk_id: str | None = None,
        first: int | None = None,
    ) -> DocumentResponse:
        """As `Client.document`."""
        return await self._send(calls.document(document_id, index, chunk_id, first))

    async def feedback(self, said: FeedbackRequest) -> FeedbackResponse:
        """As `Client.feedback`."""
        return await self._send(calls.feedback(said))

    async def indexes(self) -> Indexes:
        """As `Client.indexes`."""
        return await self._send(calls.indexes())

    async def put_document(
        self, source: str, identity: str, sent: PushedDocument, *, key: str
    ) -> PushReceipt:
        """As `Client.put_document`."""
        return await self._send(calls.put_document(source, identity, sent, key))

    async def delete_document(self, source: str, identity: str, *, key: str) -> PushReceipt:
        """As `Client.delete_document`."""
        return await self._send(calls.delete_document(source, identity, key))

    async def send_batch(self, source: str, sent: PushBatch) -> PushReceipts:
        """As `Client.send_batch`."""
        return await self._send(calls.send_batch(source, sent))

    async def document_state(self, source: str, identity: str) -> PushedState:
        """As `Client.document_state`."""
        return await self._send(calls.document_state(source, identity))

    async def receipt_state(self, source: str, receipt: UUID) -> PushReceiptState:
        """As `Client.receipt_state`."""
        return await self._send(calls.receipt_state(source, receipt))

    async def admin(self) -> AdminResponse:
        """As `Client.admin`."""
        return await self._send(calls.admin())

    async def quarantine(self, source: str, *, limit: int = 100) -> QuarantineResponse:
        """As `Client.quarantine`."""
        return await self._send(calls.quarantine(source, limit))

    async def deletion(self, deletion_id: int) -> DeletionResponse:
        """As `Client.deletion`."""
        return await self._send(calls.deletion(deletion_id))

    async def decide(self, deletion_id: int, decided: DecisionRequest) -> DeletionResponse:
        """As `Client.decide`."""
        return await self._send(calls.decide(deletion_id, decided))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, call: Call[T]) -> T:
        try:
            answer = await self._http.request(**call.arguments())
        except httpx.TransportError as error:
            raise calls.unreached(error, str(self._http.base_url)) from error
        return call.read(answer)


def _asked(asked: SearchRequest | str) -> SearchRequest:
    return SearchRequest(query=asked) if isinstance(asked, str) else asked


def _options(url: str, key: str | None, token: str | None, timeout: float) -> dict[str, Any]:
    if key is not None and token is not None:
        raise UsageError("received a key and a token; valid: one of them")
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"received {url!r} as the service's address; valid: http://… or https://…")
    login = {"X-API-Key": key} if key is not None else {}
    login |= {"Authorization": f"Bearer {token}"} if token is not None else {}
    return {"base_url": url.rstrip("/") + "/", "headers": login, "timeout": timeout}
