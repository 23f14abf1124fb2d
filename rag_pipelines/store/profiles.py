"""Profiles of stages as rows: chunkers and models under their fingerprints.

What belongs here: the rows, and what one index asks of chunks and vectors. What does not: what a source
needs in all (`sync.targets`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.fingerprints import chunker_fingerprint
from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.store.database import Pg, query
from rag_pipelines.stored import Form

STAGE_PROFILE = Form("stage profile", dict[str, Any])
"""Parameters of a stage for people to read; the fingerprint beside them is what counts."""


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
    indexes: tuple[str, ...] = ()
    """The indexes that read them."""


def index_profiles(
    connection: Pg, options: ChunkOptions, embedder: Embedder
) -> tuple[ChunkTarget, ModelTarget]:
    """The profile rows of one pair of chunker and model."""
    spec = ChunkerSpec(options, embedder.tokenizer_spec)
    identity = embedder.identity.of_passages
    parts = (identity.fingerprint,) if spec.needs_embedder else ()
    chunker = chunker_fingerprint(options, spec.tokenizer.fingerprint, *parts)
    params = {"options": msgspec.to_builtins(options), "tokenizer": msgspec.to_builtins(spec.tokenizer)}
    chunker_id = profile_ids(connection, "chunker", {chunker: params})[chunker]
    model = identity.fingerprint
    model_id = profile_ids(connection, "model", {model: msgspec.to_builtins(identity)})[model]
    return ChunkTarget(chunker_id, spec, embedder), ModelTarget(model_id, chunker_id, embedder)


def profile_ids(connection: Pg, kind: str, params: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Row ids by fingerprint; new fingerprints are stored with their parameters."""
    rows = query(connection, "find_profiles", {"kind": kind, "fingerprints": list(params)})
    found = {row["fingerprint"]: row["profile_id"] for row in rows}
    for print_, value in params.items():
        if print_ not in found:
            row = query(
                connection,
                "ensure_profile",
                {"kind": kind, "fingerprint": print_, "params": Jsonb(STAGE_PROFILE.encode(dict(value)))},
            ).fetchone()
            assert row is not None
            found[print_] = row["profile_id"]
    return found
