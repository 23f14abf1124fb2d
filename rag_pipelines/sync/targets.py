"""What a source's documents must become: the parser, chunkers and models that its indexes ask for.

What belongs here: resolving settings into profile rows, without loading a model. What does not: using them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.parsing import fingerprints
from rag_pipelines.parsing.base import ParseOptions
from rag_pipelines.privacy.fingerprints import privacy_fingerprint
from rag_pipelines.privacy.profile import PrivacyProfile
from rag_pipelines.store.database import Pg, query
from rag_pipelines.store.profiles import ChunkTarget, ModelTarget, index_profiles, profile_ids
from rag_pipelines.store.sketches import sketch_profile

FAILED_TYPE = "failed"
"""The media type under which a failed parse is remembered: its own type may not even be known."""


@dataclass(frozen=True)
class Targets:
    """Everything the documents of one source must become. `parsers` maps media type to profile row.

    `sketch_id` is the profile row of sketches, where an index wants copies to be found.
    With `privacy` they are screened by it, which `privacy_key` stands for; `clear_parsers` are the profiles
    whose blocks need no other parser for that.
    """

    parse_options: ParseOptions
    parsers: Mapping[str, int]
    code_version: str
    chunkers: tuple[ChunkTarget, ...] = ()
    models: tuple[ModelTarget, ...] = ()
    sketch_id: int | None = None
    privacy: PrivacyProfile | None = None
    privacy_key: str | None = None
    clear_parsers: frozenset[int] = frozenset()

    @property
    def masked_by(self) -> str | None:
        """What stands for the masks of the documents, where they are masked."""
        return self.privacy_key if self.privacy is not None and self.privacy.masks else None

    def lacking(self, chunkers: Sequence[ChunkTarget]) -> dict[str, Any]:
        """What the query `pending_documents` asks of documents: these parsers, and chunks by `chunkers`."""
        return {
            "media_types": list(self.parsers),
            "parsers": list(self.parsers.values()),
            "code_version": self.code_version,
            "chunkers": [target.profile_id for target in chunkers],
            "titled": [target.titled for target in chunkers],
            "screens": self.privacy is not None,
        }


def privacy_key(settings: Settings, source: str) -> str | None:
    """What stands for the privacy profile of a source, if it has one."""
    profile = settings.privacy(source)
    return None if profile is None else privacy_fingerprint(profile)


def masked_by(settings: Settings, source: str) -> str | None:
    """What stands for the masks of a source, if it masks."""
    profile = settings.privacy(source)
    return privacy_fingerprint(profile) if profile is not None and profile.masks else None


def current_parsers(options: ParseOptions, privacy: str | None = None) -> dict[str, str]:
    """The parser fingerprint of every media type, with what screens the result where something does; that
    of a failed parse is of all parsers together."""
    by_type = fingerprints.parser_fingerprints(options)
    if privacy is not None:
        by_type = {media_type: fingerprint([print_, privacy]) for media_type, print_ in by_type.items()}
    return {**by_type, FAILED_TYPE: fingerprint(sorted(by_type.items()))}


def count_outdated_parses(connection: Pg, settings: Settings, source: str) -> dict[str, int]:
    """Documents of `source` that the next run parses again, because other code parsed them, by media type."""
    options, privacy = settings.parse_options(source), privacy_key(settings, source)
    prints = list(current_parsers(options, privacy).values())
    rows = query(connection, "outdated_parses", {"source": source, "fingerprints": prints})
    return {row["media_type"]: row["documents"] for row in rows}


def source_targets(connection: Pg, settings: Settings, source: str, embedders: Embedders) -> Targets:
    """What the documents of `source` must become, by the indexes that it feeds."""
    options = settings.parse_options(source)
    privacy = privacy_key(settings, source)
    by_type = current_parsers(options, privacy)
    params: dict[str, dict[str, Any]] = {
        print_: {"media_type": media_type} for media_type, print_ in by_type.items()
    }
    clear: frozenset[int] = frozenset()
    if privacy is not None:
        parsers = current_parsers(options)
        for media_type, print_ in by_type.items():
            params[print_] |= {"parser": parsers[media_type], "privacy": privacy}
        rows = query(connection, "clear_parsers", {"parsers": list(parsers.values())})
        clear = frozenset(row["profile_id"] for row in rows)
    parser_ids = profile_ids(connection, "parser", params)
    wants_copies = any(index.duplicates for index in settings.indexes_of(source).values())
    chunkers: dict[int, ChunkTarget] = {}
    models: dict[tuple[int, int], ModelTarget] = {}
    for name in settings.indexes_of(source):
        embedder = embedders.of(settings.embedding_profile(name))
        chunker, model = index_profiles(connection, settings.chunk_options(name), embedder)
        chunkers.setdefault(chunker.profile_id, chunker)
        price = settings.embedding_profile(name).price_per_million_tokens
        key = (model.profile_id, model.chunker_id)
        known = models.setdefault(key, replace(model, price_per_million_tokens=price))
        models[key] = replace(known, indexes=(*known.indexes, name))
    return Targets(
        options,
        {media_type: parser_ids[print_] for media_type, print_ in by_type.items()},
        by_type[FAILED_TYPE],
        tuple(chunkers.values()),
        tuple(models.values()),
        sketch_profile(connection) if wants_copies else None,
        settings.privacy(source),
        privacy,
        clear,
    )
