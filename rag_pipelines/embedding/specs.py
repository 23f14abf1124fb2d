"""How to build a chunker in another process.

What belongs here: the value that crosses the border of a process. What does not: building a chunker
(`chunking.factory`).
"""

from __future__ import annotations

import msgspec

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.embedding.tokenizer import TokenizerSpec


class ChunkerSpec(msgspec.Struct, frozen=True):
    """How to build a chunker in another process."""

    options: ChunkOptions
    tokenizer: TokenizerSpec

    @property
    def needs_embedder(self) -> bool:
        """Whether it cuts by sentence vectors; then the process that holds the model has to run it."""
        return self.options.strategy == "semantic" and not self.options.whole_document
