"""What a profile sees in one document, for people who choose thresholds.

What belongs here: places as a person finds them, also those below the threshold. What does not: screening for
storage (`screen`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from rag_pipelines.model import ParsedDocument
from rag_pipelines.privacy.find import finder_of
from rag_pipelines.privacy.kinds import Kind
from rag_pipelines.privacy.profile import PrivacyProfile
from rag_pipelines.privacy.screen import column_heads

LEAST = 0.01
"""The score of what is hardly anything."""


class SeenPlace(NamedTuple):
    """A place in the canonical text: line and column count from 1. `counts` says that the score reaches the
    threshold of its kind."""

    kind: Kind
    score: float
    counts: bool
    page: int | None
    line: int
    column: int
    heading: str | None
    value: str


def places_in(document: ParsedDocument, profile: PrivacyProfile) -> list[SeenPlace]:
    """What may be something in the text of `document`, in its order. Raises `UsageError`: a package is
    missing."""
    beside = column_heads(document)
    counting = finder_of(profile).find(document.text, beside)
    every = finder_of(replace(profile, threshold=LEAST, thresholds={})).find(document.text, beside)
    taken = {(one.kind, one.start, one.end) for one in counting}
    below = [
        one for one in every if all(one.end <= other.start or other.end <= one.start for other in counting)
    ]
    seen: list[SeenPlace] = []
    for one in sorted((*counting, *below), key=lambda one: one.start):
        block = next((b for b in document.blocks if b.start <= one.start < b.end), None)
        seen.append(
            SeenPlace(
                one.kind,
                one.score,
                (one.kind, one.start, one.end) in taken,
                block.page if block else None,
                document.text.count("\n", 0, one.start) + 1,
                one.start - document.text.rfind("\n", 0, one.start),
                block.heading_path[-1] if block and block.heading_path else None,
                document.text[one.start : one.end],
            )
        )
    return seen
