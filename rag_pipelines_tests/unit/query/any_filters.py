"""Filters of every kind for property tests, over few fields and values, so that they often hold.

What belongs here: strategies. What does not: what filters mean.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from rag_pipelines.query.filters import (
    All,
    AnyOf,
    Contains,
    Equals,
    Exists,
    Filter,
    Not,
    OneOf,
    Prefix,
    Range,
)

TEXTS = (
    *(
        "a",
        "A",
        "b",
        "ab",
        "a/b",
        "é",
        "e\u0301",
        "3",
        "true",
        "null",
        "",
        "%",
        "_",
        "\\",
        "a'b",
        'a"b',
        "{}",
    ),
    *("\ud7ffa", "\U0010ffff"),
)
MOMENT_TEXTS = (
    "2026-03-01",
    "2026-03-01T00:00:00Z",
    "2026-03-01T01:00:00+01:00",
    "2026-03-01T01:00:00.000+0100",
    "2026-02-28 23:59:59.999999",
    "2024-02-29T12:00",
    "2026-02-29",
    "2026-13-01",
    "2026-03-01T24:00:00Z",
    "2026-03-01T00:00:00+99:00",
    "0000-01-01",
    "yesterday",
)
LANGUAGES = ("en", "EN", "en-US", "de", "den", "e")
MEDIA_TYPES = ("text/html", "text/plain", "application/pdf")
SOURCES = ("wiki", "tickets", "docs")

MOMENTS = (
    datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
)
NUMBERS = (0, 1, 3, 3.0, 0.1, -2.5, 2**53, 2**53 + 1, 1e300)

METADATA = ("labels", "metadata.s", "metadata.n", "metadata.deep.s", 'metadata."a.b"', "metadata.0")
TEXT_FIELDS = {
    "source": SOURCES,
    "id": ("a#0", "a#1", "ab#0", "A#1", "é#0", "a"),
    "path": TEXTS,
    "author": TEXTS,
    "language": LANGUAGES,
    "media_type": (*MEDIA_TYPES, "TEXT/html"),
}

some_text = st.sampled_from([text for text in TEXTS if text])
some_scalar = st.one_of(some_text, st.sampled_from(MOMENT_TEXTS), st.booleans(), st.sampled_from(NUMBERS))


@st.composite
def text_conditions(draw: st.DrawFn) -> Filter:
    """Equality, sets and prefixes of the fields that are texts."""
    field = draw(st.sampled_from(sorted(TEXT_FIELDS)))
    values = st.sampled_from([value for value in TEXT_FIELDS[field] if value])
    match draw(st.sampled_from(("equals", "in", "prefix"))):
        case "equals":
            return Equals(field, draw(values))
        case "in":
            return OneOf(field, tuple(draw(st.lists(values, min_size=1, max_size=3))))
    return Prefix(field, draw(values)[: draw(st.integers(1, 4))])


@st.composite
def ranges(draw: st.DrawFn) -> Filter:
    """Ranges of numbers and of moments, with one bound or two."""
    field = draw(st.sampled_from(("modified_at", *METADATA)))
    kinds = (
        st.sampled_from(MOMENTS)
        if field == "modified_at" or draw(st.booleans())
        else st.sampled_from(NUMBERS)
    )
    bounds: dict[str, Any] = {}
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(("gte", "gt")))] = draw(kinds)
    if not bounds or draw(st.booleans()):
        bounds[draw(st.sampled_from(("lte", "lt")))] = draw(kinds)
    return Range(field, **bounds)


some_field = st.sampled_from(METADATA)
metadata_conditions = st.one_of(
    st.builds(Equals, some_field, some_scalar),
    st.builds(OneOf, some_field, st.lists(some_scalar, min_size=1, max_size=3).map(tuple)),
    st.builds(Prefix, some_field, some_text),
    st.builds(Contains, st.dictionaries(st.sampled_from(("s", "n", "labels")), some_scalar, max_size=2)),
)
exists = st.builds(Exists, st.sampled_from((*TEXT_FIELDS, *METADATA, "modified_at")), st.booleans())
conditions = st.one_of(text_conditions(), ranges(), metadata_conditions, exists)
filters = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
    ),
    max_leaves=6,
)
