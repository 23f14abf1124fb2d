"""The routes by which people sign in and out in a browser.

What belongs here: redirects, and what the page is told. What does not: cookies (`accounts`), the exchange
with the provider (`sign_in`), sessions in the database (`sessions`).

No address that a request names is ever redirected to: people come from the page, go to the provider, and come
back to the page, which remembers by itself what was looked for.
"""

from __future__ import annotations

import logging
from functools import partial
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse

from rag_pipelines.serving.accounts import Accounts
from rag_pipelines.serving.auth import LoginError
from rag_pipelines.serving.problems import Problem
from rag_pipelines.serving.service import Service, service_of
from rag_pipelines.serving.sign_in import CALLBACK

ANSWER_LENGTH = 4_000
"""Characters of one value that the provider sends along."""

log = logging.getLogger(__name__)


class Account(BaseModel):
    """Which ways to log in there are, and who is signed in: `name` is what people call the account."""

    by_header: bool = Field(description="An API key or a token, with each request.")
    sign_in: bool = Field(description="At a provider, with a browser.")
    anonymous: bool = Field(description="No login at all, for what everybody may see.")
    name: str | None


class SignedOut(BaseModel):
    """The session has ended; `next` is the provider's page that ends its own."""

    next: str | None


def sign_in_routes() -> APIRouter:
    """Who is signed in, and where people sign in at a provider the routes for that."""
    router = APIRouter(include_in_schema=False)

    @router.get("/auth/account")
    async def account(request: Request) -> Account:
        """Which ways to log in there are, and who is signed in here."""
        service = service_of(request)
        service.count_stranger(request)
        try:
            session = await service.session_of(request)
        except LoginError:
            session = None
        return Account(
            by_header=service.logins.by_header,
            sign_in=service.accounts is not None,
            anonymous=service.logins.serves_anybody,
            name=session.shown if session else None,
        )

    @router.get("/auth/sign-in")
    async def begin(request: Request) -> Response:
        """To the provider."""
        service, accounts = _signing_in(request)
        try:
            address, begun = await service.run_blocking(accounts.asking, accounts.provider.begin)
        except Problem as problem:
            return _to_page(request, accounts, problem.slug)
        answer = RedirectResponse(address, 302)
        accounts.keep_begun(answer, begun)
        return answer

    @router.get(CALLBACK)
    async def finish(request: Request) -> Response:
        """From the provider, with an answer; to the page, with a session or with what went wrong."""
        service, accounts = _signing_in(request)
        begun = accounts.begun_of(request)
        answered = {name: value[:ANSWER_LENGTH] for name, value in request.query_params.items()}
        try:
            work = partial(accounts.provider.finish, begun, answered)
            signed_in = await service.run_blocking(accounts.asking, work)
            token = await service.run_blocking(service.lookups, partial(accounts.sessions.begin, signed_in))
        except LoginError as error:
            log.info("request %s signed nobody in: %s", request.scope["request_id"], error)
            answer = _to_page(request, accounts, "not-begun" if begun is None else "refused")
        except Problem as problem:
            answer = _to_page(request, accounts, problem.slug)
        else:
            caller = signed_in.caller
            request.scope["told"].update(caller=caller.name[:200], tenant=caller.tenant)
            answer = RedirectResponse(accounts.page, 303)
            accounts.keep_session(answer, token)
        accounts.keep_begun(answer, None)
        return answer

    @router.post("/auth/sign-out")
    async def end(request: Request, response: Response) -> SignedOut:
        """End the session; `next` is the provider's page that ends its own, where that is wanted."""
        service, accounts = _signing_in(request)
        try:
            token = accounts.token_of(request)
        except LoginError as error:
            raise Problem(403, "not-of-the-page", str(error)) from None
        if token:
            await service.run_blocking(service.lookups, partial(accounts.sessions.end, token))
        response.headers.append("Set-Cookie", accounts.without_session)
        return SignedOut(next=await service.run_blocking(accounts.asking, accounts.provider.end_address))

    return router


def _signing_in(request: Request) -> tuple[Service, Accounts]:
    """Where people sign in, with the request counted. Raises `Problem` where nobody does."""
    service = service_of(request)
    service.count_stranger(request)
    if service.accounts is None:
        detail = "nobody signs in at a provider here; valid: a login with each request, see /openapi.json"
        raise Problem(404, "no-sign-in", detail)
    return service, service.accounts


def _to_page(request: Request, accounts: Accounts, why: str) -> Response:
    """Back to the page, which says in a sentence what went wrong."""
    request.scope["problem"] = f"sign-in-{why}"
    told = urlencode({"sign-in": why, "request": request.scope["request_id"]})
    return RedirectResponse(f"{accounts.page}#{told}", 303)
