"""A bake-off: what several embedding models are worth on an index's passages, and what they cost.

What belongs here: the passages that all of them embed, the rankings that come of it, a recommendation. What
does not: running a model (`embedding.trial`).

Nothing is stored or built, so a model can be tried beside a live index. All read the live version's passages,
cut as they are; every passage is compared with every question, so nothing is lost to an approximate index.
The words' side is the live version's own BM25, and both are fused as the index is configured. Access and
filters do not narrow the side of vectors: nobody sees a passage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from rag_pipelines.config.settings import FusionSettings
from rag_pipelines.embedding.base import normalise
from rag_pipelines.embedding.model_files import UNKNOWN_LICENCE, find_model, licence_of
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.trial import Trial, try_model
from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.catalogue import Resolved, resolve
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.run import Setting, results_of, version_of
from rag_pipelines.evaluation.scoring import ranking_figures
from rag_pipelines.evaluation.significance import Difference, difference
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.query.search import MAX_K, tenants_of
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Vectors

    Scores = NDArray[np.float32]
    """Shape (questions, passages)."""

NDCG, HIT = "nDCG@10", "Success@5"
PASSAGES = 2_000
TOLERATED = 0.005
"""How much nDCG@10 a smaller form of the vectors may lose and still be recommended."""


class Quality(msgspec.Struct, frozen=True):
    """Means over the questions: nDCG@10, and the share with a right document among the first five."""

    ndcg: float
    hit: float


class VectorForm(msgspec.Struct, frozen=True):
    """A way to keep vectors: `vector` (32 bits a number), `halfvec` (16), `signs` (1), and `halfvec` of the
    first numbers only. `ndcg` is that of the dense side."""

    name: str
    bytes: int
    ndcg: float


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `against_first` is its hybrid nDCG@10 less that of the first model, paired.

    `passages_a_second`, `processor_ms` (of all cores, a passage), `query_ms` (the median) and `memory_mb`
    (the peak of a process that embeds) are of this machine, as loaded as it was; what a remote model takes is
    time on the way and there.
    """

    name: str
    model: str
    runtime: str
    dimensions: int
    licence: str
    dense: Quality
    hybrid: Quality
    against_first: Difference
    passages_a_second: float
    processor_ms: float | None
    query_ms: float
    memory_mb: float | None
    forms: tuple[VectorForm, ...]


class Recommendation(msgspec.Struct, frozen=True):
    """The quickest model in the budget that is not measurably worse than the best one in it, with the
    smallest form of vectors that loses little. `best_gains` is what the best has over it."""

    name: str
    form: VectorForm
    best: str
    best_gains: Difference


class BakeOff(msgspec.Struct, frozen=True):
    """All of them, the index's own model first. No recommendation: none is in the budget."""

    index: str
    golden: str
    questions: int
    passages: int
    models: tuple[ModelFigures, ...]
    recommended: Recommendation | None


@dataclass(frozen=True)
class _Ground:
    """What is the same for all: passages, whose they are, questions with the scores of their words."""

    texts: list[str]
    documents: NDArray[np.int64]
    asked: list[Resolved]
    elsewhere: NDArray[np.bool_]
    lexical: Scores
    fusion: FusionSettings


def compare_models(
    runtime: Runtime,
    index: str,
    golden: GoldenSet,
    profiles: Mapping[str, EmbeddingProfile],
    *,
    passages: int = PASSAGES,
    tenant: str | None = None,
    budget_ms: float | None = None,
    budget_bytes: int | None = None,
    progress: Progress = no_progress,
) -> BakeOff:
    """Try every model on the passages of the documents that the questions expect, and of others.

    Args:
        passages: how many at most.
        budget_ms: the longest that embedding one question may take, the median.
        budget_bytes: the most that one vector may take.

    Raises:
        UsageError: there is no live version, no question expects a document that is there, or the expected
            documents have more passages than that.
        ConfigError: a model is not on this machine.
    """
    ground = _ground(runtime, index, golden, passages, tenant)
    figures: list[ModelFigures] = []
    scored: dict[str, list[float]] = {}
    queries = [one.question.query for one in ground.asked]
    for number, (name, profile) in enumerate(profiles.items(), 1):
        progress(name, number - 1, len(profiles))
        trial = try_model(profile, runtime.settings.data_dir, ground.texts, queries)
        fused = _fuse(_cosines(ground, trial.passages, trial.questions), ground.lexical, ground.fusion)
        measured = _measure(ground, fused)
        scored[name] = [one[NDCG] for one in measured.values()]
        first = next(iter(scored.values()))
        figures.append(
            _figures(name, profile, trial, ground, _mean(measured), difference(first, scored[name]))
        )
        progress(name, number, len(profiles))
    return BakeOff(
        index,
        golden.name,
        len(ground.asked),
        len(ground.texts),
        tuple(figures),
        recommend(figures, scored, budget_ms, budget_bytes),
    )


