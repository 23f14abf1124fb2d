"""Which of several documents holds: the successor before the outdated, the year asked for before others.

What belongs here: what documents say of that themselves, in metadata, titles and paths, and its factors.
What does not: how much a document counts whatever it says (`boosts`), and copies of one text (`duplicates`).

A document is outdated

- by its metadata: ``status: superseded`` and words like it, ``expires`` in the past, ``superseded_by`` a
  document, or another one that ``supersedes`` it;
- beside another one with the same title and place but for a later year.

A question that names a year asks for what held then: the latest document of its kind up to that year. One
that asks for what is old, by a word such as "former", is answered as if nothing were outdated.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from rag_pipelines.query.boosts import multiplied
from rag_pipelines.query.hits import Hit
from rag_pipelines.query.stages import Asked, Candidate, StageOutcome
from rag_pipelines.store.chunks import precedence_of

SUPERSEDED = 0.5
"""Factor of a document whose successor is among the candidates by their metadata."""

DOUBTED = 0.8
"""Factor of one that is outdated by a year alone, or by its own word without a successor; of drafts."""

DEPTH = 10
"""Candidates of which a successor can come up; as many as most searches ask for anyway."""

_OVER = frozenset(
    {
        "superseded", "obsolete", "outdated", "deprecated", "withdrawn", "archived", "expired", "retired",
        "replaced", "repealed", "draft", "proposed",
    }
)  # fmt: skip
_EXPIRES = ("expires", "expiry", "expiration_date", "valid_until", "valid_to")
_BEGINS = ("effective", "effective_date", "valid_from", "version", "edition", "year")
_AFTER = ("superseded_by", "replaced_by")
_BEFORE = ("supersedes", "replaces")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_OLD = re.compile(
    r"\b(?:former(?:ly)?|previous(?:ly)?|old(?:er|est)?|earlier|superseded|outdated|archived|obsolete|historical|drafts?)\b",
    re.IGNORECASE,
)


class Precedence:
    """Multiplies the score of a document that does not hold by a factor below 1."""

    name = "precedence"
    depth = DEPTH

    def apply(self, asked: Asked, candidates: Sequence[Candidate]) -> StageOutcome:
        factors = factors_of([one.hit for one in candidates], asked.text, asked.now.date())
        if not factors:
            return StageOutcome(candidates, "")
        moved = multiplied(candidates, [factors.get(one.hit.document_id, 1.0) for one in candidates])
        return StageOutcome(
            moved, f"{len(factors)} documents are outdated, or not of the year that was asked for"
        )


def factors_of(hits: Iterable[Hit], question: str, today: date) -> dict[int, float]:
    """The factors other than 1, by the number of the document."""
    documents = list({hit.document_id: hit for hit in hits}.values())
    if _OLD.search(question):
        return {}
    years = [int(year) for year in _YEAR.findall(question)]
    factors = {} if years else _said_to_be_over(documents, today)
    for kin in _of_one_kind(documents).values():
        held = _held_in(kin.values(), max(years, default=None))
        for document, year in kin.items():
            if year != held:
                factors.setdefault(document, DOUBTED)
    return factors


def _said_to_be_over(documents: Sequence[Hit], today: date) -> dict[int, float]:
    factors = {one.document_id: DOUBTED for one in documents if _is_over(one.metadata, today)}
    for old in documents:
        if any(
            _names(old, _texts(old.metadata, _AFTER), new) or _names(new, _texts(new.metadata, _BEFORE), old)
            for new in documents
            if new.document_id != old.document_id
        ):
            factors[old.document_id] = SUPERSEDED
    return factors


def _is_over(metadata: Mapping[str, Any], today: date) -> bool:
    ends = (_date(text) for text in _texts(metadata, _EXPIRES))
    words = {word for text in _texts(metadata, ("status",)) for word in re.findall(r"\w+", text.casefold())}
    return bool(words & _OVER) or any(end < today for end in ends if end)


def _of_one_kind(documents: Iterable[Hit]) -> dict[tuple[str, ...], dict[int, int]]:
    """The years of documents that differ in nothing but their year, by what they have in common."""
    kinds: defaultdict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    for one in documents:
        if year := _year(one):
            kinds[one.source, _without_year(one.title), _without_year(one.path)][one.document_id] = year
    return {kind: years for kind, years in kinds.items() if len(set(years.values())) > 1}


def _held_in(years: Iterable[int], asked: int | None) -> int:
    """The latest year, up to the one asked for where there is such a one."""
    known = sorted(years)
    return max((year for year in known if asked is None or year <= asked), default=known[-1])


def _year(hit: Hit) -> int | None:
    """The year a document is of: by its title, else its metadata, else its path, the nearest name first."""
    for text in (hit.title, *_texts(hit.metadata, _BEGINS), *reversed(hit.path.split("/"))):
        if found := _YEAR.search(text):
            return int(found[0])
    return None


def _without_year(text: str) -> str:
    return " ".join(re.findall(r"\w+", _YEAR.sub(" ", text).replace("_", " ").casefold()))


def _names(by: Hit, names: Sequence[str], other: Hit) -> bool:
    """Whether a name that a document gives is another one's: title, id, address, path or relative path."""
    known = {other.title.casefold(), other.external_id.casefold(), other.path.casefold(), other.url or ""}
    folder = posixpath.dirname(by.path)
    return any(
        name.casefold() in known or posixpath.normpath(posixpath.join(folder, name)) == other.path
        for name in names
    )


def _texts(metadata: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """The values of some keys as texts, in the order of the keys."""
    found = precedence_of(metadata)
    values = (found.get(key) for key in keys)
    listed = [one for value in values for one in (value if isinstance(value, list | tuple) else (value,))]
    return [str(one) for one in listed if isinstance(one, str | int | float) and not isinstance(one, bool)]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
