"""How near a model puts a question to its answer: measured once, of the model alone."""

from __future__ import annotations

import numpy as np
import pytest

from rag_pipelines.embedding.cosines import ANSWERED, measure_cosines
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.index.spec import CosineRange


class Telling(HashEmbedder):
    """Puts the answer of a question at .9, and everything at .6 at least: all vectors share a direction."""

    def embed_documents(self, texts):  # type: ignore[no-untyped-def]
        return np.stack(
            [self._vector(next(n for n, pair in enumerate(ANSWERED) if text in pair)) for text in texts]
        )

    def embed_query(self, text):  # type: ignore[no-untyped-def]
        return self.embed_documents([text])[0]

    def _vector(self, number: int) -> np.ndarray:
        vector = np.zeros(len(ANSWERED) + 1, np.float32)
        vector[0], vector[number + 1] = 0.6**0.5, 0.4**0.5
        return vector


def test_the_range_of_a_model_is_from_what_is_unrelated_to_answers() -> None:
    found = measure_cosines(Telling(EmbeddingProfile(provider="hash")))
    assert found == pytest.approx((0.6, 1.0), abs=1e-6)
    assert CosineRange(*found or (0, 0)).at(0.5) == pytest.approx(0.8)


@pytest.mark.parametrize("dimensions", [16, 64, 384])
def test_a_model_that_tells_nothing_apart_has_none(dimensions: int) -> None:
    assert measure_cosines(HashEmbedder(EmbeddingProfile(provider="hash", dimensions=dimensions))) is None
