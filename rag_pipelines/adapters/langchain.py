"""LangChain: a retriever. Needs the extra `langchain`.

What belongs here: hits as LangChain's documents. What does not: searching.
"""

from __future__ import annotations

from typing import Any

try:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise ImportError(f"{error}; install it with: pip install 'rag-pipelines[langchain]'") from error

from pydantic import ConfigDict, PrivateAttr

from rag_pipelines.adapters.passage import (
    AnyHit,
    SearcherSearch,
    ServiceSearch,
    passage_details,
    passage_id,
    passage_text,
)
from rag_pipelines.query.asynchronous import AsyncSearcher
from rag_pipelines.query.hits import Filters, Mode
from rag_pipelines.query.search import Searcher


class SearchRetriever(BaseRetriever):
    """The passages that one caller may see, best first.

    Make one for each caller; they may share a `searcher`, and an `AsyncSearcher` that bounds what they do at
    once.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    searcher: Searcher
    tenant: str
    principals: tuple[str, ...] = ()
    mode: Mode = "hybrid"
    k: int = 5
    filters: Any = Filters()
    """A `Filters` or a composed `Filter`."""
    asynchronous: AsyncSearcher | None = None
    """Searches for `ainvoke`; by default a thread of the event loop does."""

    _search: SearcherSearch = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        """Raises `UsageError` for a tenant that nobody knows."""
        self._search = SearcherSearch(
            self.searcher,
            self.asynchronous,
            tenant=self.tenant,
            principals=self.principals,
            mode=self.mode,
            k=self.k,
            filters=self.filters,
        )

    def _get_relevant_documents(self, query: str, *, run_manager: Any = None) -> list[Document]:
        return [_document(hit) for hit in self._search.search(query)]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any = None) -> list[Document]:
        return [_document(hit) for hit in await self._search.asearch(query)]


class ServiceRetriever(BaseRetriever):
    """The same from the HTTP service: whom it searches for follows from the login of its client."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    service: ServiceSearch

    def _get_relevant_documents(self, query: str, *, run_manager: Any = None) -> list[Document]:
        return [_document(hit) for hit in self.service.search(query)]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any = None) -> list[Document]:
        return [_document(hit) for hit in await self.service.asearch(query)]


def _document(hit: AnyHit) -> Document:
    return Document(page_content=passage_text(hit), metadata=passage_details(hit), id=passage_id(hit))
