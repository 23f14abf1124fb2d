"""The routes for people who look after knowledge.

What belongs here: what each takes and answers, and that the caller's role is asked first. What does not: what
is found and decided (`admin`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request

from rag_pipelines.errors import UsageError
from rag_pipelines.serving.admin import Admin
from rag_pipelines.serving.admin_schema import (
    AdminResponse,
    DecisionRequest,
    DeletionResponse,
    QuarantineResponse,
)
from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.serving.problems import Problem
from rag_pipelines.serving.routes import MAX_ID, caller_router
from rag_pipelines.serving.service import service_of

T = TypeVar("T")

REFUSALS = {
    403: "This login's role does not let it.",
    409: "It is decided already, or its source is being synced.",
}
Id = Annotated[int, Path(ge=0, le=MAX_ID, description="`deletion_id` of a deletion.")]


def admin_routes() -> APIRouter:
    """Routes for callers with a role."""
    router = caller_router(REFUSALS)

    @router.get("/admin", summary="See how sources and indexes stand")
    async def admin(request: Request) -> AdminResponse:
        """Sources with their lag and what waits, deletions to decide, versions with their gates."""
        view, caller = _admitted(request, "read")
        return await _found(request, partial(view.overview, caller))

    @router.get("/admin/quarantine", summary="See which documents failed")
    async def quarantine(
        request: Request,
        source: Annotated[str, Query(min_length=1, max_length=200, description="Whose.")],
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many, the newest first.")] = 100,
    ) -> QuarantineResponse:
        """What failed of a source, at which stage, and why."""
        view, caller = _admitted(request, "read")
        return await _found(request, partial(view.quarantine, caller, source, limit))

    @router.get("/admin/deletions/{deletion_id}", summary="See what waits under a deletion")
    async def deletion(request: Request, deletion_id: Id) -> DeletionResponse:
        """One deletion with the documents that are served until somebody decides."""
        view, caller = _admitted(request, "read")
        return await _found(request, partial(view.deletion, caller, deletion_id))

    @router.post("/admin/deletions/{deletion_id}", summary="Decide on a deletion")
    async def decide(request: Request, deletion_id: Id, decided: DecisionRequest) -> DeletionResponse:
        """As `rag-pipelines deletes approve` and `reject` do, with the caller's name in the audit."""
        view, caller = _admitted(request, "decide")
        await _found(request, partial(view.deletion, caller, deletion_id))
        act = partial(view.decide, caller, deletion_id, decided.decision, decided.reason)
        return await _found(request, act, status=409, slug="cannot-be-decided")

    return router


def _admitted(request: Request, what: Literal["read", "decide"]) -> tuple[Admin, RequestCaller]:
    """The view, for a caller whose role lets them. Raises `Problem`."""
    service, caller = service_of(request), request.state.caller
    admin = service.backend.admin
    if not admin.may(caller, what):
        verb = "look after knowledge" if what == "read" else "decide on deletions"
        raise Problem(403, "not-your-role", f"this login may not {verb}; `serving.admin` names who may")
    return admin, caller


async def _found(
    request: Request, work: Callable[[], T], status: int = 404, slug: str = "no-such-thing"
) -> T:
    def told() -> T:
        try:
            return work()
        except UsageError as error:
            raise Problem(status, slug, str(error)) from None

    service = service_of(request)
    return await service.run_blocking(service.lookups, told)
