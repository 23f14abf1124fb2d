"""Taking documents that their system sends, for sources of the connector ``push``.

What belongs here: the routes. What does not: who may send, and keeping it (`intake`); shapes (`push_schema`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request

from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.serving.intake import Intake
from rag_pipelines.serving.problems import invalid
from rag_pipelines.serving.push_schema import (
    MAX_ID,
    BatchPut,
    Key,
    PushBatch,
    PushedDocument,
    PushedState,
    PushReceipt,
    PushReceipts,
    PushReceiptState,
)
from rag_pipelines.serving.routes import caller_router
from rag_pipelines.serving.schema import Text
from rag_pipelines.serving.service import service_of
from rag_pipelines.store.inbox import Sending

PREFIX = "/v1/push/"

T = TypeVar("T")

Identity = Annotated[
    Text, Query(alias="id", min_length=1, max_length=MAX_ID, description="The document's id at its system.")
]
IdempotencyKey = Annotated[Key, Header(alias="Idempotency-Key")]

REFUSALS = {
    403: "The login may not send to a source of this name.",
    404: "There is no such receipt or document.",
    409: "The idempotency key was used before for another sending.",
}


def for_senders() -> APIRouter:
    """The routes for logins that may send to a source."""
    router = caller_router(REFUSALS)

    @router.put("/push/{source}/document", status_code=202, summary="Send a document")
    async def put_document(
        request: Request, source: str, identity: Identity, key: IdempotencyKey, document: PushedDocument
    ) -> PushReceipt:
        """Keep a new document, or what it has become, until a run lists it."""
        taking, caller = _admit(request, source)
        sending = document.sending(identity, key)
        [receipt] = await _run(request, partial(taking.take, caller, source, [sending]))
        return receipt

    @router.delete("/push/{source}/document", status_code=202, summary="Say that a document is gone")
    async def delete_document(
        request: Request, source: str, identity: Identity, key: IdempotencyKey
    ) -> PushReceipt:
        """The next run hides it; it is purged after the grace time of its source."""
        taking, caller = _admit(request, source)
        [receipt] = await _run(request, partial(taking.take, caller, source, [Sending(key, identity)]))
        return receipt

    @router.get("/push/{source}/document", summary="What became of a document")
    async def document_state(request: Request, source: str, identity: Identity) -> PushedState:
        """Of its newest sending."""
        taking, _ = _admit(request, source)
        return await _run(request, partial(taking.document_state, source, identity))

    @router.post("/push/{source}/batch", status_code=202, summary="Send several documents")
    async def send_batch(request: Request, source: str, sent: PushBatch) -> PushReceipts:
        """All are kept, or none is."""
        taking, caller = _admit(request, source)
        keys = [one.key for one in sent.sendings]
        if len(set(keys)) < len(keys):
            raise invalid("sendings", "a key twice", "a key of its own for each")
        sendings = [
            one.document.sending(one.id, one.key) if isinstance(one, BatchPut) else Sending(one.key, one.id)
            for one in sent.sendings
        ]
        return PushReceipts(receipts=await _run(request, partial(taking.take, caller, source, sendings)))

    @router.get("/push/{source}/receipts/{receipt}", summary="What became of a sending")
    async def receipt_state(request: Request, source: str, receipt: UUID) -> PushReceiptState:
        """Whether a run has made it a document, and if not, why. Receipts are kept for 30 days."""
        taking, _ = _admit(request, source)
        return await _run(request, partial(taking.receipt_state, source, receipt))

    return router


def _admit(request: Request, source: str) -> tuple[Intake, RequestCaller]:
    caller: RequestCaller = request.state.caller
    request.scope["told"]["source"] = source[:100]
    intake = service_of(request).intake
    intake.admit(caller, source)
    return intake, caller


async def _run(request: Request, work: Callable[[], T]) -> T:
    service = service_of(request)
    return await service.run_blocking(service.sendings, work)
