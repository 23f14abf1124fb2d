"""The rows of index versions, and what a version is made of.

What belongs here: reading versions and their gates, the fingerprint of an index, the lease of a build.
What does not: tables of vectors (`storage`), decisions (`build`, `gates`, `promotion`).

States: building → built → validated → live → retired → dropped, or failed; and building → spare → dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import msgspec

from rag_pipelines import logs
from rag_pipelines.config.settings import IndexSettings, Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import LeaseLostError, UsageError
from rag_pipelines.fingerprint import fingerprint, lasting
from rag_pipelines.index.spec import (
    BUILD_FIGURES,
    STORAGE_SPEC,
    BuildFigures,
    IndexKind,
    LexicalSpec,
    StorageSpec,
    TableSpec,
    VectorSpec,
    describe_model,
)
from rag_pipelines.index.words import FIRST_CODE, words_code
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.store.lease import advisory_lock, lease_owner, shared_catalogue
from rag_pipelines.store.profiles import index_profiles
from rag_pipelines.sync.deletions import list_orphaned_sources

log = logs.get(__name__)

STORAGE_VERSION = 2
"""Counts up when the layout of a version's tables changes."""

_LEXICAL = frozenset({"language", "languages", "k1", "b"})
"""Settings that every fingerprint holds; later ones are in it where they are not at their default."""

MAX_DIMENSIONS = {"halfvec": 4000, "vector": 2000}
"""pgvector's limits for an HNSW index; rows of these sizes also fit a page without TOAST."""


@dataclass(frozen=True)
class Version:
    """One physical build of an index. `params` and `statistics` are as stored; read `spec` and `figures`."""

    version_id: int
    index_name: str
    state: str
    kind: str
    fingerprint: str
    storage: int
    chunker_id: int
    model_id: int
    params: Mapping[str, Any]
    required_gates: tuple[str, ...]
    watermark: str
    lease_token: UUID
    row_count: int | None
    document_count: int | None
    statistics: Mapping[str, Any]
    as_of: datetime | None
    created_at: datetime
    built_at: datetime | None
    promoted_at: datetime | None
    retired_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, row: Row) -> Version:
        """The version of a row of `rag.index_version`."""
        values = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**{**values, "required_gates": tuple(row["required_gates"])})

    @cached_property
    def spec(self) -> StorageSpec:
        """What it was built from. Raises `StoredFormError` where a newer release built it."""
        return STORAGE_SPEC.decode(self.params)

    @cached_property
    def figures(self) -> BuildFigures:
        """What its build found."""
        return BUILD_FIGURES.decode(self.statistics)

    @property
    def sources(self) -> list[str]:
        """Names of the sources that were built in."""
        return list(self.spec.sources)


