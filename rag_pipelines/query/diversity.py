"""Less of the same: maximal marginal relevance over the candidates' vectors, and hits per document.

What belongs here: orders that look at candidates among each other. What does not: scores by the question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_pipelines.config.query import DiversitySettings
from rag_pipelines.query.hits import Hit, chunk_place
from rag_pipelines.query.stages import Asked, Candidate, StageOutcome, scale_min_max
from rag_pipelines.store.database import query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Vectors

POOL = 50
"""Candidates from which others of the same document are replaced."""


class Diversity:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    Relevance is the score moved to [0, 1], similarity the cosine of the version's own vectors. The
    score afterwards is the marginal relevance at the moment of the choice, so it falls with the rank
    only roughly.
    """

    name = "diversity"

    def __init__(self, settings: DiversitySettings) -> None:
        self._relevance = settings.relevance
        self.depth = settings.depth

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        pool, rest = candidates[: self.depth], candidates[self.depth :]
        vectors = vectors_of(asked, [one.hit for one in pool])
        chosen = marginal_order(scale_min_max([one.score for one in pool]), vectors, self._relevance)
        ordered = [Candidate(pool[at].hit, score) for at, score in chosen]
        least = min(score for _, score in chosen)
        below = [Candidate(one.hit, least - rank) for rank, one in enumerate(rest, 1)]
        moved = sum(at != rank for rank, (at, _) in enumerate(chosen))
        return StageOutcome([*ordered, *below], f"{moved} of {len(pool)} candidates changed their rank")


class PerDocument:
    """Keeps the best `most` hits of each document."""

    name = "per_document"
    depth = POOL

    def __init__(self, most: int) -> None:
        self._most = most

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        seen: Counter[int] = Counter()
        kept = []
        for one in candidates:
            seen[one.hit.document_id] += 1
            if seen[one.hit.document_id] <= self._most:
                kept.append(one)
        return StageOutcome(
            kept, f"{len(candidates) - len(kept)} further hits of {len(seen)} documents left out"
        )


def marginal_order(relevance: Sequence[float], vectors: Vectors, share: float) -> list[tuple[int, float]]:
    """Positions in the order in which they are chosen, each with its marginal relevance.

    Args:
        relevance: of each candidate, in [0, 1].
        vectors: unit rows, shape (len(relevance), dimensions).
        share: lambda of the paper; at 1 the order is that of `relevance`.

    The product is computed in this thread: waking the threads of a linear algebra library takes longer than
    the product of some tens of vectors, and many times longer on a busy machine.
    """
    import numpy as np

    left = np.asarray(relevance, dtype=np.float64)
    similarity = np.einsum("id,jd->ij", vectors, vectors)
    nearest: NDArray[np.float64] = np.zeros(len(left))
    open_ = np.ones(len(left), dtype=bool)
    order = []
    for _ in range(len(left)):
        marginal = np.where(open_, share * left - (1 - share) * nearest, -np.inf)
        at = int(marginal.argmax())
        order.append((at, float(marginal[at])))
        open_[at] = False
        nearest = np.maximum(nearest, similarity[at])
    return order


def vectors_of(asked: Asked, hits: Sequence[Hit]) -> Vectors:
    """The vectors of hits in the version that they come from; zeros for one that is not there any more."""
    import numpy as np
    from pgvector import Vector

    places = [(hit.document_id, *chunk_place(hit)) for hit in hits]
    documents, keys, ordinals = zip(*places, strict=True)
    rows_asked = {"documents": list(documents), "keys": list(keys), "ordinals": list(ordinals)}
    params = {**rows_asked, "tenant": asked.tenant}
    parts = {"vectors": asked.parts["vectors"]}
    with asked.reading() as connection:
        rows = query(connection, "candidate_vectors", params, parts, binary=True).fetchall()
    found = {
        (row["document_id"], row["key"], row["ordinal"]): Vector.from_binary(row["embedding"]).to_numpy()
        for row in rows
    }
    nothing = np.zeros_like(next(iter(found.values()), np.zeros(1)))
    return np.array([found.get(place, nothing) for place in places], dtype=np.float32)
