"""The text around a hit: chunks before and behind it, and the rest of its section.

What belongs here: which chunks belong to a widened passage, and the hit over all of them, or hits of each.
What does not: merging the passages of several hits (`context`).

The chunks are those of the hit's own document, so whoever may see the hit may see them. Whether that is so
yet is asked again, because a context may be packed long after its search.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from rag_pipelines.config.query import NeighbourSettings
from rag_pipelines.query.hits import Hit, PassageLink, chunk_place
from rag_pipelines.query.ranges import TextRange, join_ranges
from rag_pipelines.query.stages import Asked, Candidate, StageOutcome
from rag_pipelines.query.statement import links_of
from rag_pipelines.store.database import Row, query

SECTION_REACH = 10
"""Chunks on each side among which the rest of a section is looked for."""


class Sibling(NamedTuple):
    """A chunk of the hit's document, the hit's own included; `pages` are first and last."""

    ordinal: int
    range: TextRange
    tokens: int
    heading_path: tuple[str, ...]
    context: str
    pages: tuple[int, int] | None
    links: tuple[PassageLink, ...] = ()

    def as_hit(self, of: Hit) -> Hit:
        """This chunk as a hit of the document that `of` is of, with the scores of that one."""
        return msgspec.structs.replace(
            of,
            text=self.range.text,
            start=self.range.start,
            end=self.range.end,
            heading_path=self.heading_path,
            context=self.context,
            pages=self.pages,
            links=self.links,
            chunk_id=f"{chunk_place(of)[0].hex}-{self.ordinal}",
        )


PACKED = NeighbourSettings(section=True)
"""What a context has of the text around its hits, as far as there is room."""


class Neighbours:
    """Widens each hit; its text, offsets, pages, links and context become those of the whole passage.

    Chunk, section and scores stay those of what was found.
    """

    name = "neighbours"
    depth = 0

    def __init__(self, settings: NeighbourSettings) -> None:
        self._settings = settings
        self._reach = max(settings.before, settings.after, SECTION_REACH if settings.section else 0)

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        around = self.read(asked, [one.hit for one in candidates])
        widened = []
        added = 0
        for one in candidates:
            key, ordinal = chunk_place(one.hit)
            siblings = around.get((one.hit.document_id, key, ordinal), [])
            chosen = choose(siblings, ordinal, self._settings)
            added += max(len(chosen) - 1, 0)
            widened.append(Candidate(widen(one.hit, chosen), one.score))
        return StageOutcome(widened, f"{added} chunks added to {len(candidates)} hits")

    def around(self, asked: Asked, hits: Sequence[Hit]) -> list[Hit]:
        """The chunks that widen `hits`, as hits of their own: the nearest of each first, then the next."""
        found: list[tuple[int, int, Hit]] = []
        siblings = self.read(asked, hits) if hits else {}
        for rank, hit in enumerate(hits):
            key, ordinal = chunk_place(hit)
            chosen = choose(siblings.get((hit.document_id, key, ordinal), []), ordinal, self._settings)
            found += [(abs(one.ordinal - ordinal), rank, one.as_hit(hit)) for one in chosen]
        return [hit for distance, _, hit in sorted(found, key=lambda one: one[:2]) if distance]

    def read(self, asked: Asked, hits: Sequence[Hit]) -> dict[tuple[int, UUID, int], list[Sibling]]:
        """The chunks around each hit, its own included, by its document, chunk set and ordinal."""
        places = [(hit.document_id, *chunk_place(hit)) for hit in hits]
        documents, keys, ordinals = zip(*places, strict=True)
        params = {
            "documents": list(documents),
            "keys": list(keys),
            "ordinals": list(ordinals),
            "reach": self._reach,
            "tenant": asked.tenant,
            "principals": list(asked.principals),
        }
        found: dict[tuple[int, UUID, int], list[Sibling]] = defaultdict(list)
        with asked.reading() as connection:
            rows = query(connection, "neighbours", params).fetchall()
        for row in rows:
            found[row["document_id"], row["key"], row["of_ordinal"]].append(_sibling(row))
        return found


def choose(siblings: Sequence[Sibling], ordinal: int, settings: NeighbourSettings) -> list[Sibling]:
    """The chunks of the passage around the chunk `ordinal`: it and an unbroken run about it.

    Chunks join nearest first, those before the hit ahead of those behind it, while the budget lasts;
    a side ends at the first chunk that does not fit.

    Args:
        siblings: chunks with consecutive ordinals, ascending; none if the document is not there any more.
    """
    at = next((place for place, one in enumerate(siblings) if one.ordinal == ordinal), None)
    if at is None:
        return []
    first, last = max(at - settings.before, 0), min(at + settings.after, len(siblings) - 1)
    if settings.section:
        begins, ends = section(siblings, at)
        first, last = min(first, begins), max(last, ends)
    left = right = at
    room = settings.max_tokens - siblings[at].tokens
    while left > first or right < last:
        if left > first:
            if siblings[left - 1].tokens <= room:
                left -= 1
                room -= siblings[left].tokens
            else:
                first = left
        if right < last:
            if siblings[right + 1].tokens <= room:
                right += 1
                room -= siblings[right].tokens
            else:
                last = right
    return list(siblings[left : right + 1])


def section(siblings: Sequence[Sibling], at: int) -> tuple[int, int]:
    """First and last position of the section that the chunk at `at` stands in, subsections included.

    A chunk that opens a section begins with its heading, and its own path ends above it. Where it is all
    of its section, the section above is taken.
    """
    path = siblings[at].heading_path
    first = last = at
    if at + 1 < len(siblings) and _opens(siblings[at], siblings[at + 1].heading_path[: len(path) + 1]):
        path = siblings[at + 1].heading_path[: len(path) + 1]
    else:
        while first > 0 and siblings[first - 1].heading_path[: len(path)] == path:
            first -= 1
        if first > 0 and _opens(siblings[first - 1], path):
            first -= 1
    while last + 1 < len(siblings) and siblings[last + 1].heading_path[: len(path)] == path:
        last += 1
    return first, last


def widen(hit: Hit, siblings: Sequence[Sibling]) -> Hit:
    """The hit over all of its passage; as it is where there is nothing else."""
    if not siblings:
        return hit
    whole = join_ranges([TextRange(hit.start, hit.end, hit.text), *(one.range for one in siblings)])
    pages = [page for one in siblings if one.pages for page in one.pages]
    return msgspec.structs.replace(
        hit,
        text=whole.text,
        start=whole.start,
        end=whole.end,
        pages=(min(pages), max(pages)) if pages else hit.pages,
        context=siblings[0].context,
        links=tuple(dict.fromkeys(link for one in siblings for link in one.links)),
    )


def _opens(chunk: Sibling, path: tuple[str, ...]) -> bool:
    """Whether a chunk begins with the last heading of `path` and stands under the others."""
    return bool(path) and chunk.heading_path == path[:-1] and chunk.range.text.startswith(path[-1])


def _sibling(row: Row) -> Sibling:
    pages = None if row["page_first"] is None else (row["page_first"], row["page_last"])
    return Sibling(
        row["ordinal"],
        TextRange(row["start_at"], row["end_at"], row["text"]),
        row["tokens"],
        tuple(row["heading_path"]),
        row["context"],
        pages,
        links_of(row),
    )
