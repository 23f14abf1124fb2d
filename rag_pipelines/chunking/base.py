"""The contract of a chunking strategy, its parameters, and what a tokenizer must offer to it.

What belongs here: types shared by the strategies. What does not: the strategies themselves, and
anything about vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from rag_pipelines.model import Chunk, ParsedDocument


class ChunkOptions(msgspec.Struct, frozen=True):
    """The chunking profile. Sizes are tokens of the embedding model's tokenizer.

    `max_tokens` bounds the whole embedding input (special tokens, title and headings included); 0
    means the model's own limit. `overlap_tokens` is used by `recursive` and `tokens`. `context`
    says what is put in front of the text that is embedded. `whole_document` gives one chunk a
    document (the model cuts what is too long), for corpora of short records.
    """

    strategy: Literal["structure", "recursive", "tokens", "semantic"] = "structure"
    max_tokens: int = 0
    min_tokens: int = 24
    overlap_tokens: int = 0
    context: tuple[Literal["title", "headings"], ...] = ("title", "headings")
    whole_document: bool = False
    semantic_percentile: float = 90.0


class Tokenizer(Protocol):
    """The embedding model's tokenizer, as the chunkers need it. Cheap to build, safe to use in a worker."""

    fingerprint: str
    max_tokens: int
    special_tokens: int

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end offset in `text` of each of its tokens, in order, without special tokens."""
        ...


SentenceEmbedder = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Sentences to unit vectors; needed by the semantic strategy only."""


class Chunker(Protocol):
    """Cuts a parsed document into chunks; deterministic, pure."""

    fingerprint: str

    def chunk(self, document: ParsedDocument, title: str | None) -> list[Chunk]:
        """The chunks of `document` in order. `title` is the title to embed, or None."""
        ...
