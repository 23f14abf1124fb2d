"""The expectations that stand between the stages, as plain data.

What belongs here: which type of Great Expectations must hold of which column, and how bad it is when it does
not. What does not: the rows (`sql/queries/quality.sql`) and running anything (`runner`).

A *blocking* expectation stops what comes after it; the others warn. A document that cannot be read never
blocks: it is in quarantine, and one bad file costs one document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rag_pipelines.config.suites import SuiteSettings
from rag_pipelines.errors import DocumentError

NORM_TOLERANCE = 0.01
"""Vectors have length 1 within this; 16-bit arithmetic in a model stays far below it."""

HEADERS_KNOWN = 0.5
"""The share of documents with tables of which at least one header row should have been recognised."""


@dataclass(frozen=True)
class Expectation:
    """One thing that must hold. `kind` is a type of the library, `arguments` are its own."""

    name: str
    kind: str
    arguments: Mapping[str, Any]
    description: str
    blocking: bool = True


@dataclass(frozen=True)
class Suite:
    """The expectations of one stage's output. `query` names the rows, `key` the columns that name a row."""

    name: str
    query: str
    key: tuple[str, ...]
    expectations: tuple[Expectation, ...] = field(repr=False)


_KEYS = {
    "documents": ("external_id",),
    "chunks": ("external_id", "chunk_id"),
    "vectors": ("external_id", "chunk_id"),
}
"""The columns that name a row of each stage."""


def own_suite(name: str, settings: SuiteSettings) -> Suite:
    """A suite of the configuration."""
    return Suite(
        name,
        f"quality_own_{settings.stage}",
        _KEYS[settings.stage],
        tuple(
            Expectation(
                one.title,
                one.type,
                one.kwargs,
                one.description or f"{name}: {one.title.replace('_', ' ')}",
                one.blocking,
            )
            for one in settings.expectations
        ),
    )


