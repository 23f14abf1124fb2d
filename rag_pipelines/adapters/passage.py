"""A hit of this process or of the service as the plain text and the plain values that frameworks carry.

What belongs here: what the adapters have in common. What does not: any framework.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from rag_pipelines.client.client import AsyncClient, Client
from rag_pipelines.client.models import SearchFilters, SearchHit, SearchRequest
from rag_pipelines.errors import UsageError
from rag_pipelines.query.asynchronous import AsyncSearcher
from rag_pipelines.query.filters import Filter
from rag_pipelines.query.hits import Filters, Hit, Mode
from rag_pipelines.query.search import Searcher

AnyHit = Hit | SearchHit


def passage_id(hit: AnyHit) -> str:
    """Tells passages apart; documents with the same content share the ids of their chunks."""
    return f"{hit.document_id}-{hit.chunk_id}"


def passage_text(hit: AnyHit) -> str:
    """The passage with what a reader needs in front of it."""
    return f"{hit.context}\n{hit.text}" if hit.context else hit.text


def passage_details(hit: AnyHit) -> dict[str, Any]:
    """Citation, offsets, scores and the document's own metadata, as JSON values."""
    details = msgspec.to_builtins(hit) if isinstance(hit, Hit) else hit.model_dump(mode="json")
    del details["text"], details["context"]
    return {**details, "citation": hit.citation}


class SearcherSearch:
    """One way of asking a searcher of this process on behalf of one caller: everything but the question.

    `asynchronous` bounds what `asearch` does at once; without it a thread of the event loop waits.
    Raises `UsageError` for a tenant that nobody knows.
    """

    def __init__(
        self,
        searcher: Searcher,
        asynchronous: AsyncSearcher | None = None,
        *,
        tenant: str,
        principals: Sequence[str],
        mode: Mode,
        k: int,
        filters: Filter | Filters,
    ) -> None:
        searcher.check_tenant(tenant)
        self._searcher = searcher
        self._asynchronous = asynchronous
        self._given: dict[str, Any] = {
            "tenant": tenant,
            "principals": tuple(principals),
            "mode": mode,
            "k": k,
            "filters": filters,
        }

    def search(self, question: str) -> Sequence[Hit]:
        """What is found. Raises as `Searcher.search`."""
        return self._searcher.search(question, **self._given).hits

    async def asearch(self, question: str) -> Sequence[Hit]:
        """The same for an event loop."""
        if self._asynchronous is None:
            return await asyncio.to_thread(self.search, question)
        return (await self._asynchronous.search(question, **self._given)).hits


class ServiceSearch:
    """One way of asking the service, for retrievers: everything but the question.

    Args:
        client: with the login of the caller whose passages these are.
        asynchronous: the same for `asearch`; one of the two may be left out.
        index: may be left out where the caller has one.
        filters: or a filter expression as `where`.
    """

    def __init__(
        self,
        client: Client | None = None,
        asynchronous: AsyncClient | None = None,
        *,
        index: str | None = None,
        mode: Mode = "hybrid",
        k: int = 5,
        filters: SearchFilters | None = None,
        where: dict[str, Any] | None = None,
    ) -> None:
        if client is None and asynchronous is None:
            raise UsageError("received neither a client nor an asynchronous one; valid: one of them, or both")
        self._client = client
        self._asynchronous = asynchronous
        given = {"index": index, "mode": mode, "k": k, "filters": filters, "where": where}
        self._given = {name: value for name, value in given.items() if value is not None}

    def search(self, question: str) -> Sequence[SearchHit]:
        """What the service finds. Raises as `Client.search`."""
        if self._client is None:
            raise UsageError("this retriever has an asynchronous client only; await it, or give it a client")
        return self._client.search(self._asked(question)).hits

    async def asearch(self, question: str) -> Sequence[SearchHit]:
        """The same for an event loop; without an asynchronous client a thread waits."""
        if self._asynchronous is None:
            return await asyncio.to_thread(self.search, question)
        return (await self._asynchronous.search(self._asked(question))).hits

    def _asked(self, question: str) -> SearchRequest:
        return SearchRequest.model_validate({"query": question, **self._given})
