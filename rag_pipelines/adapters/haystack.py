"""Haystack: retrievers. Needs the extra `haystack`.

What belongs here: hits as Haystack's documents. What does not: searching.
"""

from __future__ import annotations

from collections.abc import Sequence

try:
    from haystack import Document, component
except ImportError as error:
    raise ImportError(f"{error}; install it with: pip install 'rag-pipelines[haystack]'") from error

from rag_pipelines.adapters.passage import (
    AnyHit,
    SearcherSearch,
    ServiceSearch,
    passage_details,
    passage_id,
    passage_text,
)
from rag_pipelines.query.filters import Filter
from rag_pipelines.query.hits import Filters, Mode
from rag_pipelines.query.search import Searcher


@component
class SearchRetriever:
    """The passages that one caller may see, best first; make one for each caller.

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
    ) -> None:
        self._search = SearcherSearch(
            searcher, tenant=tenant, principals=principals, mode=mode, k=k, filters=filters
        )

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, list[Document]]:
        """The documents for a question."""
        return {"documents": _documents(self._search.search(query))}


@component
class ServiceRetriever:
    """The same from the HTTP service: whom it searches for follows from the login of its client."""

    def __init__(self, service: ServiceSearch) -> None:
        self._service = service

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, list[Document]]:
        """The documents for a question."""
        return {"documents": _documents(self._service.search(query))}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str) -> dict[str, list[Document]]:
        """The same for an event loop."""
        return {"documents": _documents(await self._service.asearch(query))}


def _documents(hits: Sequence[AnyHit]) -> list[Document]:
    return [
        Document(
            id=passage_id(hit), content=passage_text(hit), meta=passage_details(hit), score=hit.scores.fused
        )
        for hit in hits
    ]
