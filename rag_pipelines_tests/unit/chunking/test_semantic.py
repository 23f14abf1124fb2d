"""The semantic strategy: breaks where the topic changes."""

from __future__ import annotations

import numpy as np

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.chunking.fingerprints import chunker_fingerprint
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.model import BlockKind
from rag_pipelines_tests.unit.chunking.documents import one_block, outline

TOKENIZER = load_tokenizer(TokenizerSpec("characters", 250))


class TopicEmbedder(HashEmbedder):
    """Places a text by the topics that it mentions."""

    TOPICS = ("leave", "travel", "laptop")

    def embed_documents(self, texts):
        counts = np.array([[text.count(topic) + 1e-3 for topic in self.TOPICS] for text in texts])
        return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)


def topic(name: str) -> str:
    return " ".join(f"Sentence {n} tells what holds for {name} at the firm." for n in range(5))


def chunker(**options):
    embedder = TopicEmbedder(EmbeddingProfile(provider="hash"))
    return make_chunker(
        ChunkOptions("semantic", min_tokens=10, semantic_percentile=85, **options), TOKENIZER, embedder
    )


def test_a_break_falls_where_the_topic_changes():
    text = " ".join(topic(name) for name in TopicEmbedder.TOPICS)
    chunks = chunker().chunk(one_block(BlockKind.PARAGRAPH, text), None)
    assert len(chunks) == 3
    for chunk, name in zip(chunks, TopicEmbedder.TOPICS, strict=True):
        assert chunk.text.count(name) >= 4


def test_a_heading_is_not_parted_from_its_text():
    document = outline(*((1, name.capitalize(), topic(name)) for name in TopicEmbedder.TOPICS))
    assert all(len(chunk.text) > 20 for chunk in chunker().chunk(document, None))


def test_another_embedding_model_is_another_fingerprint():
    other = HashEmbedder(EmbeddingProfile(provider="hash", dimensions=8))
    prints = {
        chunker_fingerprint(chunker().options, TOKENIZER.fingerprint, model.identity.fingerprint)
        for model in (other, TopicEmbedder(EmbeddingProfile(provider="hash")))
    }
    assert len(prints) == 2
