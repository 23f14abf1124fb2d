"""What a search takes and gives back: filters, hits, results.

What belongs here: immutable values. What does not: SQL and models (`search`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

Mode = Literal["dense", "lexical", "hybrid"]


class Filters(msgspec.Struct, frozen=True):
    """What a caller narrows a search to; everything given must hold.

    `metadata` holds pairs that the document's metadata must contain; `path_prefix` is the beginning of
    its path; the times bound when it was modified, [since, until).
    """

    sources: tuple[str, ...] = ()
    path_prefix: str | None = None
    metadata: Mapping[str, Any] = {}
    since: datetime | None = None
    until: datetime | None = None


class Scores(msgspec.Struct, frozen=True):
    """How a hit came about. `dense` is the cosine, `lexical` the BM25 score, ranks are in each of
    what was found by it: without a word of the question there is no lexical rank.

    In a hybrid search its document counts too: `document_dense` is the cosine of the mean of its passages,
    `document_lexical` the BM25 score of its text as a whole; and so do `pairs`, how many of the words that
    stand beside each other in the question do so in the passage. None where they were not looked at.
    """

    fused: float
    dense: float | None = None
    lexical: float | None = None
    dense_rank: int | None = None
    lexical_rank: int | None = None
    document_dense: float | None = None
    document_lexical: float | None = None
    pairs: int | None = None


class PassageLink(msgspec.Struct, frozen=True):
    """A link in a passage: the text that a reader sees, and where it leads, as `rag_pipelines.model.Link`."""

    text: str
    target: str


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One passage with everything a citation needs.

    `start` and `end` are offsets of `text` in the document's canonical text; `context` stands in front
    of it where a reader needs it (a table's header). `as_of` is when the source was last listed in full:
    how fresh the hit can be. `text_of` is set where newer bytes of the document cannot be read: when the ones
    were modified that its text was read from. `links` are those in `text`, in its order.
    """

    text: str
    context: str
    title: str
    url: str | None
    path: str
    source: str
    external_id: str
    heading_path: tuple[str, ...]
    pages: tuple[int, int] | None
    start: int
    end: int
    scores: Scores
    chunk_id: str
    document_id: int
    version: int
    as_of: datetime | None
    modified_at: datetime | None = None
    text_of: datetime | None = None
    author: str | None = None
    media_type: str | None = None
    metadata: Mapping[str, Any] = {}
    confidence: float | None = None
    links: tuple[PassageLink, ...] = ()

    @property
    def citation(self) -> str:
        """Title, section and page, in one line; of recognised text how sure the recognition is."""
        parts = [self.title, *(heading for heading in self.heading_path if heading != self.title)]
        if self.pages:
            first, last = self.pages
            parts.append(f"p. {first}" if first == last else f"pp. {first}-{last}")
        if self.confidence is not None:
            parts.append(f"recognised, {self.confidence:.0%} sure")
        return " › ".join(parts)


class Change(msgspec.Struct, frozen=True):
    """One thing that was changed in a question: `old` became `new`, or `new` was added beside it."""

    kind: Literal["spelling", "synonym"]
    old: str
    new: str


class Rewritten(msgspec.Struct, frozen=True):
    """The question as it is asked, with what was changed; `note` says what could not be looked up."""

    text: str
    changes: tuple[Change, ...] = ()
    note: str = ""


class Route(msgspec.Struct, frozen=True):
    """How the statement found its candidates.

    `exact`: all that the caller may see was compared; else the vector index was walked. `thorough`: every
    word of the question could give candidates; else the commonest gave none.
    """

    exact: bool
    thorough: bool


class Place(msgspec.Struct, frozen=True):
    """Where a candidate stood after a stage; `rank` counts from 1."""

    document_id: int
    chunk_id: str
    rank: int
    score: float


class Step(msgspec.Struct, frozen=True):
    """What one stage did to one search, for the explanation of the search.

    A stage that `failed` left the candidates as they were; `note` says why.
    """

    stage: str
    ms: float
    note: str
    failed: bool
    places: tuple[Place, ...]


class AskedBy(msgspec.Struct, frozen=True):
    """For whom a search was: the tenant, and all principals that counted."""

    tenant: str
    principals: tuple[str, ...]


class Unquoted(msgspec.Struct, frozen=True):
    """What a search finds if the quoted `phrases` that left it without a hit may be missing.

    The other phrases stand in each hit.
    """

    phrases: tuple[str, ...]
    hits: tuple[Hit, ...]


class Result(msgspec.Struct, frozen=True):
    """The hits of one search, best first, all from one version of the index, and how they came about.

    `rewritten` is None where no rewriting is configured; `steps` are the optional stages in their order.
    `search_ms` is everything but the embedding; `cached` says that an earlier search had found it. `notes`
    say what this answer goes without: what of the question was not asked, what an operator has switched off.
    `unquoted` is there where phrases left no hit; then `steps` are of its hits. `asked_by` is for whom a
    context of it is packed.
    """

    index: str
    version: int
    mode: Mode
    hits: tuple[Hit, ...]
    embed_ms: float
    search_ms: float
    route: Route | None = None
    rewritten: Rewritten | None = None
    steps: tuple[Step, ...] = ()
    cached: bool = False
    notes: tuple[str, ...] = ()
    unquoted: Unquoted | None = None
    asked_by: AskedBy | None = None


def chunk_place(hit: Hit) -> tuple[UUID, int]:
    """The key of a hit's chunk set and its ordinal there."""
    key, _, ordinal = hit.chunk_id.partition("-")
    return UUID(key), int(ordinal)
