"""Which links of a block stand in a part of it.

What belongs here: finding the places of links in the canonical text. What does not: reading links out of a
format (`parsing.links`).

A block knows its links in the order of its text, each once, and not their offsets. So a link that stands
twice in a block that is cut is of the part where it stands first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rag_pipelines.model import Block, Link


class PlacedLink(NamedTuple):
    """A link with the offsets of its text in the document."""

    start: int
    end: int
    link: Link


def placed_links(text: str, block: Block) -> Iterator[PlacedLink]:
    """The links of a block of the document `text`, each where its text is met next.

    One whose text is not met, as a parser wrote it otherwise, is placed at the end of the link before it.
    """
    if not block.links:
        return
    shown = text[block.start : block.end].replace("\n", " ")
    at = 0
    for link in block.links:
        found = shown.find(link.text, at)
        start = max(at - 1, 0) if found < 0 else found
        at = at if found < 0 else found + len(link.text)
        yield PlacedLink(block.start + start, block.start + max(at, 1), link)
