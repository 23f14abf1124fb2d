"""What the quality gate asks of a candidate, as an index's configuration says it.

What belongs here: fields, defaults and bounds of `gates.quality`. What does not: the judgement (the module
`gates.quality`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Share


class QualityBounds(Section):
    """Bounds of a candidate's figures on the golden set, at the cut-off `k` and in each of `modes`.

    `tolerance` is how much a mean may fall below the live version's, `slice_tolerance` the same for a slice
    of at least `slice_questions`; a larger loss refuses the candidate if a paired test finds it at the level
    `alpha`. `floors` are the least means of the first mode, by measure, `slice_floors` those of a slice.
    A search may take `latency_factor` times the live version's p95, or `latency_ms` where that is more.
    """

    k: int = Field(default=10, ge=1, le=1000)
    modes: tuple[Literal["dense", "lexical", "hybrid"], ...] = ("hybrid", "dense", "lexical")
    tolerance: Share = 0.01
    slice_tolerance: Share = 0.03
    slice_questions: int = Field(default=10, ge=1)
    alpha: Share = 0.05
    floors: dict[str, Share] = Field(default_factory=dict)
    slice_floors: dict[str, dict[str, Share]] = Field(default_factory=dict)
    latency_factor: float = Field(default=3.0, ge=1)
    latency_ms: float = Field(default=250.0, ge=0)
