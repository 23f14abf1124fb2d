"""Pages of many layouts, each held to facts: what is there, what comes before what, which cells share a row.

The pages are drawn (`drawn_pages`). The facts are those of olmOCR-bench: presence, order, tables; here every
line is sought, not a sample of them.
"""

from __future__ import annotations

import re
from typing import Literal

import pytest

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.registry import parse
from rag_pipelines_tests.unit.parsing.drawn_pages import pages

PAGES = dict(pages())
FEWEST = 100
OWN_WORD = re.compile(r"\bqu\w+", re.IGNORECASE)
NOT_ORDERED = {"figure beside figure"}
"""Two columns of labels alone are a table as much as columns."""


def _parsed(name: str, mode: Literal["fast", "auto"]) -> ParsedDocument:
    return parse(ParseRequest(PAGES[name].bytes(), options=ParseOptions(pdf=mode)))


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\u2022|]", " ", text).split())


def _headings(document: ParsedDocument) -> list[str]:
    kinds = (BlockKind.TITLE, BlockKind.HEADING)
    return [document.text[block.start : block.end] for block in document.blocks if block.kind in kinds]


def _own_word(line: str) -> str:
    """The word of a line that stands nowhere else."""
    found = OWN_WORD.search(line)
    assert found, line
    return found[0]


def test_there_are_pages_enough() -> None:
    assert len(PAGES) >= FEWEST


@pytest.mark.parametrize("mode", ["fast", "auto"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_as_a_person_reads_it(name: str, mode: Literal["fast", "auto"]) -> None:
    facts, document = PAGES[name].facts, _parsed(name, mode)
    text = _plain(document.text)
    absent = [line for line in (*facts.order, *facts.present) if _own_word(line) not in text]
    assert not absent, "lines of the page are missing"
    if name not in NOT_ORDERED:
        places = {word: text.index(word) for word in map(_own_word, facts.order)}
        assert list(places) == sorted(places, key=places.__getitem__), "columns are interleaved"
    assert _headings(document) == facts.headings
    rows = [list(row.cells) for block in document.blocks for row in block.rows]
    assert [row for row in facts.rows if row not in rows] == [], "rows of the table are torn"
    assert document.counters.get("words_missing", 0) == 0
