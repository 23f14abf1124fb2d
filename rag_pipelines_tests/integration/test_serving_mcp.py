"""The Model Context Protocol over HTTP: the tool answers each caller by the login of the request."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag_pipelines.errors import UsageError
from rag_pipelines_tests.databases import copied_database
from rag_pipelines_tests.integration.serving import (
    GLOBEX,
    HR,
    SEEN,
    STAFF,
    Issuer,
    made_app,
    served,
    two_tenants,
)
from rag_pipelines_tests.integration.test_adapters import needs
from rag_pipelines_tests.integration.workspace import Workspace

pytestmark = needs("mcp", "mcp")

CITED = {HR: {"Travel policy", "Pay bands"}, STAFF: {"Travel policy"}, GLOBEX: {"Plan"}}


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, postgres: str, template_database: str
) -> Iterator[tuple[httpx.Client, Issuer]]:
    """A service that speaks the protocol, and who issues tokens for it."""
    folder = tmp_path_factory.mktemp("service")
    with copied_database(postgres, template_database) as url:
        team = two_tenants(folder, url)
        issuer = Issuer(folder)
        team.document["serving"] |= {"mcp": True, "oidc": issuer.settings}
        with served(team) as client:
            yield client, issuer
        team.close()


def talk(service: httpx.Client, check: Callable[[Any], Awaitable[None]], **headers: str) -> None:
    """Runs `check` with a client of the protocol that sends these headers."""
    from mcp import Client
    from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

    async def run() -> None:
        async with create_mcp_http_client(headers=headers) as connection:
            transport = streamable_http_client(f"{service.base_url}/mcp", http_client=connection)
            async with Client(transport) as client:
                await check(client)

    asyncio.run(run())


async def cited(client: Any, **arguments: Any) -> set[str]:
    """What an answer cites."""
    result = await client.call_tool("search", {"question": "the harbour", "index": "main", **arguments})
    assert not result.is_error, result.content
    return {one["citation"] for one in result.structured_content["passages"]}


@pytest.mark.parametrize("login", SEEN)
def test_three_users_see_what_each_may_see(service: tuple[httpx.Client, Issuer], login: str) -> None:
    async def check(client: Any) -> None:
        assert await cited(client) == CITED[login]

    talk(service[0], check, **{"X-API-Key": login})


def test_a_persons_token_is_the_callers(service: tuple[httpx.Client, Issuer]) -> None:
    async def of_hr(client: Any) -> None:
        assert await cited(client) == CITED[HR]

    async def of_globex(client: Any) -> None:
        assert await cited(client) == CITED[GLOBEX]

    client, issuer = service
    talk(client, of_hr, Authorization=f"Bearer {issuer.token(groups=['hr'])}")
    talk(client, of_globex, Authorization=f"Bearer {issuer.token(org='globex')}")


def test_the_tool_says_that_it_only_reads_and_takes_no_caller(service: tuple[httpx.Client, Issuer]) -> None:
    async def check(client: Any) -> None:
        [tool] = (await client.list_tools()).tools
        assert tool.annotations.read_only_hint
        assert set(tool.input_schema["properties"]) == {"question", "passages", "filter", "index"}
        for extra in ({"tenant": "globex"}, {"principals": ["group:hr"]}):
            assert await cited(client, **extra) == CITED[STAFF]
        narrow = {"field": "path", "prefix": "travel/"}
        assert await cited(client, filter=narrow) == {"Travel policy"}

    talk(service[0], check, **{"X-API-Key": STAFF})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": "nope"}, "no index 'nope'; valid: main"),
        ({"index": "private"}, "no index 'private'"),
        ({"question": " "}, "some words to look for"),
        ({"filter": {"field": "colour", "equals": "x"}}, "colour"),
        ({"filter": {"field": "source", "equals": "globex"}}, "has no source 'globex'"),
        ({"passages": 51}, "passages"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(
    service: tuple[httpx.Client, Issuer], arguments: dict[str, Any], message: str
) -> None:
    async def check(client: Any) -> None:
        given = {"question": "harbour", "index": "main", **arguments}
        result = await client.call_tool("search", given)
        assert result.is_error
        assert message in result.content[0].text

    talk(service[0], check, **{"X-API-Key": STAFF})


def test_a_request_without_a_valid_login_is_refused_before_anything_is_read(
    service: tuple[httpx.Client, Issuer],
) -> None:
    client, _ = service
    for headers in ({}, {"X-API-Key": "nobody"}, {"Authorization": "Bearer nonsense"}):
        refused = client.post(
            "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=headers
        )
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert refused.json()["type"].endswith(":login")
    assert client.get("/mcp", headers={"X-API-Key": STAFF}).status_code == 405
    broken = client.post("/mcp", content=b"{", headers={"X-API-Key": STAFF, "Accept": "application/json"})
    assert 400 <= broken.status_code < 500


def test_the_protocol_is_spoken_only_where_it_is_switched_on(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Workspace(tmp_path, database_url)
    team.document["serving"] = {"anonymous": {"tenant": "default"}}
    with served(team) as client:
        assert client.post("/mcp", json={}).status_code == 404
    team.document["serving"]["mcp"] = True
    monkeypatch.setitem(sys.modules, "mcp.server.transport_security", None)
    monkeypatch.delitem(sys.modules, "rag_pipelines.serving.mcp", raising=False)
    with pytest.raises(UsageError, match=r"pip install 'rag-pipelines\[mcp\]'"):
        made_app(team)
    team.close()
