"""What is true of Jira alone: its content, its queries, and what decides who may see an issue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rag_pipelines.connectors.base import Complete, Connector, Failure, Group, Item
from rag_pipelines.connectors.jira import jql
from rag_pipelines.connectors.jira.issues import moment
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    FetchError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.model import CLOSED, EVERYONE
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.faults import STORM, Hang, Status, html_page
from rag_pipelines_tests.doubles.jira import Double
from rag_pipelines_tests.doubles.jira_cloud import JiraCloud
from rag_pipelines_tests.doubles.jira_data_center import JiraDataCenter
from rag_pipelines_tests.doubles.jira_jql import Refused, parse
from rag_pipelines_tests.doubles.jira_state import Issue, Site, adf, holder

TOKEN = "Bearer secret"
HERE = "acme"
ALWAYS = 10**9


class Bench:
    """A double with its site, and connectors on it."""

    def __init__(self, kind: type[Double], *, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.site = Site(now=now)
        self.double = kind(self.site, logins={TOKEN: "sync"})
        self.double.start()
        self._connectors: list[Connector] = []

    @property
    def is_cloud(self) -> bool:
        return isinstance(self.double, JiraCloud)

    def connector(self, **options: Any) -> Connector:
        login = "oauth_token" if self.is_cloud else "personal_access_token"
        values = {
            "url": self.double.url,
            "deployment": "cloud" if self.is_cloud else "data_center",
            login: TOKEN.removeprefix("Bearer "),
            "directory": HERE,
            "retries": 2,
            "retry_delay": 0.001,
            **options,
        }
        self._connectors.append(make_connector("jira", "jira", values))
        return self._connectors[-1]

    def listed(self, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.items(), connector)

    def content(self, issue: Issue, **options: Any) -> dict[str, Any]:
        return json.loads(self.listed(**options).items[f"issue/{issue.id}"].load())

    def text(self, text: str) -> Any:
        """A description in the language of the deployment."""
        return adf(text) if self.is_cloud else text

    def visible(self, email: str, **options: Any) -> set[str]:
        """The documents that a person may see, by rules and groups together, as the engine puts them."""
        connector = self.connector(**options)
        held = {f"user:{email}", EVERYONE}
        groups = [entry for entry in connector.groups() if isinstance(entry, Group)]
        while grown := {one.principal for one in groups if held & set(one.members)} - held:
            held |= grown
        items = Listing.of(connector.items()).items.values()
        return {item.external_id for item in items if _admits(item, held)}

    def close(self) -> None:
        for connector in self._connectors:
            connector.close()
        self.double.stop()


def _admits(item: Item, held: set[str]) -> bool:
    assert item.access is not None
    return not held & set(item.access.deny) and all(held & set(clause) for clause in item.access.clauses)


def _clauses(item: Item) -> tuple[tuple[str, ...], ...]:
    assert item.access is not None
    return item.access.clauses


def _failures(connector: Connector) -> list[Failure]:
    return [entry for entry in connector.groups() if isinstance(entry, Failure)]


def _bench(kind: type[Double]) -> Iterator[Bench]:
    bench = Bench(kind)
    yield bench
    bench.close()


@pytest.fixture(params=[JiraCloud, JiraDataCenter], ids=["cloud", "data_center"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from _bench(request.param)


@pytest.fixture
def cloud() -> Iterator[Bench]:
    yield from _bench(JiraCloud)


@pytest.fixture
def data_center() -> Iterator[Bench]:
    yield from _bench(JiraDataCenter)


# What the content is.


def test_an_issue_is_a_document_with_its_fields_links_and_comments(bench: Bench) -> None:
    site = bench.site
    site.project("ABC", "Alpha")
    site.field("customfield_10020", "Root cause")
    site.field("customfield_10021", "Teams", "array", "option")
    site.field("customfield_10022", "Story points", "number")
    other = site.create("ABC", "A secret of the other")
    issue = site.create(
        "ABC",
        "It burns",
        bench.text("Smoke everywhere"),
        labels=("fire",),
        assignee="author",
        links=(("Blocks", other.id),),
        fields={
            "customfield_10020": bench.text("A cable"),
            "customfield_10021": [
                {"id": "1", "value": "Blue"},
                {"id": "2", "value": "Red", "child": {"value": "2"}},
            ],
            "customfield_10022": 5.0,
        },
    )
    site.comment(issue.id, bench.text("Water is coming"))
    listing = bench.listed(fields=["root CAUSE", "Teams", "customfield_10022"])
    item = listing.items[f"issue/{issue.id}"]
    data = item.load()
    assert data == json.dumps(json.loads(data), sort_keys=True, ensure_ascii=False).encode()
    assert json.loads(data) == {
        "key": "ABC-2",
        "summary": "It burns",
        "description": bench.text("Smoke everywhere"),
        "fields": [
            {"name": "Root cause", "value": bench.text("A cable")},
            {"name": "Teams", "value": ["Blue", "Red - 2"]},
            {"name": "Story points", "value": 5.0},
        ],
        "links": [{"type": "blocks", "key": "ABC-1", "summary": ""}],
        "comments": [
            {
                "author": "Ann Author",
                "created": "2026-03-01T12:00:00.000+0000",
                "body": bench.text("Water is coming"),
            }
        ],
        "format": "adf" if bench.is_cloud else "wiki",
    }
    assert (item.title, item.author) == ("ABC-2 It burns", "Ann Author")
    assert item.url == f"{bench.double.url}/browse/ABC-2"
    assert item.media_type == "application/vnd.atlassian.jira.issue+json"
    assert item.metadata == {
        "key": "ABC-2",
        "project": "ABC",
        "type": "Task",
        "status": "To Do",
        "priority": "Medium",
        "assignee": "Ann Author",
        "labels": ["fire"],
        "created": "2026-03-01T12:00:00.000+0000",
    }


def test_a_linked_issues_summary_stays_with_those_who_may_see_that_issue(bench: Bench) -> None:
    bench.site.project("ABC")
    secret = bench.site.create("ABC", "Merger with Initech")
    issue = bench.site.create("ABC", "Plan", links=(("Relates", secret.id),))
    assert "Initech" not in json.dumps(bench.content(issue))


def test_restricted_comments_are_documents_of_their_own(bench: Bench) -> None:
    site = bench.site
    site.project("ABC")
    developers = site.role("Developers")
    site.group("g-legal", name="legal" if bench.is_cloud else "")
    issue = site.create("ABC", "Case")
    site.comment(issue.id, bench.text("for all"))
    site.comment(issue.id, bench.text("for developers"), ("role", "Developers"))
    site.comment(issue.id, bench.text("for lawyers"), ("group", "g-legal"))
    site.comment(issue.id, bench.text("for developers too"), ("role", "Developers"))
    listing = bench.listed()
    texts = {identity: json.dumps(json.loads(item.load())) for identity, item in listing.items.items()}
    role, group = f"issue/{issue.id}/comments/role:{developers}", f"issue/{issue.id}/comments/group:g-legal"
    assert set(texts) == {f"issue/{issue.id}", role, group}
    assert "for all" in texts[f"issue/{issue.id}"]
    assert "for developers" not in texts[f"issue/{issue.id}"]
    assert "for lawyers" not in texts[f"issue/{issue.id}"]
    assert ("for developers too" in texts[role], "for lawyers" in texts[role]) == (True, False)
    project = site.projects["ABC"].id
    assert _clauses(listing.items[role]) == (
        (f"project:{HERE}/{project}",),
        (f"role:{HERE}/{project}/{developers}",),
    )
    assert (f"group:{HERE}/g-legal",) in _clauses(listing.items[group])


def test_comments_of_a_role_that_cannot_be_read_are_closed(bench: Bench) -> None:
    project = bench.site.project("ABC")
    bench.site.role("Developers")
    issue = bench.site.create("ABC", "Case")
    bench.site.comment(issue.id, bench.text("secret"), ("role", "Developers"))
    bench.double.refused.add(f"project/{project.id}/role")
    listing = bench.listed()
    assert listing.items[f"issue/{issue.id}/comments/role:Developers"].access == CLOSED


def test_comments_beyond_those_that_a_search_answers_with_are_read_too(bench: Bench) -> None:
    site = bench.site
    site.project("ABC")
    role = site.role("Developers")
    issue = site.create("ABC", "Long story")
    for n in range(150):
        site.comment(issue.id, bench.text(f"chapter {n}."), ("role", "Developers") if n == 140 else None)
    listing = bench.listed()
    document = json.loads(listing.items[f"issue/{issue.id}"].load())
    assert len(document["comments"]) == 149
    assert "chapter 149." in json.dumps(document)
    thread = json.loads(listing.items[f"issue/{issue.id}/comments/role:{role}"].load())
    assert "chapter 140." in json.dumps(thread)


def test_an_edited_comment_changes_the_tokens_of_its_documents_only(bench: Bench) -> None:
    site = bench.site
    site.project("ABC")
    site.role("Developers")
    issue = site.create("ABC", "Case")
    still = site.create("ABC", "Quiet")
    comment = site.comment(issue.id, bench.text("old"), ("role", "Developers"))
    site.attach(issue.id, "a.txt", b"a")
    before = bench.listed().tokens()
    site.tick()
    site.edit_comment(issue.id, comment, body=bench.text("new"))
    after = bench.listed().tokens()
    changed = {identity for identity, token in after.items() if before[identity] != token}
    assert f"issue/{still.id}" not in changed
    assert {identity.partition("/comments")[0] for identity in changed} == {f"issue/{issue.id}"}
    assert len(changed) == 2, "the issue, whose time of change moves, and the thread"


def test_attachments_are_documents_with_the_access_of_their_issue(bench: Bench) -> None:
    site = bench.site
    site.project("ABC", "Alpha")
    issue = site.create("ABC", "With files")
    text = site.attach(issue.id, "a report.md", b"# Report", "application/octet-stream")
    image = site.attach(issue.id, "shot.png", b"\x89PNG" * 100, "image/png")
    listing = bench.listed(max_bytes=100)
    item = listing.items[f"issue/{issue.id}/attachment/{text.id}"]
    assert item.load() == b"# Report"
    assert (item.name, item.size, item.media_type) == ("a report.md", 8, "text/markdown")
    assert item.path == "Alpha/ABC-1 With files/a report.md"
    assert item.access == listing.items[f"issue/{issue.id}"].access
    (failure,) = listing.failures
    assert failure.external_id == f"issue/{issue.id}/attachment/{image.id}"
    assert isinstance(failure.error, TooLargeDocumentError)
    assert listing.is_full
    assert set(bench.listed(attachments=False).items) == {f"issue/{issue.id}"}


def test_the_path_names_parent_and_epic(bench: Bench) -> None:
    site = bench.site
    site.project("ABC", "Alpha")
    if not bench.is_cloud:
        site.field("customfield_10008", "Epic Link", "any", custom="com.pyxis.greenhopper.jira:gh-epic-link")
    epic = site.create("ABC", "Big/little thing", type="Epic")
    story = site.create("ABC", "Story", parent=epic.id, fields={"customfield_10008": site.key(epic)})
    task = site.create("ABC", "Step", type="Sub-task", parent=story.id)
    items = bench.listed().items
    assert items[f"issue/{epic.id}"].path == "Alpha/ABC-1 Big∕little thing"
    assert items[f"issue/{story.id}"].path == "Alpha/ABC-1 Big∕little thing/ABC-2 Story"
    assert items[f"issue/{task.id}"].path == "Alpha/ABC-2 Story/ABC-3 Step"


def test_the_name_of_a_parent_that_fewer_people_may_see_is_not_told(bench: Bench) -> None:
    site = bench.site
    site.project("ABC", "Alpha").levels = [level := site.level("Board", holder("group", "board"))]
    site.group("board")
    secret = site.create("ABC", "Layoffs", level=level)
    step = site.create("ABC", "Step", type="Sub-task", parent=secret.id)
    same = site.create("ABC", "Slides", type="Sub-task", parent=secret.id, level=level)
    items = bench.listed(security_levels={"Board": ["group:board"]}).items
    assert items[f"issue/{step.id}"].path == "Alpha/ABC-1/ABC-2 Step"
    assert items[f"issue/{same.id}"].path == "Alpha/ABC-1 Layoffs/ABC-3 Slides"


def test_a_field_that_the_site_does_not_have_is_named_with_those_that_are_like_it(bench: Bench) -> None:
    bench.site.project("ABC")
    bench.site.field("customfield_10020", "Root cause")
    listing = bench.listed(fields=["Root couse"])
    (failure,) = listing.failures
    assert isinstance(failure.error, ConfigError)
    assert "'Root couse'" in str(failure.error)
    assert "'Root cause'" in str(failure.error)
    assert not listing.is_full
    findings = bench.connector(fields=["Root couse"]).check()
    assert any(not one.ok and "'Root cause'" in one.detail for one in findings)


def test_other_fields_of_the_content_make_other_tokens(bench: Bench) -> None:
    bench.site.project("ABC")
    bench.site.field("customfield_10020", "Root cause")
    bench.site.create("ABC", "One")
    assert bench.listed().tokens() != bench.listed(fields=["Root cause"]).tokens()


# What is listed.


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
    ranges = [jql.Range("1", "A"), jql.Range("2", "B", since), jql.Range("3", "C", since)]
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
    assert parse(f"labels = {jql.quoted(text)}", site)(issue)


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


# What has changed.


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
    assert _clauses(item) == ((f"project:{HERE}/{site.projects['DEF'].id}",),)


# Who may see it.


def people(site: Site) -> None:
    for name in ("ann", "bob", "cat"):
        site.account(name, name.title(), f"{name.title()}@Example.com")


def test_every_holder_of_the_permission_scheme_gets_in_and_nobody_else(bench: Bench) -> None:
    site = bench.site
    people(site)
    site.group("g1", "ann")
    site.group("g2", "bob", name="jira-users" if bench.is_cloud else "")
    site.group("jira-users", "bob")
    role = site.role("Team")
    for key, browser in {
        "ANYONE": holder("anyone"),
        "GROUP": holder("group", "g1"),
        "USER": holder("user", "ann"),
        "ROLE": holder("projectRole", role),
        "LEAD": holder("projectLead"),
        "APP": holder("applicationRole", "jira-software"),
        "LOGGEDIN": holder("applicationRole"),
        "PORTAL": holder("sd.customer.portal.only"),
    }.items():
        project = site.project(key, key, browser)
        project.lead = "ann"
        project.actors = {role: ["user:cat", "group:g1"]}
        site.create(key, key)

    def projects(email: str) -> set[str]:
        by_id = {f"issue/{issue.id}": issue.project for issue in site.issues.values()}
        return {by_id[identity] for identity in bench.visible(email)}

    assert projects("ann@example.com") == {"ANYONE", "GROUP", "USER", "ROLE", "LEAD"}
    assert projects("bob@example.com") == {"ANYONE", "APP", "LOGGEDIN"}
    assert projects("cat@example.com") == {"ANYONE", "ROLE"}
    assert projects("stranger@example.com") == {"ANYONE"}


def test_people_of_the_issue_get_in_by_the_issue_itself(bench: Bench) -> None:
    site = bench.site
    people(site)
    site.group("g1", "cat")
    site.field("customfield_1", "Approvers", "array", "user")
    site.field("customfield_2", "Crowd", "group")
    account = "accountId" if bench.is_cloud else "key"
    group = {"name": "g1", "groupId": "g1"} if bench.is_cloud else {"name": "g1"}
    browsers = [holder("reporter"), holder("assignee")]
    browsers += [holder("userCustomField", "customfield_1"), holder("groupCustomField", "customfield_2")]
    site.project("ABC", "", *browsers)
    mine = site.create("ABC", "Mine", reporter="ann")
    his = site.create("ABC", "His", assignee="bob", reporter=None)
    both = site.create("ABC", "Both", fields={"customfield_1": [{account: "ann"}, {account: "bob"}]})
    crowd = site.create("ABC", "Crowd", fields={"customfield_2": group})
    assert bench.visible("ann@example.com") == {f"issue/{one.id}" for one in (mine, both)}
    assert bench.visible("bob@example.com") == {f"issue/{one.id}" for one in (his, both)}
    assert bench.visible("cat@example.com") == {f"issue/{crowd.id}"}


def test_a_security_level_narrows_and_its_roles_are_those_of_the_issues_project(bench: Bench) -> None:
    site = bench.site
    people(site)
    role = site.role("Team")
    level = site.level("Inner", holder("projectRole", role), holder("reporter"))
    for key, member in (("ABC", "ann"), ("DEF", "bob")):
        project = site.project(key)
        project.levels, project.actors = [level], {role: [f"user:{member}"]}
    inner = {key: site.create(key, "Inner", level=level) for key in ("ABC", "DEF")}
    reported = site.create("ABC", "Reported", level=level, reporter="cat")
    told = {} if bench.is_cloud else {"security_levels": {"Inner": ["role:Team", "reporter"]}}
    assert bench.visible("ann@example.com", **told) == {f"issue/{inner['ABC'].id}", f"issue/{reported.id}"}
    assert bench.visible("bob@example.com", **told) == {f"issue/{inner['DEF'].id}"}
    assert bench.visible("cat@example.com", **told) == {f"issue/{reported.id}"}


def test_a_level_does_not_widen_what_the_scheme_grants(bench: Bench) -> None:
    site = bench.site
    people(site)
    site.group("g1", "ann")
    level = site.level("Everyone", holder("anyone"))
    site.project("ABC", "", holder("group", "g1")).levels = [level]
    issue = site.create("ABC", "One", level=level)
    told = {} if bench.is_cloud else {"security_levels": {"Everyone": ["user:ann", "user:bob"]}}
    assert bench.visible("ann@example.com", **told) == {f"issue/{issue.id}"}
    assert bench.visible("bob@example.com", **told) == set()


@pytest.mark.parametrize("part", ["permissionscheme", "issuesecuritylevelscheme", "role"])
def test_what_cannot_be_read_of_a_project_lets_nobody_in_and_is_reported(bench: Bench, part: str) -> None:
    site = bench.site
    people(site)
    role = site.role("Team")
    project = site.project("ABC", "", holder("projectRole", role))
    project.actors, project.levels = {role: ["user:ann"]}, []
    site.create("ABC", "One")
    assert bench.visible("ann@example.com")
    path = f"project/{project.id}/{part}" + (f"/{role}" if part == "role" else "")
    bench.double.refused.add(path)
    (failure,) = _failures(bench.connector())
    if part != "issuesecuritylevelscheme":
        assert bench.visible("ann@example.com") == set()
        assert failure.entity in (f"project:{HERE}/{project.id}", f"role:{HERE}/{project.id}/{role}")
    findings = bench.connector().check()
    assert part == "role" or any(not one.ok and "ABC" in one.detail for one in findings)


def test_an_issue_whose_level_is_hidden_from_us_is_closed_where_there_are_levels(bench: Bench) -> None:
    site = bench.site
    project = site.project("ABC")
    issue = site.create("ABC", "One")
    assert bench.listed().items[f"issue/{issue.id}"].access != CLOSED
    bench.double.refused.add(f"project/{project.id}/issuesecuritylevelscheme")
    assert bench.listed().items[f"issue/{issue.id}"].access == CLOSED


def test_data_center_wants_to_be_told_who_is_in_a_level(data_center: Bench) -> None:
    site = data_center.site
    people(site)
    level = site.level("Inner", holder("user", "ann"))
    project = site.project("ABC")
    project.levels = [level]
    site.create("ABC", "One", level=level)
    (failure,) = _failures(data_center.connector())
    assert failure.entity == f"level:{HERE}/{project.id}/{level}"
    assert "security_levels" in str(failure.error)
    assert data_center.visible("ann@example.com") == set()
    assert any("security_levels" in one.detail for one in data_center.connector().check() if not one.ok)
    assert data_center.visible("ann@example.com", security_levels={"Inner": ["user:ann"]})


def test_accounts_that_are_inactive_or_hide_their_address_are_nobody(bench: Bench) -> None:
    site = bench.site
    site.account("gone", "Gone", "gone@example.com", active=False)
    site.account("shy", "Shy")
    site.project("ABC", "", holder("user", "gone"), holder("user", "shy"))
    site.create("ABC", "One")
    groups = {one.principal: one for one in bench.connector().groups() if isinstance(one, Group)}
    assert groups[f"user:{HERE}/gone"].members == ()
    assert groups[f"user:{HERE}/shy"].members == ()
    assert any(f"user:{HERE}/ACCOUNT" in finding.detail for finding in bench.connector().check())
    assert bench.visible("gone@example.com") == set()


def test_groups_that_the_picker_leaves_out_are_not_taken_for_removed(data_center: Bench) -> None:
    site = data_center.site
    people(site)
    for n in range(30):
        site.group(f"g{n}", "ann")
    site.project("ABC", "", holder("group", "g29"))
    entries = list(data_center.connector().groups())
    last = entries[-1]
    assert isinstance(last, Complete)
    assert not last.full
    named = {one.principal: one.members for one in entries if isinstance(one, Group)}
    assert named[f"group:{HERE}/g29"] == (f"user:{HERE}/ann",), "a group that a scheme names is read anyhow"


def test_a_group_whose_members_cannot_be_read_keeps_those_it_had(bench: Bench) -> None:
    bench.site.group("g1", "author")
    bench.double.refused.add("group/member")
    entries = list(bench.connector().groups())
    assert [one.entity for one in entries if isinstance(one, Failure)] == [f"group:{HERE}/g1"]
    assert not any(isinstance(one, Group) and one.principal == f"group:{HERE}/g1" for one in entries)


def test_a_deleted_group_that_a_scheme_still_names_has_no_members(bench: Bench) -> None:
    bench.site.project("ABC", "", {"type": "group", "value": "gone"})
    bench.site.groups["gone"] = ("gone", [])
    entries = list(bench.connector().groups())
    assert not [one for one in entries if isinstance(one, Failure)]
    bench.double.faults.script(Status(404), path="/group/member", times=ALWAYS)
    (group,) = [
        one for one in bench.connector().groups() if getattr(one, "principal", "").startswith("group:")
    ]
    assert isinstance(group, Group)
    assert group.members == ()


def test_an_issue_of_a_team_managed_project_is_restricted_to_roles(cloud: Bench) -> None:
    site = cloud.site
    people(site)
    role = site.role("Leads")
    project = site.project("ABC")
    project.simplified, project.actors = True, {role: ["user:ann"]}
    cloud.double.refused.add(f"project/{project.id}/issuesecuritylevelscheme")
    plain = site.create("ABC", "Plain")
    inner = site.create("ABC", "Inner", restricted_to=(role,))
    assert cloud.visible("ann@example.com") == {f"issue/{plain.id}", f"issue/{inner.id}"}
    assert cloud.visible("bob@example.com") == {f"issue/{plain.id}"}


def test_a_holder_that_is_not_known_here_grants_nothing_and_is_reported(bench: Bench) -> None:
    people(bench.site)
    bench.site.project("ABC", "", holder("user", "ann"), holder("moonPhase", "full"))
    bench.site.create("ABC", "One")
    (failure,) = _failures(bench.connector())
    assert "'moonPhase'" in str(failure.error)
    assert bench.visible("ann@example.com")


# What still exists.


def test_ids_are_judged_in_bulk_and_deleted_ones_are_not_there(bench: Bench) -> None:
    site = bench.site
    site.project("ABC")
    site.role("Team")
    issues = [site.create("ABC", f"{n}") for n in range(120)]
    attachment = site.attach(issues[0].id, "a.txt", b"a")
    site.comment(issues[0].id, bench.text("x"), ("role", "Team"))
    ids = sorted(bench.listed().items)
    connector = bench.connector()
    before = len(bench.double.log)
    assert connector.existing(ids) == set(ids)
    assert len(bench.double.log) - before <= 10
    for issue in issues[50:60]:
        site.delete(issue.id)
    site.detach(issues[0].id, attachment)
    gone = {f"issue/{issue.id}" for issue in issues[50:60]} | {
        f"issue/{issues[0].id}/attachment/{attachment.id}"
    }
    assert connector.existing([*ids, "not ours"]) == set(ids) - gone
    site.comment(issues[0].id, bench.text("y"))
    issues[0].comments.pop(0)
    assert f"issue/{issues[0].id}" in connector.existing(ids)
    assert not [one for one in connector.existing(ids) if "comments" in one]


def test_what_the_options_no_longer_choose_is_not_there(bench: Bench) -> None:
    site = bench.site
    for key in ("ABC", "DEF"):
        site.project(key)
    done = site.create("ABC", "Done", status="Done")
    todo = site.create("ABC", "To do")
    moved = site.create("DEF", "Elsewhere", status="Done")
    ids = [f"issue/{issue.id}" for issue in (done, todo, moved)]
    connector = bench.connector(projects=["ABC"], jql="status = Done")
    assert connector.existing(ids) == {f"issue/{done.id}"}


def test_an_issue_that_is_closed_to_us_counts_as_existing(data_center: Bench) -> None:
    data_center.site.project("ABC")
    issue = data_center.site.create("ABC", "One")
    data_center.site.hidden.add(issue.id)
    data_center.site.changed()
    assert data_center.connector().existing([f"issue/{issue.id}"]) == {f"issue/{issue.id}"}


@pytest.mark.parametrize("whole_project", [True, False])
def test_what_is_archived_is_not_there(bench: Bench, whole_project: bool) -> None:
    """Jira's search does not find it, although it can still be read by its id."""
    site = bench.site
    site.project("ABC")
    issue = site.create("ABC", "One")
    if whole_project:
        site.archive_project("ABC")
    else:
        site.archive(issue.id)
    listing = bench.listed()
    assert not listing.items
    assert listing.is_full
    assert bench.connector().existing([f"issue/{issue.id}"]) == set()


