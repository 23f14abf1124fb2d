"""The Model Context Protocol over HTTP: the tool `search` for the caller whose login a request shows.

What belongs here: the endpoint, and the tool as the service answers it. What does not: the tool's words and
shapes (`adapters.mcp`), and logins (`service`).

Each request stands alone (stateless streamable HTTP, answered as JSON), so any process of the service answers
any of them, and each shows its login. Needs the extra `mcp`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import Request
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field, ValidationError
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rag_pipelines import __version__
from rag_pipelines.adapters.mcp import (
    FILTER,
    MAX_PASSAGES,
    MAX_QUESTION,
    TOOL,
    Answer,
    answer_of,
    read_only,
)
from rag_pipelines.query.context import pack_context
from rag_pipelines.serving import schema
from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.serving.problems import Problem
from rag_pipelines.serving.service import Service

PATH = "/mcp"
ANSWER_TOKENS = 4_000
"""Of one answer, estimated."""

INDEX = "The index to search; may be left out where there is only one."


class Endpoint:
    """An ASGI application for POST requests of one path; serves while `running`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        server = _make_server(service)
        # Who may ask is decided by logins; the names of hosts are the proxy's.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        server.streamable_http_app(stateless_http=True, json_response=True, transport_security=security)
        self._manager = server.session_manager
        self.route = Route(PATH, self, methods=["POST"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Once in the life of an application."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self.route
        scope["caller"] = await self._service.admit(Request(scope, receive))
        await self._manager.handle_request(scope, receive, send)


def _make_server(service: Service) -> MCPServer:
    server = MCPServer("rag-pipelines", version=__version__, log_level="WARNING")

    async def search(
        context: Context[Any],
        question: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION)],
        passages: Annotated[int, Field(ge=1, le=MAX_PASSAGES, description="How many passages at most.")] = 8,
        filter: Annotated[dict[str, Any] | None, Field(description=FILTER)] = None,
        index: Annotated[str | None, Field(max_length=100, description=INDEX)] = None,
    ) -> Answer:
        request: Request = context.request_context.request  # type: ignore[assignment]
        scope = request.scope
        try:
            asked = schema.SearchRequest(query=question, k=passages, where=filter, index=index)
            return await _search(service, scope["caller"], scope["told"], asked)
        except ValidationError as error:
            raise ToolError("; ".join(str(one["msg"]) for one in error.errors())) from None
        except Problem as problem:
            raise ToolError(problem.detail) from None

    server.add_tool(search, description=TOOL, structured_output=True, annotations=read_only())
    return server


async def _search(
    service: Service, caller: RequestCaller, told: dict[str, Any], asked: schema.SearchRequest
) -> Answer:
    service.check_bounds(asked)
    index = told["index"] = service.index_for(caller, asked.index)
    filters = service.filters_for(caller, index, asked)
    work = partial(
        service.backend.search, index, asked.query, caller, mode=asked.mode, k=asked.k, filters=filters
    )
    result = (await service.run_blocking(service.searches, work)).result
    told.update(version=result.version, hits=len(result.hits), mode=asked.mode, k=asked.k)
    service.metrics.record_search(result)
    apart = pack_context(result.unquoted.hits, ANSWER_TOKENS) if result.unquoted else None
    return answer_of(pack_context(result.hits, ANSWER_TOKENS), result.notes, apart)
