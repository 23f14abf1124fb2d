"""A chunk has the links in its text."""

from __future__ import annotations

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.model import BlockKind, Chunk, Link, ParsedDocument
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import linked
from rag_pipelines_tests.unit.chunking.documents import prose

TOKENIZER = load_tokenizer(TokenizerSpec("characters", 100))


def chunks_of(document: ParsedDocument) -> list[Chunk]:
    return make_chunker(ChunkOptions(min_tokens=10), TOKENIZER).chunk(document, None)


def paragraph(*texts: str) -> ParsedDocument:
    builder = DocumentBuilder("text/html")
    for text in texts:
        builder.add(BlockKind.PARAGRAPH, text)
    return builder.finish()


def test_a_chunk_has_the_links_of_its_blocks_once_and_in_order():
    (chunk,) = chunks_of(
        paragraph(
            f"See {linked('the plan', 'https://a.example/plan')} and {linked('the map', '#Map')}.",
            f"Again {linked('the plan', 'https://a.example/plan')}.",
        )
    )
    assert chunk.links == (Link("the plan", "https://a.example/plan"), Link("the map", "#Map"))


def test_the_links_of_a_block_that_is_cut_are_in_the_chunk_that_has_their_text():
    first, last = linked("the plan", "https://a.example/plan"), linked("the map", "https://a.example/map")
    chunks = chunks_of(paragraph(f"{first} {prose(240)} {last}"))
    assert len(chunks) > 2
    assert [link.text for link in chunks[0].links] == ["the plan"]
    assert [link.text for link in chunks[-1].links] == ["the map"]
    assert not any(chunk.links for chunk in chunks[1:-1])


def test_links_of_the_same_words_in_a_cut_table_stand_with_their_rows():
    builder = DocumentBuilder("text/html")
    builder.add_table(
        [["name", "more"], *([f"row {n}", linked("edit", f"https://a.example/{n}")] for n in range(60))],
        header_rows=1,
    )
    chunks = chunks_of(builder.finish())
    assert len(chunks) > 2
    for chunk in chunks:
        rows = [line.split(" | ")[0].removeprefix("row ") for line in chunk.text.splitlines()]
        assert [link.target.rpartition("/")[2] for link in chunk.links] == [
            row for row in rows if row.isdigit()
        ]


def test_the_address_of_a_long_link_that_is_cut_is_in_every_chunk_that_has_words_of_it():
    (link,) = [Link(prose(240), "https://a.example/plan")]
    chunks = chunks_of(paragraph(linked(link.text, link.target)))
    assert len(chunks) > 2
    assert all(chunk.links == (link,) for chunk in chunks)
