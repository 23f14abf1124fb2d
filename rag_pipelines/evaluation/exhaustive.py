"""Every question against every passage, in memory: rankings without an index, for vectors that no index has.

What belongs here: the passages, the scores of both sides, fusing them, figures. What does not: where the
vectors come from (`models`, `adapting`).

The passages are those of the live version, cut as they are; nothing is lost to an approximate index. The
words' side is the version's own BM25. Both are weighted as the index is configured, and what else a search
weighs is left out: this compares vectors, and is no search. Access and filters do not narrow the side of
vectors: nobody sees a passage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from rag_pipelines.config.settings import FusionSettings
from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.catalogue import Resolved, resolve
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.run import Setting, results_of, version_of
from rag_pipelines.evaluation.scoring import ranking_figures
from rag_pipelines.query.asking import MAX_K
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import query
from rag_pipelines.store.documents import tenants_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Vectors

    Scores = NDArray[np.float32]
    """Shape (questions, passages)."""

NDCG, HIT = "nDCG@10", "Success@5"
_NOT_HERE = -2
"""The cosine of a passage of another tenant."""


class Quality(msgspec.Struct, frozen=True):
    """Means over the questions: nDCG@10, and the share with a right document among the first five."""

    ndcg: float
    hit: float


@dataclass(frozen=True)
class Ground:
    """Passages (their texts as a model reads them, their documents), and questions with the BM25 of each
    passage (`lexical`) and whether it is of another tenant (`elsewhere`)."""

    texts: list[str]
    documents: NDArray[np.int64]
    asked: list[Resolved]
    elsewhere: NDArray[np.bool_]
    lexical: Scores
    fusion: FusionSettings

    @property
    def queries(self) -> list[str]:
        """The texts of the questions."""
        return [one.question.query for one in self.asked]

    def only(self, chosen: NDArray[np.bool_]) -> Ground:
        """The same passages for some of the questions."""
        return replace(
            self,
            asked=[one for one, is_chosen in zip(self.asked, chosen, strict=True) if is_chosen],
            elsewhere=self.elsewhere[chosen],
            lexical=self.lexical[chosen],
        )

    def dense(self, passages: Vectors, questions: Vectors) -> Scores:
        """Cosines."""
        import numpy as np

        return np.where(self.elsewhere, np.float32(_NOT_HERE), questions @ passages.T)

    def hybrid(self, dense: Scores) -> Scores:
        """The best of each side with both scores, weighted: cosines by their span, BM25 by its highest."""
        import numpy as np

        fused = np.full_like(dense, -1)
        weight, count = self.fusion.dense_weight, self.fusion.candidates
        for row, (cosines, words) in enumerate(zip(dense, self.lexical, strict=True)):
            near, worded = (np.argsort(-side, kind="stable")[:count] for side in (cosines, words))
            taken = np.union1d(near[cosines[near] > _NOT_HERE], worded[words[worded] > 0])
            one, two = cosines[taken], words[taken]
            if self.fusion.method == "rrf":
                ranks = (1 + (side[None, :] > side[:, None]).sum(axis=1) for side in (one, two))
                first, second = (1 / (self.fusion.rrf_k + rank) for rank in ranks)
                fused[row, taken] = weight * first + (1 - weight) * np.where(two > 0, second, 0)
            else:
                spread = np.ptp(one)
                share = (one - one.min()) / spread if spread else np.ones_like(one)
                fused[row, taken] = weight * share + (1 - weight) * two / (two.max() or 1)
        return fused

    def measure(self, scores: Scores) -> dict[str, dict[str, float]]:
        """The figures of every question, by its id."""
        import numpy as np

        rankings = {}
        for one, row in zip(self.asked, scores, strict=True):
            best = np.argsort(-row, kind="stable")[:200]
            rankings[one.question.id] = list(dict.fromkeys(self.documents[best].tolist()))[:10]
        return ranking_figures(self.asked, rankings, (NDCG, HIT))


def ground_of(
    runtime: Runtime,
    index: str,
    golden: GoldenSet,
    *,
    passages: int,
    tenant: str | None = None,
    worded: Callable[[Resolved], bool] = lambda _: True,
) -> Ground:
    """The questions that expect a document of the live version, and its passages: all of those documents, and
    of others up to `passages`, the same each time.

    Args:
        worded: the questions whose words are looked up, which takes a search each; `lexical` is 0 for others.

    Raises:
        UsageError: there is no live version, no question expects a document that is there, or the expected
            documents have more passages than that.
    """
    import numpy as np

    with runtime.database.connection() as connection:
        version = version_of(connection, index, None)
        resolved, _ = resolve(connection, version, golden.questions)
        asked = [one for one in resolved if one.documents]
        named = {document for one in asked for document in one.documents}
        if not named:
            raise UsageError(f"no question of {golden.name!r} expects a document that index {index!r} has")
        params = {
            "sources": version.sources,
            "chunker_id": version.chunker_id,
            "documents": sorted(named),
            "limit": passages + 1,
        }
        rows = query(connection, "model_passages", params).fetchall()
        tenants = tenants_of(connection, runtime.settings.sources_of(index))
    if len(rows) > passages and rows[-1]["document_id"] in named:
        raise UsageError(
            f"the documents that {golden.name!r} expects have more than {passages:,} passages; "
            "raise --passages, or give fewer questions"
        )
    rows = rows[:passages]
    places = {f"{row['key'].hex}-{row['ordinal']}": place for place, row in enumerate(rows)}
    lexical = np.zeros((len(asked), len(rows)), dtype=np.float32)
    rows_of_words = [row for row, one in enumerate(asked) if worded(one)]
    questions = GoldenSet(golden.name, tuple(asked[row].question for row in rows_of_words))
    setting = Setting(mode="lexical", k=MAX_K)
    if rows_of_words:
        results = results_of(runtime, version, questions, setting=setting, tenant=tenant)
        for row, result in zip(rows_of_words, results, strict=True):
            for hit in result.hits:
                if (place := places.get(hit.chunk_id)) is not None:
                    lexical[row, place] = hit.scores.lexical or 0
    own = tenant or (tenants[0] if len(tenants) == 1 else "")
    whose = np.array([row["tenant"] for row in rows])
    return Ground(
        [row["input"] for row in rows],
        np.array([row["document_id"] for row in rows]),
        asked,
        np.array([whose != (one.question.tenant or own) for one in asked]),
        lexical,
        runtime.settings.index(index).fusion,
    )


def mean_of(measured: Mapping[str, Mapping[str, float]]) -> Quality:
    """The means of what `Ground.measure` gives."""
    return Quality(*(sum(one[name] for one in measured.values()) / len(measured) for name in (NDCG, HIT)))
