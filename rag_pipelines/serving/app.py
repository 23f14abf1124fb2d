"""The FastAPI application: its routes, and what of a search's outcome a caller is told.

What belongs here: routes and the checks that need the configuration. What does not: what happens to every
request (`requests`), whom a login stands for (`auth`), searching (`query.search`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from rag_pipelines import __version__
from rag_pipelines.config.serving import RequestLimits
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import RagError, TransientError, UsageError
from rag_pipelines.query.filter_predicate import named_sources, predicate
from rag_pipelines.query.filters import Filter, filter_from_json
from rag_pipelines.query.hits import Filters, Result
from rag_pipelines.secrets import references as secrets
from rag_pipelines.serving import answers, events, page, problems, schema
from rag_pipelines.serving.auth import LoginError, Logins, RequestCaller
from rag_pipelines.serving.backend import Backend
from rag_pipelines.serving.limits import BusyError, RateLimit, Workers, caller_address, whole_seconds
from rag_pipelines.serving.metrics import MEDIA_TYPE, Metrics
from rag_pipelines.serving.problems import Problem
from rag_pipelines.serving.requests import Requests
from rag_pipelines.store.database import Database

T = TypeVar("T")

READINESS_SECONDS = 3
"""After which a database that says nothing counts as one that cannot be reached."""

REFUSALS = {
    400: "The body cannot be read at all.",
    401: "No login, or one that is not valid.",
    404: "There is no such index, source or answer for this caller.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    422: "Something in the request is not valid; `errors` says what.",
    429: "Too many requests of this caller; `Retry-After` says when to come again.",
    503: "Busy, or a part that is needed cannot be reached.",
    504: "The search took longer than it may.",
}

log = logging.getLogger(__name__)


class Service:
    """What the routes share: the backend, logins, limits and metrics of one application."""

    def __init__(self, settings: Settings, backend: Backend, logins: Logins) -> None:
        limits = settings.serving.limits
        self.settings = settings.serving
        self.backend = backend
        self.logins = logins
        self.rate = RateLimit(limits.requests_per_minute, limits.burst)
        self.searches = Workers(limits.searches or settings.database.pool_size, limits.waiting)
        self.lookups = Workers(2, limits.waiting)
        self.metrics = Metrics(backend.catalogue_metrics)

    async def admit(self, request: Request) -> RequestCaller:
        """Who is calling, counted against the caller's rate. Raises `Problem`."""
        address = _address(request)
        try:
            caller = await self._caller(request, address)
        except LoginError as error:
            self._count(f"refused:{address}")
            shown = "authorization" in request.headers
            challenge = 'Bearer realm="rag-pipelines"' + (', error="invalid_token"' if shown else "")
            raise Problem(401, "login", str(error), headers={"WWW-Authenticate": challenge}) from None
        request.scope["told"].update(caller=caller.name[:200], tenant=caller.tenant)
        self._count(caller.name)
        return caller

    async def _caller(self, request: Request, address: str) -> RequestCaller:
        keys, tokens = request.headers.getlist("x-api-key"), request.headers.getlist("authorization")
        if len(keys) + len(tokens) > 1:
            raise LoginError(f"received more than one login; valid: one of {self.logins.ways}")
        if keys:
            return self.logins.of_key(keys[0])
        if not tokens:
            return self.logins.of_nobody(address)
        kind, _, token = tokens[0].partition(" ")
        if kind.lower() != "bearer":
            raise LoginError(
                f"received an Authorization of another kind than Bearer; valid: {self.logins.ways}"
            )
        return await self.run_blocking(self.lookups, partial(self.logins.of_token, token.strip()))

    def _count(self, name: str) -> None:
        if wait := self.rate.take(name):
            allowed = f"{self.settings.limits.requests_per_minute:g} a minute"
            headers = {"Retry-After": whole_seconds(wait)}
            raise Problem(429, "too-many-requests", f"more requests than {allowed}", headers=headers)

    async def run_blocking(self, workers: Workers, work: Callable[[], T]) -> T:
        """The result of blocking work. Raises `Problem` where there is none, `LoginError` as it comes."""
        seconds = self.settings.limits.time.total_seconds()
        try:
            return await workers.run(work, seconds)
        except BusyError:
            detail = "as many requests as are allowed run or wait; try again"
            raise Problem(503, "busy", detail, headers={"Retry-After": "1"}) from None
        except TimeoutError:
            raise Problem(
                504, "time-out", f"it took longer than {seconds:g} s; narrow it or try later"
            ) from None
        except LoginError:
            raise
        except TransientError as error:
            log.warning("transient failure: %s", error)
            detail = "a part that this needs cannot be reached now; try again later"
            raise Problem(503, "passing-fault", detail, headers={"Retry-After": "5"}) from None
        except RagError as error:
            log.error("cannot answer: %s", error)
            detail = "this cannot be answered in the present state of the service; its log says why"
            raise Problem(503, "not-available", detail, headers={"Retry-After": "30"}) from None

    def refuse_event(self, request: Request) -> NoReturn:
        """Answer a notification that is not believed, counted against its sender's rate. Raises `Problem`."""
        self._count(f"refused:{_address(request)}")
        detail = "valid: a notification with the secret of a source that receives them"
        raise Problem(403, "not-believed", detail)

    async def keep_hints(self, source: str, keys: Sequence[str | None]) -> None:
        """Write that something changed in a source. Raises `Problem`."""
        await self.run_blocking(self.lookups, partial(self.backend.keep_hints, source, keys))

    def index_for(self, caller: RequestCaller, name: str | None) -> str:
        """The index that is asked. Raises `Problem`; what other tenants have looks like what is not there."""
        known = self.backend.indexes(caller.tenant)
        if name is None and len(known) == 1:
            return known[0]
        if name in known:
            return str(name)
        asked = "name an index" if name is None else f"there is no index {name[:100]!r}"
        raise Problem(404, "no-such-index", f"{asked}; valid: {', '.join(known) or 'none for this login'}")

    def filters_for(self, caller: RequestCaller, index: str, asked: schema.SearchRequest) -> Filter | Filters:
        """The filters, of sources that the caller may know of. Raises `Problem`."""
        simple = asked.filters
        if simple.since and simple.until and simple.since >= simple.until:
            raise _invalid("filters.since", simple.since.isoformat(), "a time before filters.until")
        if asked.where is not None and simple != schema.SearchFilters():
            raise _invalid("where", "filters beside it", "either 'filters' or 'where'")
        field = "filters" if asked.where is None else "where"
        try:
            filters = simple.filters() if asked.where is None else filter_from_json(asked.where, "where")
            predicate(filters)
        except UsageError as error:
            raise _invalid(field, "a filter that cannot be used", str(error)) from None
        valid = self.backend.sources(index, caller.tenant)
        for name in sorted(named_sources(filters)):
            if name not in valid:
                detail = f"index {index!r} has no source {name[:100]!r}; valid: {', '.join(valid)}"
                raise Problem(404, "no-such-source", detail)
        return filters

    def check_bounds(self, asked: schema.SearchRequest) -> None:
        """Raise `Problem` where the request goes beyond what the configuration allows."""
        limits = self.settings.limits
        if asked.k > limits.k:
            raise _invalid("k", str(asked.k), f"1 to {limits.k}")
        if len(asked.query) > limits.question:
            received = f"{len(asked.query):,} characters"
            raise _invalid("query", received, f"up to {limits.question:,} characters")

    def close(self) -> None:
        """Give everything back."""
        self.searches.close()
        self.lookups.close()
        self.backend.close()


