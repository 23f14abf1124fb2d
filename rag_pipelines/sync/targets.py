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
class Screening:
    """By what documents are parsed, and screened where there is a `privacy` profile, which `key` stands for.

    `parsers` maps media type to profile row; `code_version` stands for all parsers together.
    """

    parsers: Mapping[str, int]
    code_version: str
    privacy: PrivacyProfile | None = None
    key: str | None = None

    @property
    def masked_by(self) -> str | None:
        """What stands for the masks of the documents, where they are masked."""
        return self.key if self.privacy is not None and self.privacy.masks else None


@dataclass(frozen=True)
class Targets:
    """Everything the documents of one source must become.

    `screening` holds for them, and `labelled` for those that their label masks. `clear_parsers` are the
    profiles whose blocks can be screened without parsing again. `sketch_id` is the profile row of sketches,
    where an index wants copies to be found.
    """

    parse_options: ParseOptions
    screening: Screening
    labelled: Screening | None = None
    chunkers: tuple[ChunkTarget, ...] = ()
    models: tuple[ModelTarget, ...] = ()
    sketch_id: int | None = None
    clear_parsers: frozenset[int] = frozenset()

    @property
    def screenings(self) -> tuple[Screening, ...]:
        """One, or two."""
        return (self.screening,) if self.labelled is None else (self.screening, self.labelled)

    def of(self, masked_by: str | None) -> Screening:
        """That of a document by its column `masked_by`."""
        labelled = self.labelled
        return self.screening if labelled is None or masked_by != labelled.key else labelled

    def lacking(self, chunkers: Sequence[ChunkTarget]) -> dict[str, Any]:
        """What the query `pending_documents` asks of documents: these parsers, and chunks by `chunkers`."""
        labelled = self.labelled
        return {
            "media_types": [media_type for one in self.screenings for media_type in one.parsers],
            "parsers": [parser for one in self.screenings for parser in one.parsers.values()],
            "labelled": [one is labelled for one in self.screenings for _ in one.parsers],
            "labelled_by": labelled and labelled.key,
            "code_version": self.screening.code_version,
            "labelled_code": labelled and labelled.code_version,
            "chunkers": [target.profile_id for target in chunkers],
            "titled": [target.titled for target in chunkers],
            "screens": any(one.privacy is not None for one in self.screenings),
        }


def privacy_keys(settings: Settings, source: str) -> list[str]:
    """What stands for the privacy profiles of a source, those of its labels too."""
    return [privacy_fingerprint(profile) for profile in _privacy_profiles(settings, source) if profile]


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
    options = settings.parse_options(source)
    prints = [
        print_
        for profile in _privacy_profiles(settings, source)
        for print_ in current_parsers(options, _key(profile)).values()
    ]
    rows = query(connection, "outdated_parses", {"source": source, "fingerprints": prints})
    return {row["media_type"]: row["documents"] for row in rows}


def source_targets(connection: Pg, settings: Settings, source: str, embedders: Embedders) -> Targets:
    """What the documents of `source` must become, by the indexes that it feeds."""
    options = settings.parse_options(source)
    screening, *labelled = [
        _screening(connection, options, profile) for profile in _privacy_profiles(settings, source)
    ]
    clear: frozenset[int] = frozenset()
    if screening.privacy or labelled:
        rows = query(connection, "clear_parsers", {"parsers": list(current_parsers(options).values())})
        clear = frozenset(row["profile_id"] for row in rows)
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
        screening,
        labelled[0] if labelled else None,
        tuple(chunkers.values()),
        tuple(models.values()),
        sketch_profile(connection) if wants_copies else None,
        clear,
    )


def _privacy_profiles(settings: Settings, source: str) -> list[PrivacyProfile | None]:
    """That of a source, and that of its documents with a label that masks, if any has one."""
    by_label = settings.label_privacy(source)
    return [settings.privacy(source), *([by_label] if by_label else [])]


def _key(profile: PrivacyProfile | None) -> str | None:
    return None if profile is None else privacy_fingerprint(profile)


def _screening(connection: Pg, options: ParseOptions, profile: PrivacyProfile | None) -> Screening:
    key = _key(profile)
    by_type = current_parsers(options, key)
    params: dict[str, dict[str, Any]] = {
        print_: {"media_type": media_type} for media_type, print_ in by_type.items()
    }
    if key is not None:
        clear = current_parsers(options)
        for media_type, print_ in by_type.items():
            params[print_] |= {"parser": clear[media_type], "privacy": key}
    ids = profile_ids(connection, "parser", params)
    parsers = {media_type: ids[print_] for media_type, print_ in by_type.items()}
    return Screening(parsers, by_type[FAILED_TYPE], profile, key)
