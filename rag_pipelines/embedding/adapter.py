"""A linear adapter: a matrix on the vectors of questions, learned from what one company asks and writes.

What belongs here: its files, and the embedder that applies it. What does not: learning it
(`evaluation.adapting`).

Vectors of passages stay as they are, so that an adapter embeds nothing anew. A model with an adapter is
another model all the same: its identity holds a digest of the matrix, and a version of an index is built for
it and asked through it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rag_pipelines.embedding.base import Embedder, ModelIdentity, WrappedEmbedder, normalise
from rag_pipelines.errors import ConfigError
from rag_pipelines.fingerprint import sha256
from rag_pipelines.stored import Form

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MATRIX_FILE = "adapter.npy"
ABOUT_FILE = "adapter.json"


class About(msgspec.Struct, frozen=True):
    """The model that an adapter is for, and from how many questions it was learned.

    Runtime and precision do not count: vectors differ by less than a question does from its like.
    """

    model: str
    weights: str
    dimensions: int
    query_prompt: str
    document_prompt: str
    questions: int

    def fits(self, identity: ModelIdentity) -> bool:
        """Whether it is for that model."""
        return all(
            getattr(self, name) == getattr(identity, name)
            for name in ("weights", "dimensions", "query_prompt", "document_prompt")
        )


ADAPTER = Form("adapter", About)


def describe(identity: ModelIdentity, questions: int) -> About:
    """What is written down of an adapter for this model."""
    return About(
        identity.model,
        identity.weights,
        identity.dimensions,
        identity.query_prompt,
        identity.document_prompt,
        questions,
    )


def refuse_existing(folder: Path) -> None:
    """Raises `ConfigError` where the folder is there: versions may depend on what it holds."""
    if folder.exists():
        raise ConfigError(f"{folder} is there already, and versions may depend on it; name a new folder")


def write_adapter(folder: Path, matrix: NDArray[np.float32], facts: About) -> None:
    """Write an adapter, shape (dimensions, dimensions), into a new folder.

    Raises:
        ConfigError: the folder is there already.
    """
    import numpy as np

    refuse_existing(folder)
    folder.mkdir(parents=True)
    np.save(folder / MATRIX_FILE, matrix.astype(np.float32))
    (folder / ABOUT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(ADAPTER.encode(facts))))


class AdaptedEmbedder(WrappedEmbedder):
    """A model whose questions go through an adapter.

    Raises:
        ConfigError: from any use, if the folder holds no adapter, or one for another model.
    """

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        super().__init__(embedder)
        self._folder = folder

    @cached_property
    def identity(self) -> ModelIdentity:
        own = self._embedder.identity
        try:
            facts = ADAPTER.decode(msgspec.json.decode((self._folder / ABOUT_FILE).read_bytes()))
            digest = sha256((self._folder / MATRIX_FILE).read_bytes()).hex()[:32]
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"the folder {str(self._folder)!r} holds no adapter ({error}); "
                "`rag-pipelines eval adapt` makes one"
            ) from error
        if not facts.fits(own):
            raise ConfigError(
                f"the adapter in {str(self._folder)!r} is for {facts.model} ({facts.dimensions} dimensions) "
                f"with its files and prompts of then, and the profile's model ({own.model}) is another; "
                "learn one for it with `rag-pipelines eval adapt`"
            )
        return msgspec.structs.replace(own, adapter=digest)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return normalise(self._embedder.embed_query(text)[None] @ self._matrix)[0]

    @cached_property
    def _matrix(self) -> NDArray[np.float32]:
        import numpy as np

        size = self.identity.dimensions
        found = np.load(self._folder / MATRIX_FILE, allow_pickle=False)
        if found.shape != (size, size):
            raise ConfigError(
                f"the adapter in {str(self._folder)!r} has the shape {found.shape}, "
                f"and ({size}, {size}) was expected"
            )
        return found
