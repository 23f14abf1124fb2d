"""The requests that the clients make, and what their answers mean: the same for both.

What belongs here: methods, paths, values, and errors as those of the project. What does not: sending
(`client`), and the values themselves (`models`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from rag_pipelines.client import models
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

T = TypeVar("T", bound=BaseModel)

TRANSIENT = frozenset({408, 502, 503, 504})
"""Answers after which the same request may succeed."""

MISSING = frozenset({"no-such-answer", "no-such-document", "no-such-receipt", "no-such-thing"})
"""What is not there, or not for this caller; any other 404 is a wrong name in the request."""


class ProblemAnswer(Exception):
    """What the service said is wrong: the cause of the error that the client raises."""

    def __init__(self, details: models.ProblemDetails) -> None:
        super().__init__(details.detail)
        self.details = details


class Call(NamedTuple, Generic[T]):
    """One request, and the type of its answer."""

    answer: type[T]
    method: str
    path: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: BaseModel | None = None

    def arguments(self) -> dict[str, Any]:
        """As `httpx.Client.request` takes them. Only what was given is sent."""
        said: dict[str, Any] = {"method": self.method, "url": self.path, "params": dict(self.params)}
        headers = dict(self.headers)
        if self.body is not None:
            said["content"] = self.body.model_dump_json(exclude_unset=True)
            headers["Content-Type"] = "application/json"
        return {**said, "headers": headers}

    def read(self, answer: httpx.Response) -> T:
        """The answer's value. Raises `RagError` where there is none."""
        if answer.is_success:
            try:
                return self.answer.model_validate_json(answer.content)
            except ValidationError as error:
                raise RagError(
                    f"{self.method} {self.path} answered what is not a {self.answer.__name__}; is it this "
                    f"service, of this release or a later one? {error}"
                ) from error
        problem = _problem(answer)
        raise _error(answer, problem) from (ProblemAnswer(problem) if problem else None)


def search(asked: models.SearchRequest) -> Call[models.SearchResponse]:
    """``POST /v1/search``."""
    return Call(models.SearchResponse, "POST", "v1/search", body=asked)


def facets(asked: models.FacetsRequest) -> Call[models.FacetsResponse]:
    """``POST /v1/facets``."""
    return Call(models.FacetsResponse, "POST", "v1/facets", body=asked)


def document(
    document_id: int, index: str | None, chunk_id: str | None, first: int | None
) -> Call[models.DocumentResponse]:
    """``GET /v1/documents/…``."""
    given = {"index": index, "chunk_id": chunk_id, "first": first}
    params = {name: str(value) for name, value in given.items() if value is not None}
    return Call(models.DocumentResponse, "GET", f"v1/documents/{document_id}", params)


def feedback(said: models.FeedbackRequest) -> Call[models.FeedbackResponse]:
    """``POST /v1/feedback``."""
    return Call(models.FeedbackResponse, "POST", "v1/feedback", body=said)


def indexes() -> Call[models.Indexes]:
    """``GET /v1/indexes``."""
    return Call(models.Indexes, "GET", "v1/indexes")


def put_document(
    source: str, identity: str, sent: models.PushedDocument, key: str
) -> Call[models.PushReceipt]:
    """``PUT /v1/push/…/document``."""
    headers = {"Idempotency-Key": key}
    return Call(models.PushReceipt, "PUT", _push(source, "document"), {"id": identity}, headers, sent)


def delete_document(source: str, identity: str, key: str) -> Call[models.PushReceipt]:
    """``DELETE /v1/push/…/document``."""
    headers = {"Idempotency-Key": key}
    return Call(models.PushReceipt, "DELETE", _push(source, "document"), {"id": identity}, headers)


def document_state(source: str, identity: str) -> Call[models.PushedState]:
    """``GET /v1/push/…/document``."""
    return Call(models.PushedState, "GET", _push(source, "document"), {"id": identity})


def send_batch(source: str, sent: models.PushBatch) -> Call[models.PushReceipts]:
    """``POST /v1/push/…/batch``."""
    return Call(models.PushReceipts, "POST", _push(source, "batch"), body=sent)


def receipt_state(source: str, receipt: UUID) -> Call[models.PushReceiptState]:
    """``GET /v1/push/…/receipts/…``."""
    return Call(models.PushReceiptState, "GET", _push(source, f"receipts/{receipt}"))


def admin() -> Call[models.AdminResponse]:
    """``GET /v1/admin``."""
    return Call(models.AdminResponse, "GET", "v1/admin")


def quarantine(source: str, limit: int) -> Call[models.QuarantineResponse]:
    """``GET /v1/admin/quarantine``."""
    params = {"source": source, "limit": str(limit)}
    return Call(models.QuarantineResponse, "GET", "v1/admin/quarantine", params)


def deletion(deletion_id: int) -> Call[models.DeletionResponse]:
    """``GET /v1/admin/deletions/…``."""
    return Call(models.DeletionResponse, "GET", f"v1/admin/deletions/{deletion_id}")


def decide(deletion_id: int, decided: models.DecisionRequest) -> Call[models.DeletionResponse]:
    """``POST /v1/admin/deletions/…``."""
    return Call(models.DeletionResponse, "POST", f"v1/admin/deletions/{deletion_id}", body=decided)


def unreached(error: httpx.TransportError, url: str) -> TransientError:
    """The error for a request that got no answer."""
    return TransientError(f"no answer from {url}: {type(error).__name__} {error}".rstrip())


def _push(source: str, rest: str) -> str:
    return f"v1/push/{quote(source, safe='')}/{rest}"


def _problem(answer: httpx.Response) -> models.ProblemDetails | None:
    try:
        return models.ProblemDetails.model_validate_json(answer.content)
    except ValidationError:
        return None


def _error(answer: httpx.Response, problem: models.ProblemDetails | None) -> RagError:
    status = answer.status_code
    if problem is None:
        said = f"{answer.request.url} answered {status} {answer.reason_phrase}, not as this service does"
        return TransientError(said) if status >= 500 else UsageError(said)
    kind = problem.type.rpartition(":")[2]
    said = f"{problem.detail} ({status} {kind}, request {problem.request_id})"
    if status == 429:
        return ThrottledError(said, float(answer.headers.get("retry-after", 1)))
    if status in TRANSIENT:
        return TransientError(said)
    if status == 404:
        return MissingEntityError(said) if kind in MISSING else UsageError(said)
    known = {401: CredentialError, 403: ForbiddenEntityError, 409: ConflictError}
    return known.get(status, UsageError if status < 500 else RagError)(said)
