"""The figures of one question: what came back against what should have.

What belongs here: the measures, for hits and a resolved question. What does not: searching (`run`), means
and tests (`significance`).

Measures of rankings are those of `ir-measures` (nDCG with the grades as gains, RR, R, P, Success: the hit
rate), over documents: a document stands where its first passage does. Measures of places are over the first
`k` passages:

- ``Context_R@k``: characters of the expected quotes that came back; where a quote stands in several places,
  the best of them counts.
- ``Context_P@k``: characters of what came back that belong to an expected quote.
- ``Page@k``: whether a passage of an expected document is from its page, give or take one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from rag_pipelines.evaluation.catalogue import Resolved
from rag_pipelines.evaluation.questions import Reason
from rag_pipelines.evaluation.ranges import TextSpan, overlap
from rag_pipelines.query.hits import Hit

PAGE_TOLERANCE = 1


class ScoredHit(msgspec.Struct, frozen=True):
    """A hit, without its text."""

    document_id: int
    chunk_id: str
    pages: tuple[int, int] | None
    score: float


class Violation(msgspec.Struct, frozen=True):
    """A document, as the golden set calls it, that came back and must not have."""

    document: str
    rank: int
    because: Reason

    def __str__(self) -> str:
        return f"{self.document} came back at rank {self.rank} ({self.because})"


class QuestionScore(msgspec.Struct, frozen=True, kw_only=True):
    """What a question got. `figures` are by measure; `confidence` is what the threshold for "no answer" is
    compared with; `violations` say which forbidden documents came back."""

    id: str
    query: str
    slices: tuple[str, ...]
    answerable: bool | None
    confidence: float
    figures: Mapping[str, float]
    violations: tuple[Violation, ...]
    hits: tuple[ScoredHit, ...]
    embed_ms: float
    search_ms: float


def ranking_measures(k: int, depth: int) -> tuple[str, ...]:
    """The measures of rankings at a cut-off, and recall at the depth where that is more."""
    names = ("nDCG", "RR", "Success", "R", "P")
    return (*(f"{name}@{k}" for name in names), *((f"R@{depth}",) if depth > k else ()))


def main_measure(measures: Iterable[str]) -> str:
    """The one that a run is judged by first: nDCG, unless there are only others."""
    names = list(measures)
    return next((name for name in names if name.startswith("nDCG")), min(names, default="nDCG@10"))


def ranking_figures(
    asked: Sequence[Resolved], rankings: Mapping[str, Sequence[int]], measures: Sequence[str]
) -> dict[str, dict[str, float]]:
    """The measures of rankings for every question that expects something, by its id."""
    import ir_measures

    judged = {one.question.id: _grades(one) for one in asked if one.expected}
    ranked = {
        identity: {str(document): -float(rank) for rank, document in enumerate(rankings[identity])}
        for identity in judged
    }
    figures = {identity: dict.fromkeys(measures, 0.0) for identity in judged}
    if judged:
        for metric in ir_measures.iter_calc([*map(ir_measures.parse_measure, measures)], judged, ranked):
            figures[metric.query_id][str(metric.measure)] = float(metric.value)
    return figures


def place_figures(asked: Resolved, hits: Sequence[Hit], k: int) -> dict[str, float]:
    """The measures of places that the question's references allow."""
    first = hits[:k]
    figures: dict[str, float] = {}
    quoted = [one.places for one in asked.expected if one.places]
    if quoted:
        retrieved = [TextSpan(hit.document_id, hit.start, hit.end) for hit in first]
        found = sum(max(overlap([place], retrieved) for place in places) for places in quoted)
        taken = sum(span.length for span in retrieved)
        every = [place for places in quoted for place in places]
        figures[f"Context_R@{k}"] = found / sum(places[0].length for places in quoted)
        figures[f"Context_P@{k}"] = overlap(every, retrieved) / taken if taken else 0.0
    paged = [one for one in asked.expected if one.reference.page is not None]
    if paged:
        figures[f"Page@{k}"] = float(
            any(
                hit.document_id in one.documents and _on_page(hit, one.reference.page or 0)
                for one in paged
                for hit in first
            )
        )
    return figures


def violations(asked: Resolved, hits: Sequence[Hit]) -> Iterator[Violation]:
    """What came back and must not have."""
    ranking = documents_of(hits)
    expected = {document for one in asked.expected for document in one.documents}
    best = next((rank for rank, document in enumerate(ranking) if document in expected), len(ranking))
    for forbidden, documents in asked.forbidden:
        seen = ranking[:best] if forbidden.because == "outdated" else ranking
        for rank, document in enumerate(seen, 1):
            if document in documents:
                yield Violation(forbidden.reference.name, rank, forbidden.because)


def documents_of(hits: Sequence[Hit]) -> list[int]:
    """The documents of some hits, each where its first passage stands."""
    return list(dict.fromkeys(hit.document_id for hit in hits))


def confidence(hits: Sequence[Hit]) -> float:
    """How sure the best passage is: its cosine, or where there is none (a lexical search) its BM25 score.

    Fused scores do not do: they say how a passage stands among the others of the same search.
    """
    cosines = [hit.scores.dense for hit in hits if hit.scores.dense is not None]
    return max(cosines or [hit.scores.lexical or 0.0 for hit in hits], default=0.0)


def _grades(asked: Resolved) -> dict[str, int]:
    grades: dict[str, int] = {}
    for one in asked.expected:
        for name in map(str, one.documents) if one.documents else (f"missing:{one.reference.name}",):
            grades[name] = max(grades.get(name, 0), one.reference.grade)
    return grades


def _on_page(hit: Hit, page: int) -> bool:
    if hit.pages is None:
        return False
    first, last = hit.pages
    return first - PAGE_TOLERANCE <= page <= last + PAGE_TOLERANCE
