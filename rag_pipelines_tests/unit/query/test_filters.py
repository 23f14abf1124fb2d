"""Filters as values: they compose, they travel as JSON, and what is wrong with one is said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given

from rag_pipelines.errors import UsageError
from rag_pipelines.query import filters as subject
from rag_pipelines.query.filter_predicate import NO_FILTER, named_sources, predicate
from rag_pipelines.query.filters import (
    All,
    AnyOf,
    Condition,
    Contains,
    Equals,
    Exists,
    Filter,
    Not,
    OneOf,
    Prefix,
    Range,
    filter_from_json,
)
from rag_pipelines.query.hits import Filters
from rag_pipelines_tests.unit.query.any_filters import filters


@given(filters)
def test_a_filter_survives_json(chosen: Filter) -> None:
    assert filter_from_json(msgspec.json.decode(msgspec.json.encode(chosen))) == chosen


def test_the_json_is_what_the_documentation_shows() -> None:
    shown = msgspec.json.decode(str(subject.__doc__).partition("\n    {")[2].partition("\n\n")[0].join("{ "))
    composed = (Prefix("path", "handbook/") | OneOf("labels", ("howto", "policy"))) & ~Equals(
        "metadata.status", "draft"
    )
    assert filter_from_json(shown) == composed
    assert msgspec.json.decode(msgspec.json.encode(composed)) == shown


def test_dates_and_numbers_in_json_are_bounds() -> None:
    in_march = {"field": "modified_at", "gte": "2026-03-01", "lt": "2026-03-31T22:00:00-02:00"}
    assert filter_from_json(in_march) == Range(
        "modified_at", gte=datetime(2026, 3, 1, tzinfo=UTC), lt=datetime(2026, 4, 1, tzinfo=UTC)
    )
    assert filter_from_json({"field": "metadata.votes", "gt": 2.5}) == Range("metadata.votes", gt=2.5)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            None,
            "filter: received None; valid: 'all' or 'any' with a list of filters, 'not' with one",
        ),
        ([], r"filter: received \[\]"),
        ({}, "filter: received {}"),
        ({"every": []}, "the keys 'every'; valid: 'all'"),
        ({"all": [], "any": []}, "the keys 'all', 'any'"),
        ({"all": []}, r"filter.all: received \[\]; valid: a list of 1 to 100 filters"),
        ({"any": "x"}, "filter.any: received 'x'"),
        ({"not": [1]}, r"filter.not: received \[1\]"),
        ({"field": "path"}, "received the keys 'field'"),
        ({"field": "path", "like": "x"}, "the keys 'field', 'like'.*one of equals, in, prefix, exists"),
        ({"field": "path", "equals": "x", "prefix": "x"}, "the keys 'equals', 'field', 'prefix'"),
        (
            {"field": "colour", "equals": "x"},
            "the field 'colour'; valid: source, id, path, author, modified_at",
        ),
        ({"field": ["path"], "equals": "x"}, r"the field \['path'\]"),
        ({"field": "metadata", "equals": "x"}, "the field 'metadata'"),
        ({"field": "metadata.", "equals": "x"}, "the field 'metadata.'"),
        ({"field": "metadata.a..b", "equals": "x"}, "the field 'metadata.a..b'"),
        ({"field": "path", "equals": 3}, "path is a text; received 3"),
        ({"field": "path", "prefix": ""}, "received ''; valid: a text of 1 to 1,000 characters"),
        ({"field": "path", "prefix": "\u200b"}, "valid: a text of 1 to 1,000 characters"),
        ({"field": "path", "equals": "x" * 1001}, "valid: a text of 1 to 1,000 characters"),
        ({"field": "path", "in": []}, "an empty set"),
        ({"field": "path", "in": "x"}, "'in' received 'x'; valid: a list of values"),
        ({"field": "path", "gte": 3}, "path has no range; valid for it: equals, in, prefix, exists"),
        ({"field": "path", "exists": "yes"}, "received 'yes'; valid: true or false"),
        ({"field": "metadata.s", "equals": None}, "received None; valid: a text, a number, true or false"),
        ({"field": "metadata.s", "equals": {"a": 1}}, "valid: a text, a number, true or false"),
        ({"field": "metadata.s", "in": ["a", [1]]}, r"received \[1\]"),
        ({"field": "metadata.n", "equals": 2**63}, "whole ones of 64 bits"),
        ({"field": "metadata.n", "gte": True}, "received True; valid: a number, or a moment"),
        (
            {"field": "metadata.n", "gte": 1, "gt": 1},
            "received the bounds gte, gt; valid: gte or gt, and lte or lt",
        ),
        ({"field": "metadata.n", "gte": None}, "received the bounds none"),
        (
            {"field": "metadata.n", "gte": 1, "lt": "2026-01-01"},
            "one bound is a number and the other a moment",
        ),
        ({"field": "metadata.s", "gte": "b"}, "received 'b'; valid: a number, a date, or a moment"),
        ({"field": "modified_at", "gte": "2026-02-30"}, "received '2026-02-30'"),
        ({"field": "modified_at", "gte": "2026-02-01T00:00:00"}, "has no time zone; add Z or an offset"),
        ({"field": "modified_at", "gte": 3}, "modified_at is no number"),
        ({"field": "modified_at", "equals": "2026-02-01"}, "modified_at has no equals; valid for it: gte"),
        ({"field": "path", "contains": {}}, "'contains' is for the field 'metadata'"),
        ({"field": "metadata", "contains": "x"}, "'contains' is for the field 'metadata'"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_place_and_what_is_valid(value: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        filter_from_json(value)


def test_every_problem_is_told_at_once() -> None:
    wrong = {"all": [{"field": "colour", "equals": "x"}, {"not": {"any": [{"field": "path", "in": []}]}}]}
    with pytest.raises(UsageError) as caught:
        filter_from_json(wrong, "body.filter")
    assert "body.filter.all[0]: received the field 'colour'" in str(caught.value)
    assert "; body.filter.all[1].not.any[0]: received an empty set" in str(caught.value)


def nested(depth: int) -> dict[str, Any]:
    """A filter of so many levels."""
    value: dict[str, Any] = {"field": "path", "equals": "x"}
    for _ in range(depth - 1):
        value = {"not": value}
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (nested(13), "nested too deep; valid: up to 12 levels"),
        (nested(900), "nested too deep"),
        ({"any": [{"any": [nested(1)] * 50}] * 3}, "more than 100 parts"),
        ({"any": [{"field": "path", "in": ["x"] * 501}] * 2}, "more than 1,000 values"),
    ],
)
def test_a_filter_above_a_limit_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        filter_from_json(value)


def test_what_lies_within_the_limits_is_accepted() -> None:
    filter_from_json(nested(12))
    filter_from_json({"field": "path", "in": ["x"] * 1000})


def test_limits_hold_for_filters_made_in_python_too() -> None:
    deep: Filter = Equals("path", "x")
    for _ in range(100_000):
        deep = Not(deep)
    with pytest.raises(UsageError, match="nested too deep"):
        predicate(deep)
    with pytest.raises(UsageError, match="has no time zone"):
        Range("modified_at", gte=datetime(2026, 1, 1))
    with pytest.raises(UsageError, match="the field 'title'"):
        Exists("title", True)


@given(filters)
def test_no_value_of_a_filter_is_part_of_the_sql(chosen: Filter) -> None:
    """What a caller may choose arrives as parameters; the text depends on the kinds of conditions alone."""
    found = predicate(chosen)
    text = found.text
    assert set(found.params) == {f"filter_{n}" for n in range(len(found.params))}
    assert all(f"%({name})s" in text for name in found.params)
    for value in ("wiki", "a'b", 'a"b', "html", "2026", "deep", "labels"):
        assert value not in text


def test_the_plain_form_is_the_same_as_its_conditions() -> None:
    since, until = datetime(2026, 1, 1), datetime(2026, 2, 1, tzinfo=UTC)
    plain = Filters(("wiki",), "a/", {"team": "field", "labels": ["x"]}, since, until)
    written = All(
        (
            OneOf("source", ("wiki",)),
            Prefix("path", "a/"),
            Contains({"team": "field", "labels": ["x"]}),
            Range("modified_at", gte=since.replace(tzinfo=UTC), lt=until),
        )
    )
    one, other = predicate(plain), predicate(written)
    assert one.text == other.text
    assert [str(value) for value in one.params.values()] == [str(value) for value in other.params.values()]
    assert predicate(Filters()) == predicate(None) == NO_FILTER


def test_sources_are_named_wherever_they_stand() -> None:
    chosen = Equals("source", "wiki") | ~(OneOf("source", ("docs", "mail")) & Prefix("source", "t"))
    assert named_sources(chosen) == {"wiki", "docs", "mail"}
    assert named_sources(Filters(("wiki",))) == {"wiki"}


def test_every_condition_says_its_operator() -> None:
    assert {kind.words for kind in Condition.__subclasses__()} == {
        "equals",
        "in",
        "prefix",
        "range",
        "exists",
    }
    assert AnyOf(()) != All(())
