"""What a search is asked, and the question's vector by each model that a version needs.

What belongs here: these two values, and what of them is valid. What does not: reading and mending questions
(`question`, `rewriting`), and the search itself (`search`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.batch import embedding_span
from rag_pipelines.errors import UsageError
from rag_pipelines.query.caching import Kept
from rag_pipelines.query.hits import Mode
from rag_pipelines.query.pinned import Pinned
from rag_pipelines.query.stages import Again, Asked, Reading

MAX_K = 1000


def check_asked(tenant: str, mode: str, k: int) -> None:
    """Raise `UsageError` for what no search can be asked."""
    if not 1 <= k <= MAX_K:
        raise UsageError(f"k is {k}; it must be between 1 and {MAX_K}")
    if mode not in ("dense", "lexical", "hybrid"):
        raise UsageError(f"mode is {mode!r}; valid: dense, lexical, hybrid")
    if not tenant:
        raise UsageError("a search needs a tenant; there is no search across tenants")


class Asking(NamedTuple):
    """What somebody wants to know; the principals include `EVERYONE`."""

    text: str
    tenant: str
    principals: tuple[str, ...]
    mode: Mode
    k: int

    def read(self, text: str, pinned: Pinned, reading: Reading, again: Again | None = None) -> Asked:
        """The same for the stages, with the question as it is asked of a version."""
        parts, now = pinned.search.parts, datetime.now(UTC)
        return Asked(text, self.k, reading, parts, self.tenant, list(self.principals), now, again)


class Question:
    """What is asked, with its vector by each model that was needed."""

    def __init__(self, text: str, mode: Mode, kept: Kept[str]) -> None:
        self.text = text
        self.embed_ms = 0.0
        self._dense = mode != "lexical"
        self._kept = kept
        self._vectors: dict[int, str] = {}

    def vector(self, embedder: Embedder) -> str | None:
        """The question's vector as SQL reads it; None if the mode needs none."""
        if not self._dense:
            return None
        if id(embedder) not in self._vectors:
            self._vectors[id(embedder)] = self._embed(embedder)
        return self._vectors[id(embedder)]

    def _embed(self, embedder: Embedder) -> str:
        key = (embedder.identity, self.text)
        known = self._kept.get(key)
        if known is None:
            began = time.perf_counter()
            with embedding_span(embedder, 1):
                known = _literal(embedder.embed_query(self.text))
            self.embed_ms += round((time.perf_counter() - began) * 1000, 3)
            self._kept.put(key, known)
        return known


def _literal(vector: Any) -> str:
    return "[" + ",".join(format(value, ".7g") for value in vector.tolist()) + "]"
