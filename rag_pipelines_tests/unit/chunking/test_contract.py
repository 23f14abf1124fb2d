"""What holds for the chunks of every strategy, whatever the document and the tokenizer."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_pipelines.chunking.base import Chunker, ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines_tests.unit.chunking.documents import WILD_TEXT, wild_documents

FURNITURE = (BlockKind.HEADER, BlockKind.FOOTER)
OPTIONS = {
    "structure": ChunkOptions("structure", min_tokens=8),
    "recursive": ChunkOptions("recursive", min_tokens=8, overlap_tokens=10),
    "tokens": ChunkOptions("tokens", min_tokens=8, overlap_tokens=10),
    "semantic": ChunkOptions("semantic", min_tokens=8, semantic_percentile=60),
    "bare": ChunkOptions("structure", min_tokens=0, context=()),
}
WILD = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=list(OPTIONS))
def chunker(request, tokenizer) -> Chunker:
    embedder = HashEmbedder(EmbeddingProfile(provider="hash", dimensions=16))
    return make_chunker(OPTIONS[request.param], tokenizer, embedder)


@WILD
@given(document=wild_documents(), title=st.one_of(st.none(), WILD_TEXT))
def test_every_chunk_is_an_exact_range_within_the_budget_and_all_text_is_covered(
    chunker, tokenizer, document, title
):
    chunks = chunker.chunk(document, title)
    counts = tokenizer.count([chunk.embedding_input for chunk in chunks])
    covered = np.zeros(len(document.text), dtype=bool)
    for ordinal, (chunk, count) in enumerate(zip(chunks, counts, strict=True)):
        assert chunk.ordinal == ordinal
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        assert not chunk.text.startswith("\n")
        assert chunk.embedding_input.endswith(chunk.text)
        assert chunk.tokens == count + tokenizer.special_tokens <= tokenizer.max_tokens
        covered[chunk.start : chunk.end] = True
    for block in document.blocks:
        missed = [
            at for at in range(block.start, block.end) if not covered[at] and not document.text[at].isspace()
        ]
        assert bool(missed) == (block.kind in FURNITURE), (block, missed)


@WILD
@given(document=wild_documents())
def test_chunking_twice_and_in_another_process_gives_the_same_chunks(chunker, document):
    again = pickle.loads(pickle.dumps(chunker)) if not hasattr(chunker, "_embedder") else chunker
    assert chunker.chunk(document, "Title") == again.chunk(document, "Title")
    assert chunker.options == again.options


@WILD
@given(document=wild_documents())
def test_pages_and_heading_path_are_those_of_the_blocks(chunker, document):
    body = [block for block in document.blocks if block.kind not in FURNITURE]
    for chunk in chunker.chunk(document, None):
        inside = [block for block in body if block.start < chunk.end and block.end > chunk.start]
        pages = [block.page for block in inside]
        assert chunk.pages == (min(pages), max(pages))
        assert chunk.heading_path == inside[0].heading_path


def test_a_document_without_a_body_has_no_chunks(chunker):
    assert chunker.chunk(ParsedDocument("text/plain", "", ()), "Title") == []
