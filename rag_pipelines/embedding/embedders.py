"""The models of a configuration, made once and shared.

What belongs here: keeping embedders. What does not: making one (`factory`).
"""

from __future__ import annotations

from pathlib import Path

from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.factory import make_embedder
from rag_pipelines.embedding.profile import EmbeddingProfile


class Embedders:
    """The models of a configuration, each made once and closed together. Making one loads nothing.

    `shared` is a folder of converted models that other data folders use too.
    """

    def __init__(self, data_dir: Path, shared: Path | None = None) -> None:
        self._data_dir, self._shared = data_dir, shared
        self._made: dict[EmbeddingProfile, Embedder] = {}

    def of(self, profile: EmbeddingProfile) -> Embedder:
        """The embedder of a profile."""
        if profile not in self._made:
            self._made[profile] = make_embedder(profile, self._data_dir, self._shared)
        return self._made[profile]

    def close(self) -> None:
        """Release models and connections."""
        for embedder in self._made.values():
            embedder.close()
        self._made.clear()
