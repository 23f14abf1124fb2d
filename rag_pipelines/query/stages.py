"""The optional stages between the search statement and its answer: their contract.

What belongs here: what passes between stages. What does not: any stage (each has a module of its own), their
order (`stage_chain`), and rewriting, which comes before the statement.

A stage never adds a document by itself: it orders, drops, or widens what the statement lets the caller see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from rag_pipelines.query.hits import Hit
from rag_pipelines.store.database import Part, Pg

Reading = Callable[[], AbstractContextManager[Pg]]
"""Gives a connection that reads for a caller, for as long as it is needed."""

Again = Callable[[Sequence[int]], Sequence[Hit]]
"""The hits of a search, best first, when documents with these numbers are left out."""


class Asked(msgspec.Struct, frozen=True):
    """One search, as its stages need to know it.

    `reading` gives a connection as the statement had it, for as long as a stage reads: none is held while a
    model is waited for. `parts` are placeholders of the statement: `vectors`, `lexical` and `configurations`
    of the version that was searched; `vectors` takes the `tenant`. `principals` are those that the statement
    was given. `again` asks it once more, for this caller and of this version: it gives nothing where another
    one is live by now.
    """

    text: str
    k: int
    reading: Reading
    parts: Mapping[str, Part]
    tenant: str
    principals: Sequence[str]
    now: datetime
    again: Again | None = None


class Candidate(msgspec.Struct, frozen=True):
    """A hit on its way, and the score by which it stands where it stands."""

    hit: Hit
    score: float


class StageOutcome(msgspec.Struct, frozen=True):
    """The candidates as a stage leaves them, best first; `note` tells people what it did, empty where it had
    nothing to do and is not worth a step."""

    candidates: Sequence[Candidate]
    note: str


class QueryStage(Protocol):
    """One step. `depth` is how many candidates it wants beyond those that are asked for."""

    name: str
    depth: int

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        """The candidates afterwards, of one or more. Raises `RagError`: the search does without the stage."""
        ...


def scale_min_max(values: Sequence[float]) -> list[float]:
    """Scores moved to [0, 1] by their least and greatest; all 1 where they are equal."""
    least, most = min(values, default=0.0), max(values, default=0.0)
    return [(value - least) / (most - least) if most > least else 1.0 for value in values]
