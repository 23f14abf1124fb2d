"""The routes of the service, and what of an outcome a caller is told.

What belongs here: what each route takes, calls and answers. What does not: what they share (`service`), what
happens to every request (`requests`), the search page (`page`), notifications of systems (`events`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from rag_pipelines.errors import UsageError
from rag_pipelines.query.hits import Result
from rag_pipelines.serving import answers, schema
from rag_pipelines.serving.metrics import MEDIA_TYPE
from rag_pipelines.serving.problems import Problem
from rag_pipelines.serving.service import CallerRoute, service_of

T = TypeVar("T")

READINESS_SECONDS = 3
"""After which a database that says nothing counts as one that cannot be reached."""

MAX_ID = 2**63 - 1
MAX_OFFSET = 2**31 - 1

REFUSALS = {
    400: "The body cannot be read at all.",
    401: "No login, or one that is not valid.",
    404: "There is no such index, source, document or answer for this caller.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    422: "Something in the request is not valid; `errors` says what.",
    429: "Too many requests of this caller; `Retry-After` says when to come again.",
    503: "Busy, or a part that is needed cannot be reached.",
    504: "The search took longer than it may.",
}


def caller_router(refusals: Mapping[int, str] = {}) -> APIRouter:
    """A router for callers who are known; `refusals` say what else may be answered, by status."""
    told = {**REFUSALS, **refusals}
    return APIRouter(
        prefix="/v1",
        route_class=CallerRoute,
        dependencies=[
            Security(APIKeyHeader(name="X-API-Key", auto_error=False)),
            Security(HTTPBearer(auto_error=False)),
        ],
        responses={
            status: {"model": answers.ProblemDetails, "description": why} for status, why in told.items()
        },
    )


def for_callers() -> APIRouter:
    """Routes for callers who are known."""
    router = caller_router()

    @router.post("/search", response_model=answers.SearchResponse, summary="Search an index")
    async def search(request: Request, asked: schema.SearchRequest) -> Response:
        """The best passages that the caller may see, each with its citation."""
        service, caller = service_of(request), request.state.caller
        told = request.scope["told"]
        told.update(mode=asked.mode, k=asked.k)
        if service.settings.log_questions:
            told["question"] = asked.query
        service.check_bounds(asked)
        index = told["index"] = service.index_for(caller, asked.index)
        filters = service.filters_for(caller, index, asked)
        request_id = request.scope["request_id"]

        def work() -> tuple[Result, bytes]:
            answered = service.backend.search(
                index,
                asked.query,
                caller,
                mode=asked.mode,
                k=asked.k,
                filters=filters,
                context_tokens=asked.context_tokens,
            )
            return answered.result, answers.encode_response(answered, request_id, explain=asked.explain)

        result, body = await service.run_blocking(service.searches, work)
        told.update(version=result.version, hits=len(result.hits))
        service.metrics.record_search(result)
        return Response(body, media_type="application/json")

    @router.post("/facets", response_model=answers.FacetsResponse, summary="Count documents by their values")
    async def facets(request: Request, asked: schema.FacetsRequest) -> Response:
        """How many documents the caller may see, by source, media type, label and year."""
        service, caller = service_of(request), request.state.caller
        index = service.index_for(caller, asked.index)
        filters = service.filters_for(caller, index, asked)
        work = partial(service.backend.facets, index, caller, filters)
        counted = await service.run_blocking(service.searches, work)
        request.scope["told"].update(index=index, version=counted.version)
        body = answers.encode(counted, index=index, request_id=request.scope["request_id"])
        return Response(body, media_type="application/json")

    @router.get(
        "/documents/{document_id}",
        response_model=answers.DocumentResponse,
        summary="Read a document's text",
    )
    async def document(
        request: Request,
        document_id: Annotated[int, Path(ge=0, le=MAX_ID, description="`document_id` of a hit.")],
        index: Annotated[schema.Index, Query(description=schema.INDEX)] = None,
        chunk_id: Annotated[
            str | None,
            Query(
                pattern=r"^[0-9a-f]{32}-[0-9]{1,9}$", description="The passage of a hit, to read around it."
            ),
        ] = None,
        first: Annotated[
            int | None, Query(ge=0, le=MAX_OFFSET, description="Where to begin, in code points.")
        ] = None,
    ) -> Response:
        """Its canonical text, where the caller may see it at this moment."""
        service, caller = service_of(request), request.state.caller
        name = service.index_for(caller, index)
        work = partial(service.backend.document, name, caller, document_id, chunk_id, first)
        found = await service.run_blocking(service.searches, work)
        request.scope["told"].update(index=name, document=document_id)
        if found is None:
            detail = f"there is no document {document_id} in index {name!r} that this login may see"
            raise Problem(404, "no-such-document", detail)
        request.scope["told"].update(version=found.version)
        body = answers.encode(found, index=name, request_id=request.scope["request_id"])
        return Response(body, media_type="application/json")

    @router.post("/feedback", summary="Say whether an answer was any good")
    async def feedback(request: Request, said: schema.FeedbackRequest) -> answers.FeedbackResponse:
        """A vote on an answer of the last day, by the caller who got it; a second one takes its place."""
        service, caller = service_of(request), request.state.caller
        work = partial(service.backend.vote, said.receipt, caller, said.verdict, said.reason)
        index, version = await service.run_blocking(service.lookups, partial(_apply_vote, work))
        request.scope["told"].update(index=index, version=version, verdict=said.verdict)
        service.metrics.record_vote(index, said.verdict)
        return answers.FeedbackResponse(index=index, version=version, request_id=request.scope["request_id"])

    @router.get("/indexes", summary="List the indexes that the caller may ask")
    async def indexes(request: Request) -> answers.Indexes:
        """Their names, live versions and sources of the caller's tenant, and the bounds of a request."""
        service, caller = service_of(request), request.state.caller
        names = service.backend.indexes(caller.tenant)
        live = await service.run_blocking(service.lookups, partial(service.backend.live, names))
        found = [
            answers.IndexInfo(
                name=name,
                live=version is not None,
                version=version.version_id if version else None,
                promoted_at=version.promoted_at if version else None,
                sources=service.backend.sources(name, caller.tenant),
            )
            for name, version in live.items()
        ]
        limits = service.settings.limits
        return answers.Indexes(
            indexes=found,
            max_k=limits.k,
            max_question=limits.question,
            admin=service.backend.admin.may(caller, "read"),
        )

    return router