def statuses() -> list[str]:
    """Every word that can be stored as the status of a document."""
    kinds: list[type[DocumentError]] = [DocumentError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return sorted({"ok", *(kind.status for kind in kinds)})


def _pair(a: str, b: str) -> dict[str, Any]:
    return {"column_A": a, "column_B": b, "or_equal": True, "ignore_row_if": "either_value_is_missing"}


def _equal(a: str, b: str) -> dict[str, Any]:
    return {"column_A": a, "column_B": b, "ignore_row_if": "either_value_is_missing"}


def _few_quarantined(most: int | float) -> Expectation:
    """A share bounds how many rows may be in quarantine, a number which place a row there may have."""
    description = "No more of the source's documents stand in quarantine than `quarantine.documents` allows."
    within: dict[str, Any] = {"column": "quarantine_place", "max_value": most}
    kind = "expect_column_values_to_be_between"
    if isinstance(most, float):
        within = {"column": "quarantined", "value_set": [False], "mostly": 1 - most}
        kind = "expect_column_values_to_be_in_set"
    return Expectation("quarantine_documents", kind, within, description, blocking=False)


def documents_suite(
    max_drop: float = 0.2, quarantined: int | float = 0.1, quarantine_age: timedelta = timedelta(days=14)
) -> Suite:
    """Of documents and how reading them ended.

    Args:
        max_drop: the share that the latest listing may lose.
        quarantined: how many documents may stand in quarantine, as a number or (a float) a share.
        quarantine_age: for how long.
    """
    return Suite(
        "documents",
        "quality_documents",
        _KEYS["documents"],
        (
            Expectation(
                "unique_ids",
                "expect_column_values_to_be_unique",
                {"column": "external_id"},
                "No two documents of the source have the same id.",
            ),
            Expectation(
                "content_stored",
                "expect_column_values_to_be_between",
                {"column": "digest_bytes", "min_value": 32, "max_value": 32},
                "Every document has the SHA-256 of its stored bytes.",
            ),
            Expectation(
                "size_within_limit",
                "expect_column_values_to_be_in_set",
                {"column": "within_limit", "value_set": [True]},
                "No document is larger than limits.parse.max_bytes.",
            ),
            Expectation(
                "volume_drop",
                "expect_column_values_to_be_in_set",
                {"column": "state", "value_set": ["present"], "mostly": 1 - max_drop},
                "The latest listing deleted or missed no more of the documents than the delete guard allows.",
                blocking=False,
            ),
            Expectation(
                "every_document_answered",
                "expect_column_values_to_be_in_set",
                {"column": "answered", "value_set": [True]},
                "Every document has been parsed or stands in quarantine with a reason.",
            ),
            Expectation(
                "known_status",
                "expect_column_values_to_be_in_set",
                {"column": "status", "value_set": statuses()},
                "Every status is one of the words that the error tree knows.",
            ),
            Expectation(
                "text_found",
                "expect_column_values_to_be_between",
                {"column": "characters", "min_value": 1},
                "A document that counts as read has text; one without counts as empty.",
            ),
            Expectation(
                "table_headers",
                "expect_column_values_to_be_in_set",
                {"column": "table_header", "value_set": [True], "mostly": HEADERS_KNOWN},
                "In documents with tables, header rows were recognised.",
                blocking=False,
            ),
            Expectation(
                "words_kept",
                "expect_column_values_to_be_null",
                {"column": "words_lost"},
                "Of each format no more words are missing in the text than `losses.words` allows.",
            ),
            Expectation(
                "content_kept",
                "expect_column_values_to_be_null",
                {"column": "kinds_lost"},
                "Of each format no more documents lose something than `losses.documents` allows.",
            ),
            _few_quarantined(quarantined),
            Expectation(
                "quarantine_age",
                "expect_column_values_to_be_between",
                {"column": "quarantine_days", "max_value": quarantine_age / timedelta(days=1)},
                "Nothing has been in quarantine for longer than `quarantine.age` allows.",
                blocking=False,
            ),
        ),
    )


def chunks_suite() -> Suite:
    """Of chunks and where they say they stand in their document."""
    return Suite(
        "chunks",
        "quality_chunks",
        _KEYS["chunks"],
        (
            Expectation(
                "unique_ids",
                "expect_column_values_to_be_unique",
                {"column": "chunk_id"},
                "No two chunks have the same id.",
            ),
            Expectation(
                "none_lost",
                "expect_column_pair_values_to_be_equal",
                _equal("chunks_expected", "chunks_stored"),
                "Every chunk that was cut is stored.",
            ),
            Expectation(
                "not_empty",
                "expect_column_values_to_be_between",
                {"column": "text_length", "min_value": 1},
                "Every chunk has text.",
            ),
            Expectation(
                "has_tokens",
                "expect_column_values_to_be_between",
                {"column": "tokens", "min_value": 1},
                "Every chunk has at least one token.",
            ),
            Expectation(
                "tokens_within_budget",
                "expect_column_pair_values_a_to_be_greater_than_b",
                _pair("max_tokens", "tokens"),
                "No chunk is longer than its profile's budget, so the model cuts nothing off.",
            ),
            Expectation(
                "span_is_text",
                "expect_column_pair_values_to_be_equal",
                _equal("span", "text_length"),
                "The offsets of a chunk enclose exactly its text.",
            ),
            Expectation(
                "starts_inside",
                "expect_column_values_to_be_between",
                {"column": "start_at", "min_value": 0},
                "No chunk begins before its document.",
            ),
            Expectation(
                "ends_inside",
                "expect_column_pair_values_a_to_be_greater_than_b",
                _pair("characters", "end_at"),
                "No chunk ends behind its document.",
            ),
            Expectation(
                "pages_inside",
                "expect_column_pair_values_a_to_be_greater_than_b",
                _pair("pages", "page_last"),
                "No chunk stands on a page that its document does not have.",
            ),
            Expectation(
                "pages_known",
                "expect_column_values_to_not_be_null",
                {"column": "page", "mostly": 0.99},
                "Where the format has pages, a chunk knows its own.",
                blocking=False,
            ),
        ),
    )


def vectors_suite() -> Suite:
    """Of the vectors of all chunks."""
    return Suite(
        "vectors",
        "quality_vectors",
        _KEYS["vectors"],
        (
            Expectation(
                "coverage",
                "expect_column_values_to_not_be_null",
                {"column": "dimensions"},
                "Every chunk has a vector, but for those that the model refused.",
            ),
            Expectation(
                "dimensions",
                "expect_column_pair_values_to_be_equal",
                _equal("dimensions", "dimensions_expected"),
                "Every vector has the model's dimensions.",
            ),
            Expectation(
                "finite",
                "expect_column_values_to_be_between",
                {"column": "norm", "max_value": 3.4e38},
                "No vector holds an infinity or a value that is not a number.",
            ),
            Expectation(
                "unit_length",
                "expect_column_values_to_be_between",
                {"column": "norm", "min_value": 1 - NORM_TOLERANCE, "max_value": 1 + NORM_TOLERANCE},
                "Every vector has length 1, so inner products are cosines.",
            ),
        ),
    )
