"""What the service serves: the searchers of all indexes, seen by one tenant at a time, and their readiness.

What belongs here: which indexes and sources a tenant may know of, and one searcher for each. What does not:
HTTP, logins, and searching itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import RagError, UsageError
from rag_pipelines.index.versions import Version, live_version
from rag_pipelines.monitoring.catalogue import CatalogueMetrics
from rag_pipelines.query.context import PackedContext
from rag_pipelines.query.feedback import Feedback, Reason, Verdict
from rag_pipelines.query.filter_predicate import predicate
from rag_pipelines.query.filters import Filter
from rag_pipelines.query.hits import Filters, Mode, Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.query.view import DocumentText, Facets
from rag_pipelines.serving.admin import Admin
from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.serving.canary import Canaries
from rag_pipelines.serving.served import Served
from rag_pipelines.serving.sessions import Sessions
from rag_pipelines.store.database import Database
from rag_pipelines.store.hints import put_hints
from rag_pipelines.store.reader import prove_reader

READINESS_KEPT = 2.0
"""Seconds for which an answer about readiness is given again, so that asking costs nothing."""

OWN_CONNECTIONS = 2
"""Connections for what the service itself reads and writes, so that searches do not wait for it."""

OWN_STATEMENT = "2000"
"""Milliseconds after which the database gives up a statement of the service itself."""

CATALOGUE_KEPT = 60.0
"""Seconds for which figures of sources and indexes are given again: computing them counts documents."""

CATALOGUE_STATEMENT = "5000"
"""Milliseconds after which a scrape goes without them; Prometheus itself waits ten seconds."""

CANDIDATE_SHARE = 3
"""A candidate may take one part in so many of a search's time, so that the live version can still answer."""

log = logging.getLogger(__name__)


class Answered(msgspec.Struct, frozen=True):
    """A search with its answer. `receipt` is what the caller shows to vote on it."""

    result: Result
    receipt: str
    context: PackedContext | None


