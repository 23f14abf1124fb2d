"""Permission-aware dense, lexical and hybrid search over the live version of an index.

What belongs here: pinning a version, embedding the question with that version's model, one SQL
statement, retries when the version changed. What does not: ranking (it is in the statement, see
`sql/queries/search.sql`), presenting hits.

A search reads exactly one version. The searcher remembers the live version and its tables; the
statement that reads them also says, in the same snapshot, which version is live. If that is another
one, the search is asked again in a transaction that looks for the live version and reads it in one
snapshot: a promotion costs a round trip once, and no number of promotions loses a query.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import psycopg

from rag_pipelines.config.settings import IndexSettings, Settings
from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.index.versions import Version, live_version, version_by_id
from rag_pipelines.model import EVERYONE
from rag_pipelines.parsing.canonical import clean
from rag_pipelines.query.filter_predicate import Predicate, predicate, sources_named
from rag_pipelines.query.filters import Filter
from rag_pipelines.query.hits import Filters, Mode, Result
from rag_pipelines.query.statement import VersionSearch, hit_of
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.store.reader import prove_reader, reading_as
from rag_pipelines.sync.targets import Embedders

ATTEMPTS = 5
"""A second attempt fails only where a version was collected between two statements of one transaction."""

MAX_K = 1000
MAX_QUESTION = 10_000
"""Characters; a longer question is not a question."""


class Searcher:
    """Searches one index. Safe to use from several threads; make one and keep it.

    Args:
        database: read only; its connections get the index's search settings.
        settings: the configuration, for the index's fusion and the models it may need.
        index: the index's name.
        embedders: shared models; by default the searcher makes its own.
        version: read this version, whatever its state, instead of the live one; for judging candidates.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        index: str,
        embedders: Embedders | None = None,
        *,
        version: int | None = None,
    ) -> None:
        self._settings = settings
        self._index_settings: IndexSettings = settings.index(index)
        self._index = index
        self._fixed = version
        ef_search = self._index_settings.vector.ef_search
        reader = settings.database.reader_url
        self._as_reader = reader is not None
        if reader is not None:
            database = Database(reader.get_secret_value(), pool_size=settings.database.pool_size)
        self._database = database.tuned(
            {
                "hnsw.iterative_scan": "relaxed_order",
                "hnsw.ef_search": str(ef_search),
                "plan_cache_mode": "force_generic_plan",
            }
        )
        self._embedders = embedders or Embedders(settings.data_dir)
        self._owns_embedders = embedders is None
        self._pinned: _Pinned | None = None
        self._lock = threading.Lock()

    def search(
        self,
        text: str,
        *,
        tenant: str,
        principals: Sequence[str] = (),
        mode: Mode = "hybrid",
        k: int = 10,
        filters: Filter | Filters = Filters(),
    ) -> Result:
        """The `k` best passages for `text` that this caller may see.

        Args:
            tenant: whose documents; there is no search across tenants.
            principals: the caller's user and groups (``user:ann``, ``group:hr``); `EVERYONE` is added, and so
                are the groups that the tenant's sources list them in.
            mode: which scores count.
            filters: what documents have to be; several at once, or a composed one (`filters.Filter`).

        Raises:
            UsageError: the index has no live version, an argument is out of range, or the login for searches
                escapes row-level security.
            TransientError: Postgres cannot be reached, or versions vanish as fast as they are found.
        """
        self._check(text, tenant, mode, k)
        question = _Question(clean(text), mode)
        narrowing = self._narrowing(filters)
        params: dict[str, Any] = {
            "index_name": self._index,
            "fixed": self._fixed is not None,
            "text": question.text,
            "dense": mode != "lexical",
            "lexical": mode != "dense",
            "tenant": tenant,
            "principals": sorted({EVERYONE, *principals}),
            "k": k,
            **self._fusion(k),
            **narrowing.params,
        }
        for attempt in range(ATTEMPTS):
            began = time.perf_counter()
            if attempt == 0:
                pinned = self._pin()
                question.vector(pinned.embedder)
                with self._database.connection() as connection, self._reading(connection, params):
                    rows = self._rows(connection, pinned, question, narrowing, params)
            else:
                with self._database.connection() as connection, _one_snapshot(connection):
                    pinned = self._pin_live(connection)
                    with self._reading(connection, params):
                        rows = self._rows(connection, pinned, question, narrowing, params)
            if rows is None:
                self._forget(pinned)
                continue
            spent = (time.perf_counter() - began) * 1000 - question.embed_ms
            hits = tuple(hit_of(row) for row in rows if row["score"] is not None)
            version = pinned.version.version_id
            return Result(self._index, version, mode, hits, question.embed_ms, round(spent, 3))
        raise TransientError(f"index {self._index!r} changed its version {ATTEMPTS} times during one search")

    def close(self) -> None:
        """Give connections and, if they are its own, models back."""
        self._database.close()
        if self._owns_embedders:
            self._embedders.close()

    def _check(self, text: str, tenant: str, mode: str, k: int) -> None:
        if not text.strip():
            raise UsageError("the question is empty; give some words to look for")
        if len(text) > MAX_QUESTION:
            raise UsageError(f"the question has {len(text):,} characters; at most {MAX_QUESTION:,} are read")
        if not 1 <= k <= MAX_K:
            raise UsageError(f"k is {k}; it must be between 1 and {MAX_K}")
        if mode not in ("dense", "lexical", "hybrid"):
            raise UsageError(f"mode is {mode!r}; valid: dense, lexical, hybrid")
        if not tenant:
            raise UsageError("a search needs a tenant; there is no search across tenants")

    def _reading(self, connection: Pg, params: dict[str, Any]) -> AbstractContextManager[None]:
        """Row-level security set to the caller, where the login is subject to it."""
        if not self._as_reader:
            return nullcontext()
        return reading_as(connection, params["tenant"], params["principals"])

    def _rows(
        self,
        connection: Pg,
        pinned: _Pinned,
        question: _Question,
        narrowing: Predicate,
        params: dict[str, Any],
    ) -> list[Row] | None:
        """The statement's rows, or None when another version is live."""
        params = {**params, "vector": question.vector(pinned.embedder)}
        try:
            return pinned.search.rows(connection, params, narrowing)
        except psycopg.errors.UndefinedTable:
            return None

    def _pin(self) -> _Pinned:
        """The version that was live when we last looked."""
        pinned = self._pinned
        if pinned is not None:
            return pinned
        with self._database.connection() as connection:
            return self._pin_live(connection)

    def _pin_live(self, connection: Pg) -> _Pinned:
        """The version that is live in the snapshot of `connection`, kept for the next search."""
        if self._as_reader:
            prove_reader(connection)
        version = self._fixed_version(connection) if self._fixed else live_version(connection, self._index)
        if version is None:
            raise UsageError(
                f"index {self._index!r} has no live version; run `rag-pipelines index build "
                f"{self._index}` and `rag-pipelines index promote {self._index}`"
            )
        with self._lock:
            if self._pinned is None or self._pinned.version.version_id != version.version_id:
                self._pinned = _Pinned(version, self._embedder_of(version), VersionSearch(version))
            return self._pinned

    def _fixed_version(self, connection: Pg) -> Version:
        assert self._fixed is not None
        version = version_by_id(connection, self._fixed)
        if version.index_name != self._index or version.state in ("building", "dropped", "failed"):
            raise UsageError(
                f"version {self._fixed} cannot be read as index {self._index!r}: it is a {version.state} "
                f"version of {version.index_name!r}; see `rag-pipelines index versions {self._index}`"
            )
        return version

    def _forget(self, pinned: _Pinned) -> None:
        with self._lock:
            if self._pinned is pinned:
                self._pinned = None

    def _embedder_of(self, version: Version) -> Embedder:
        """The model that the version was built with, which need not be the configured one any more."""
        wanted = version.params["model"]
        configured = self._settings.profiles.embedding.values()
        profiles = [self._settings.embedding_profile(self._index), *configured, *_recorded_profile(wanted)]
        for profile in profiles:
            embedder = self._embedders.of(profile)
            if _same_model(embedder, wanted):
                return embedder
        raise UsageError(
            f"version {version.version_id} of index {self._index!r} was built with {wanted['model']} "
            f"({wanted['runtime']}, {wanted['precision']}), and no embedding profile of the configuration "
            "gives that model here; add one, or build the index anew"
        )

    def _fusion(self, k: int) -> dict[str, Any]:
        fusion = self._index_settings.fusion
        return {
            "candidates": max(fusion.candidates, k),
            "dense_weight": fusion.dense_weight,
            "rrf_k": fusion.rrf_k if fusion.method == "rrf" else None,
        }

    def _narrowing(self, filters: Filter | Filters) -> Predicate:
        valid = self._settings.sources_of(self._index)
        for name in sorted(sources_named(filters)):
            if name not in valid:
                raise UsageError(f"index {self._index!r} has no source {name!r}; valid: {', '.join(valid)}")
        return predicate(filters)


