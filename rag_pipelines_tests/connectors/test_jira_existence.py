"""Which of its documents Jira still holds, asked by id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rag_pipelines.errors import (
    TransientError,
)
from rag_pipelines_tests.connectors.jira_bench import (
    ALWAYS,
    KINDS,
    Bench,
    opened,
)
from rag_pipelines_tests.doubles.faults import Status


@pytest.fixture(params=list(KINDS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from opened(request.param)


@pytest.fixture
def data_center() -> Iterator[Bench]:
    yield from opened("data_center")


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


@pytest.mark.parametrize("jql", [None, "status = Done"])
def test_what_the_search_index_lacks_is_not_taken_for_deleted(bench: Bench, jql: str | None) -> None:
    bench.site.project("ABC")
    issue = bench.site.create("ABC", "One", status="Done")
    bench.site.lagging.add(issue.id)
    bench.site.changed()
    assert not bench.listed(jql=jql).items
    assert bench.connector(jql=jql).existing([f"issue/{issue.id}"]) == {f"issue/{issue.id}"}


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