def recommend(
    figures: Sequence[ModelFigures],
    scored: Mapping[str, Sequence[float]],
    budget_ms: float | None = None,
    budget_bytes: int | None = None,
) -> Recommendation | None:
    """What to take, by the nDCG@10 of every question (`scored`) and the budget."""
    within = [
        (one, form)
        for one in figures
        if (form := _smallest(one.forms, budget_bytes)) is not None
        and (budget_ms is None or one.query_ms <= budget_ms)
    ]
    if not within:
        return None
    best = max(within, key=lambda pair: pair[0].hybrid.ndcg)[0]
    for one, form in sorted(within, key=lambda pair: pair[0].query_ms):
        gains = difference(scored[one.name], scored[best.name])
        if not gains.significant:
            return Recommendation(one.name, form, best.name, gains)
    raise AssertionError("the best is not worse than itself")


def _smallest(forms: Sequence[VectorForm], budget_bytes: int | None) -> VectorForm | None:
    """The smallest form that loses little; where the budget is below that, the best one in it. Signs are not
    kept alone, so they are never it."""
    full = forms[0].ndcg
    kept = [form for form in forms if form.name != "signs" and form.bytes <= (budget_bytes or form.bytes)]
    good = [form for form in kept if form.ndcg >= full - TOLERATED]
    if good:
        return min(good, key=lambda form: form.bytes)
    return max(kept, key=lambda form: form.ndcg, default=None)


def _ground(runtime: Runtime, index: str, golden: GoldenSet, passages: int, tenant: str | None) -> _Ground:
    import numpy as np

    with runtime.database.connection() as connection:
        version = version_of(connection, index, None)
        resolved, _ = resolve(connection, version, golden.questions)
        asked = [one for one in resolved if any(expected.documents for expected in one.expected)]
        named = {document for one in asked for expected in one.expected for document in expected.documents}
        if not named:
            raise UsageError(f"no question of {golden.name!r} expects a document that index {index!r} has")
        params = {
            "sources": version.sources,
            "chunker_id": version.chunker_id,
            "documents": sorted(named),
            "limit": passages + 1,
        }
        rows = query(connection, "model_passages", params).fetchall()
        tenants = tenants_of(connection, runtime.settings, index)
    if len(rows) > passages and rows[-1]["document_id"] in named:
        raise UsageError(
            f"the documents that {golden.name!r} expects have more than {passages:,} passages; "
            "raise --passages, or give fewer questions"
        )
    rows = rows[:passages]
    places = {f"{row['key'].hex}-{row['ordinal']}": place for place, row in enumerate(rows)}
    own = tenant or (tenants[0] if len(tenants) == 1 else "")
    lexical = np.zeros((len(asked), len(rows)), dtype=np.float32)
    questions = GoldenSet(golden.name, tuple(one.question for one in asked))
    setting = Setting(mode="lexical", k=MAX_K)
    for number, result in enumerate(results_of(runtime, version, questions, setting=setting, tenant=tenant)):
        for hit in result.hits:
            if (place := places.get(hit.chunk_id)) is not None:
                lexical[number, place] = hit.scores.lexical or 0
    whose = np.array([row["tenant"] for row in rows])
    return _Ground(
        [row["input"] for row in rows],
        np.array([row["document_id"] for row in rows]),
        asked,
        np.array([whose != (one.question.tenant or own) for one in asked]),
        lexical,
        runtime.settings.index(index).fusion,
    )


