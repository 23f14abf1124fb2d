"""Which chunks come with a hit."""

from __future__ import annotations

from rag_pipelines.config.query import NeighbourSettings
from rag_pipelines.query.hits import PassageLink
from rag_pipelines.query.neighbours import Sibling, choose, section, widen
from rag_pipelines.query.ranges import TextRange
from rag_pipelines_tests.unit.query.examples import hit

TEXT = "Guide\nIntro.\n\nSetup\nMount it.\n\nFasten it.\n\nTools\nA spanner.\n\nRepair\nCall us."
PARTS = [
    ("Guide\nIntro.", ()),
    ("Setup\nMount it.", ("Guide",)),
    ("Fasten it.", ("Guide", "Setup")),
    ("Tools\nA spanner.", ("Guide", "Setup")),
    ("Repair\nCall us.", ("Guide",)),
]


def chunks(tokens: int = 10) -> list[Sibling]:
    made = []
    for ordinal, (text, path) in enumerate(PARTS):
        start = TEXT.index(text)
        span = TextRange(start, start + len(text), text)
        links = (PassageLink("link", f"#{ordinal}"), PassageLink("all", "#all"))
        made.append(
            Sibling(ordinal, span, tokens, path, f"context {ordinal}", (ordinal + 1, ordinal + 1), links)
        )
    return made


def ordinals(chosen: list[Sibling]) -> list[int]:
    return [one.ordinal for one in chosen]


def test_so_many_chunks_before_and_behind_come_with_it() -> None:
    assert ordinals(choose(chunks(), 2, NeighbourSettings(before=1, after=2))) == [1, 2, 3, 4]
    assert ordinals(choose(chunks(), 0, NeighbourSettings(before=3, after=0))) == [0]


def test_the_section_of_a_chunk_begins_with_its_heading_and_holds_its_subsections() -> None:
    assert section(chunks(), 2) == (1, 3)
    assert section(chunks(), 1) == (1, 3)
    assert section(chunks(), 4) == (0, 4)


def test_a_document_without_headings_is_one_section() -> None:
    flat = [one._replace(heading_path=()) for one in chunks()]
    assert section(flat, 2) == (0, 4)


def test_no_passage_grows_beyond_its_budget_and_the_nearest_come_first() -> None:
    settings = NeighbourSettings(before=5, after=5, max_tokens=35)
    assert ordinals(choose(chunks(), 2, settings)) == [1, 2, 3]
    assert ordinals(choose(chunks(tokens=50), 2, settings)) == [2]


def test_a_document_that_is_gone_leaves_the_hit_as_it_is() -> None:
    one = hit()
    assert choose([], 0, NeighbourSettings()) == []
    assert widen(one, []) is one


def test_the_widened_passage_is_the_documents_text_at_its_offsets() -> None:
    siblings = chunks()
    found = siblings[2]
    one = hit(
        found.range.text, start=found.range.start, ordinal=2, pages=(3, 3), heading_path=("Guide", "Setup")
    )
    wide = widen(one, siblings[1:4])
    assert wide.text == TEXT[wide.start : wide.end]
    assert wide.text.startswith("Setup\n")
    assert wide.text.endswith("A spanner.")
    assert (wide.pages, wide.context) == ((2, 4), "context 1")
    assert [link.target for link in wide.links] == ["#1", "#all", "#2", "#3"]
    assert (wide.chunk_id, wide.heading_path) == (one.chunk_id, one.heading_path)
