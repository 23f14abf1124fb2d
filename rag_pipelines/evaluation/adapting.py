"""Learns an adapter for an index: a matrix that brings the vectors of questions nearer to what answers them.

What belongs here: what it is learned from, the learning, the test on questions it has not seen. What does
not: its files and its use (`embedding.adapter`).

It is learned from the index itself, which pairs titles, headings and the words of links with documents, and
from golden sets, such as a query log with what was clicked. Questions are parted by what they expect: those
of every fifth document are not learned from, and decide whether the adapter is worth anything.

The matrix minimises the cross entropy of the right documents among all passages (InfoNCE of van den Oord et
al. 2018, with every passage as a negative), with a penalty on its distance from the identity: what questions
say nothing of stays as it was, and few questions change little.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rag_pipelines.embedding.adapter import describe, refuse_existing, write_adapter
from rag_pipelines.embedding.base import normalise
from rag_pipelines.embedding.batch import embed_all
from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.catalogue import Resolved
from rag_pipelines.evaluation.exhaustive import NDCG, Ground, Quality, ground_of, mean_of
from rag_pipelines.evaluation.labels import mine_questions
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.run import version_of
from rag_pipelines.evaluation.significance import Difference, difference
from rag_pipelines.fingerprint import text_key
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Embedder, Vectors

PASSAGES = 10_000
QUESTIONS = 5_000
LEAST_QUESTIONS = 50
"""Fewer to learn from, or to test with, say nothing."""

HELD_OUT = 5
"""Questions of one document in so many are held out."""

PENALTY = 130.0
"""Of the squared distance from the identity, against the sum of the cross entropies."""

SHARPNESS = 20.0
"""By what cosines are multiplied before the softmax."""

STEPS, RATE, BATCH, SEED = 60, 2e-3, 1024, 20_260


class Adaptation(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned, and what it is worth on the `tested` questions, of documents it was not learned from.

    `before`, `after` and `gain` (of nDCG@10, paired) are of the dense side, `hybrid_gain` of both sides.
    `folder` is None where nothing was written, because the dense side gains no more than chance would.
    """

    index: str
    model: str
    learned_from: int
    tested: int
    before: Quality
    after: Quality
    gain: Difference
    hybrid_gain: Difference
    folder: str | None = None


def adapt(
    runtime: Runtime,
    index: str,
    folder: Path,
    *,
    golden: Sequence[GoldenSet] = (),
    restricted: bool = False,
    tenant: str | None = None,
    progress: Progress = no_progress,
) -> Adaptation:
    """Learn an adapter for the configured model of an index, test it, and write it if it is worth it.

    Args:
        folder: where to; it must not be there yet.
        golden: sets to learn from beside titles, headings and links.
        restricted: whether to learn also from documents that not everyone may read.
        tenant: of questions that name none; by default the only one of the index.

    Raises:
        UsageError: there are too few questions, the model has an adapter already, or as `ground_of`.
        ConfigError: the folder is there already.
    """
    import numpy as np

    refuse_existing(folder)
    embedder = runtime.embedders.of(runtime.settings.embedding_profile(index))
    if embedder.identity.adapter:
        raise UsageError(
            f"the model of index {index!r} has an adapter; take it out of the profile to learn one anew"
        )
    with runtime.database.connection() as connection:
        version = version_of(connection, index, None)
        mined = mine_questions(connection, runtime.settings, version, limit=QUESTIONS, restricted=restricted)
    given = (question for one in golden for question in one.questions if question.expect)
    asked = GoldenSet(f"{index}, mined", tuple({one.id: one for one in (*mined, *given)}.values()))
    ground = ground_of(runtime, index, asked, passages=PASSAGES, tenant=tenant, worded=_is_held_out)
    unseen = np.array([_is_held_out(one) for one in ground.asked])
    learned_from, tested = int((~unseen).sum()), int(unseen.sum())
    if min(learned_from, tested) < LEAST_QUESTIONS:
        raise UsageError(
            f"{learned_from} questions to learn from and {tested} to test with; {LEAST_QUESTIONS} of each "
            "are needed: give golden sets or a query log (`rag-pipelines eval import-log`) with --golden"
        )
    passages, queries = _embed(embedder, ground, progress)
    matrix = learn(queries[~unseen], passages, _right(ground.only(~unseen)))
    part, before = ground.only(unseen), queries[unseen]
    sides = [part.dense(passages, vectors) for vectors in (before, normalise(before @ matrix))]
    dense = [part.measure(side) for side in sides]
    hybrid = [part.measure(part.hybrid(side)) for side in sides]
    gain = difference(*([one[NDCG] for one in measured.values()] for measured in dense))
    is_worth_it = gain.mean > 0 and gain.significant
    if is_worth_it:
        write_adapter(folder, matrix, describe(embedder.identity, learned_from))
    return Adaptation(
        index=index,
        model=embedder.identity.model,
        learned_from=learned_from,
        tested=tested,
        before=mean_of(dense[0]),
        after=mean_of(dense[1]),
        gain=gain,
        hybrid_gain=difference(*([one[NDCG] for one in measured.values()] for measured in hybrid)),
        folder=str(folder) if is_worth_it else None,
    )


def learn(queries: Vectors, passages: Vectors, right: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The matrix, shape (dimensions, dimensions), that unit vectors of questions are to be multiplied by.

    Args:
        right: whether a passage is of a document that a question expects, shape (questions, passages); of
            each question at least one is.
    """
    import numpy as np

    count, dimensions = queries.shape
    identity = np.eye(dimensions, dtype=np.float32)
    matrix, mean, square = identity.copy(), np.zeros_like(identity), np.zeros_like(identity)
    draw = np.random.default_rng(SEED)
    for step in range(1, STEPS + 1):
        rows = draw.choice(count, min(BATCH, count), replace=False)
        asked = queries[rows]
        moved = asked @ matrix
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        moved /= lengths
        scores = SHARPNESS * moved @ passages.T
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        wanted = weights * right[rows]
        excess = weights / weights.sum(axis=1, keepdims=True) - wanted / wanted.sum(axis=1, keepdims=True)
        pull = SHARPNESS / len(rows) * excess @ passages
        pull = (pull - (pull * moved).sum(axis=1, keepdims=True) * moved) / lengths
        gradient = asked.T @ pull + 2 * PENALTY / count * (matrix - identity)
        # Adam (Kingma and Ba 2015)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        matrix -= RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return matrix.astype(np.float32)


def _is_held_out(asked: Resolved) -> bool:
    """Whether a document that it expects is one that nothing is learned from."""
    return any(text_key(str(document)).int % HELD_OUT == 0 for document in asked.documents)


def _right(ground: Ground) -> NDArray[np.bool_]:
    import numpy as np

    return np.array([np.isin(ground.documents, list(asked.documents)) for asked in ground.asked])


def _embed(embedder: Embedder, ground: Ground, progress: Progress) -> tuple[Vectors, Vectors]:
    """Passages, and questions each by itself. A passage that is refused has a vector of zeros."""
    import numpy as np

    passages = np.zeros((len(ground.texts), embedder.identity.dimensions), dtype=np.float32)
    done = 0
    for group in embed_all(embedder, ground.texts):
        passages[group.rows] = group.vectors
        done += len(group.rows)
        progress("passages", done, len(ground.texts))
    queries = []
    for number, query in enumerate(ground.queries, 1):
        queries.append(embedder.embed_query(query))
        progress("questions", number, len(ground.queries))
    return passages, np.array(queries)
