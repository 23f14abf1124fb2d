"""The optional stages between the search statement and its answer: their contract and their order.

What belongs here: what passes between stages, running them, and the record of what each did. What does
not: any stage (each has a module of its own), and rewriting, which comes before the statement.

A stage never adds a document: it orders, drops, or widens what the statement let the caller see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from rag_pipelines.config.query import StageSettings
from rag_pipelines.errors import RagError
from rag_pipelines.query.hits import Hit, Place, Step
from rag_pipelines.store.database import Part, Pg

if TYPE_CHECKING:
    from rag_pipelines.query.rerank import Reranker


Reading = Callable[[], AbstractContextManager[Pg]]
"""Gives a connection that reads for a caller, for as long as it is needed."""


class Asked(msgspec.Struct, frozen=True):
    """One search, as its stages need to know it.

    `reading` gives a connection as the statement had it, for as long as a stage reads: none is held while a
    model is waited for. `parts` are placeholders of the statement: `vectors`, `lexical` and `configurations`
    of the version that was searched. `principals` are those that the statement was given.
    """

    text: str
    k: int
    reading: Reading
    parts: Mapping[str, Part]
    tenant: str
    principals: Sequence[str]
    now: datetime


class Candidate(msgspec.Struct, frozen=True):
    """A hit on its way, and the score by which it stands where it stands."""

    hit: Hit
    score: float


class Outcome(msgspec.Struct, frozen=True):
    """The candidates as a stage leaves them, best first; `note` tells people what it did."""

    candidates: Sequence[Candidate]
    note: str


class Stage(Protocol):
    """One step. `depth` is how many candidates it wants beyond those that are asked for."""

    name: str
    depth: int

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> Outcome:
        """The candidates afterwards, of one or more. Raises `RagError`: the search does without the stage."""
        ...


class Stages:
    """The stages of one index, made once: a reranker keeps its model.

    Stages that order and drop see all candidates; then `Asked.k` are kept, and `widening` sees those.
    """

    def __init__(
        self,
        ordering: Sequence[Stage],
        widening: Sequence[Stage] = (),
        reranker: Reranker | None = None,
    ) -> None:
        self.ordering = tuple(ordering)
        self.widening = tuple(widening)
        self._reranker = reranker

    def prepare(self) -> None:
        """Load the reranker's model now, so that the first search has it. Raises `RagError` if it cannot."""
        if self._reranker is not None:
            self._reranker.prepare()

    def close(self) -> None:
        """Let go of the reranker's model or connection."""
        if self._reranker is not None:
            self._reranker.close()

    def depth(self, k: int) -> int:
        """How many candidates the statement should give for `k` hits."""
        return max([k, *(stage.depth for stage in self.ordering)])

    def run(self, asked: Asked, hits: Sequence[Hit]) -> tuple[list[Candidate], list[Step]]:
        """The best `Asked.k` of `hits` (best first, by their fused score), and what each stage did."""
        candidates = [Candidate(hit, hit.scores.fused) for hit in hits]
        steps: list[Step] = []
        for stage in self.ordering:
            candidates = _apply(stage, asked, candidates, steps)
        candidates = candidates[: asked.k]
        for stage in self.widening:
            candidates = _apply(stage, asked, candidates, steps)
        return candidates, steps


def make_stages(settings: StageSettings) -> Stages:
    """The stages that are configured, in their fixed order; no model is loaded yet."""
    from rag_pipelines.query.boosts import Boosts
    from rag_pipelines.query.diversity import Diversity, PerDocument
    from rag_pipelines.query.neighbours import Neighbours
    from rag_pipelines.query.rerank import Rerank, make_reranker

    ordering: list[Stage] = []
    reranker = None
    if settings.boosts:
        ordering.append(Boosts(settings.boosts))
    if settings.rerank:
        reranker = make_reranker(settings.rerank)
        ordering.append(Rerank(settings.rerank, reranker))
    if settings.diversity:
        ordering.append(Diversity(settings.diversity))
    if settings.per_document:
        ordering.append(PerDocument(settings.per_document))
    widening = [Neighbours(settings.neighbours)] if settings.neighbours else []
    return Stages(ordering, widening, reranker)


def spread(values: Sequence[float]) -> list[float]:
    """Scores moved to [0, 1] by their least and greatest; all 1 where they are equal."""
    least, most = min(values, default=0.0), max(values, default=0.0)
    return [(value - least) / (most - least) if most > least else 1.0 for value in values]


def _apply(stage: Stage, asked: Asked, candidates: list[Candidate], steps: list[Step]) -> list[Candidate]:
    began = time.perf_counter()
    outcome, failed = Outcome(candidates, "there were no candidates"), False
    if candidates:
        try:
            outcome = stage.apply(asked, candidates)
        except RagError as error:
            outcome, failed = Outcome(candidates, f"answered without it: {error}"), True
    spent = (time.perf_counter() - began) * 1000
    places = tuple(
        Place(one.hit.document_id, one.hit.chunk_id, rank, one.score)
        for rank, one in enumerate(outcome.candidates, 1)
    )
    steps.append(Step(stage.name, round(spent, 3), outcome.note, failed, places))
    return list(outcome.candidates)
