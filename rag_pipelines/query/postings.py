"""Which rows have a question's words, and which of them the most: BM25 over the postings of a version.

What belongs here: reading postings and adding up what they say. What does not: how a score is made exact and
who may see a row (the search statement does both), and how postings are stored (`sql/queries/storage.sql`).

Scores are added up for every row that has a word, term by term; the shares are rounded to 1/255, so that what
comes out is an order of candidates and not a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rag_pipelines.store.database import Pg, PreparedQuery

POSTINGS = 1_000_000
"""So many are read for a question's rarer words (5 bytes each); then commoner ones give no candidates."""

POSTING = np.dtype([("slot", ">i4"), ("share", "u1")])


class Matches:
    """The rows that have words of a question, and the words' weights as the statement takes them.

    `thorough` says whether every word could give candidates. `pairs` are those of words that stand beside
    each other, as an SQL array; None where there are none.
    """

    def __init__(
        self,
        idf: Mapping[int, float],
        slots: np.ndarray,
        scores: np.ndarray,
        thorough: bool,
        pairs: str | None = None,
    ) -> None:
        self.weights = sparse(idf)
        self.thorough = thorough
        self.pairs = pairs
        self._slots = slots
        self._scores = scores

    def __len__(self) -> int:
        return len(self._slots)

    def best(self, limit: int) -> str:
        """The `limit` best rows, best first, as an SQL array."""
        slots, scores = self._slots, self._scores
        if len(slots) > limit:
            chosen = np.argpartition(scores, -limit)[-limit:]
            slots, scores = slots[chosen], scores[chosen]
        return "{" + ",".join(map(str, slots[np.lexsort((slots, -scores))].tolist())) + "}"


def matches(
    connection: Pg, statement: PreparedQuery, params: Mapping[str, Any], postings: int = POSTINGS
) -> Matches:
    """The rows of a tenant that match a question, by so many `postings`; `statement` is ``words_asked``."""
    rows = statement.run(connection, {**params, "postings": postings}, binary=True).fetchall()
    pairs = next((row["pairs"] for row in rows if row["term"] is None), None)
    rows = [row for row in rows if row["term"] is not None]
    idf = {row["term"]: row["idf"] for row in rows}
    blocks = [(row["entries"], row["idf"]) for row in rows if row["entries"] is not None]
    found = np.frombuffer(b"".join(entries for entries, _ in blocks), POSTING)
    sizes = [len(entries) // POSTING.itemsize for entries, _ in blocks]
    shares = found["share"] * np.repeat([weight for _, weight in blocks], sizes)
    slots, scores = _sum_by_slot(found["slot"].astype(np.intp), shares)
    return Matches(idf, slots, scores, thorough=len(blocks) == len(rows), pairs=pairs)


def sparse(weights: Mapping[int, float]) -> str:
    """Weights by term as SQL reads a sparse vector."""
    return "{" + ",".join(f"{term}:{weight:.7g}" for term, weight in weights.items()) + "}/1000000000"


def _sum_by_slot(slots: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each slot once, with the sum of its shares."""
    if not len(slots):
        return slots, shares
    if slots.max() > 50 * len(slots):
        slots, places = np.unique(slots, return_inverse=True)
        return slots, np.bincount(places, weights=shares)
    scores = np.bincount(slots, weights=shares)
    slots = np.flatnonzero(scores > 0)
    return slots, scores[slots]


NOTHING = Matches({}, np.empty(0, np.intp), np.empty(0), thorough=True)
"""For a search that does not ask for words."""