class CallerRoute(APIRoute):
    """A route for callers who are known: the login comes before anything of the request is looked at."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def admit_and_handle(request: Request) -> Response:
            request.state.caller = await _service(request).admit(request)
            return await handle(request)

        return admit_and_handle


def create_app(settings: Settings, database: Database, embedders: Embedders) -> FastAPI:
    """The application; the caller keeps and closes `database` and `embedders`.

    Raises:
        UsageError: the configuration gives nobody a way to log in.
        ConfigError: two API keys are the same.
    """
    serving = settings.serving
    logins = Logins(serving)
    backend = Backend(settings, database, embedders, time_limit=serving.limits.time)
    service = Service(settings, backend, logins)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(backend.warm_up)
        renewing = asyncio.create_task(_renew_secrets())
        yield
        renewing.cancel()
        service.close()

    app = FastAPI(
        title="rag-pipelines",
        version=__version__,
        description="Search with citations, as far as the caller may see.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(_for_callers())
    app.include_router(_for_machines())
    app.include_router(page.router)
    if webhooks := events.webhook_secrets(settings):
        app.include_router(events.events_router(webhooks, service.refuse_event, service.keep_hints))
    for kind, handler in (
        (Problem, problems.on_problem),
        (RequestValidationError, problems.on_invalid),
        (HTTPException, problems.on_http),
    ):
        app.add_exception_handler(kind, handler)
    if serving.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(serving.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "traceparent", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    app.add_middleware(
        Requests,
        max_body=serving.limits.body,
        time_limit=serving.limits.time,
        answered=service.metrics.record_request,
    )
    _describe(app, serving.limits)
    return app


async def _renew_secrets() -> None:
    """Ask the stores of secrets again from time to time, so that a key that was withdrawn there ends here."""
    while True:
        await asyncio.sleep(secrets.KEPT)
        try:
            await asyncio.to_thread(secrets.renew_all)
        except Exception as error:  # of a store that is not ours: the next time may do
            log.warning("secrets could not be read again: %s", type(error).__name__)


def _for_callers() -> APIRouter:
    router = APIRouter(
        prefix="/v1",
        route_class=CallerRoute,
        dependencies=[
            Security(APIKeyHeader(name="X-API-Key", auto_error=False)),
            Security(HTTPBearer(auto_error=False)),
        ],
        responses={status: _refusal(status) for status in REFUSALS},
    )

    @router.post("/search", response_model=answers.SearchResponse, summary="Search an index")
    async def search(request: Request, asked: schema.SearchRequest) -> Response:
        """The best passages that the caller may see, each with its citation."""
        service, caller = _service(request), request.state.caller
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

    @router.post("/feedback", summary="Say whether an answer was any good")
    async def feedback(request: Request, said: schema.FeedbackRequest) -> answers.FeedbackResponse:
        """A vote on an answer of the last day, by the caller who got it; a second one takes its place."""
        service, caller = _service(request), request.state.caller
        work = partial(service.backend.vote, said.receipt, caller, said.verdict, said.reason)
        index, version = await service.run_blocking(service.lookups, partial(_apply_vote, work))
        request.scope["told"].update(index=index, version=version, verdict=said.verdict)
        service.metrics.record_vote(index, said.verdict)
        return answers.FeedbackResponse(index=index, version=version, request_id=request.scope["request_id"])

    @router.get("/indexes", summary="List the indexes that the caller may ask")
    async def indexes(request: Request) -> answers.Indexes:
        """Their names, live versions and sources of the caller's tenant, and the bounds of a request."""
        service, caller = _service(request), request.state.caller
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
        return answers.Indexes(indexes=found, max_k=limits.k, max_question=limits.question)

    return router


