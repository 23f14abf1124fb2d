"""How far a whole full build is, when one of its steps says how far that is.

What belongs here: what the steps cost beside each other. What does not: how long the rest takes, which
follows from the pace (`progress`).
"""

from __future__ import annotations

import math

from rag_pipelines.progress import Progress

WHOLE = "whole build"
"""The stage that counts the hundredths of all of them."""

GRAPH = "building the vector index"

COSTS = {
    "loading words": 19.0,
    "loading vectors": 16.0,
    "turning words around": 30.0,
    "building postings": 3.0,
    "indexing words": 4.0,
}
"""Processor seconds for 100,000 rows of 80 words (benchmarks/index_build.py), in the order of the steps."""

GRAPH_COST = 2.0
GRAPH_DIMENSION_COST = 0.0085
"""The same of a graph, for each doubling of its rows: a row is compared with some of every layer."""


class WholeBuild:
    """A listener to the steps of a build that tells another one, and how much of all that is.

    `dimensions` are those of a graph's vectors, None where none is built; there are `parts` graphs.
    """

    def __init__(self, progress: Progress, rows: int, dimensions: int | None, parts: int = 1) -> None:
        self._progress = progress
        self._parts = parts
        self._costs = dict(COSTS)
        if dimensions is not None:
            self._costs[GRAPH] = (GRAPH_COST + GRAPH_DIMENSION_COST * dimensions) * math.log2(
                rows / parts + 1
            )

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        self._progress(stage, done, total)
        if stage in self._costs and total:
            steps = list(self._costs)
            before = sum(self._costs[step] for step in steps[: steps.index(stage)])
            share = done / total
            if stage == GRAPH and done:
                share *= math.log2(done / self._parts + 1) / math.log2(total / self._parts + 1)
            whole = (before + self._costs[stage] * share) / sum(self._costs.values())
            self._progress(WHOLE, int(100 * whole), 100)
