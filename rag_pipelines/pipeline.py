"""The front door for Python: a configuration that is open, with its sources, its indexes and searchers.

What belongs here: what a program holds, and that it ends together. What does not: any step of the work: each
method is a call into the core.

    with rag_pipelines.open("rag.yaml") as rag:
        rag.sources["docs"].ingest()
        rag.indexes["main"].refresh()
        result = rag.indexes["main"].search("what is our travel policy?", tenant="default")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar
from weakref import WeakSet

from rag_pipelines.config import IndexSettings, Settings, SourceSettings, load_config
from rag_pipelines.config.settings import named
from rag_pipelines.errors import UsageError
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.gates.refresh import refresh_index
from rag_pipelines.index.build import build_index
from rag_pipelines.index.freshness import IndexFreshness, index_freshness
from rag_pipelines.index.gate_results import Gate
from rag_pipelines.index.promotion import Override, find_candidate, promote, rollback
from rag_pipelines.index.versions import Version, live_version, versions
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.query.context import Order, PackedContext
from rag_pipelines.query.filters import Filter
from rag_pipelines.query.hits import Filters, Mode, Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.retention.abandoned import mark_abandoned
from rag_pipelines.runtime import Runtime, open_runtime
from rag_pipelines.sync.engine import ingest
from rag_pipelines.sync.freshness import SourceFreshness, source_freshness
from rag_pipelines.sync.plan import SyncPlan, apply_plan, plan_source
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.scope import Scope
from rag_pipelines.verification.drift import Certificate
from rag_pipelines.verification.verify import verify_source

T = TypeVar("T")


def open(config: Path | str | Settings | None = None) -> Pipeline:
    """Open what `config` describes: its database, started where it is the embedded one and with its schema up
    to date, and its models, each of which is loaded when it has something to embed.

    Args:
        config: a file, or what was read from one; by default that of `config_path`.

    Raises:
        ConfigError: the configuration is not valid; every problem is listed.
        UsageError: there is neither a database URL nor the embedded server.
        TransientError, DatabaseError: the database cannot be reached, or refuses.
    """
    settings = config if isinstance(config, Settings) else load_config(config)
    return Pipeline(open_runtime(settings))


class Pipeline:
    """An open configuration, for any number of threads. Close it, or use it in a ``with`` statement.

    Args:
        runtime: what to work with; closed with the pipeline.
    """

    settings: Settings
    sources: Mapping[str, Source]
    """Every source by its name; another name is a `UsageError` with those that there are."""
    indexes: Mapping[str, Index]
    """Every index by its name, likewise."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._closed = False
        self._searchers: WeakSet[Searcher] = WeakSet()
        self.settings = runtime.settings
        self.sources = _Named("source", {name: Source(self, name) for name in self.settings.sources})
        self.indexes = _Named("index", {name: Index(self, name) for name in self.settings.indexes})

    @property
    def runtime(self) -> Runtime:
        """What those operations of the core take that have no method here. Raises `UsageError` if closed."""
        if self._closed:
            raise UsageError("this pipeline is closed; open it again with rag_pipelines.open()")
        return self._runtime

    def searcher(self, index: str, *, version: int | None = None) -> Searcher:
        """A searcher of the caller's own, which shares the models; it ends with the pipeline at the latest.

        Args:
            version: read this version, whatever its state, instead of the live one.

        Raises:
            UsageError: there is no such index.
        """
        runtime = self.runtime
        made = Searcher(runtime.database, runtime.settings, index, runtime.embedders, version=version)
        self._searchers.add(made)
        return made

    def close(self) -> None:
        """End searchers, models and connections; once it is closed this does nothing."""
        if self._closed:
            return
        self._closed = True
        for searcher in list(self._searchers):
            searcher.close()
        self._runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Source:
    """A source of an open pipeline."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        self._pipeline = pipeline
        self.name = name

    @property
    def settings(self) -> SourceSettings:
        """Its part of the configuration."""
        return self._pipeline.settings.source(self.name)

    def ingest(self, scope: Scope = Scope(), *, progress: Progress = no_progress) -> SyncReport:
        """Bring what is held of the source in line with it: list, load, parse, chunk, embed.

        Documents that fail do not raise: they are counted in the report (`SyncReport.sound`) and are in
        quarantine.

        Raises:
            UsageError: another run holds the source.
            BudgetError: the run would exceed the source's budget; nothing was changed.
            CredentialError, EmptyListingError, UnlistableError, TransientError: the run ended early; what was
                committed stands, nothing was deleted, and the next run goes on from there.
        """
        return ingest(self._pipeline.runtime, self.name, scope, progress=progress)

    def plan(self, scope: Scope = Scope(), *, progress: Progress = no_progress) -> SyncPlan:
        """What `ingest` would do, for `apply`; nothing is embedded. Raises what `ingest` does, but for
        `BudgetError`."""
        return plan_source(self._pipeline.runtime, self.name, scope, progress=progress)

    def apply(self, plan: SyncPlan, *, progress: Progress = no_progress) -> SyncReport:
        """Do exactly what a plan says, above a budget too.

        Raises:
            UsageError: it is not a plan of this source, it does not wait any more, or a run holds the source.
            DriftError: the source is not any more what the plan was made for; nothing was changed.
        """
        if plan.source != self.name or plan.plan_id is None:
            raise UsageError(
                f"received plan {plan.plan_id} of source {plan.source!r}; valid: what plan() of source "
                f"{self.name!r} gave"
            )
        return apply_plan(self._pipeline.runtime, plan.plan_id, progress=progress)

    def verify(self, *, deep: bool = False, progress: Progress = no_progress) -> list[Certificate]:
        """Compare the source afresh with what is stored, and with the live versions that it feeds.

        The first certificate is that of what is stored; all are kept.

        Args:
            deep: read every stored object, instead of only making sure that it is there.

        Raises:
            UsageError: a run holds the source.
            CredentialError, TransientError, UnlistableError: the source cannot be listed.
        """
        return verify_source(self._pipeline.runtime, self.name, deep=deep, progress=progress)

    def freshness(self) -> SourceFreshness:
        """When the source was last listed completely, and how old that may become."""
        runtime = self._pipeline.runtime
        with runtime.database.connection() as connection:
            found = source_freshness(connection, runtime.settings)
        return next(one for one in found if one.source == self.name)


class Index:
    """An index of an open pipeline."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        self._pipeline = pipeline
        self.name = name

    @property
    def settings(self) -> IndexSettings:
        """Its part of the configuration."""
        return self._pipeline.settings.index(self.name)

    def refresh(self, *, full: bool = False, progress: Progress = no_progress) -> Version | None:
        """Build what changed, judge it, and make it live; None where nothing has changed.

        Args:
            full: build in full, also where nothing has changed.

        Raises:
            UsageError: another build of the index is running, or its sources hold nothing to index.
            GateError: the version may not go live; it stays a candidate, and `reasons` says why.
        """
        return refresh_index(self._pipeline.runtime, self.name, full=full, progress=progress)

    def build(self, *, full: bool = False, progress: Progress = no_progress) -> Version:
        """Build a candidate beside the live version.

        Args:
            full: load and index everything, even where a retired version could be caught up.

        Raises:
            UsageError: another build of the index is running, or its sources hold nothing to index.
        """
        return build_index(self._pipeline.runtime, self.name, full=full, progress=progress)

    def judge(self, version: int | None = None) -> list[Gate]:
        """Run the gates of a candidate, by default the newest. Raises `UsageError` where there is none."""
        runtime = self._pipeline.runtime
        with runtime.database.connection() as connection:
            candidate = find_candidate(connection, self.name, version)
        return validate_version(runtime, self.name, candidate.version_id)

    def promote(self, version: int | None = None, *, override: Override | None = None) -> Version:
        """Make a candidate live, by default the newest.

        Args:
            override: the gates that do not count, who says so and why.

        Raises:
            UsageError: there is no such candidate, or the override is not allowed.
            GateError: a required gate is missing or failed; `reasons` says which.
        """
        return promote(self._pipeline.runtime.database, self.name, version, override=override)

    def rollback(self, version: int | None = None) -> Version:
        """Make a retired version live again, by default the last. Raises `UsageError` where there is none."""
        return rollback(self._pipeline.runtime.database, self.name, version)

    def versions(self) -> list[Version]:
        """What was built and is kept, the newest first."""
        database = self._pipeline.runtime.database
        mark_abandoned(database)
        with database.connection() as connection:
            return versions(connection, self.name)

    def live(self) -> Version | None:
        """The version that searches read; None before the first promotion."""
        with self._pipeline.runtime.database.connection() as connection:
            return live_version(connection, self.name)

    def freshness(self) -> IndexFreshness:
        """What the live version lacks of its sources, and since when."""
        runtime = self._pipeline.runtime
        with runtime.database.connection() as connection:
            return index_freshness(connection, runtime.settings, self.name)

    @cached_property
    def searcher(self) -> Searcher:
        """The searcher that this index keeps for all threads; retrievers and `AsyncSearcher` take it."""
        return self._pipeline.searcher(self.name)

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
        """The `k` best passages for `text` that this caller may see: see `Searcher.search`."""
        return self.searcher.search(
            text, tenant=tenant, principals=principals, mode=mode, k=k, filters=filters
        )

    def pack(self, result: Result, max_tokens: int, *, order: Order = "relevance") -> PackedContext:
        """What a model is given to read of a result of this index: see `Searcher.pack`."""
        return self.searcher.pack(result, max_tokens, order=order)


class _Named(dict[str, T]):
    """Parts of a configuration by name, which say what names there are when asked for another."""

    def __init__(self, what: str, parts: Mapping[str, T]) -> None:
        super().__init__(parts)
        self._what = what

    def __missing__(self, name: str) -> T:
        return named(self._what, self, name)
