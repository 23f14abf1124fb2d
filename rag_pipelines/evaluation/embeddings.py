"""Models that embed each question once, however many settings and versions it is asked in.

What belongs here: remembering vectors of questions for the length of one comparison. What does not: the cache
of a service.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_pipelines.chunking.base import Tokenizer
from rag_pipelines.embedding.base import Embedder, ModelIdentity
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.tokenizer import TokenizerSpec
from rag_pipelines.sync.targets import Embedders

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Vectors


class RememberingEmbedders(Embedders):
    """The models of `embedders`, which stay theirs: closing this one closes none of them."""

    def __init__(self, embedders: Embedders) -> None:
        self._inner = embedders
        self._known: dict[EmbeddingProfile, Embedder] = {}

    def of(self, profile: EmbeddingProfile) -> Embedder:
        """The embedder of a profile."""
        if profile not in self._known:
            self._known[profile] = _Remembering(self._inner.of(profile))
        return self._known[profile]

    def close(self) -> None:
        """Forget the vectors."""
        self._known.clear()


class _Remembering:
    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.usage = embedder.usage
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @property
    def identity(self) -> ModelIdentity:
        return self._embedder.identity

    @property
    def tokenizer(self) -> Tokenizer:
        return self._embedder.tokenizer

    @property
    def tokenizer_spec(self) -> TokenizerSpec:
        return self._embedder.tokenizer_spec

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        if text not in self._vectors:
            self._vectors[text] = self._embedder.embed_query(text)
        return self._vectors[text]

    def close(self) -> None:
        self._vectors.clear()
