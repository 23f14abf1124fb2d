"""What the documents of Jira are: issues, restricted comments, attachments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import (
    ConfigError,
    TooLargeDocumentError,
)
from rag_pipelines.model import CLOSED
from rag_pipelines_tests.connectors.jira_bench import (
    HERE,
    KINDS,
    Bench,
    clauses_of,
    opened,
)
from rag_pipelines_tests.doubles.jira_state import holder


@pytest.fixture(params=list(KINDS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from opened(request.param)


@pytest.fixture
def cloud() -> Iterator[Bench]:
    yield from opened("cloud")


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
    assert clauses_of(listing.items[role]) == (
        (f"project:{HERE}/{project}",),
        (f"role:{HERE}/{project}/{developers}",),
    )
    assert (f"group:{HERE}/g-legal",) in clauses_of(listing.items[group])


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
        assert read_time(one["created"]) is not None
