"""The structure strategy: sections, blocks, tables, code and the edges between them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.model import BlockKind, Chunk, ParsedDocument
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines_tests.unit.chunking.documents import one_block, outline, prose

TOKENIZER = load_tokenizer(TokenizerSpec("characters", 100))


def chunks_of(document: ParsedDocument, title: str | None = None, **options) -> list[Chunk]:
    return make_chunker(ChunkOptions(**{"min_tokens": 10, **options}), TOKENIZER).chunk(document, title)


def table(rows: int, *, header_rows: int = 1, cell: str = "a value of some length") -> ParsedDocument:
    builder = DocumentBuilder("text/csv")
    builder.add(BlockKind.HEADING, "Prices", level=1)
    header = [["region", "amount"]] * header_rows
    builder.add_table([*header, *([f"row {n}", cell] for n in range(rows))], header_rows=header_rows)
    return builder.finish()


def test_a_section_that_fits_is_one_chunk_and_the_next_section_another():
    chunks = chunks_of(outline((1, "Leave", prose(20)), (1, "Travel", prose(20))))
    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["Leave", "Travel"]


def test_a_tiny_section_joins_the_one_below_it():
    chunks = chunks_of(outline((1, "Handbook", ""), (2, "Leave", prose(30)), (2, "Travel", prose(30))))
    assert [chunk.text[:8] for chunk in chunks] == ["Handbook", "Travel\n\n"]
    assert chunks[0].text.startswith("Handbook\n\nLeave\n\n")


def test_a_tiny_last_section_joins_the_one_before_it():
    chunks = chunks_of(outline((1, "Leave", prose(30)), (2, "Note", "Ask HR.")))
    assert len(chunks) == 1


def test_a_tiny_section_does_not_join_across_a_higher_heading():
    document = outline(
        (1, "Leave", prose(50)), (2, "Note", prose(50)), (3, "Tip", "Ask."), (1, "Travel", prose(50))
    )
    travel = next(chunk for chunk in chunks_of(document) if "Travel" in chunk.text)
    assert travel.text.startswith("Travel")


def test_a_heading_stays_with_what_follows_it():
    chunks = chunks_of(outline((1, "Leave", prose(300))))
    assert chunks[0].text.startswith("Leave\n\nThe policy")
    assert all(len(chunk.text) > 40 for chunk in chunks)


def test_long_prose_is_cut_between_sentences():
    chunks = chunks_of(one_block(BlockKind.PARAGRAPH, prose(400)))
    assert len(chunks) > 3
    assert all(chunk.text.endswith(".") and not chunk.forced for chunk in chunks)


def test_the_last_piece_of_long_prose_is_not_tiny():
    for words in range(60, 140, 3):
        chunks = chunks_of(one_block(BlockKind.PARAGRAPH, prose(words)))
        assert len(chunks) == 1 or chunks[-1].tokens >= 5


def unheaded(*words: int) -> ParsedDocument:
    builder = DocumentBuilder("text/plain")
    for count in words:
        builder.add(BlockKind.PARAGRAPH, prose(count))
    return builder.finish()


def test_text_without_headings_is_packed_tighter_than_a_section():
    paragraphs = [20] * 12
    plain = chunks_of(unheaded(*paragraphs))
    headed = chunks_of(outline((1, "Leave", "\n\n".join(prose(20) for _ in paragraphs))), context=())
    assert max(chunk.tokens for chunk in plain) <= 60 < max(chunk.tokens for chunk in headed)
    assert len(plain) > len(headed)


def test_a_paragraph_or_a_short_text_without_headings_stays_whole_within_the_budget():
    assert [chunk.tokens > 60 for chunk in chunks_of(unheaded(55))] == [True]
    assert len(chunks_of(unheaded(20, 20, 15))) == 1
    assert len(chunks_of(unheaded(20, 55, 20))) == 3


def test_prose_that_is_cut_without_headings_is_cut_to_the_tighter_size():
    chunks = chunks_of(unheaded(400))
    assert max(chunk.tokens for chunk in chunks) <= 60
    assert min(chunk.tokens for chunk in chunks) >= 10


def test_a_table_without_headings_is_cut_by_the_whole_budget():
    builder = DocumentBuilder("text/csv")
    builder.add_table([["region", "amount"], *([f"row {n}", "some"] for n in range(90))], header_rows=1)
    assert max(chunk.tokens for chunk in chunks_of(builder.finish())) > 60


def test_a_cut_table_keeps_its_rows_and_repeats_its_header():
    document = table(60)
    chunks = chunks_of(document)
    rows = {document.text[row.start : row.end] for block in document.blocks for row in block.rows}
    assert len(chunks) > 5
    assert chunks[0].context == ""
    assert chunks[0].text.startswith("Prices\n\nregion | amount\n")
    for chunk in chunks[1:]:
        assert chunk.context == "region | amount"
        assert "region | amount\nrow" in chunk.embedding_input
        assert set(chunk.text.split("\n")) <= rows
        assert not chunk.forced


def test_a_table_without_a_header_has_no_context():
    assert {chunk.context for chunk in chunks_of(table(60, header_rows=0))} == {""}


def test_a_row_above_the_budget_is_cut_and_says_so():
    chunks = chunks_of(table(3, cell=prose(150)))
    assert [chunk.forced for chunk in chunks if "policy" in chunk.text] == [True] * len(chunks)
    assert all(chunk.tokens <= 100 for chunk in chunks)


def test_a_header_that_would_fill_the_chunk_is_not_repeated():
    builder = DocumentBuilder("text/csv")
    builder.add_table([[prose(40), prose(12)], *([str(n), prose(10)] for n in range(20))], header_rows=1)
    assert {chunk.context for chunk in chunks_of(builder.finish())} == {""}


def test_code_that_fits_alone_stays_whole():
    code = "\n".join(f"    line_{n} = compute({n})" for n in range(14))
    builder = DocumentBuilder("text/markdown")
    builder.add(BlockKind.HEADING, "Usage", level=1)
    builder.add(BlockKind.PARAGRAPH, prose(30))
    builder.add(BlockKind.CODE, code)
    assert any(code in chunk.text for chunk in chunks_of(builder.finish()))


def test_long_code_is_cut_at_blank_lines_and_keeps_its_indentation():
    functions = [
        f"    def f{n}(self):\n        a = {n}\n        b = a * 2\n        return b" for n in range(30)
    ]
    chunks = chunks_of(one_block(BlockKind.CODE, "\n\n".join(functions)))
    assert len(chunks) > 3
    assert all(chunk.text.startswith("    def f") and chunk.text.endswith("return b") for chunk in chunks)


def test_the_title_and_the_headings_stand_in_front_of_what_is_embedded():
    chunks = chunks_of(outline((1, "Leave", prose(60)), (2, "Parents", prose(80))), title="Handbook 2026")
    assert chunks[-1].embedding_input.startswith("Handbook 2026\nLeave > Parents\n\n")
    assert not chunks[-1].text.startswith("Handbook")


@pytest.mark.parametrize(
    ("context", "front"),
    [
        (("title",), "Handbook\n\n"),
        (("headings",), "Leave\n\n"),
        ((), ""),
        (("title", "headings"), "Handbook\nLeave\n\n"),
    ],
)
def test_options_decide_what_stands_in_front(context, front):
    chunk = chunks_of(outline((1, "Leave", prose(150))), title="Handbook", context=context)[-1]
    assert chunk.embedding_input == front + chunk.text


def test_a_title_that_the_first_heading_repeats_is_left_out():
    chunks = chunks_of(outline((1, "Leave Policy", prose(150))), title="leave policy ")
    assert chunks[0].embedding_input == chunks[0].text
    assert chunks[1].embedding_input == f"Leave Policy\n\n{chunks[1].text}"


def test_headings_too_long_for_the_budget_lose_their_outer_ones():
    document = outline((1, prose(40), prose(20)), (2, "Parents", prose(150)))
    assert chunks_of(document)[-1].embedding_input.startswith("Parents\n\n")


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(15, 200), min_size=2, max_size=8),
    edited=st.integers(0, 7),
    words=st.integers(15, 200),
)
def test_an_edit_in_one_section_leaves_the_chunks_of_the_others(sizes, edited, words):
    edited %= len(sizes)
    before = outline(*((1 + n % 3, f"Section {n}", prose(size, f"s{n}")) for n, size in enumerate(sizes)))
    sizes[edited] = words
    after = outline(
        *(
            (1 + n % 3, f"Section {n}", prose(size, f"s{n}" if n != edited else "new"))
            for n, size in enumerate(sizes)
        )
    )
    others = [f"Section {n}\n" for n in range(len(sizes)) if n != edited]

    def untouched(document: ParsedDocument) -> list[str]:
        return [
            chunk.embedding_input
            for chunk in chunks_of(document)
            if not any(mark in chunk.text for mark in (f"Section {edited}\n", "new", f"s{edited} "))
            and (
                any(mark in chunk.text for mark in others)
                or f"Section {edited}" not in chunk.heading_path[-1:]
            )
        ]

    assert untouched(before) == untouched(after)
    assert len(untouched(after)) >= len(others)
