"""The report for knowledge owners: findings as sections, for Markdown or one HTML file.

What belongs here: choosing and wording. What does not: the findings (`findings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rag_pipelines.config.values import format_duration
from rag_pipelines.evaluation.report import EvaluationReport, Section
from rag_pipelines.knowledge.findings import DocumentName, Family, Findings

NOTE = (
    "It names documents, and says numbers of their texts, whoever may read these: it is for people with "
    "rights over the catalogue."
)
"""For whom the report is; said at its head."""

NAMED = 5
"""Copies of a family that are named."""


def knowledge_report(found: Findings) -> EvaluationReport:
    """The report of some findings."""
    return EvaluationReport("Knowledge report", tuple(_sections(found)))


def _sections(found: Findings) -> Iterator[Section]:
    age = format_duration(found.stale_after)
    yield Section(
        "Sources",
        (
            NOTE,
            f"As of {found.at:%Y-%m-%d %H:%M} UTC: "
            f"{_number(found.family_count, 'family', 'families')} of documents that are alike to "
            f"{found.similarity:g} or more. Of two copies that of the source that is named first stays, then "
            f"the newer one. Stale is what was last modified more than {age} ago.",
            *_not_compared(found),
        ),
        (
            "source", "owner", "documents", "copies", "near copies", "other numbers", "outdated",
            "without author", "without date", "stale",
        ),
        tuple(
            (
                one.source, one.owner or "–",
                *(
                    f"{count:,}"
                    for count in (
                        one.documents, one.copies, one.near_copies, one.contradicting, one.outdated,
                        one.without_author, one.undated, one.stale,
                    )
                ),
            )
            for one in found.sources
        ),
    )  # fmt: skip
    yield Section(
        "Largest families",
        _nothing(found.families, "No document has a copy."),
        ("documents", "stays", "copies"),
        tuple((str(len(one.copies) + 1), _label(one.stays), _copies(one)) for one in found.families),
    )
    yield Section(
        "Nearly the same, with other numbers or dates",
        _nothing(found.contradictions, "No two documents contradict each other in numbers."),
        ("document", "near copy", "alike", "only in the first", "only in the second"),
        tuple(
            (
                _label(one.first),
                _label(one.second),
                f"{one.similarity:.2f}",
                "; ".join(one.only_first),
                "; ".join(one.only_second),
            )
            for one in found.contradictions
        ),
    )
    yield Section(
        "Outdated beside a newer near copy",
        _nothing(found.outdated, "No document stands beside a newer one that is nearly the same."),
        ("document", "modified", "newer", "modified"),
        tuple(
            (
                _label(one.document),
                _day(one.document.modified_at),
                _label(one.newer),
                _day(one.newer.modified_at),
            )
            for one in found.outdated
        ),
    )
    yield Section(
        "Without an author",
        _nothing(found.without_author, "Every document names its author."),
        ("document", "modified"),
        tuple((_label(one), _day(one.modified_at)) for one in found.without_author),
    )
    yield Section(
        f"Not modified for {age}",
        _nothing(found.stale, "Every document that has a date was modified since."),
        ("document", "modified", "author"),
        tuple((_label(one), _day(one.modified_at), one.author or "–") for one in found.stale),
    )


def _not_compared(found: Findings) -> Iterator[str]:
    for one in found.sources:
        if one.unsketched:
            count = _number(one.unsketched, "document")
            yield (
                f"Not compared: {count} of {one.source}. Set `duplicates` of an index that takes the source, "
                "and ingest it."
            )


def _nothing(rows: Sequence[object], words: str) -> tuple[str, ...]:
    return () if rows else (words,)


def _copies(family: Family) -> str:
    named: Iterable[str] = (
        _label(one.document) + ("" if one.same_words else f" ({one.similarity:.2f})")
        for one in family.copies[:NAMED]
    )
    more = len(family.copies) - NAMED
    return "; ".join([*named, *([f"{more:,} more"] if more > 0 else [])])


def _label(one: DocumentName) -> str:
    return f"{one.title} [{one.source}: {one.external_id}]"


def _day(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d}"


def _number(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
