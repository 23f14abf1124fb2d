"""Many texts through an embedder, so that one bad text costs only itself.

What belongs here: batching by length, splitting a failing batch, judging vectors. What does not:
caching, storing, retrying over time (`TransientError` goes up to the caller).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from rag_pipelines import tracing
from rag_pipelines.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Embedder, Vectors

NORM_TOLERANCE = 1e-3
GROUP = 128
"""Texts handed to the embedder at once; it makes its own, smaller batches of them."""


class Embedded(msgspec.Struct, frozen=True):
    """Vectors as they come: `rows` are places in the texts given, `vectors` their vectors in that order.

    `failures` are the texts of the same group that have none, with the reason.
    """

    rows: NDArray[np.int64]
    vectors: Vectors
    failures: tuple[tuple[int, EmbeddingError], ...] = ()


def embed_all(
    embedder: Embedder,
    texts: Sequence[str],
    *,
    group: int = GROUP,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Embedded]:
    """Embed passages, longest first, in groups that the caller can store one by one.

    A group that is refused is halved until only the bad texts fail. Vectors that are not finite, of
    length 1 and of the model's dimensions are failures.

    Args:
        group: texts in one group; texts of a group are of like length.
        progress: called after each group with the number of its texts.

    Raises:
        TransientError: the model cannot be reached now; groups already yielded stand.
        CredentialError, ConfigError: it never will be, as it is configured.
    """
    import numpy as np

    order = sorted(range(len(texts)), key=lambda row: len(texts[row]), reverse=True)
    for begin in range(0, len(order), group):
        rows = order[begin : begin + group]
        done, vectors, failures = _embed_group(embedder, texts, rows)
        yield Embedded(np.array(done, dtype=np.int64), vectors, tuple(failures))
        if progress:
            progress(len(rows))


@contextmanager
def embedding_span(embedder: Embedder, texts: int) -> Iterator[None]:
    """The span of a call of a model, by OpenTelemetry's conventions for generative AI."""
    if not tracing.is_on():
        yield
        return
    identity, used = embedder.identity, embedder.usage.tokens
    about: dict[str, tracing.Value] = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": identity.provider,
        "gen_ai.request.model": identity.model,
        "gen_ai.embeddings.dimension.count": identity.dimensions,
    }
    with tracing.span(f"embeddings {identity.model}", about, kind="client", texts=texts) as span:
        yield
        span.set({"gen_ai.usage.input_tokens": embedder.usage.tokens - used})


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Places of texts of these lengths, longest first, in batches of at most `budget` tokens or of one text.

    A batch holds as many tokens as its longest text times its number of texts: shorter ones are padded.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row], reverse=True):
        if batch and lengths[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _embed_group(
    embedder: Embedder, texts: Sequence[str], rows: Sequence[int]
) -> tuple[list[int], Vectors, list[tuple[int, EmbeddingError]]]:
    """The rows that have vectors, those vectors, and the others with the reason."""
    import numpy as np

    dimensions = embedder.identity.dimensions
    try:
        with embedding_span(embedder, len(rows)):
            vectors = embedder.embed_documents([texts[row] for row in rows])
    except EmbeddingError as error:
        if len(rows) == 1:
            return [], np.empty((0, dimensions), dtype=np.float32), [(rows[0], error)]
        middle = len(rows) // 2
        left, right = (_embed_group(embedder, texts, half) for half in (rows[:middle], rows[middle:]))
        return left[0] + right[0], np.concatenate([left[1], right[1]]), left[2] + right[2]
    if vectors.shape != (len(rows), dimensions):
        raise EmbeddingError(
            f"{embedder.identity.model} gave vectors of shape {vectors.shape} for {len(rows)} texts; "
            f"({len(rows)}, {dimensions}) was expected"
        )
    norms = np.linalg.norm(vectors, axis=1)
    good = np.abs(norms - 1) <= NORM_TOLERANCE  # False for NaN and infinity too
    failures = [
        (rows[n], EmbeddingError(f"the vector has length {norms[n]:.4g}; 1 was expected"))
        for n in np.flatnonzero(~good).tolist()
    ]
    return [row for row, fine in zip(rows, good, strict=True) if fine], vectors[good], failures
