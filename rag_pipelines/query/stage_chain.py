"""The stages of one index in their order, and running them.

What belongs here: making the chain from settings, and the record of what each stage did. What does not:
any stage (each has a module of its own), and what passes between them (`stages`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rag_pipelines import tracing
from rag_pipelines.config.duplicates import DuplicateSettings
from rag_pipelines.config.query import StageSettings
from rag_pipelines.errors import RagError
from rag_pipelines.query.boosts import Boosts
from rag_pipelines.query.diversity import Diversity, PerDocument
from rag_pipelines.query.duplicates import Duplicates
from rag_pipelines.query.hits import Hit, Place, Step
from rag_pipelines.query.neighbours import Neighbours
from rag_pipelines.query.precedence import Precedence
from rag_pipelines.query.rerank import Rerank, Reranker, make_reranker
from rag_pipelines.query.stages import Asked, Candidate, QueryStage, StageOutcome


class Stages:
    """The stages of one index, made once: a reranker keeps its model.

    Stages that order and drop see all candidates; then `Asked.k` are kept, and `widening` sees those.
    """

    def __init__(
        self,
        ordering: Sequence[QueryStage],
        widening: Sequence[QueryStage] = (),
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

    @property
    def reranks(self) -> bool:
        """Whether a reranker is among them."""
        return self._reranker is not None

    def run(
        self, asked: Asked, hits: Sequence[Hit], without: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[list[Candidate], list[Step]]:
        """The best `Asked.k` of `hits` (best first, by their fused score), and what each stage did.

        Args:
            without: stages that are left out, each with the reason.
        """
        candidates = [Candidate(hit, hit.scores.fused) for hit in hits]
        steps: list[Step] = []
        for stage in self.ordering:
            if stage.name in without:
                steps.append(Step(stage.name, 0.0, f"left out because {without[stage.name]}", False, ()))
                continue
            candidates = _apply(stage, asked, candidates, steps)
        candidates = candidates[: asked.k]
        for stage in self.widening:
            candidates = _apply(stage, asked, candidates, steps)
        return candidates, steps


def make_stages(
    settings: StageSettings, duplicates: DuplicateSettings | None = None, sources: Sequence[str] = ()
) -> Stages:
    """The stages that are configured, in their fixed order; no model is loaded yet.

    Args:
        sources: those of the index in their order, for copies.
    """
    ordering: list[QueryStage] = []
    if duplicates and duplicates.policy != "keep":
        ordering.append(Duplicates(duplicates, sources))
    reranker = None
    if settings.precedence:
        ordering.append(Precedence())
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


def _apply(
    stage: QueryStage, asked: Asked, candidates: list[Candidate], steps: list[Step]
) -> list[Candidate]:
    began = time.perf_counter()
    unasked = isinstance(stage, Precedence)
    outcome, failed = StageOutcome(candidates, "" if unasked else "there were no candidates"), False
    if candidates:
        try:
            with tracing.span(stage.name, candidates=len(candidates)):
                outcome = stage.apply(asked, candidates)
        except RagError as error:
            outcome, failed = StageOutcome(candidates, f"answered without it: {error}"), True
    if not outcome.note:
        return list(outcome.candidates)
    spent = (time.perf_counter() - began) * 1000
    places = tuple(
        Place(one.hit.document_id, one.hit.chunk_id, rank, one.score)
        for rank, one in enumerate(outcome.candidates, 1)
    )
    steps.append(Step(stage.name, round(spent, 3), outcome.note, failed, places))
    return list(outcome.candidates)