@pytest.mark.parametrize("fault", [Status(503), Status(400, body='{"errorMessages": ["No."]}')])
def test_when_nothing_can_be_said_nothing_is_said(bench: Bench, fault: Status) -> None:
    bench.site.project("ABC")
    issue = bench.site.create("ABC", "One")
    bench.double.faults.script(fault, path="/search", times=ALWAYS)
    with pytest.raises(TransientError):
        bench.connector().existing([f"issue/{issue.id}"])


# The double is worth trusting.


def test_the_double_describes_attachments_as_a_real_site_does(
    cloud: Bench, data_set: Callable[[str], Path]
) -> None:
    files = sorted((data_set("connector-samples") / "jira" / "file_data").glob("*.json"))
    issues = [json.loads(file.read_text())["additional_metadata"] for file in files]
    real = [one for issue in issues for one in issue["fields"]["attachment"]]
    assert real
    cloud.site.project("ABC")
    issue = cloud.site.create("ABC", "One")
    cloud.site.attach(issue.id, "a.txt", b"a")
    (ours,) = cloud.double.issue(issue, ["attachment"])["fields"]["attachment"]
    for one in real:
        assert ours.keys() <= one.keys()
        assert {name: type(value) for name, value in ours.items()} == {name: type(one[name]) for name in ours}
        assert moment(one["created"]) is not None


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
