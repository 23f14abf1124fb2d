"""How well a way of cutting documents lets exactly the relevant text be found, by character ranges.

What belongs here: cutting, embedding, ranking and scoring some documents in memory. What does not: any index;
the metric itself (`ranges`).

After Chroma's "Evaluating Chunking Strategies for Retrieval" (2024): all chunks of all documents are in one
collection, each question takes its nearest `top`, and every figure is a mean over the questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rag_pipelines.chunking.base import Chunker
from rag_pipelines.embedding.base import Embedder
from rag_pipelines.evaluation.ranges import RangeScores, TextSpan, ideal_iou, range_scores
from rag_pipelines.model import ParsedDocument


class RangeQuestion(msgspec.Struct, frozen=True):
    """A question and the characters that answer it; a span's document is its name."""

    text: str
    wanted: tuple[TextSpan, ...]


class ChunkingScores(msgspec.Struct, frozen=True):
    """The scores of each question, in order, with the IoU of the ideal choice of chunks (Precision Ω)."""

    questions: tuple[RangeScores, ...]
    ideal: tuple[float, ...]
    chunks: int
    mean_length: float


def judge_chunking(
    documents: Mapping[str, ParsedDocument],
    questions: Sequence[RangeQuestion],
    chunker: Chunker,
    embedder: Embedder,
    *,
    top: int = 5,
) -> ChunkingScores:
    """Cut `documents`, take each question's `top` chunks by cosine, and score the characters."""
    import numpy as np

    pieces: list[TextSpan] = []
    inputs: list[str] = []
    for name, document in documents.items():
        for chunk in chunker.chunk(document, None):
            pieces.append(TextSpan(name, chunk.start, chunk.end))
            inputs.append(chunk.embedding_input)
    vectors = embedder.embed_documents(inputs)
    scores = []
    for question in questions:
        nearest = np.argsort(-(vectors @ embedder.embed_query(question.text)), kind="stable")[:top]
        scores.append(range_scores(question.wanted, [pieces[place] for place in nearest]))
    return ChunkingScores(
        tuple(scores),
        tuple(ideal_iou(question.wanted, pieces) for question in questions),
        len(pieces),
        sum(piece.length for piece in pieces) / max(1, len(pieces)),
    )
