"""The embedder without a model."""

from __future__ import annotations

import hashlib

import numpy as np

from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile

EMBEDDER = HashEmbedder(EmbeddingProfile(provider="hash"))


def test_a_vector_is_the_centred_normalised_digest():
    digest = np.frombuffer(hashlib.sha512(b"leave").digest() * 6, dtype=np.uint8).astype(np.float32) - 127.5
    np.testing.assert_allclose(EMBEDDER.embed_query("leave"), digest / np.linalg.norm(digest), rtol=1e-6)


def test_a_vector_does_not_depend_on_its_batch():
    texts = [f"text {n}" for n in range(50)]
    alone = np.stack([EMBEDDER.embed_query(text) for text in texts])
    np.testing.assert_array_equal(EMBEDDER.embed_documents(texts), alone)


def test_dimensions_are_those_of_the_profile_and_lengths_are_1():
    vectors = HashEmbedder(EmbeddingProfile(provider="hash", dimensions=100)).embed_documents(["a", "b", ""])
    assert vectors.shape == (3, 100)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_no_texts_give_no_vectors():
    assert EMBEDDER.embed_documents([]).shape == (0, 384)
