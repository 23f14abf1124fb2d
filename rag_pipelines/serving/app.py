"""The FastAPI application, put together.

What belongs here: which routes, middleware and error handlers there are, and what OpenAPI says. What does
not: the routes (`routes`, `page`, `events`), what they share (`service`), what happens to every request
(`requests`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Scope

from rag_pipelines import __version__
from rag_pipelines.config.serving import RequestLimits
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import UsageError
from rag_pipelines.secrets import references as secrets
from rag_pipelines.serving import answers, docs, events, page, problems, push, routes
from rag_pipelines.serving.accounts import Accounts
from rag_pipelines.serving.admin_routes import admin_routes
from rag_pipelines.serving.auth import Logins
from rag_pipelines.serving.backend import Backend
from rag_pipelines.serving.intake import Intake
from rag_pipelines.serving.problems import Problem
from rag_pipelines.serving.requests import Requests
from rag_pipelines.serving.service import Service
from rag_pipelines.serving.sign_in import SignIn
from rag_pipelines.serving.sign_in_routes import sign_in_routes
from rag_pipelines.store.database import Database

if TYPE_CHECKING:
    from rag_pipelines.serving.mcp import Endpoint

log = logging.getLogger(__name__)


def create_app(settings: Settings, database: Database, embedders: Embedders) -> FastAPI:
    """The application; the caller keeps and closes `database` and `embedders`.

    Raises:
        UsageError: nobody has a way to log in, or an extra that the configuration needs is not installed.
        ConfigError: two API keys are the same, or one may send to what is not there.
    """
    serving = settings.serving
    logins = Logins(serving)
    backend = Backend(settings, database, embedders, time_limit=serving.limits.time)
    accounts, intake = _accounts(settings, backend, logins), Intake(settings, database)
    service = Service(settings, backend, logins, intake, accounts)
    endpoint = _speak_mcp(service) if serving.mcp else None

    def max_body(scope: Scope, headers: Headers) -> int:
        """A large body is read from who may send one only: it is read before the login is looked at."""
        sends = scope["path"].startswith(push.PREFIX) and logins.may_push(headers.get("x-api-key", ""))
        return serving.limits.push_body if sends else serving.limits.body

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(backend.warm_up)
        renewing = asyncio.create_task(_renew_secrets())
        async with endpoint.running() if endpoint else nullcontext():
            yield
        renewing.cancel()
        service.close()

    app = FastAPI(
        title="rag-pipelines",
        version=__version__,
        description="Search with citations, as far as the caller may see.",
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(routes.for_callers())
    app.include_router(push.for_senders())
    app.include_router(routes.for_machines())
    app.include_router(admin_routes())
    app.include_router(page.router)
    if endpoint:
        app.router.routes.append(endpoint.route)
    if serving.docs:
        app.include_router(docs.router)
    app.include_router(sign_in_routes())
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
        max_body=max_body,
        time_limit=serving.limits.time,
        answered=service.metrics.record_request,
    )
    _describe(app, serving.limits)
    return app


def _accounts(settings: Settings, backend: Backend, logins: Logins) -> Accounts | None:
    """What people need to sign in, where that is configured."""
    oidc = settings.serving.oidc
    if oidc is None or oidc.sign_in is None or logins.tokens is None:
        return None
    provider = SignIn(oidc, oidc.sign_in, logins.tokens)
    sessions = backend.sessions(oidc.sign_in.session)
    return Accounts(oidc.sign_in, provider, sessions, settings.serving.limits.waiting)


def _speak_mcp(service: Service) -> Endpoint:
    try:
        from rag_pipelines.serving.mcp import Endpoint
    except ImportError as error:
        raise UsageError(
            f"{error}; install it with: pip install 'rag-pipelines[mcp]', or leave serving.mcp out"
        ) from error
    return Endpoint(service)


async def _renew_secrets() -> None:
    """Ask the stores of secrets again from time to time, so that a key that was withdrawn there ends here."""
    while True:
        await asyncio.sleep(secrets.KEPT)
        try:
            await asyncio.to_thread(secrets.renew_all)
        except Exception as error:  # of a store that is not ours: the next time may do
            log.warning("secrets could not be read again: %s", type(error).__name__)


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
            schemas = document["components"]["schemas"]
            schemas["SearchResponse"]["examples"] = [answers.EXAMPLE]  # FastAPI would leave its nulls out
            asked = schemas["SearchRequest"]["properties"]
            asked["k"]["maximum"] = limits.k
            asked["query"]["maxLength"] = limits.question
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _declare_problem(content: dict[str, Any]) -> None:
    shape = content.get("application/json", {}).get("schema", {})
    if shape.get("$ref", "").endswith("/ProblemDetails"):
        content[problems.MEDIA_TYPE] = content.pop("application/json")
