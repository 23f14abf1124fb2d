"""Retrievers of other frameworks that ask the service: three users see what each may see, and no more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from rag_pipelines.adapters.passage import ServiceSearch
from rag_pipelines.client.client import AsyncClient, Client
from rag_pipelines.client.models import SearchFilters
from rag_pipelines.errors import CredentialError, RagError, UsageError
from rag_pipelines_tests.integration.serving import HR, SEEN, STAFF
from rag_pipelines_tests.integration.test_adapters import needs

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

Found = list[tuple[str, dict[str, Any], float | None]]
"""Text, details and score of each passage."""


def of_langchain(service: ServiceSearch, awaited: bool) -> Found:
    from rag_pipelines.adapters.langchain import ServiceRetriever

    retriever = ServiceRetriever(service=service)
    found = asyncio.run(retriever.ainvoke("harbour")) if awaited else retriever.invoke("harbour")
    return [(one.page_content, one.metadata, None) for one in found]


def of_llamaindex(service: ServiceSearch, awaited: bool) -> Found:
    from rag_pipelines.adapters.llamaindex import ServiceRetriever

    retriever = ServiceRetriever(service)
    found = asyncio.run(retriever.aretrieve("harbour")) if awaited else retriever.retrieve("harbour")
    return [(one.node.get_content(), one.node.metadata, one.score) for one in found]


def of_haystack(service: ServiceSearch, awaited: bool) -> Found:
    from haystack import Pipeline
    from haystack.core.errors import PipelineRuntimeError

    from rag_pipelines.adapters.haystack import ServiceRetriever

    pipeline = Pipeline()
    pipeline.add_component("retriever", ServiceRetriever(service))
    asked = {"retriever": {"query": "harbour"}}
    try:
        answer = asyncio.run(pipeline.run_async(asked)) if awaited else pipeline.run(asked)
    except PipelineRuntimeError as error:
        raise error.__cause__ or error from None
    return [(one.content, one.meta, one.score) for one in answer["retriever"]["documents"]]


FRAMEWORKS = [
    pytest.param(of_langchain, marks=needs("langchain", "langchain_core")),
    pytest.param(of_llamaindex, marks=needs("llamaindex", "llama_index")),
    pytest.param(of_haystack, marks=needs("haystack", "haystack")),
]

Retrieve = Callable[[ServiceSearch, bool], Found]


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("login", SEEN)
@pytest.mark.parametrize("retrieve", FRAMEWORKS)
def test_three_users_see_what_each_may_see(
    two_tenant_service: str, retrieve: Retrieve, login: str, awaited: bool
) -> None:
    with Client(two_tenant_service, key=login) as client:
        asynchronous = AsyncClient(two_tenant_service, key=login) if awaited else None
        found = retrieve(ServiceSearch(client, asynchronous, index="main", mode="lexical"), awaited)
    assert {details["path"] for _, details, _ in found} == SEEN[login]
    assert all("harbour" in text and details["citation"] for text, details, _ in found)
    scores = [score for *_, score in found if score is not None]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("retrieve", FRAMEWORKS)
@pytest.mark.parametrize(
    ("login", "index", "kind", "message"),
    [
        (STAFF, "nope", UsageError, "no index 'nope'; valid: main"),
        (STAFF, "private", UsageError, "no index 'private'"),
        ("nobody", "main", CredentialError, "not known"),
    ],
)
def test_an_unknown_index_or_login_is_an_error(
    two_tenant_service: str,
    retrieve: Retrieve,
    login: str,
    index: str,
    kind: type[RagError],
    message: str,
) -> None:
    with Client(two_tenant_service, key=login) as client, pytest.raises(kind, match=message):
        retrieve(ServiceSearch(client, index=index), False)


@pytest.mark.parametrize("retrieve", FRAMEWORKS)
def test_filters_narrow_what_is_found(two_tenant_service: str, retrieve: Retrieve) -> None:
    with Client(two_tenant_service, key=HR) as client:
        narrow = ServiceSearch(client, index="main", filters=SearchFilters(path_prefix="hr/"))
        assert [details["path"] for _, details, _ in retrieve(narrow, False)] == ["hr/pay.md"]
        where = {"not": {"field": "path", "prefix": "hr/"}}
        rest = ServiceSearch(client, index="main", where=where, mode="lexical")
        assert {details["path"] for _, details, _ in retrieve(rest, True)} == {"travel/policy.md"}


def test_a_search_needs_a_client(two_tenant_service: str) -> None:
    with pytest.raises(UsageError, match="valid: one of them, or both"):
        ServiceSearch()
    only = ServiceSearch(asynchronous=AsyncClient(two_tenant_service, key=HR))
    with pytest.raises(UsageError, match="await it"):
        only.search("harbour")
