"""The contract of a chunking strategy, its parameters, and what a tokenizer must offer to it.

What belongs here: types shared by the strategies. What does not: the strategies themselves, and
anything about vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from rag_pipelines.model import Chunk, ParsedDocument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ChunkOptions:
    """The chunking profile. Sizes are tokens of the embedding model's tokenizer.

    `max_tokens` bounds the whole embedding input (special tokens, title and headings included); 0
    means the model's own limit. `overlap_tokens` is used by `recursive` and `tokens`. `context`
    says what is put in front of the text that is embedded; ``about`` are lines of the document on itself
    that add words (`chunking.about`). `whole_document` gives one chunk a document (the model cuts what is
    too long), for corpora of short records.
    """

    strategy: Literal["structure", "recursive", "tokens", "semantic"] = "structure"
    max_tokens: int = 0
    min_tokens: int = 24
    overlap_tokens: int = 0
    context: tuple[Literal["title", "about", "headings"], ...] = ("title", "about", "headings")
    whole_document: bool = False
    semantic_percentile: float = 90.0


class Tokenizer(Protocol):
    """The embedding model's tokenizer, as the chunkers need it. Picklable, cheap to build, safe in a worker.

    `max_tokens` is the model's own limit; `special_tokens` is how many of it the model adds to every
    input (its own markers and its document prompt). `additive` says that the counts of two texts
    joined at white space add up, so that a document needs tokenising only once.
    """

    fingerprint: str
    max_tokens: int
    special_tokens: int
    additive: bool

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens."""
        ...

    def starts(self, text: str) -> Sequence[int]:
        """Start offset in `text` of each of its tokens, ascending, without special tokens."""
        ...


class SentenceEmbedder(Protocol):
    """What the semantic strategy needs of an embedding model; every `Embedder` fits."""

    @property
    def identity(self) -> Fingerprinted: ...

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of sentences, shape (len(texts), dimensions)."""
        ...


class Fingerprinted(Protocol):
    """Something whose content has a fingerprint."""

    @property
    def fingerprint(self) -> str: ...


class Chunker(Protocol):
    """Cuts a parsed document into chunks; deterministic, pure."""

    def chunk(self, document: ParsedDocument, title: str | None) -> list[Chunk]:
        """The chunks of `document` in order. `title` is the title to embed, or None."""
        ...
