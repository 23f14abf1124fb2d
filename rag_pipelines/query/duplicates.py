"""One of several copies: of documents that are alike, the hits of one.

What belongs here: which copy stays, among the hits that the statement let the caller see, and asking for
others in place of those that go. What does not: how alike two texts are (`text.sketch`).

Whether two documents are copies depends on these two alone, so what the caller may not see takes nothing
away: each document that is left out is alike to one that stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from rag_pipelines.config.duplicates import DuplicateSettings
from rag_pipelines.query.hits import Hit, chunk_place
from rag_pipelines.query.stages import Asked, Candidate, StageOutcome
from rag_pipelines.store.database import query
from rag_pipelines.text.sketch import bits_apart, similarities

POOL = 30
"""Candidates among which copies are looked for; where too few hits stay, the statement is asked again."""


class Text(NamedTuple):
    """What tells whether a document is a copy: the words of its text, and the bits of its sketch."""

    profile_id: int
    words_key: UUID
    bits: bytes


class Duplicates:
    """Keeps the hits of one of several copies: see `DuplicateSettings`.

    The best hit of a document that stays stands where the best one of its copies stood.

    Args:
        sources: those of the index, the preferred one first.
    """

    name = "duplicates"
    depth = POOL

    def __init__(self, settings: DuplicateSettings, sources: Sequence[str]) -> None:
        self._by_score = settings.policy == "one_hit"
        self._similarity = settings.similarity
        self._ranks = {source: rank for rank, source in enumerate(sources)}

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        pool, wanted = list(candidates), max(asked.k, self.depth)
        found, more = len(candidates), asked.again
        gone: set[int] = set()
        passed_over: set[int] = set()
        while True:
            copies = self.copies(asked, pool)
            gone.update(copies)
            pool = lifted(pool, copies)
            if len(pool) >= asked.k or found < wanted or more is None:
                break
            passed_over |= gone | self._copies_beyond(asked, [one.hit for one in pool])
            hits = more(sorted(passed_over))
            found = len(hits)
            pool += further(hits, pool)
        return StageOutcome(pool, f"{len(gone)} copies of other documents left out")

    def copies(self, asked: Asked, candidates: Sequence[Candidate]) -> dict[int, int]:
        """The documents that go, each with the one that it is a copy of."""
        best: dict[int, Candidate] = {}
        for one in candidates:
            best.setdefault(one.hit.document_id, one)
        texts = texts_of(asked, [one.hit for one in best.values()])
        order = sorted((one for one in best.values() if one.hit.document_id in texts), key=self._preference)
        return copies_among(
            {one.hit.document_id: texts[one.hit.document_id] for one in order}, self._similarity
        )

    def _preference(self, one: Candidate) -> tuple[float, int, float, int]:
        """The least is preferred."""
        hit = one.hit
        rank = self._ranks.get(hit.source, len(self._ranks))
        return (-one.score if self._by_score else 0.0, rank, -_moment(hit.modified_at), hit.document_id)

    def _copies_beyond(self, asked: Asked, hits: Sequence[Hit]) -> set[int]:
        """Copies of what stays that the statement has not given yet, whoever may see them."""
        keys = [chunk_place(hit)[0] for hit in hits]
        params = {"keys": keys, "apart": bits_apart(self._similarity), "tenant": asked.tenant}
        with asked.reading() as connection:
            rows = query(
                connection, "copies_in_version", params, {"vectors": asked.parts["vectors"]}
            ).fetchall()
        return {row["document_id"] for row in rows} - {hit.document_id for hit in hits}


def copies_among(texts: Mapping[int, Text], similarity: float) -> dict[int, int]:
    """Of documents with their texts, the preferred ones first: those that go, each with one that stays."""
    if len(texts) < 2:
        return {}
    documents, known = list(texts), list(texts.values())
    bits = [one.bits for one in known]
    alike = similarities(bits, bits)
    copies: dict[int, int] = {}
    stay: list[int] = []
    for at, text in enumerate(known):
        for earlier in stay:
            other = known[earlier]
            if text.profile_id == other.profile_id and (
                text.words_key == other.words_key or alike[at, earlier] >= similarity
            ):
                copies[documents[at]] = documents[earlier]
                break
        else:
            stay.append(at)
    return copies


def lifted(candidates: Sequence[Candidate], copies: Mapping[int, int]) -> list[Candidate]:
    """The candidates that stay, best first; the first of each document has the best score of its copies."""
    best: dict[int, float] = {}
    for one in candidates:
        document = copies.get(one.hit.document_id, one.hit.document_id)
        best[document] = max(one.score, best.get(document, one.score))
    stay = [
        Candidate(one.hit, best.pop(one.hit.document_id, one.score))
        for one in candidates
        if one.hit.document_id not in copies
    ]
    return sorted(stay, key=lambda one: -one.score)


def further(hits: Sequence[Hit], pool: Sequence[Candidate]) -> list[Candidate]:
    """Hits that are not in the pool yet, as candidates below all that are."""
    known = {(one.hit.document_id, one.hit.chunk_id) for one in pool}
    least = pool[-1].score
    return [
        Candidate(hit, min(hit.scores.fused, least))
        for hit in hits
        if (hit.document_id, hit.chunk_id) not in known
    ]


def texts_of(asked: Asked, hits: Sequence[Hit]) -> dict[int, Text]:
    """What the texts are alike to that hits come from, by document; a text without a sketch is no copy."""
    keys = {hit.document_id: chunk_place(hit)[0] for hit in hits}
    with asked.reading() as connection:
        rows = query(connection, "sketches_of_chunks", {"keys": list(keys.values())}).fetchall()
    known = {row["key"]: Text(row["profile_id"], row["words_key"], bytes(row["bits"])) for row in rows}
    return {document: known[key] for document, key in keys.items() if key in known}


def _moment(moment: datetime | None) -> float:
    """Seconds; what has no date is older than anything."""
    if moment is None:
        return float("-inf")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