def _for_machines() -> APIRouter:
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
                checks = dict(await asyncio.to_thread(_service(request).backend.readiness))
        except TimeoutError:
            checks = {"database": "failed"}
        ready = set(checks.values()) == {"ok"}
        response.status_code = 200 if ready else 503
        return answers.Readiness(ready=ready, checks=checks)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Counts and times, and the state of sources and indexes; nothing tells of tenants or questions."""
        service = _service(request)
        text = await asyncio.to_thread(service.metrics.exposition, service.searches.taken)
        return Response(text, media_type=MEDIA_TYPE)

    return router


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def _address(request: Request) -> str:
    return caller_address(request.client.host if request.client else "")


def _apply_vote(vote: Callable[[], T]) -> T:
    """What `vote` gives; an answer that is not the caller's looks like one that never was."""
    try:
        return vote()
    except UsageError as error:
        raise Problem(404, "no-such-answer", str(error)) from None


def _invalid(field: str, received: str, valid: str) -> Problem:
    error = {"field": field, "received": received[: problems.RECEIVED_SHOWN], "valid": valid}
    return Problem(422, "invalid-request", f"{field} is not valid; valid: {valid}", errors=[error])


def _refusal(status: int) -> dict[str, Any]:
    return {"model": answers.ProblemDetails, "description": REFUSALS[status]}


def _describe(app: FastAPI, limits: RequestLimits) -> None:
    """Make OpenAPI say what FastAPI cannot know: refusals are problem details, bounds are configured."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        known = app.openapi_schema is not None
        document = made()
        if not known:
            for operations in document["paths"].values():
                for operation in operations.values():
                    for answer in operation["responses"].values():
                        _declare_problem(answer.get("content", {}))
            asked = document["components"]["schemas"]["SearchRequest"]["properties"]
            asked["k"]["maximum"] = limits.k
            asked["query"]["maxLength"] = limits.question
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _declare_problem(content: dict[str, Any]) -> None:
    shape = content.get("application/json", {}).get("schema", {})
    if shape.get("$ref", "").endswith("/ProblemDetails"):
        content[problems.MEDIA_TYPE] = content.pop("application/json")