@dataclass(frozen=True)
class IndexPlan:
    """What an index is built from, resolved from the settings."""

    name: str
    settings: IndexSettings
    chunker_id: int
    model_id: int
    spec: StorageSpec

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that are built in."""
        return self.spec.sources

    @property
    def fingerprint(self) -> str:
        """Equal for builds that may catch up from one another, also by releases with more settings."""
        vector = self.spec.index.vector
        code = words_code()
        return fingerprint(
            [
                STORAGE_VERSION,
                sorted(self.sources),
                self.chunker_id,
                self.model_id,
                [vector.type, vector.m, vector.ef_construction, *self._layout],
                lasting(self.spec.index.lexical, _LEXICAL),
                *([] if code == FIRST_CODE else [code]),
            ]
        )

    @property
    def _layout(self) -> list[str]:
        """How the tables are laid out beyond what every fingerprint holds, where that is not the default."""
        index, tables = self.settings.vector.index, self.spec.index
        return [
            *([] if index == "hnsw" else [index]),
            *([] if tables.parts == 1 else [f"{tables.parts} parts"]),
            *(f"tenant {name}" for name in tables.tenants),
        ]

    def indexed_as(self, kind: IndexKind) -> IndexPlan:
        """The same with the kind of vector index that was chosen for it."""
        index = self.spec.index
        vector = msgspec.structs.replace(index.vector, index=kind)
        tables = msgspec.structs.replace(index, vector=vector)
        return replace(self, spec=msgspec.structs.replace(self.spec, index=tables))


def plan_index(connection: Pg, settings: Settings, name: str, embedders: Embedders) -> IndexPlan:
    """Resolve the index `name`. Raises `UsageError` where the model's vectors do not fit the vector type."""
    index = settings.index(name)
    profile = settings.embedding_profile(name)
    embedder = embedders.of(profile)
    chunker, model = index_profiles(connection, settings.chunk_options(name), embedder)
    identity = embedder.identity
    limit = MAX_DIMENSIONS[index.vector.type]
    if identity.dimensions > limit:
        raise UsageError(
            f"index {name!r}: {identity.model} gives {identity.dimensions} dimensions; {index.vector.type} "
            f"can index at most {limit}" + ("; use type halfvec" if index.vector.type == "vector" else "")
        )
    sources = (*settings.sources_of(name), *_list_orphaned_sources(connection, settings, index))
    vector, lexical = index.vector, index.lexical
    spec = StorageSpec(
        sources=sources,
        dimensions=identity.dimensions,
        index=TableSpec(
            VectorSpec(
                vector.type,
                vector.m,
                vector.ef_construction,
                "hnsw" if vector.index == "auto" else vector.index,
            ),
            LexicalSpec(lexical.language, dict(lexical.languages), lexical.k1, lexical.b),
            sources,
            index.parts.hash,
            index.parts.tenants,
        ),
        chunker={
            "options": msgspec.to_builtins(chunker.spec.options),
            "tokenizer": chunker.spec.tokenizer.fingerprint,
        },
        **describe_model(identity, profile),
    )
    return IndexPlan(name, index, chunker.profile_id, model.profile_id, spec)


def _list_orphaned_sources(connection: Pg, settings: Settings, index: IndexSettings) -> list[str]:
    """An index over all sources keeps what left the configuration until somebody decides on its deletion."""
    return list_orphaned_sources(connection, settings) if "*" in index.sources else []


def build_lock(name: str) -> str:
    """The key of the lock that a living build or collection of the index `name` holds."""
    return f"rag.index:{name}"


@contextmanager
def index_lock(database: Database, name: str) -> Iterator[Pg]:
    """Hold the right to build or collect the index `name`, on a connection of its own."""
    with database.connect() as connection:
        busy = f"index {name!r} is being built or collected by another process; wait for it to end"
        with advisory_lock(connection, build_lock(name), busy=busy), shared_catalogue(connection):
            yield connection


def begin_version(connection: Pg, params: Mapping[str, Any]) -> Version:
    """The row of a version that we build; from here on its tables are this build's, and removals leave them
    to it. `params` are those of the query but the lease."""
    lease = {"lease_token": uuid4(), "lease_owner": lease_owner()}
    with connection.transaction():
        query(connection, "take_storages")
        row = query(connection, "begin_version", {**params, **lease}).fetchone()
    assert row is not None
    return Version.of(row)


def hold_lease(connection: Pg, version: Version) -> None:
    """Inside a transaction: make sure that the build is still ours and stays so until commit."""
    params = {"version_id": version.version_id, "lease_token": version.lease_token}
    if query(connection, "hold_version_lease", params).fetchone() is None:
        log.warning("lease lost", version=version.version_id)
        raise LeaseLostError(f"version {version.version_id} was taken over by another build; this one stops")


def version_by_id(connection: Pg, version_id: int) -> Version:
    """One version. Raises `UsageError` if there is none."""
    row = query(connection, "version_by_id", {"version_id": version_id}).fetchone()
    if row is None:
        raise UsageError(f"there is no index version {version_id}; see `rag-pipelines index versions`")
    return Version.of(row)


def live_version(connection: Pg, name: str) -> Version | None:
    """The version that readers of an index see."""
    row = query(connection, "live_version", {"index_name": name}).fetchone()
    return Version.of(row) if row else None


def candidate_version(connection: Pg, name: str) -> Version | None:
    """The newest version that was built and never promoted."""
    row = query(connection, "candidate_version", {"index_name": name}).fetchone()
    return Version.of(row) if row else None


def versions(connection: Pg, name: str | None = None, limit: int = 100) -> list[Version]:
    """Versions of one index or of all, newest first."""
    return [Version.of(row) for row in query(connection, "versions", {"index_name": name, "limit": limit})]
