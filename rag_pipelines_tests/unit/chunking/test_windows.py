"""The recursive and tokens strategies, and whole documents."""

from __future__ import annotations

import itertools

import pytest

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.model import BlockKind
from rag_pipelines_tests.unit.chunking.documents import one_block, outline, prose

TOKENIZER = load_tokenizer(TokenizerSpec("characters", 100))
LONG = one_block(BlockKind.PARAGRAPH, prose(900))


@pytest.mark.parametrize("strategy", ["recursive", "tokens"])
def test_neighbours_share_the_overlap_and_no_more(strategy):
    chunks = make_chunker(ChunkOptions(strategy, overlap_tokens=20), TOKENIZER).chunk(LONG, None)
    shared = [before.end - after.start for before, after in itertools.pairwise(chunks)]
    assert all(0 < characters <= 80 for characters in shared)


@pytest.mark.parametrize("strategy", ["recursive", "tokens"])
def test_without_overlap_no_text_is_in_two_chunks(strategy):
    chunks = make_chunker(ChunkOptions(strategy), TOKENIZER).chunk(LONG, None)
    assert all(before.end <= after.start for before, after in itertools.pairwise(chunks))


def test_windows_are_full_and_end_between_words():
    chunks = make_chunker(ChunkOptions("tokens"), TOKENIZER).chunk(LONG, None)
    assert all(chunk.tokens > 90 for chunk in chunks[:-1])
    assert all(LONG.text[chunk.end].isspace() for chunk in chunks[:-1])


def test_recursive_prefers_a_blank_line_to_a_sentence_and_a_sentence_to_a_word():
    document = outline((1, "A", f"{prose(40)}\n\n{prose(300)}"))
    chunks = make_chunker(ChunkOptions("recursive"), TOKENIZER).chunk(document, None)
    assert all(chunk.text.endswith(".") for chunk in chunks)
    assert document.text[chunks[0].end :].startswith("\n\n")


def test_a_whole_document_is_one_chunk_however_long():
    (chunk,) = make_chunker(ChunkOptions(whole_document=True), TOKENIZER).chunk(LONG, "Title")
    assert chunk.text == LONG.text
    assert chunk.embedding_input == f"Title\n\n{LONG.text}"
    assert chunk.tokens > 1_000
