"""An embedder without a model: unit vectors from a hash of the text.

Deterministic and nearly free, so that tests need no model and benchmarks can measure everything but
the model. Equal texts have equal vectors; nothing else about them means anything.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_pipelines.embedding.base import ModelIdentity, Usage
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.tokenizer import CharacterTokenizer, TokenizerSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Vectors

VERSION = "1"
DIMENSIONS = 384
MAX_TOKENS = 256


class HashEmbedder:
    """SHA-512 of the text, repeated to the length asked for, centred and normalised."""

    def __init__(self, profile: EmbeddingProfile) -> None:
        self.usage = Usage()
        self.identity = ModelIdentity(
            provider="hash",
            model=profile.model,
            weights=VERSION,
            dimensions=profile.dimensions or DIMENSIONS,
            runtime="numpy",
            precision="fp32",
            max_tokens=profile.max_tokens or MAX_TOKENS,
            query_prompt=profile.query_prompt or "",
            document_prompt=profile.document_prompt or "",
        )
        prompt_tokens = -(-len(self.identity.document_prompt) // CharacterTokenizer.WIDTH)
        self.tokenizer_spec = TokenizerSpec("characters", self.identity.max_tokens, prompt_tokens)
        self.tokenizer = CharacterTokenizer(self.tokenizer_spec)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self._embed([self.identity.document_prompt + text for text in texts])

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._embed([self.identity.query_prompt + text])[0]

    def close(self) -> None:
        """Nothing is held."""

    def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        if not texts:
            return np.empty((0, self.identity.dimensions), dtype=np.float32)
        began = time.perf_counter()
        digests = b"".join(hashlib.sha512(text.encode("utf-8", "surrogatepass")).digest() for text in texts)
        seeds = np.frombuffer(digests, dtype=np.uint8).reshape(len(texts), 64).astype(np.float32) - 127.5
        repeats = -(-self.identity.dimensions // seeds.shape[1])
        vectors = np.tile(seeds, (1, repeats))[:, : self.identity.dimensions]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.usage.inputs += len(texts)
        self.usage.tokens += sum(self.tokenizer.count(texts))
        self.usage.requests += 1
        self.usage.seconds += time.perf_counter() - began
        return vectors
