"""How Jira is listed: in full, by what has changed, and what becomes of its failures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    TransientError,
    UsageError,
)
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.jira_bench import (
    ALWAYS,
    HERE,
    KINDS,
    Bench,
    clauses_of,
    opened,
)
from rag_pipelines_tests.doubles.faults import STORM, Hang, Status, html_page
from rag_pipelines_tests.doubles.jira_cloud import JiraCloud
from rag_pipelines_tests.doubles.jira_state import adf


@pytest.fixture(params=list(KINDS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from opened(request.param)


@pytest.fixture
def cloud() -> Iterator[Bench]:
    yield from opened("cloud")


def test_projects_are_included_and_excluded_by_key(bench: Bench) -> None:
    for key in ("ABC", "DEF", "GHI"):
        bench.site.project(key)
        bench.site.create(key, "One")

    def projects(**options: Any) -> set[object]:
        return {item.metadata["project"] for item in bench.listed(**options).items.values()}

    assert projects() == {"ABC", "DEF", "GHI"}
    assert projects(projects=["abc", "DEF"]) == {"ABC", "DEF"}
    assert projects(exclude_projects=["DEF"]) == {"ABC", "GHI"}
    assert projects(projects=["ABC", "DEF"], exclude_projects=["ABC"]) == {"DEF"}


def test_a_named_project_that_is_not_there_makes_the_listing_incomplete(bench: Bench) -> None:
    bench.site.project("ABC")
    issue = bench.site.create("ABC", "One")
    listing = bench.listed(projects=["ABC", "GONE"])
    assert set(listing.items) == {f"issue/{issue.id}"}
    assert not listing.is_full
    assert "'GONE'" in str(listing.failures[0].error)


def test_a_filter_cannot_reach_beyond_the_chosen_projects(bench: Bench) -> None:
    for key in ("ABC", "DEF"):
        bench.site.project(key)
        for status in ("Done", "To Do", "Blocked"):
            bench.site.create(key, status, status=status)
    listing = bench.listed(projects=["ABC"], jql='status = Done OR status = "To Do"')
    assert sorted(item.title or "" for item in listing.items.values()) == ["ABC-1 Done", "ABC-2 To Do"]
    assert listing.is_full


def test_a_filter_that_jira_refuses_is_reported_in_jiras_words(bench: Bench) -> None:
    bench.site.project("ABC")
    bench.site.create("ABC", "One")
    listing = bench.listed(jql="colour = red")
    assert not listing.is_full
    assert "Field 'colour' does not exist" in str(listing.failures[0].error)
    findings = bench.connector(jql="colour = red").check()
    assert any(not one.ok and "'colour'" in one.detail for one in findings)


def test_a_page_token_that_expired_begins_the_query_anew(cloud: Bench) -> None:
    cloud.site.project("ABC")
    for n in range(5):
        cloud.site.create("ABC", f"{n}")
    assert isinstance(cloud.double, JiraCloud)
    cloud.double.expired_tokens = 1
    listing = cloud.listed(page_size=2)
    assert len(listing.items) == 5
    assert listing.is_full
    cloud.double.expired_tokens = ALWAYS
    assert not cloud.listed(page_size=2).is_full


def test_the_search_that_cloud_has_removed_is_not_used(cloud: Bench) -> None:
    cloud.site.project("ABC")
    cloud.site.create("ABC", "One")
    cloud.listed()
    assert not [
        entry for entry in cloud.double.log if entry.path.endswith("/search") and "project" not in entry.path
    ]


@pytest.mark.parametrize("deleted", [1, 4, 9])
def test_issues_deleted_between_two_pages_hide_no_others(bench: Bench, deleted: int) -> None:
    """A listing by offset skips what moves up behind it, and nothing tells."""
    bench.site.project("ABC")
    issues = [bench.site.create("ABC", f"{n}") for n in range(20)]

    def delete() -> None:
        for issue in issues[:deleted]:
            bench.site.delete(issue.id)

    bench.double.before(4, delete, r"/search")
    listing = bench.listed(page_size=3)
    assert listing.is_full
    assert set(listing.items) >= {f"issue/{issue.id}" for issue in issues[deleted:]}


def test_a_project_that_the_search_refuses_costs_only_itself(bench: Bench) -> None:
    for n in range(9):
        bench.site.project(f"P{n}")
        bench.site.create(f"P{n}", "One")
    bench.double.refused_projects = {"P3", "P7"}
    listing = bench.listed()
    assert {failure.entity for failure in listing.failures} == {"project P3", "project P7"}
    assert len(listing.items) == 7
    assert not listing.is_full


def test_comments_that_cannot_be_read_make_the_listing_incomplete(cloud: Bench) -> None:
    """They may hold the restricted comments of a document that would else be deleted."""
    cloud.site.project("ABC")
    issue = cloud.site.create("ABC", "Long story")
    for n in range(30):
        cloud.site.comment(issue.id, adf(f"{n}"))
    cloud.double.faults.script(Status(403), path="/comment", times=ALWAYS)
    listing = cloud.listed()
    assert f"issue/{issue.id}" in listing.items
    assert [failure.entity for failure in listing.failures] == ["the comments of ABC-1"]
    assert not listing.is_full


def test_a_web_page_instead_of_json_is_not_an_empty_project(bench: Bench) -> None:
    bench.site.project("ABC")
    bench.site.create("ABC", "One")
    bench.double.faults.script(
        html_page(page="<html><title>Maintenance</title></html>"), path="/search", times=ALWAYS
    )
    listing = bench.listed()
    assert not listing.is_full
    assert isinstance(listing.failures[0].error, TransientError)


@pytest.mark.parametrize("path", ["/search", "/project"])
def test_an_answer_that_says_nothing_is_not_an_empty_source(bench: Bench, path: str) -> None:
    bench.site.project("ABC")
    bench.site.create("ABC", "One")
    bench.double.faults.script(Status(200, body='{"warnings": []}'), path=path, times=ALWAYS)
    listing = bench.listed()
    assert not listing.is_full
    assert listing.failures


def test_a_passing_fault_closes_no_issue(bench: Bench) -> None:
    """Else the issue stayed closed until the next full listing."""
    project = bench.site.project("ABC")
    bench.site.create("ABC", "One")
    fault = Status(503)
    bench.double.faults.script(fault, path=f"/project/{project.id}/", times=ALWAYS)
    listing = bench.listed()
    assert not listing.items
    assert [failure.entity for failure in listing.failures] == ["project ABC"]


def test_a_login_that_is_nobodys_stops_the_listing(bench: Bench) -> None:
    """To anonymous people most of the interface answers, with what is public: an empty source."""
    bench.site.project("ABC")
    bench.double.faults.script(Status(401), path="/myself", times=ALWAYS)
    with pytest.raises(CredentialError):
        bench.listed()


def test_issues_that_cannot_be_loaded_fail_one_by_one(bench: Bench) -> None:
    bench.site.project("ABC")
    one, other = (bench.site.create("ABC", name, bench.text(name)) for name in ("one", "other"))
    connector = bench.connector()
    listing = Listing.of(connector.items())
    bench.site.delete(one.id)
    connector.prefetch(list(listing.items.values()))
    with pytest.raises(FetchError):
        listing.items[f"issue/{one.id}"].load()
    assert b"other" in listing.items[f"issue/{other.id}"].load()


def test_contents_are_read_in_bulk(bench: Bench) -> None:
    bench.site.project("ABC")
    for n in range(300):
        bench.site.create("ABC", f"{n}", bench.text(f"text {n}"))
    connector = bench.connector()
    items = list(Listing.of(connector.items()).items.values())
    before = len(bench.double.log)
    connector.prefetch(items)
    assert all(b"text" in item.load() for item in items)
    assert len(bench.double.log) - before <= (3 if bench.is_cloud else 6)


def test_a_listing_reads_no_descriptions(bench: Bench) -> None:
    bench.site.project("ABC")
    bench.site.create("ABC", "One", bench.text("x" * 100_000))
    bench.listed()
    assert sum(entry.bytes for entry in bench.double.log) < 10_000


def test_a_bad_day_of_the_server_costs_retries_and_no_document(bench: Bench) -> None:
    bench.site.project("ABC")
    bench.site.role("Team")
    for n in range(400):
        issue = bench.site.create("ABC", f"{n}", bench.text(f"text {n}"))
        if n % 50 == 0:
            bench.site.comment(issue.id, bench.text("x"), ("role", "Team"))
            bench.site.attach(issue.id, "a.txt", b"bytes")

    def replica() -> dict[str, bytes]:
        connector = bench.connector(page_size=20, retries=8)
        listing = Listing.of(connector.items())
        assert listing.is_full
        connector.prefetch(list(listing.items.values()))
        return {identity: item.load() for identity, item in listing.items.items()}

    quiet = replica()
    requests = len(bench.double.log)
    bench.double.faults.storm(0.2, seed=7, kinds=[fault for fault in STORM if not isinstance(fault, Hang)])
    assert replica() == quiet
    assert len(quiet) == 416
    assert len(bench.double.log) - requests < 2 * requests


def followed(bench: Bench, cursor: Any, **options: Any) -> Listing:
    connector = bench.connector(**options)
    return Listing.of(connector.changes(cursor), connector)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kathmandu"])
@pytest.mark.parametrize("seconds", [0, 29, 59])
def test_a_change_is_found_to_the_second_in_any_time_zone(bench: Bench, zone: str, seconds: int) -> None:
    site = bench.site
    site.zone = ZoneInfo(zone)
    site.project("ABC")
    site.now += timedelta(seconds=seconds)
    site.create("ABC", "Before")
    complete = bench.listed(overlap=0).complete
    assert complete is not None
    issue = site.create("ABC", "In the same second")
    old = site.create("ABC", "Long ago", updated=site.now - timedelta(hours=2))
    found = followed(bench, complete.cursor, overlap=0)
    assert f"issue/{issue.id}" in found.items
    assert f"issue/{old.id}" not in found.items


def test_each_project_is_followed_from_its_own_position(bench: Bench) -> None:
    site = bench.site
    for key in ("ABC", "DEF"):
        site.project(key)
        site.create(key, "One")
    first = bench.listed().complete
    assert first is not None
    late = {}
    for key in ("ABC", "DEF"):
        site.tick()
        late[key] = site.create(key, "Two")
    bench.double.refused_projects = {"ABC"}
    partly = followed(bench, first.cursor)
    assert f"issue/{late['DEF'].id}" in partly.items
    assert f"issue/{late['ABC'].id}" not in partly.items
    assert partly.complete is not None
    site.tick()
    bench.double.refused_projects = set()
    site.changed()
    whole = followed(bench, partly.complete.cursor)
    assert f"issue/{late['ABC'].id}" in whole.items


def test_an_edit_behind_a_listings_back_is_found_although_something_newer_was_seen(bench: Bench) -> None:
    site = bench.site
    site.project("ABC")
    issues = [site.create("ABC", f"{n}") for n in range(9)]

    def edit() -> None:
        for issue in (issues[0], issues[8]):
            site.tick()
            site.edit(issue.id, labels=("edited",))

    bench.double.before(3, edit, "/search")
    complete = bench.listed(page_size=2, overlap=0).complete
    assert complete is not None
    assert f"issue/{issues[0].id}" in followed(bench, complete.cursor, overlap=0).items


def test_a_project_that_is_new_is_listed_whole_by_the_changes(bench: Bench) -> None:
    bench.site.project("ABC")
    complete = bench.listed().complete
    assert complete is not None
    bench.site.project("OLD")
    issue = bench.site.create("OLD", "From long ago", updated=datetime(2020, 1, 1, tzinfo=UTC))
    assert f"issue/{issue.id}" in followed(bench, complete.cursor).items


def test_nothing_new_costs_a_handful_of_requests(bench: Bench) -> None:
    for n in range(20):
        bench.site.project(f"P{n}")
        bench.site.create(f"P{n}", "One", updated=datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=n))
    complete = bench.listed().complete
    assert complete is not None
    bench.site.tick(timedelta(days=30))
    before = len(bench.double.log)
    found = followed(bench, complete.cursor)
    assert found.complete is not None
    assert found.complete.cursor == complete.cursor
    assert len(bench.double.log) - before <= 7, "login, clock, fields, projects, a search, schemes of one hit"


@pytest.mark.parametrize(
    "options", [{"jql": "status = Done"}, {"projects": ["ABC"]}, {"fields": []}, {"comments": False}]
)
def test_other_options_are_not_followed_but_listed(bench: Bench, options: dict[str, Any]) -> None:
    bench.site.project("ABC")
    complete = bench.listed().complete
    assert complete is not None
    with pytest.raises(UsageError, match="options"):
        followed(bench, complete.cursor, **options)


def test_a_moved_issue_keeps_its_id(bench: Bench) -> None:
    site = bench.site
    site.project("ABC")
    site.project("DEF", "Delta")
    issue = site.create("ABC", "One", bench.text("text"))
    first = bench.listed()
    assert first.complete is not None
    site.tick()
    site.move(issue.id, "DEF")
    (item,) = followed(bench, first.complete.cursor).items.values()
    assert item.external_id == f"issue/{issue.id}"
    assert (item.title, item.path) == ("DEF-1 One", "Delta/DEF-1 One")
    assert clauses_of(item) == ((f"project:{HERE}/{site.projects['DEF'].id}",),)
