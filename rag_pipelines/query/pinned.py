"""The version of an index that searches read: which one, the model it was built with, its statements.

What belongs here: looking these up. What does not: keeping them, and noticing another version (`search`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import ValidationError

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import UsageError
from rag_pipelines.index.versions import Version, live_version, version_by_id
from rag_pipelines.query.statement import VersionSearch
from rag_pipelines.store.database import Pg


class Pinned(NamedTuple):
    """A version with its model and its statements."""

    version: Version
    embedder: Embedder
    search: VersionSearch


def pin(version: Version, settings: Settings, embedders: Embedders) -> Pinned:
    """A version, ready to be searched. Raises `UsageError` where its model is not at hand."""
    return Pinned(version, _embedder_of(version, settings, embedders), VersionSearch(version))


def version_to_read(connection: Pg, index: str, number: int | None) -> Version:
    """The live version of an index, or the one that is named, whatever its state.

    Raises:
        UsageError: there is no live version, or the one that is named cannot be read.
    """
    if number is not None:
        return _find_version(connection, index, number)
    version = live_version(connection, index)
    if version is None:
        raise UsageError(f"index {index!r} has no live version; run `rag-pipelines index build {index}`")
    return version


def _find_version(connection: Pg, index: str, number: int) -> Version:
    version = version_by_id(connection, number)
    if version.index_name != index or version.state in ("building", "dropped", "failed"):
        raise UsageError(
            f"version {number} cannot be read as index {index!r}: it is a {version.state} "
            f"version of {version.index_name!r}; see `rag-pipelines index versions {index}`"
        )
    return version


def _embedder_of(version: Version, settings: Settings, embedders: Embedders) -> Embedder:
    """The model that the version was built with, which need not be the configured one any more."""
    wanted = version.spec
    configured = settings.profiles.embedding.values()
    profiles = [
        settings.embedding_profile(version.index_name),
        *configured,
        *_recorded_profile(wanted.profile),
    ]
    for profile in profiles:
        embedder = embedders.of(profile)
        if embedder.identity.fingerprint == wanted.model_fingerprint:
            return embedder
    how = ", ".join(str(wanted.model[name]) for name in ("runtime", "precision") if name in wanted.model)
    raise UsageError(
        f"version {version.version_id} of index {version.index_name!r} was built with "
        f"{wanted.model_name} ({how}), and no embedding profile of the configuration "
        "gives that model here; add one, or build the index anew"
    )


def _recorded_profile(stored: dict[str, Any] | None) -> list[EmbeddingProfile]:
    """The profile that a version was built with, for local models that the configuration dropped.

    Settings that have been retired since are left out; the fingerprint tells whether it is the same model.
    """
    known = {name: value for name, value in (stored or {}).items() if name in EmbeddingProfile.model_fields}
    try:
        return [EmbeddingProfile.model_validate(known)] if known else []
    except ValidationError:
        return []
