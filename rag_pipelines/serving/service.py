"""What the routes share: who is calling, what a request may ask for, and blocking work within limits.

What belongs here: admitting callers, and the checks that need the configuration. What does not: routes
(`routes`), whom a login stands for (`auth`), searching (`query.search`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import RagError, TransientError, UsageError
from rag_pipelines.query.filter_predicate import named_sources, predicate
from rag_pipelines.query.filters import Filter, filter_from_json
from rag_pipelines.query.hits import Filters
from rag_pipelines.serving import schema
from rag_pipelines.serving.accounts import Accounts
from rag_pipelines.serving.auth import LoginError, Logins, RequestCaller
from rag_pipelines.serving.backend import Backend
from rag_pipelines.serving.intake import Intake
from rag_pipelines.serving.limits import BusyError, RateLimit, Workers, caller_address, whole_seconds
from rag_pipelines.serving.metrics import Metrics
from rag_pipelines.serving.problems import Problem, invalid
from rag_pipelines.serving.sessions import Session, SessionEndedError

T = TypeVar("T")

log = logging.getLogger(__name__)


class Service:
    """What the routes share: the backend, logins, limits and metrics of one application."""

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        logins: Logins,
        intake: Intake,
        accounts: Accounts | None = None,
    ) -> None:
        limits = settings.serving.limits
        self.settings = settings.serving
        self.backend = backend
        self.logins = logins
        self.accounts = accounts
        self.intake = intake
        self.rate = RateLimit(limits.requests_per_minute, limits.burst)
        self.searches = Workers(limits.searches or settings.database.pool_size, limits.waiting)
        self.lookups = Workers(2, limits.waiting)
        self.sendings = Workers(2, limits.waiting)
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
            headers = {"WWW-Authenticate": challenge}
            if self.accounts and isinstance(error, SessionEndedError):
                headers["Set-Cookie"] = self.accounts.without_session
            raise Problem(401, "login", str(error), headers=headers) from None
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
            session = await self.session_of(request)
            return session.caller if session else self.logins.of_nobody(address)
        kind, _, token = tokens[0].partition(" ")
        if kind.lower() != "bearer":
            raise LoginError(
                f"received an Authorization of another kind than Bearer; valid: {self.logins.ways}"
            )
        return await self.run_blocking(self.lookups, partial(self.logins.of_token, token.strip()))

    async def session_of(self, request: Request) -> Session | None:
        """The session that a browser comes with, if it does. Raises `LoginError`, `Problem`."""
        token = self.accounts.token_of(request) if self.accounts else None
        if self.accounts is None or token is None:
            return None
        return await self.run_blocking(self.lookups, partial(self.accounts.sessions.find, token))

    def count_stranger(self, request: Request) -> None:
        """Count a request of nobody in particular against its address. Raises `Problem`."""
        self._count(f"stranger:{_address(request)}")

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

    def filters_for(
        self, caller: RequestCaller, index: str, asked: schema.SearchRequest | schema.FacetsRequest
    ) -> Filter | Filters:
        """The filters, of sources that the caller may know of. Raises `Problem`."""
        simple = asked.filters
        if simple.since and simple.until and simple.since >= simple.until:
            raise invalid("filters.since", simple.since.isoformat(), "a time before filters.until")
        if asked.where is not None and simple != schema.SearchFilters():
            raise invalid("where", "filters beside it", "either 'filters' or 'where'")
        field = "filters" if asked.where is None else "where"
        try:
            filters = simple.filters() if asked.where is None else filter_from_json(asked.where, "where")
            predicate(filters)
        except UsageError as error:
            raise invalid(field, "a filter that cannot be used", str(error)) from None
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
            raise invalid("k", str(asked.k), f"1 to {limits.k}")
        if len(asked.query) > limits.question:
            received = f"{len(asked.query):,} characters"
            raise invalid("query", received, f"up to {limits.question:,} characters")

    def close(self) -> None:
        """Give everything back."""
        self.searches.close()
        self.lookups.close()
        self.sendings.close()
        self.intake.close()
        if self.accounts is not None:
            self.accounts.close()
        self.backend.close()


class CallerRoute(APIRoute):
    """A route for callers who are known: the login comes before anything of the request is looked at."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def admit_and_handle(request: Request) -> Response:
            request.state.caller = await service_of(request).admit(request)
            return await handle(request)

        return admit_and_handle


def service_of(request: Request) -> Service:
    """The service of the application that a request came to."""
    found: Service = request.app.state.service
    return found


def _address(request: Request) -> str:
    return caller_address(request.client.host if request.client else "")