def _cosines(ground: _Ground, passages: Vectors, questions: Vectors) -> Scores:
    import numpy as np

    return np.where(ground.elsewhere, np.float32(-2), questions @ passages.T)


def _fuse(dense: Scores, lexical: Scores, fusion: FusionSettings) -> Scores:
    """As the search statement does: the best of each side, with the scores of both, weighted."""
    import numpy as np

    fused = np.full_like(dense, -1)
    weight = fusion.dense_weight
    for row, (cosines, words) in enumerate(zip(dense, lexical, strict=True)):
        near = np.argsort(-cosines, kind="stable")[: fusion.candidates]
        worded = np.argsort(-words, kind="stable")[: fusion.candidates]
        taken = np.union1d(near[cosines[near] > -2], worded[words[worded] > 0])
        one, two = cosines[taken], words[taken]
        if fusion.method == "rrf":
            ranks = (1 + (side[None, :] > side[:, None]).sum(axis=1) for side in (one, two))
            first, second = (1 / (fusion.rrf_k + rank) for rank in ranks)
            fused[row, taken] = weight * first + (1 - weight) * np.where(two > 0, second, 0)
        else:
            spread = np.ptp(one)
            share = (one - one.min()) / spread if spread else np.ones_like(one)
            fused[row, taken] = weight * share + (1 - weight) * two / (two.max() or 1)
    return fused


def _measure(ground: _Ground, scores: Scores) -> dict[str, dict[str, float]]:
    """Figures of every question by its id."""
    import numpy as np

    rankings = {}
    for one, row in zip(ground.asked, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:200]
        rankings[one.question.id] = list(dict.fromkeys(ground.documents[best].tolist()))[:10]
    return ranking_figures(ground.asked, rankings, (NDCG, HIT))


def _mean(measured: Mapping[str, Mapping[str, float]]) -> Quality:
    return Quality(*(sum(one[name] for one in measured.values()) / len(measured) for name in (NDCG, HIT)))


def _figures(
    name: str, profile: EmbeddingProfile, trial: Trial, ground: _Ground, hybrid: Quality, against: Difference
) -> ModelFigures:
    count, identity = len(ground.texts), trial.identity
    remote = profile.provider == "openai"
    local = profile.provider == "sentence-transformers"
    return ModelFigures(
        name=name,
        model=identity.model,
        runtime=f"{identity.runtime} {identity.precision}",
        dimensions=identity.dimensions,
        licence=licence_of(find_model(profile.model)) if local else UNKNOWN_LICENCE,
        dense=_mean(_measure(ground, _cosines(ground, trial.passages, trial.questions))),
        hybrid=hybrid,
        against_first=against,
        passages_a_second=count / trial.seconds,
        processor_ms=None if remote else trial.processor_seconds / count * 1000,
        query_ms=trial.query_ms,
        memory_mb=trial.memory_mb,
        forms=tuple(_forms(ground, trial)),
    )


def _forms(ground: _Ground, trial: Trial) -> list[VectorForm]:
    import numpy as np

    full = trial.identity.dimensions
    halves = [side.astype(np.float16).astype(np.float32) for side in (trial.passages, trial.questions)]
    signs = [np.where(side > 0, np.float32(1), np.float32(-1)) for side in (trial.passages, trial.questions)]
    kept = [
        ("vector", 4 * full, trial.passages, trial.questions),
        ("halfvec", 2 * full, *halves),
        ("signs", -(-full // 8), *(side / np.sqrt(np.float32(full)) for side in signs)),
        *(
            (f"halfvec of {cut}", 2 * cut, *(normalise(side[:, :cut]) for side in halves))
            for cut in (full // 2, full // 4)
        ),
    ]
    return [
        VectorForm(name, size, _mean(_measure(ground, _cosines(ground, passages, questions))).ndcg)
        for name, size, passages, questions in kept
    ]
