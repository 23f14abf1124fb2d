"""What the quality gate asks of a candidate, as an index's configuration says it.

What belongs here: the values and their defaults, and nothing that takes time to import. What does not: the
judgement (`gates.quality`).
"""

from __future__ import annotations

from typing import Literal

import msgspec


class QualityBounds(msgspec.Struct, frozen=True):
    """Bounds of a candidate's figures on the golden set, at the cut-off `k` and in each of `modes`.

    `tolerance` is how much a mean may fall below the live version's, `slice_tolerance` the same for a slice
    of at least `slice_questions`; a larger loss refuses the candidate if a paired test finds it at the level
    `alpha`. `floors` are the least means of the first mode, by measure, `slice_floors` those of a slice.
    A search may take `latency_factor` times the live version's p95, or `latency_ms` where that is more.
    """

    k: int = 10
    modes: tuple[Literal["dense", "lexical", "hybrid"], ...] = ("hybrid", "dense", "lexical")
    tolerance: float = 0.01
    slice_tolerance: float = 0.03
    slice_questions: int = 10
    alpha: float = 0.05
    floors: dict[str, float] = {}
    slice_floors: dict[str, dict[str, float]] = {}
    latency_factor: float = 3.0
    latency_ms: float = 250.0
