"""Findings over the documents of some sources: families of copies, what contradicts, what is old.

What belongs here: computing them. What does not: their presentation (`report`).

A family is a document with those that are alike to it, as a search that prefers sources sees them: the
preferred one stays, the others are its copies. Documents of two tenants are of no family.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec

from rag_pipelines.config.duplicates import DuplicateSettings
from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import MissingContentError
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.store.sketches import sketch_profile
from rag_pipelines.text.sketch import numbers, similarities, words_of

STALE = timedelta(days=730)
"""After so long without a change a document is called stale, unless told otherwise."""

SAID = 5
"""Numbers of a contradiction that are named, of each side."""


class DocumentName(msgspec.Struct, frozen=True):
    """A document as its owner knows it."""

    source: str
    external_id: str
    title: str
    url: str | None
    modified_at: datetime | None
    author: str | None


class Copy(msgspec.Struct, frozen=True):
    """A document that is alike to the one that stays. `same_words`: it differs in format at the most."""

    document: DocumentName
    similarity: float
    same_words: bool
    contradicts: bool
    outdated: bool


class Family(msgspec.Struct, frozen=True):
    """A document that stays, and its copies; `outdated`: one of them is newer, and says it otherwise."""

    stays: DocumentName
    outdated: bool
    copies: tuple[Copy, ...]


class Contradiction(msgspec.Struct, frozen=True):
    """Two documents that are nearly one and differ in numbers: some of those that only one of them has."""

    first: DocumentName
    second: DocumentName
    similarity: float
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


class Outdated(msgspec.Struct, frozen=True):
    """A document beside a newer one that is nearly the same."""

    document: DocumentName
    newer: DocumentName


class SourceFindings(msgspec.Struct, frozen=True):
    """Documents of a source by what was found of them. `owner` is who is named for the source.

    `copies` and `near_copies` are those that do not stay; `unsketched` were not compared with others.
    """

    source: str
    owner: str | None
    documents: int
    copies: int
    near_copies: int
    contradicting: int
    outdated: int
    without_author: int
    undated: int
    stale: int
    unsketched: int


class Findings(msgspec.Struct, frozen=True):
    """What was found, with the worst examples of each kind."""

    at: datetime
    similarity: float
    stale_after: timedelta
    sources: tuple[SourceFindings, ...]
    family_count: int
    families: tuple[Family, ...]
    contradictions: tuple[Contradiction, ...]
    outdated: tuple[Outdated, ...]
    without_author: tuple[DocumentName, ...]
    stale: tuple[DocumentName, ...]


class _Member(msgspec.Struct, frozen=True):
    """A document that may be of a family, with what tells its copies."""

    document: DocumentName
    row: Row

    @property
    def moment(self) -> float:
        """When it was modified; what has no date is older than anything."""
        moment = self.document.modified_at
        return float("-inf") if moment is None else moment.timestamp()


def find(
    database: Database,
    settings: Settings,
    sources: Sequence[str],
    *,
    stale_after: timedelta = STALE,
    examples: int = 20,
) -> Findings:
    """What there is to say of the documents of `sources`; of two copies that of the earlier source stays.

    Copies are those of the index that asks for the least similarity, of those that take one of `sources`.

    Args:
        stale_after: since when a document must have been modified, not to be called stale.
        examples: how many of each kind are named, the worst first; numbers are read from so many documents.
    """
    now = datetime.now(UTC)
    similarity = _similarity(settings, sources)
    with database.connection() as connection:
        params = {"sources": list(sources), "profile_id": sketch_profile(connection)}
        before = now - stale_after
        totals = query(connection, "knowledge_sources", {**params, "before": before}).fetchall()
        without_author = _named(connection, {**params, "before": None, "limit": examples})
        stale = _named(connection, {**params, "before": before, "limit": examples})
        related = query(connection, "related_documents", params).fetchall()
    ranks = {source: rank for rank, source in enumerate(sources)}
    known: list[tuple[Family, list[_Member]]] = list(_families(related, ranks, similarity))
    families = sorted((family for family, _ in known), key=lambda one: -len(one.copies))
    return Findings(
        at=now,
        similarity=similarity,
        stale_after=stale_after,
        sources=tuple(_sources(settings, totals, families)),
        family_count=len(families),
        families=tuple(families[:examples]),
        contradictions=_contradictions(BlobStore.of(settings), known, examples),
        outdated=_outdated(known, examples),
        without_author=without_author,
        stale=stale,
    )


def _similarity(settings: Settings, sources: Iterable[str]) -> float:
    asked = [
        index.duplicates.similarity
        for source in sources
        for index in settings.indexes_of(source).values()
        if index.duplicates
    ]
    return min(asked, default=DuplicateSettings().similarity)


def _name(row: Row) -> DocumentName:
    return DocumentName(**{field: row[field] for field in DocumentName.__struct_fields__})


def _named(connection: Pg, params: dict[str, Any]) -> tuple[DocumentName, ...]:
    return tuple(map(_name, query(connection, "knowledge_examples", params)))


def _families(
    related: Iterable[Row], ranks: dict[str, int], similarity: float
) -> Iterator[tuple[Family, list[_Member]]]:
    """The families of two and more, each with its members, the one that stays first."""
    for _, rows in groupby(related, key=lambda row: (row["tenant"], row["family"])):
        left = [_Member(_name(row), row) for row in rows]
        left.sort(key=lambda one: (ranks[one.document.source], -one.moment, one.document.external_id))
        while len(left) > 1:
            stays, *others = left
            degrees = similarities([stays.row["bits"]], [one.row["bits"] for one in others])[0]
            members, left = [stays], []
            copies = []
            for one, degree in zip(others, degrees, strict=True):
                same = one.row["words_key"] == stays.row["words_key"]
                if same or degree >= similarity:
                    members.append(one)
                    copies.append((one, 1.0 if same else float(degree), same))
                else:
                    left.append(one)
            if copies:
                newest = max(members, key=lambda one: one.moment)
                found = tuple(
                    Copy(
                        one.document,
                        round(degree, 3),
                        same,
                        _contradict(stays, one),
                        _is_outdated(one, newest),
                    )
                    for one, degree, same in copies
                )
                yield Family(stays.document, _is_outdated(stays, newest), found), members


def _contradict(first: _Member, second: _Member) -> bool:
    return bool(first.row["numbers_key"] != second.row["numbers_key"])


def _is_outdated(one: _Member, newest: _Member) -> bool:
    return one.moment < newest.moment and one.row["words_key"] != newest.row["words_key"]


def _sources(
    settings: Settings, totals: Iterable[Row], families: Iterable[Family]
) -> Iterator[SourceFindings]:
    counts: dict[str, Counter[str]] = {}
    for family in families:
        counts.setdefault(family.stays.source, Counter())["outdated"] += family.outdated
        for copy in family.copies:
            counted = counts.setdefault(copy.document.source, Counter())
            counted["copies" if copy.same_words else "near_copies"] += 1
            counted["contradicting"] += copy.contradicts
            counted["outdated"] += copy.outdated
    for row in sorted(totals, key=lambda row: row["source"]):
        counted = counts.get(row["source"], Counter())
        yield SourceFindings(
            owner=settings.source(row["source"]).owner,
            copies=counted["copies"],
            near_copies=counted["near_copies"],
            contradicting=counted["contradicting"],
            outdated=counted["outdated"],
            **row,
        )


def _contradictions(
    blobs: BlobStore, known: Sequence[tuple[Family, list[_Member]]], examples: int
) -> tuple[Contradiction, ...]:
    """Those that are most alike, with numbers that only one of the two has."""
    pairs = [
        (copy.similarity, members[0], one)
        for family, members in known
        for copy, one in zip(family.copies, members[1:], strict=True)
        if copy.contradicts
    ]
    pairs.sort(key=lambda pair: -pair[0])
    return tuple(
        Contradiction(first.document, second.document, similarity, *_differing(blobs, first, second))
        for similarity, first, second in pairs[:examples]
    )


def _differing(blobs: BlobStore, first: _Member, second: _Member) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Numbers that one of two texts has more often, with words around them; nothing where a text is gone."""
    try:
        one, other = (
            words_of(decode_parsed(blobs.get("blocks", bytes(member.row["blocks_sha256"]))).text)
            for member in (first, second)
        )
    except MissingContentError:
        return (), ()
    had, has = Counter(numbers(one)), Counter(numbers(other))
    return _in_context(one, had - has), _in_context(other, has - had)


def _in_context(words: Sequence[str], wanted: Counter[str]) -> tuple[str, ...]:
    places = [words.index(word) for word in wanted]
    return tuple(" ".join(words[max(at - 2, 0) : at + 2]) for at in sorted(places)[:SAID])


def _outdated(known: Sequence[tuple[Family, list[_Member]]], examples: int) -> tuple[Outdated, ...]:
    """Those that are furthest behind; what has no date, last."""
    found = []
    for _, members in known:
        newest = max(members, key=lambda one: one.moment)
        found += [(one, newest) for one in members if _is_outdated(one, newest)]
    dated = [pair for pair in found if pair[0].document.modified_at is not None]
    dated.sort(key=lambda pair: pair[0].moment - pair[1].moment)
    undated = [pair for pair in found if pair[0].document.modified_at is None]
    return tuple(Outdated(one.document, newer.document) for one, newer in [*dated, *undated][:examples])
