"""The contract of an embedding model and its identity.

What belongs here: the protocol, the identity, what vectors are. What does not: loading or running a model.
NumPy is imported where vectors are made: a run with nothing to do needs none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from rag_pipelines.chunking.base import Tokenizer
from rag_pipelines.embedding.tokenizer import TokenizerSpec
from rag_pipelines.fingerprint import fingerprint, lasting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    """Shape (n, dimensions), L2-normalised rows."""


_FIRST_FIELDS = frozenset(
    {
        "provider",
        "model",
        "weights",
        "dimensions",
        "runtime",
        "precision",
        "max_tokens",
        "query_prompt",
        "document_prompt",
    }
)


class ModelIdentity(msgspec.Struct, frozen=True):
    """Everything on which a vector depends beside the text. One index never mixes two identities.

    `weights` is a hash of the model's files or, for a remote model, its name and dimensions; where a
    remote model is reached is not part of it. `runtime` and `precision` are, because they change bits.
    `adapter` is a hash of what is applied to vectors of questions (`embedding.adapter`), if anything is.
    """

    provider: str
    model: str
    weights: str
    dimensions: int
    runtime: str
    precision: str
    max_tokens: int
    query_prompt: str = ""
    document_prompt: str = ""
    adapter: str = ""

    @property
    def fingerprint(self) -> str:
        """What tells which model may be asked of an index version."""
        return fingerprint(lasting(self, _FIRST_FIELDS))

    @property
    def of_passages(self) -> ModelIdentity:
        """What the vectors of passages depend on; its fingerprint is the key under which they are cached."""
        return msgspec.structs.replace(self, adapter="")


class Usage(msgspec.Struct):
    """What an embedder has consumed since it was made. `cost` is in the currency of the price given."""

    inputs: int = 0
    tokens: int = 0
    requests: int = 0
    seconds: float = 0.0
    cost: float = 0.0


class Embedder(Protocol):
    """A model that turns texts into unit vectors.

    `identity` and `tokenizer` must be available without loading the model, so that a run with
    nothing to do never loads it.
    """

    usage: Usage

    @property
    def identity(self) -> ModelIdentity: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def tokenizer_spec(self) -> TokenizerSpec:
        """How to build `tokenizer` elsewhere; known without reading the tokenizer's file."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages, in order. Raises `EmbeddingError` (this batch) or `TransientError`."""
        ...

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The vector of one query, shape (dimensions,)."""
        ...

    def close(self) -> None: ...


def normalise(vectors: NDArray[np.float32]) -> Vectors:
    """Rows of length 1; a row of zeros stays one, for `batch` to refuse."""
    import numpy as np

    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms != 0)


class WrappedEmbedder:
    """An embedder that does everything as another one does, for what differs from it in a little."""

    def __init__(self, embedder: Embedder) -> None:
        self.usage = embedder.usage
        self._embedder = embedder

    @property
    def identity(self) -> ModelIdentity:
        return self._embedder.identity

    @property
    def tokenizer(self) -> Tokenizer:
        return self._embedder.tokenizer

    @property
    def tokenizer_spec(self) -> TokenizerSpec:
        return self._embedder.tokenizer_spec

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._embedder.embed_query(text)

    def close(self) -> None:
        self._embedder.close()
