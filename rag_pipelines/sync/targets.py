"""What a source's documents must become: the parser, chunkers and models that its indexes ask for.

What belongs here: resolving settings into profile rows, without loading a model. What does not: using them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.chunking.base import ChunkOptions, chunker_fingerprint
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.factory import make_embedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.parsing import registry
from rag_pipelines.parsing.base import ParseOptions
from rag_pipelines.parsing.prepare import ChunkerSpec
from rag_pipelines.store.database import Pg, query

FAILED_TYPE = "failed"
"""The media type under which a failed parse is remembered: its own type may not even be known."""


class Embedders:
    """The models of a configuration, each made once and closed together. Making one loads nothing."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._made: dict[EmbeddingProfile, Embedder] = {}

    def of(self, profile: EmbeddingProfile) -> Embedder:
        """The embedder of a profile."""
        if profile not in self._made:
            self._made[profile] = make_embedder(profile, self._data_dir)
        return self._made[profile]

    def close(self) -> None:
        """Release models and connections."""
        for embedder in self._made.values():
            embedder.close()
        self._made.clear()


@dataclass(frozen=True)
class ChunkTarget:
    """One chunking profile with one tokenizer."""

    profile_id: int
    spec: ChunkerSpec
    embedder: Embedder

    @property
    def titled(self) -> bool:
        """Whether the title is part of what is embedded."""
        return "title" in self.spec.options.context


@dataclass(frozen=True)
class ModelTarget:
    """The vectors one model owes to the chunks of one chunker."""

    profile_id: int
    chunker_id: int
    embedder: Embedder
    price_per_million_tokens: float = 0.0


@dataclass(frozen=True)
class Targets:
    """Everything the documents of one source must become. `parsers` maps media type to profile row."""

    parse_options: ParseOptions
    parsers: Mapping[str, int]
    code_version: str
    chunkers: tuple[ChunkTarget, ...] = ()
    models: tuple[ModelTarget, ...] = ()

    def lacking(self, chunkers: Sequence[ChunkTarget]) -> dict[str, Any]:
        """What the query `pending_documents` asks of documents: these parsers, and chunks by `chunkers`."""
        return {
            "media_types": list(self.parsers),
            "parsers": list(self.parsers.values()),
            "code_version": self.code_version,
            "chunkers": [target.profile_id for target in chunkers],
            "titled": [target.titled for target in chunkers],
        }


def index_profiles(
    connection: Pg, options: ChunkOptions, embedder: Embedder
) -> tuple[ChunkTarget, ModelTarget]:
    """The profile rows of one pair of chunker and model."""
    spec = ChunkerSpec(options, embedder.tokenizer_spec)
    identity = embedder.identity
    parts = (identity.fingerprint,) if spec.needs_embedder else ()
    chunker = chunker_fingerprint(options, spec.tokenizer.fingerprint, *parts)
    params = {"options": msgspec.to_builtins(options), "tokenizer": msgspec.to_builtins(spec.tokenizer)}
    chunker_id = profile_ids(connection, "chunker", {chunker: params})[chunker]
    model = identity.fingerprint
    model_id = profile_ids(connection, "model", {model: msgspec.to_builtins(identity)})[model]
    return ChunkTarget(chunker_id, spec, embedder), ModelTarget(model_id, chunker_id, embedder)


def source_targets(connection: Pg, settings: Settings, source: str, embedders: Embedders) -> Targets:
    """What the documents of `source` must become, by the indexes that it feeds."""
    options = settings.parse_options(source)
    by_type = registry.fingerprints(options)
    code_version = fingerprint(sorted(by_type.items()))
    by_type[FAILED_TYPE] = code_version
    params = {print_: {"media_type": media_type} for media_type, print_ in by_type.items()}
    parser_ids = profile_ids(connection, "parser", params)
    chunkers: dict[int, ChunkTarget] = {}
    models: dict[tuple[int, int], ModelTarget] = {}
    for name in settings.indexes_of(source):
        embedder = embedders.of(settings.embedding_profile(name))
        chunker, model = index_profiles(connection, settings.chunk_options(name), embedder)
        chunkers.setdefault(chunker.profile_id, chunker)
        price = settings.embedding_profile(name).price_per_million_tokens
        key = (model.profile_id, model.chunker_id)
        models.setdefault(key, replace(model, price_per_million_tokens=price))
    return Targets(
        options,
        {media_type: parser_ids[print_] for media_type, print_ in by_type.items()},
        code_version,
        tuple(chunkers.values()),
        tuple(models.values()),
    )


def profile_ids(connection: Pg, kind: str, params: Mapping[str, object]) -> dict[str, int]:
    """Row ids by fingerprint; new fingerprints are stored with their parameters."""
    rows = query(connection, "find_profiles", {"kind": kind, "fingerprints": list(params)})
    found = {row["fingerprint"]: row["profile_id"] for row in rows}
    for print_, value in params.items():
        if print_ not in found:
            row = query(
                connection,
                "ensure_profile",
                {"kind": kind, "fingerprint": print_, "params": Jsonb(value)},
            ).fetchone()
            assert row is not None
            found[print_] = row["profile_id"]
    return found
