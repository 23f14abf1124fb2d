"""Models that embed each question once, however many settings and versions it is asked in.

What belongs here: remembering vectors of questions for the length of a comparison, or longer where the caller
keeps them. What does not: the cache of a service.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from rag_pipelines.embedding.base import Embedder, WrappedEmbedder
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.profile import EmbeddingProfile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    KnownVectors = MutableMapping[tuple[str, str], NDArray[np.float32]]


class RememberingEmbedders(Embedders):
    """The models of `embedders`, which stay theirs: closing this one closes none of them.

    `vectors` holds what is known, by fingerprint of the model and question, and takes what becomes known.
    """

    def __init__(self, embedders: Embedders, vectors: KnownVectors | None = None) -> None:
        self._inner = embedders
        self._vectors: KnownVectors = {} if vectors is None else vectors
        self._known: dict[EmbeddingProfile, Embedder] = {}

    def of(self, profile: EmbeddingProfile) -> Embedder:
        """The embedder of a profile."""
        if profile not in self._known:
            self._known[profile] = _Remembering(self._inner.of(profile), self._vectors)
        return self._known[profile]

    def close(self) -> None:
        """Nothing to give back."""
        self._known.clear()


class _Remembering(WrappedEmbedder):
    def __init__(self, embedder: Embedder, vectors: KnownVectors) -> None:
        super().__init__(embedder)
        self._vectors = vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        key = (self.identity.fingerprint, text)
        if key not in self._vectors:
            self._vectors[key] = self._embedder.embed_query(text)
        return self._vectors[key]

    def close(self) -> None:
        """Nothing: the model belongs to whoever made it."""
