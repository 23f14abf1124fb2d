"""Documents for chunking tests: a small builder of outlines, and wild ones for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.builder import DocumentBuilder

_SENTENCE = "the policy of every team names one owner who reviews access each quarter and reports gaps"
WORDS = _SENTENCE.split()


def prose(words: int, salt: str = "") -> str:
    """So many words in sentences of ten, different for different salts."""
    chosen = [f"{WORDS[n % len(WORDS)]}{salt if n % 7 == 0 else ''}" for n in range(words)]
    return " ".join(" ".join(chosen[n : n + 10]).capitalize() + "." for n in range(0, words, 10))


def outline(*sections: tuple[int, str, str]) -> ParsedDocument:
    """A document of (level, heading, text) in order; texts are split into paragraphs at blank lines."""
    builder = DocumentBuilder("text/markdown")
    for level, heading, text in sections:
        builder.add(BlockKind.HEADING, heading, level=level)
        for paragraph in text.split("\n\n"):
            builder.add(BlockKind.PARAGRAPH, paragraph)
    return builder.finish()


def one_block(kind: BlockKind, text: str) -> ParsedDocument:
    """A document of a single block."""
    builder = DocumentBuilder("text/plain")
    builder.add(kind, text)
    return builder.finish()


WILD_TEXT = st.one_of(
    st.text(max_size=300),
    st.integers(1, 400).map(prose),
    st.text(alphabet="ab \n.", min_size=1, max_size=800),
    st.sampled_from(
        ["漢字かな交じり文。" * 60, "ภาษาไทยไม่มีช่องว่าง" * 40, "🙂👩‍👩‍👧" * 80, "x" * 3_000, "é\u0301" * 200]
    ),
)
_CELLS = st.lists(st.one_of(st.text(max_size=30), st.integers(1, 90).map(prose)), min_size=1, max_size=4)


@st.composite
def wild_documents(draw: st.DrawFn) -> ParsedDocument:
    """Documents of any blocks in any order, with furniture and pages."""
    builder = DocumentBuilder("text/html")
    page = 1
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(list(BlockKind)))
        page += draw(st.integers(0, 1))
        if kind is BlockKind.TABLE:
            rows = draw(st.lists(_CELLS, max_size=12))
            builder.add_table(rows, header_rows=draw(st.integers(0, 2)), page=page)
        else:
            builder.add(kind, draw(WILD_TEXT), level=draw(st.integers(1, 4)), page=page)
    return builder.finish()
