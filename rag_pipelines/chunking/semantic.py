"""The `semantic` strategy: breaks where the meaning of neighbouring sentences shifts.

Each sentence is embedded together with its neighbours; a break falls where the cosine distance to the
next is above a percentile of the document's own distances. After G. Kamradt, "5 Levels of Text
Splitting" (2024); here bounded by the token budget, and headings stay with what follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rag_pipelines.chunking.base import ChunkOptions, SentenceEmbedder, Tokenizer
from rag_pipelines.chunking.body import Body, BodyChunker, ChunkSpan
from rag_pipelines.model import BlockKind
from rag_pipelines.text.boundaries import ANY, sentences

WHOLE = frozenset({BlockKind.TITLE, BlockKind.HEADING, BlockKind.TABLE, BlockKind.CODE, BlockKind.LIST_ITEM})
"""Kinds of blocks that count as one sentence."""


class SemanticChunker(BodyChunker):
    """Groups neighbouring sentences of like meaning."""

    def __init__(
        self, options: ChunkOptions, tokenizer: Tokenizer, sentence_embedder: SentenceEmbedder
    ) -> None:
        super().__init__(options, tokenizer)
        self._embedder = sentence_embedder

    def spans(self, body: Body) -> Iterator[ChunkSpan]:
        units = [unit for block in body.blocks for unit in _units(body, block.kind, block.start, block.end)]
        breaks = self._breaks([body.text[start:end] for start, end, _ in units])
        start = units[0][0]
        for number, (_, end, heading) in enumerate(units):
            last = number == len(units) - 1
            if last or (
                breaks[number] and not heading and body.ruler.tokens(start, end) >= self.options.min_tokens
            ):
                yield from body.split(start, end, ANY, least=self.options.min_tokens)
                start = end if last else units[number + 1][0]

    def _breaks(self, texts: Sequence[str]) -> Sequence[bool]:
        """For every text but the last, whether the meaning shifts behind it."""
        if len(texts) < 3:
            return [False] * (len(texts) - 1)
        import numpy as np

        groups = [" ".join(texts[max(0, n - 1) : n + 2]) for n in range(len(texts))]
        vectors = np.asarray(self._embedder.embed_documents(groups))
        distances = 1 - np.einsum("ij,ij->i", vectors[:-1], vectors[1:])
        return list(distances > np.percentile(distances, self.options.semantic_percentile))


def _units(body: Body, kind: BlockKind, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The sentences of a block with whether they are a heading; one unit for kinds without sentences."""
    heading = kind in (BlockKind.TITLE, BlockKind.HEADING)
    for first, last in [(start, end)] if kind in WHOLE else sentences(body.text, start, end):
        yield first, last, heading
