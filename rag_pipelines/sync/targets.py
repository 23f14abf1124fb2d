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
from rag_pipelines.store.database import Pg, query
from rag_pipelines.store.profiles import ChunkTarget, ModelTarget, index_profiles, profile_ids
from rag_pipelines.store.sketches import sketch_profile

FAILED_TYPE = "failed"
"""The media type under which a failed parse is remembered: its own type may not even be known."""


@dataclass(frozen=True)
class Targets:
    """Everything the documents of one source must become. `parsers` maps media type to profile row.

    `sketch_id` is the profile row of sketches, where an index wants copies to be found.
    """

    parse_options: ParseOptions
    parsers: Mapping[str, int]
    code_version: str
    chunkers: tuple[ChunkTarget, ...] = ()
    models: tuple[ModelTarget, ...] = ()
    sketch_id: int | None = None

    def lacking(self, chunkers: Sequence[ChunkTarget]) -> dict[str, Any]:
        """What the query `pending_documents` asks of documents: these parsers, and chunks by `chunkers`."""
        return {
            "media_types": list(self.parsers),
            "parsers": list(self.parsers.values()),
            "code_version": self.code_version,
            "chunkers": [target.profile_id for target in chunkers],
            "titled": [target.titled for target in chunkers],
        }


def current_parsers(options: ParseOptions) -> dict[str, str]:
    """The parser fingerprint of every media type; that of a failed parse is of all parsers together."""
    by_type = fingerprints.parser_fingerprints(options)
    return {**by_type, FAILED_TYPE: fingerprint(sorted(by_type.items()))}


def count_outdated_parses(connection: Pg, settings: Settings, source: str) -> dict[str, int]:
    """Documents of `source` that the next run parses again, because other code parsed them, by media type."""
    prints = list(current_parsers(settings.parse_options(source)).values())
    rows = query(connection, "outdated_parses", {"source": source, "fingerprints": prints})
    return {row["media_type"]: row["documents"] for row in rows}


def source_targets(connection: Pg, settings: Settings, source: str, embedders: Embedders) -> Targets:
    """What the documents of `source` must become, by the indexes that it feeds."""
    options = settings.parse_options(source)
    by_type = current_parsers(options)
    params = {print_: {"media_type": media_type} for media_type, print_ in by_type.items()}
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
    )
