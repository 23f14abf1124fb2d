"""The way from an embedding profile to a model.

What belongs here: choosing the provider. What does not: finding, loading or calling a model.
"""

from __future__ import annotations

from pathlib import Path

from rag_pipelines.embedding.adapter import AdaptedEmbedder
from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.profile import EmbeddingProfile


def make_embedder(profile: EmbeddingProfile, data_dir: Path, shared: Path | None = None) -> Embedder:
    """The model of a profile. Nothing is loaded until it is needed; converted models lie under `data_dir`, or
    in `shared`, which other data folders use too.

    Raises:
        ConfigError: the model is not on this machine, or the profile does not fit it.
    """
    made = _make(profile, data_dir, shared)
    return AdaptedEmbedder(made, profile.adapter) if profile.adapter else made


def _make(profile: EmbeddingProfile, data_dir: Path, shared: Path | None) -> Embedder:
    match profile.provider:
        case "hash":
            from rag_pipelines.embedding.hashing import HashEmbedder

            return HashEmbedder(profile)
        case "openai":
            from rag_pipelines.embedding.openai import OpenAIEmbedder

            return OpenAIEmbedder(profile)
        case "sentence-transformers":
            from rag_pipelines.embedding.local import LocalEmbedder

            return LocalEmbedder(profile, data_dir, shared)