class Backend:
    """Everything behind the HTTP service. Safe to use from several threads.

    Args:
        time_limit: after it the database gives a search up, so that no thread outlives its request for long.
    """

    def __init__(
        self, settings: Settings, database: Database, embedders: Embedders, *, time_limit: timedelta
    ) -> None:
        self._settings = settings
        milliseconds = max(int(time_limit.total_seconds() * 1000), CANDIDATE_SHARE)
        self._database = database.with_server_settings({"statement_timeout": str(milliseconds)})
        url = settings.database.reader_url
        self._reader = database.at(url.get_secret_value(), "database.reader_url") if url else None
        self._searchers = {
            name: Searcher(self._database, settings, name, embedders) for name in settings.indexes
        }
        self._own = database.with_server_settings(
            {"statement_timeout": OWN_STATEMENT}, pool_size=OWN_CONNECTIONS
        )
        impatient = database.with_server_settings({"statement_timeout": str(milliseconds // CANDIDATE_SHARE)})
        self._canaries = Canaries(
            self._own,
            self._searchers,
            lambda index, version: Searcher(
                impatient, settings, index, embedders, version=version, purpose="canary"
            ),
        )
        self._feedback = Feedback(self._own)
        self._served = Served(
            self._own, {name: embedders.of(settings.embedding_profile(name)) for name in settings.indexes}
        )
        self._counting = database.with_server_settings(
            {"statement_timeout": CATALOGUE_STATEMENT}, pool_size=1
        )
        self.catalogue_metrics = CatalogueMetrics(self._counting, settings, CATALOGUE_KEPT)
        self.admin = Admin(settings, self._database)
        self._checks: Mapping[str, str] = {}
        self._checked = float("-inf")
        self._lock = threading.Lock()

    def indexes(self, tenant: str) -> list[str]:
        """The indexes that a tenant has a source in; of any other it is not told."""
        return [name for name in self._settings.indexes if self.sources(name, tenant)]

    def sources(self, index: str, tenant: str) -> list[str]:
        """The sources of a tenant that feed an index."""
        sources = self._settings.sources_of(index).items()
        return [name for name, source in sources if source.tenant == tenant]

    def live(self, indexes: Sequence[str]) -> dict[str, Version | None]:
        """The live version of each. Raises `RagError` where the database cannot say."""
        with self._database.connection() as connection:
            return {name: live_version(connection, name) for name in indexes}

    def search(
        self,
        index: str,
        question: str,
        caller: RequestCaller,
        *,
        mode: Mode,
        k: int,
        filters: Filter | Filters,
        context_tokens: int | None = None,
    ) -> Answered:
        """As `Searcher.search`, for a caller; with `context_tokens` also what a model is given to read."""
        try:
            result = self._canaries.search(
                index,
                question,
                tenant=caller.tenant,
                caller=caller.name,
                principals=caller.principals,
                mode=mode,
                k=k,
                filters=filters,
            )
        except UsageError:
            raise
        except Exception:
            self._served.record(index, None)
            raise
        self._served.record(index, result)
        receipt = self._feedback.receipt(result, caller.tenant, caller.name)
        packed = self._searchers[index].pack(result, context_tokens) if context_tokens else None
        return Answered(result, receipt, packed)

    def document(
        self, index: str, caller: RequestCaller, document_id: int, chunk_id: str | None, first: int | None
    ) -> DocumentText | None:
        """As `View.document`, for a caller, in the live version of an index."""
        with self._searchers[index].view(caller.tenant, caller.principals) as view:
            return view.document(document_id, chunk_id, first)

    def facets(self, index: str, caller: RequestCaller, filters: Filter | Filters) -> Facets:
        """As `View.facets`, for a caller, in the live version of an index."""
        with self._searchers[index].view(caller.tenant, caller.principals) as view:
            return view.facets(predicate(filters))

    def vote(
        self, receipt: str, caller: RequestCaller, verdict: Verdict, reason: Reason | None
    ) -> tuple[str, int]:
        """As `Feedback.vote`, for a caller."""
        return self._feedback.vote(receipt, caller.tenant, caller.name, verdict, reason)

    def sessions(self, lasts: timedelta) -> Sessions:
        """The sessions of people who signed in."""
        return Sessions(self._own, lasts)

    def keep_hints(self, source: str, keys: Sequence[str | None]) -> None:
        """Write that each of `keys` changed in `source`. Raises `RagError` where the database cannot."""
        with self._own.transaction() as connection:
            put_hints(connection, [source], keys)

    def prove(self) -> None:
        """Make sure that the login for searches may not read more than its callers. Raises `RagError`."""
        if self._reader is not None:
            with self._reader.connection() as connection:
                prove_reader(connection)

    def readiness(self) -> Mapping[str, str]:
        """Each check with ``ok`` or ``failed``: `database` answers, an index has a live version, `reader`."""
        with self._lock:
            if time.monotonic() - self._checked >= READINESS_KEPT:
                self._checks = self._check()
                self._checked = time.monotonic()
            return self._checks

    def warm_up(self) -> None:
        """Load every model and plan every search once, so that no caller waits for it; follow canaries."""
        for name, searcher in self._searchers.items():
            try:
                searcher.search("warm up", tenant="-", k=1)
                for tenant in {source.tenant for source in self._settings.sources_of(name).values()}:
                    searcher.prepare(tenant)
            except RagError as error:
                log.warning("index %s cannot be searched yet: %s", name, error)
        self._canaries.start()
        self._served.start()

    def close(self) -> None:
        """Give connections back."""
        self._served.close()
        self._canaries.close()
        for searcher in self._searchers.values():
            searcher.close()
        if self._reader is not None:
            self._reader.close()
        self._own.close()
        self._counting.close()
        self._database.close()

    def _check(self) -> dict[str, str]:
        checks = dict.fromkeys(("database", "live_version", "reader"), "failed")
        try:
            live = self.live(list(self._settings.indexes))
            checks["database"] = "ok"
            if any(live.values()):
                checks["live_version"] = "ok"
            self.prove()
            checks["reader"] = "ok"
        except RagError as error:
            log.warning("not ready: %s", error)
        return checks
