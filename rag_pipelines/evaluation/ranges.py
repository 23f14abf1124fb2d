"""Character ranges of documents: how much of what was wanted lies in what was retrieved.

What belongs here: set arithmetic of ranges and the scores that follow from it. What does not: where ranges
come from (quotes: `catalogue`; the judged excerpts of a benchmark: the benchmark).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple


class TextSpan(NamedTuple):
    """Characters [start, end) of a document's canonical text."""

    document: Hashable
    start: int
    end: int

    @property
    def length(self) -> int:
        """How many characters it has."""
        return self.end - self.start

    def touches(self, other: TextSpan) -> bool:
        """Whether both hold the same character."""
        return self.document == other.document and self.start < other.end and other.start < self.end


class RangeScores(NamedTuple):
    """What of the wanted characters was retrieved, and what of the retrieved was wanted; each from 0 to 1."""

    recall: float
    precision: float
    iou: float


def size(spans: Iterable[TextSpan]) -> int:
    """Characters that lie in at least one span."""
    return sum(span.length for span in _merge(spans))


def overlap(wanted: Iterable[TextSpan], retrieved: Iterable[TextSpan]) -> int:
    """Characters that lie in at least one span of each."""
    pieces = _merge(retrieved)
    by_document: dict[Hashable, list[TextSpan]] = defaultdict(list)
    for piece in pieces:
        by_document[piece.document].append(piece)
    return sum(
        max(0, min(span.end, piece.end) - max(span.start, piece.start))
        for span in _merge(wanted)
        for piece in by_document[span.document]
    )


def range_scores(wanted: Sequence[TextSpan], retrieved: Sequence[TextSpan]) -> RangeScores:
    """Recall, precision and intersection over union of characters.

    As Chroma's "Evaluating Chunking Strategies for Retrieval" (2024) has them: what is retrieved twice
    counts twice in what was retrieved, and once in what was found.
    """
    found, sought = overlap(wanted, retrieved), size(wanted)
    taken = sum(span.length for span in retrieved)
    union = taken + sought - found
    return RangeScores(
        found / sought if sought else 0.0, found / taken if taken else 0.0, found / union if union else 0.0
    )


def ideal_iou(wanted: Sequence[TextSpan], pieces: Iterable[TextSpan]) -> float:
    """Precision Ω of the same report: the IoU of exactly those pieces that hold something wanted."""
    return range_scores(wanted, [piece for piece in pieces if any(map(piece.touches, wanted))]).iou


def _merge(spans: Iterable[TextSpan]) -> list[TextSpan]:
    merged: list[TextSpan] = []
    for span in sorted(spans, key=lambda one: (str(one.document), one.start, one.end)):
        last = merged[-1] if merged else None
        if last is not None and last.document == span.document and span.start <= last.end:
            merged[-1] = TextSpan(last.document, last.start, max(last.end, span.end))
        elif span.length > 0:
            merged.append(span)
    return merged