class _Question:
    """What is asked, with its vector by each model that was needed."""

    def __init__(self, text: str, mode: Mode) -> None:
        self.text = text
        self.embed_ms = 0.0
        self._dense = mode != "lexical"
        self._vectors: dict[int, str] = {}

    def vector(self, embedder: Embedder) -> str | None:
        """The question's vector as SQL reads it; None if the mode needs none."""
        if not self._dense:
            return None
        known = self._vectors.get(id(embedder))
        if known is None:
            began = time.perf_counter()
            known = self._vectors[id(embedder)] = _literal(embedder.embed_query(self.text))
            self.embed_ms += round((time.perf_counter() - began) * 1000, 3)
        return known


class _Pinned(NamedTuple):
    """A version with its model and its statements."""

    version: Version
    embedder: Embedder
    search: VersionSearch


@contextmanager
def _one_snapshot(connection: Pg) -> Iterator[None]:
    """A transaction in which finding the live version and reading it see the same moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def tenants_of(connection: Pg, settings: Settings, index: str) -> list[str]:
    """The tenants that an index has documents of."""
    params = {"sources": list(settings.sources_of(index))}
    return [row["tenant"] for row in query(connection, "tenants", params)]


def _same_model(embedder: Embedder, wanted: dict[str, Any]) -> bool:
    import msgspec

    return bool(msgspec.to_builtins(embedder.identity) == wanted)


def _recorded_profile(model: dict[str, Any]) -> list[EmbeddingProfile]:
    """A profile made from a version's own record, for local models that the configuration dropped."""
    if model["provider"] == "openai":
        return []
    return [EmbeddingProfile.model_validate({"provider": model["provider"], "model": model["model"]})]


def _literal(vector: Any) -> str:
    return "[" + ",".join(format(value, ".7g") for value in vector.tolist()) + "]"
