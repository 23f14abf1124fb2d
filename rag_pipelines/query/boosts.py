"""Recency and authority: what makes a document count more whatever is asked.

What belongs here: the factors and their product with the score. What does not: relevance to the question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rag_pipelines.config.query import AuthorityRule, BoostSettings, RecencySettings
from rag_pipelines.query.hits import Hit
from rag_pipelines.query.stages import Asked, Candidate, StageOutcome

POOL = 50
"""Candidates of which a boosted one can come up."""


class Boosts:
    """Multiplies each score by the document's factor."""

    name = "boosts"
    depth = POOL

    def __init__(self, settings: BoostSettings) -> None:
        self._settings = settings

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        factors = [self.factor(one.hit, asked.now) for one in candidates]
        changed = sum(factor != 1 for factor in factors)
        boosted = multiplied(candidates, factors)
        return StageOutcome(boosted, f"{changed} of {len(candidates)} candidates have a factor other than 1")

    def factor(self, hit: Hit, now: datetime) -> float:
        """What the score of a hit is multiplied by."""
        factor = 1.0
        if self._settings.recency:
            factor = recency_factor(hit.modified_at, now, self._settings.recency)
        for rule in self._settings.authority:
            if matches(rule, hit):
                factor *= rule.factor
        return factor


def multiplied(candidates: Sequence[Candidate], factors: Sequence[float]) -> list[Candidate]:
    """Candidates with their scores multiplied, each by the factor in its place, best first.

    Scores of which some are below zero (cosines) are first moved up together until the least is zero,
    so that a factor above 1 is an advantage for all.
    """
    lift = max(0.0, *(-one.score for one in candidates))
    moved = [
        Candidate(one.hit, (one.score + lift) * factor)
        for one, factor in zip(candidates, factors, strict=True)
    ]
    return sorted(moved, key=lambda one: -one.score)


def recency_factor(modified_at: datetime | None, now: datetime, settings: RecencySettings) -> float:
    """``1 - weight + weight * 0.5 ** (age / half-life)``; 1 for what was modified now or in the future."""
    half_lives = 1.0
    if modified_at is not None:
        moment = modified_at if modified_at.tzinfo else modified_at.replace(tzinfo=UTC)
        half_lives = max((now - moment) / settings.half_life, 0.0)
    return 1 - settings.weight + settings.weight * 0.5**half_lives


def matches(rule: AuthorityRule, hit: Hit) -> bool:
    """Whether everything that a rule names holds for the document of a hit."""
    return (
        (rule.source is None or rule.source == hit.source)
        and (rule.path_prefix is None or hit.path.startswith(rule.path_prefix))
        and all(_holds(hit.metadata, name, value) for name, value in rule.metadata.items())
    )


def _holds(metadata: Mapping[str, Any], name: str, value: Any) -> bool:
    held = metadata.get(name)
    if isinstance(held, list | tuple) and not isinstance(value, list | tuple):
        return value in held
    return name in metadata and held == value
