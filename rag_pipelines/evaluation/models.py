"""A bake-off: what several embedding models are worth on an index's passages, and what they cost.

What belongs here: figures of models, a recommendation. What does not: running one (`embedding.trial`), the
passages and the rankings (`exhaustive`).

Nothing is stored or built, so a model can be tried beside a live index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rag_pipelines.embedding.base import normalise
from rag_pipelines.embedding.model_files import UNKNOWN_LICENCE, find_model, licence_of
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.trial import Trial, try_model
from rag_pipelines.evaluation.exhaustive import NDCG, Ground, Quality, ground_of, mean_of
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.significance import Difference, difference
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime

PASSAGES = 2_000
TOLERATED = 0.005
"""How much nDCG@10 a smaller form of the vectors may lose and still be recommended."""


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
        UsageError: as `ground_of`.
        ConfigError: a model is not on this machine.
    """
    ground = ground_of(runtime, index, golden, passages=passages, tenant=tenant)
    figures: list[ModelFigures] = []
    scored: dict[str, list[float]] = {}
    for number, (name, profile) in enumerate(profiles.items(), 1):
        progress(name, number - 1, len(profiles))
        trial = try_model(
            profile,
            runtime.settings.data_dir,
            ground.texts,
            ground.queries,
            runtime.settings.shared_models,
        )
        dense = ground.dense(trial.passages, trial.questions)
        measured = ground.measure(ground.hybrid(dense))
        scored[name] = [one[NDCG] for one in measured.values()]
        first = next(iter(scored.values()))
        figures.append(
            _figures(name, profile, trial, ground, mean_of(measured), difference(first, scored[name]))
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


def _figures(
    name: str, profile: EmbeddingProfile, trial: Trial, ground: Ground, hybrid: Quality, against: Difference
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
        dense=mean_of(ground.measure(ground.dense(trial.passages, trial.questions))),
        hybrid=hybrid,
        against_first=against,
        passages_a_second=count / trial.seconds,
        processor_ms=None if remote else trial.processor_seconds / count * 1000,
        query_ms=trial.query_ms,
        memory_mb=trial.memory_mb,
        forms=tuple(_forms(ground, trial)),
    )


def _forms(ground: Ground, trial: Trial) -> list[VectorForm]:
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
        VectorForm(name, size, mean_of(ground.measure(ground.dense(passages, questions))).ndcg)
        for name, size, passages, questions in kept
    ]
