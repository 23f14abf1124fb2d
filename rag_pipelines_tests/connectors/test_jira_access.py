"""Who may see what Jira holds: schemes, roles, levels, groups and accounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rag_pipelines.connectors.base import Complete, Failure, Group
from rag_pipelines.model import CLOSED
from rag_pipelines_tests.connectors.jira_bench import (
    ALWAYS,
    HERE,
    KINDS,
    Bench,
    failures_of,
    opened,
)
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.jira_state import Site, holder


@pytest.fixture(params=list(KINDS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield from opened(request.param)


@pytest.fixture
def cloud() -> Iterator[Bench]:
    yield from opened("cloud")


@pytest.fixture
def data_center() -> Iterator[Bench]:
    yield from opened("data_center")


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
    (failure,) = failures_of(bench.connector())
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
    (failure,) = failures_of(data_center.connector())
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
    (failure,) = failures_of(bench.connector())
    assert "'moonPhase'" in str(failure.error)
    assert bench.visible("ann@example.com")
