"""What is stored with an index version: all that its tables and their vectors depend on, and nothing else.

What belongs here: these values and their forms. What does not: settings of an index that a search or a gate
takes from the configuration of its own day, and the tables themselves (`storage`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from rag_pipelines.embedding.base import ModelIdentity
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form

IndexKind = Literal["hnsw", "hnsw_binary", "exact"]
"""A graph of vectors, a graph of their signs, or none."""

_LOCAL = ("sentence-transformers", "hash")
_NOT_KEPT = {"api_key", "allow_download"}
"""Secrets and permissions are the configuration's to give, each day anew."""


class VectorSpec(msgspec.Struct, frozen=True):
    """How vectors are stored and indexed."""

    type: Literal["halfvec", "vector"]
    m: int = 16
    ef_construction: int = 64
    index: IndexKind = "hnsw"


class LexicalSpec(msgspec.Struct, frozen=True):
    """How words are read and weighted: text search configurations by ISO 639 code, and BM25's parameters."""

    language: str = "english"
    languages: dict[str, str] = {}
    k1: float = 1.2
    b: float = 0.75

    @property
    def configurations(self) -> list[str]:
        """Every text search configuration in use, `language` first."""
        return list(dict.fromkeys([self.language, *self.languages.values()]))


class TableSpec(msgspec.Struct, frozen=True):
    """How the tables are laid out: the vectors in so many `parts` by document, but for those of `tenants`,
    which have a part each. `sources` is here for releases before 0.2, which look for settings."""

    vector: VectorSpec
    lexical: LexicalSpec = LexicalSpec()
    sources: tuple[str, ...] = ()
    parts: int = 1
    tenants: tuple[str, ...] = ()

    @property
    def part_count(self) -> int:
        """How many tables the vectors lie in, each with a graph of its own."""
        return self.parts + len(self.tenants)


class CosineRange(msgspec.Struct, frozen=True):
    """How near a model puts a question: the mean cosine to `unrelated` passages, and to its `answer`."""

    unrelated: float
    answer: float

    def at(self, share: float) -> float:
        """The cosine at a share of the way from the one to the other."""
        return self.unrelated + share * (self.answer - self.unrelated)


class StorageSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a version was built from.

    `model_fingerprint` decides which model may be asked; `model` is that model's identity as it was then,
    which names it to people; `profile` makes it again where the configuration dropped it, None for a remote
    model.
    `average_length` is in words, None until the words are loaded; `average_document_length` is of all
    passages of a document together. `cosines` is how near the model puts things, None where that is not
    known.
    """

    sources: tuple[str, ...]
    dimensions: int
    index: TableSpec
    model: dict[str, Any]
    model_fingerprint: str
    profile: dict[str, Any] | None = None
    chunker: dict[str, Any] = {}
    average_length: float | None = None
    average_document_length: float | None = None
    cosines: CosineRange | None = None

    @property
    def model_name(self) -> str:
        """What people call the model."""
        return str(self.model.get("model", "a model without a name"))


class SourceGaps(msgspec.Struct, frozen=True):
    """What a build could not hold of one source: how many of its `documents` waited for which stage.

    `not_quarantined` failed, and quarantine does not say so. `listed` says that the source was listed
    completely before, `running_since` when the run over it began that was under way (text, UTC).
    """

    documents: int = 0
    not_parsed: int = 0
    not_chunked: int = 0
    not_embedded: int = 0
    not_quarantined: int = 0
    listed: bool = False
    running_since: str | None = None

    @property
    def lacks(self) -> dict[str, int]:
        """Documents by what they wait for, where any do."""
        waits = ("not_parsed", "not_chunked", "not_embedded", "not_quarantined")
        return {name: count for name in waits if (count := getattr(self, name))}


class BuildFigures(msgspec.Struct, frozen=True):
    """What a build found: rows and documents in the version, tokens of a chunk, what was expected, and what
    of each source is `missing`. `not_embedded` was counted by releases that did not know the latter.

    Of a full build: the bytes that its graph, or that of a part, takes by `index.memory`, the bytes that it
    was allowed, and how many rows were in memory when that was full and the rest was built on disk, None if
    it never was.

    `whole_at` is when a build was last counted, and judged, in whole: this one where `changed` is 0, else one
    that this one goes back to, by catching up `changed` documents. None of builds by releases before 0.2.
    """

    chunks: int = 0
    documents: int = 0
    mean_tokens: float | None = None
    p95_tokens: float | None = None
    expected_rows: int = 0
    expected_documents: int = 0
    not_embedded: int = 0
    missing: dict[str, SourceGaps] = {}
    graph_bytes: int | None = None
    build_memory: int | None = None
    rows_in_memory: int | None = None
    whole_at: datetime | None = None
    changed: int = 0

    @property
    def whole(self) -> bool:
        """Whether it is counted, and to be judged, in whole, and not by what it caught up with."""
        return self.whole_at is None or not self.changed


def describe_model(identity: ModelIdentity, profile: EmbeddingProfile) -> dict[str, Any]:
    """The fields of a `StorageSpec` that are about its model."""
    kept = profile.model_dump(mode="json", exclude_unset=True, exclude=_NOT_KEPT)
    return {
        "model": msgspec.to_builtins(identity),
        "model_fingerprint": identity.fingerprint,
        "profile": kept if profile.provider in _LOCAL else None,
    }


def _with_fingerprint(stored: dict[str, Any]) -> dict[str, Any]:
    """The first form held all settings of the index, and the identity without its fingerprint."""
    model = stored["model"]
    sizes = ("dimensions", "max_tokens") if model.get("provider") == "hash" else ()
    wanted = ("provider", "model", "query_prompt", "document_prompt", *sizes)
    profile = {name: model[name] for name in wanted if name in model}
    return {
        **stored,
        "index": {**stored["index"], "sources": stored["sources"]},
        "model_fingerprint": fingerprint(model),
        "profile": profile if model.get("provider") in _LOCAL else None,
    }


STORAGE_SPEC = Form("index version", StorageSpec, (_with_fingerprint,))
BUILD_FIGURES = Form("index statistics", BuildFigures)
