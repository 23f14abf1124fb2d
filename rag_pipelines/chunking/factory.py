"""The way from a chunking profile to a chunker.

What belongs here: choosing the strategy and checking that its parameters make sense. What does not:
how any strategy cuts.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag_pipelines.chunking.base import Chunker, ChunkOptions, SentenceEmbedder, Tokenizer
from rag_pipelines.chunking.semantic import SemanticChunker
from rag_pipelines.chunking.structure import StructureChunker
from rag_pipelines.chunking.whole import WholeDocumentChunker
from rag_pipelines.chunking.windows import WindowChunker
from rag_pipelines.errors import ConfigError
from rag_pipelines.text.boundaries import ANY, WORD

SMALLEST_BUDGET = 16
"""Tokens beside the model's own; fewer cannot hold a heading and a sentence."""


def make_chunker(
    options: ChunkOptions, tokenizer: Tokenizer, sentence_embedder: SentenceEmbedder | None = None
) -> Chunker:
    """The chunker of a profile. `sentence_embedder` is needed by the `semantic` strategy only.

    Raises:
        ConfigError: the sizes do not fit each other or the model, or the embedder is missing.
    """
    problems = list(_problems(options, tokenizer))
    if options.strategy == "semantic" and not options.whole_document and sentence_embedder is None:
        problems.append("strategy 'semantic' needs a sentence embedder and none was given")
    if problems:
        raise ConfigError(problems=problems)
    if options.whole_document:
        return WholeDocumentChunker(options, tokenizer)
    match options.strategy:
        case "recursive":
            return WindowChunker(options, tokenizer, ANY)
        case "tokens":
            return WindowChunker(options, tokenizer, (WORD,))
        case "semantic":
            assert sentence_embedder is not None
            return SemanticChunker(options, tokenizer, sentence_embedder)
        case _:
            return StructureChunker(options, tokenizer)


def _problems(options: ChunkOptions, tokenizer: Tokenizer) -> Iterator[str]:
    """What is wrong with the sizes, one sentence each."""
    limit = options.max_tokens or tokenizer.max_tokens
    room = limit - tokenizer.special_tokens
    if limit > tokenizer.max_tokens:
        yield f"max_tokens is {limit}; the embedding model reads at most {tokenizer.max_tokens}"
    if room < SMALLEST_BUDGET:
        yield (
            f"max_tokens is {limit}, of which the model takes {tokenizer.special_tokens} itself; "
            f"at least {SMALLEST_BUDGET + tokenizer.special_tokens} are needed"
        )
        return
    for name, size in (("min_tokens", options.min_tokens), ("overlap_tokens", options.overlap_tokens)):
        if not 0 <= size <= room // 2:
            yield f"{name} is {size}; it must be from 0 to {room // 2}, half of the budget"
    if not 0 < options.semantic_percentile < 100:
        yield f"semantic_percentile is {options.semantic_percentile}; it must be between 0 and 100"