def for_machines() -> APIRouter:
    """Routes for probes and for Prometheus, which have no login."""
    router = APIRouter()

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        """Always so, while it can answer at all."""
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Can searches be answered?",
        responses={503: {"model": answers.Readiness, "description": "No; `checks` says which part fails."}},
    )
    async def readyz(request: Request, response: Response) -> answers.Readiness:
        """The database answers, an index has a live version, and the login for searches is proven safe."""
        try:
            async with asyncio.timeout(READINESS_SECONDS):
                checks = dict(await asyncio.to_thread(service_of(request).backend.readiness))
        except TimeoutError:
            checks = {"database": "failed"}
        ready = set(checks.values()) == {"ok"}
        response.status_code = 200 if ready else 503
        return answers.Readiness(ready=ready, checks=checks)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Counts and times, and the state of sources and indexes; nothing tells of tenants or questions."""
        service = service_of(request)
        text = await asyncio.to_thread(service.metrics.exposition, service.searches.taken)
        return Response(text, media_type=MEDIA_TYPE)

    return router


def _apply_vote(vote: Callable[[], T]) -> T:
    """What `vote` gives; an answer that is not the caller's looks like one that never was."""
    try:
        return vote()
    except UsageError as error:
        raise Problem(404, "no-such-answer", str(error)) from None
