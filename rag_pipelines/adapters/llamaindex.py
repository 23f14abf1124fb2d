"""LlamaIndex: a retriever. Needs the extra `llamaindex`.

What belongs here: hits as LlamaIndex's nodes. What does not: searching.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise ImportError(f"{error}; install it with: pip install 'rag-pipelines[llamaindex]'") from error

from rag_pipelines.adapters.passage import (
    AnyHit,
    SearcherSearch,
    ServiceSearch,
    passage_details,
    passage_id,
    passage_text,
)
from rag_pipelines.query.asynchronous import AsyncSearcher
from rag_pipelines.query.filters import Filter
from rag_pipelines.query.hits import Filters, Mode
from rag_pipelines.query.search import Searcher

FOR_MODELS = ("citation", "url")
"""What a prompt shows of the details."""


class SearchRetriever(BaseRetriever):
    """The passages that one caller may see, best first.

    Make one for each caller; they may share a `searcher`, and an `AsyncSearcher` that bounds what they do at
    once; without one, `aretrieve` uses a thread of the event loop.

    Raises `UsageError` for a tenant that nobody knows.
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        tenant: str,
        principals: Sequence[str] = (),
        mode: Mode = "hybrid",
        k: int = 5,
        filters: Filter | Filters = Filters(),
        asynchronous: AsyncSearcher | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._search = SearcherSearch(
            searcher, asynchronous, tenant=tenant, principals=principals, mode=mode, k=k, filters=filters
        )

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._search.search(query_bundle.query_str))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await self._search.asearch(query_bundle.query_str))


class ServiceRetriever(BaseRetriever):
    """The same from the HTTP service: whom it searches for follows from the login of its client."""

    def __init__(self, service: ServiceSearch, **options: Any) -> None:
        super().__init__(**options)
        self._service = service

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._service.search(query_bundle.query_str))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await self._service.asearch(query_bundle.query_str))


def _nodes(hits: Sequence[AnyHit]) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(hit), score=hit.scores.fused) for hit in hits]


def _node(hit: AnyHit) -> TextNode:
    details = passage_details(hit)
    hidden = [name for name in details if name not in FOR_MODELS]
    return TextNode(
        id_=passage_id(hit),
        text=passage_text(hit),
        metadata=details,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=list(details),
    )
