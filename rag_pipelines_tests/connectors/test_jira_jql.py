"""The queries that are sent to Jira, and the double that reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rag_pipelines.connectors.jira import jql
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines_tests.doubles.jira_jql import Refused, parse
from rag_pipelines_tests.doubles.jira_state import Issue, Site


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("status = Done ORDER BY created", "ORDER BY"),
        ("status = Done) OR (project = X", "brackets"),
        ("(status = Done", "brackets"),
        ("status = 'Done", "quotation"),
        ('summary ~ "half', "quotation"),
        ("  ", "empty"),
    ],
)
def test_a_filter_that_does_not_fit_between_brackets_is_refused(text: str, word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        JiraOptions.model_validate({"url": "https://acme.atlassian.net", "oauth_token": "x", "jql": text})


@pytest.mark.parametrize(
    "text", ['summary ~ "order by)"', "labels = 'it\\'s ('", 'labels in ("a", "b") AND (status = Done)']
)
def test_brackets_and_words_inside_of_quotes_mean_nothing(text: str) -> None:
    assert jql.check_filter(f" {text} ") == text


def test_a_query_holds_each_condition_in_brackets() -> None:
    since = datetime(2026, 3, 1, 12, 0, 59, tzinfo=UTC)
    ranges = [jql.JqlRange("1", "A"), jql.JqlRange("2", "B", since), jql.JqlRange("3", "C", since)]
    assert jql.in_ranges(ranges, UTC, "x = 1 OR y = 2") == (
        '((project in ("A")) OR (project in ("B", "C") AND updated >= "2026-03-01 12:00"))'
        " AND (x = 1 OR y = 2) ORDER BY key ASC"
    )
    assert (
        jql.with_ids(["1", "2"], "x = 1 OR y = 2") == "(id in (1, 2)) AND (x = 1 OR y = 2) ORDER BY key ASC"
    )


@given(st.text(max_size=30))
def test_any_text_is_one_jql_string(text: str) -> None:
    site = Site()
    site.project("ABC")
    issue = site.create("ABC", "One", labels=(text,))
    assert parse(f"labels = {jql.quote(text)}", site)(issue)


@pytest.mark.parametrize("minutes", range(0, 240, 20))
def test_no_change_is_lost_when_the_clocks_go_back(minutes: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    since = datetime(2026, 10, 24, 23, 0, 30, tzinfo=UTC) + timedelta(minutes=minutes)
    text = jql.moment(since, zone).strip('"')
    local = datetime.strptime(text, "%Y-%m-%d %H:%M")
    for fold in (0, 1):
        assert local.replace(tzinfo=zone, fold=fold).astimezone(UTC) <= since


def test_an_unknown_time_zone_makes_the_query_reach_further_back() -> None:
    assert jql.zone_of("Mars/Olympus") is jql.FURTHEST_BEHIND
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert jql.moment(at, jql.zone_of(None)) == '"2026-01-01 00:00"'


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("project = ABC AND updated >= '2026-03-01 12:01'", [1]),
        ('updated >= "2026-03-01 12:00"', [0, 1]),
        ("project in (ABC) AND NOT status = Done ORDER BY key ASC", [0]),
        ("id in (10003) OR key = ABC-1", [0, 1]),
    ],
)
def test_the_double_evaluates_jql(query: str, found: list[int]) -> None:
    site = Site(now=datetime(2026, 3, 1, 12, 0, 59, tzinfo=UTC))
    site.project("ABC")
    issues = [site.create("ABC", "One")]
    site.tick(timedelta(minutes=1))
    issues.append(site.create("ABC", "Two", status="Done"))
    matches: Callable[[Issue], bool] = parse(query, site)
    assert [n for n, issue in enumerate(issues) if matches(issue)] == found


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("id in (10002, 999)", "A value with ID '999' does not exist"),
        ("project = NOPE", "The value 'NOPE' does not exist for the field 'project'"),
        ("updated >= 2026-03-01T12:00:30", "is invalid"),
        ("order by key", "Unbounded"),
        ("(project = ABC", r"Expecting '\)'"),
    ],
)
def test_the_double_refuses_what_jira_refuses(query: str, words: str) -> None:
    site = Site()
    site.project("ABC")
    site.create("ABC", "One")
    with pytest.raises(Refused, match=words):
        parse(query, site)
