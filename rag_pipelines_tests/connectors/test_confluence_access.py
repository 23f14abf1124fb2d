"""Who may read what in Confluence, and who stands behind the principals that rules name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_pipelines.connectors.base import Group
from rag_pipelines.errors import (
    ForbiddenEntityError,
    GoneError,
)
from rag_pipelines.model import CLOSED, EVERYONE, AccessRule
from rag_pipelines_tests.connectors.confluence_bench import (
    DIRECTORY,
    HR_SPACE,
    Wiki,
    group,
    opened,
    user,
)
from rag_pipelines_tests.doubles.confluence import Double
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.confluence_state import Content, Readers, Site
from rag_pipelines_tests.doubles.faults import Status


@pytest.fixture(params=[ConfluenceCloud, ConfluenceDataCenter], ids=["cloud", "data-center"])
def wiki(request: pytest.FixtureRequest) -> Iterator[Wiki]:
    yield from opened(request.param)


@pytest.fixture
def cloud() -> Iterator[Wiki]:
    yield from opened(ConfluenceCloud)


@pytest.fixture
def data_center() -> Iterator[Wiki]:
    yield from opened(ConfluenceDataCenter)


# Who may read it.


def test_access_is_that_of_the_space_where_nothing_is_restricted(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    assert wiki.rule(page.id) == AccessRule(((HR_SPACE,),))


def test_a_page_needs_its_own_restriction_and_that_of_every_page_above(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Board")
    middle = wiki.site.page("HR", "Minutes", parent=top.id)
    page = wiki.site.page("HR", "Salaries", parent=middle.id)
    note = wiki.site.comment(page.id, "<p>Too much</p>")
    file = wiki.site.attach(page.id, "list.csv", b"a,b", "text/csv")
    wiki.site.restrict(top.id, groups=("staff", "hr"))
    wiki.site.restrict(page.id, people=("ann",), groups=("hr",))
    items = wiki.listed().items
    expected = AccessRule(
        ((group("hr"), group("staff")), (HR_SPACE,), (group("hr"), user("ann")))
    ).normalised()
    assert items[f"page/{page.id}"].access == expected
    assert items[f"comment/{note.id}"].access == expected
    assert items[f"attachment/att{file.id}"].access == expected
    assert (
        items[f"page/{middle.id}"].access
        == AccessRule(((group("hr"), group("staff")), (HR_SPACE,))).normalised()
    )


def test_a_restricted_page_above_that_is_no_document_still_restricts(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Board")
    page = wiki.site.page("HR", "Salaries", parent=top.id)
    wiki.site.restrict(top.id, groups=("hr",))
    wiki.site.archive(top.id)
    assert wiki.rule(page.id) == AccessRule(((group("hr"),), (HR_SPACE,)))


def test_a_page_above_that_cannot_be_read_closes_what_is_below(cloud: Wiki) -> None:
    """v2 names the parent even where the account may not see it."""
    top = cloud.site.page("HR", "Board")
    page = cloud.site.page("HR", "Salaries", parent=top.id)
    cloud.site.hidden.add(top.id)
    listing = cloud.listed()
    assert listing.items[f"page/{page.id}"].access == CLOSED
    assert [(one.entity, one.hides_documents) for one in listing.failures] == [
        (f"access of content {top.id}", False)
    ]
    assert listing.is_full


def test_a_restriction_that_may_not_be_read_closes_the_page_and_is_told(wiki: Wiki) -> None:
    page, other = wiki.site.page("HR", "Salaries"), wiki.site.page("HR", "Leave")
    wiki.double.forbidden.add(page.id)
    listing = wiki.listed()
    assert listing.items[f"page/{page.id}"].access == CLOSED
    assert listing.items[f"page/{other.id}"].access == AccessRule(((HR_SPACE,),))
    assert isinstance(listing.failures[0].error, ForbiddenEntityError)
    assert listing.is_full


def test_a_restriction_longer_than_one_answer_is_read_to_its_end(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Salaries")
    people = [f"person{n}" for n in range(250)]
    for key in people:
        wiki.site.person(key, key)
    wiki.site.restrict(page.id, people=tuple(people), groups=("hr",))
    wiki.double.cap = 100
    rule = wiki.rule(page.id)
    assert rule is not None
    assert set(rule.clauses) == {(HR_SPACE,), tuple(sorted([group("hr"), *map(user, people)]))}


def test_a_page_that_the_search_does_not_know_yet_is_asked_for_alone(cloud: Wiki) -> None:
    cloud.site.page("HR", "Leave")
    cloud.site.lagging = True
    page = cloud.site.page("HR", "Salaries")
    cloud.site.restrict(page.id, people=("ann",))
    cloud.site.label(page.id, "pay")
    item = cloud.listed().items[f"page/{page.id}"]
    assert item.access == AccessRule(((HR_SPACE,), (user("ann"),)))
    assert item.metadata["labels"] == ["pay"]
    assert cloud.requests("/restriction/") == 1, "the other page is found by the search"


def test_without_the_search_everything_is_asked_one_by_one_and_told(cloud: Wiki) -> None:
    pages = [cloud.site.page("HR", f"Page {n}") for n in range(3)]
    cloud.site.restrict(pages[0].id, people=("ann",))
    cloud.double.removed.append("/content/search")
    listing = cloud.listed()
    assert listing.items[f"page/{pages[0].id}"].access == AccessRule(((HR_SPACE,), (user("ann"),)))
    assert [(one.entity, one.hides_documents) for one in listing.failures] == [("content search", False)]
    assert isinstance(listing.failures[0].error, GoneError)
    assert listing.is_full


def test_restrictions_that_nothing_tells_of_close_everything(cloud: Wiki) -> None:
    page = cloud.site.page("HR", "Leave")
    cloud.double.removed += ["/content/search", "/restriction/"]
    listing = cloud.listed()
    assert listing.items[f"page/{page.id}"].access == CLOSED
    assert listing.is_full


def test_a_draft_is_its_authors_alone(wiki: Wiki) -> None:
    draft = wiki.site.page("HR", "Soon", status="draft")
    assert wiki.rule(draft.id, drafts=True) == AccessRule(((HR_SPACE,), (user("author"),)))


def test_an_answer_without_its_restriction_is_not_taken_for_none(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Salaries")
    wiki.site.restrict(page.id, people=("ann",))
    said = wiki.double.v1
    wiki.double.v1 = lambda *given: {**said(*given), "restrictions": {"_expandable": {"read": ""}}}  # type: ignore[method-assign]
    assert wiki.rule(page.id) == AccessRule(((HR_SPACE,), (user("ann"),)))


def test_comments_are_not_closed_when_the_access_of_their_pages_was_out_of_reach(cloud: Wiki) -> None:
    page = cloud.site.page("HR", "Leave")
    cloud.site.comment(page.id, "<p>Why?</p>")
    cloud.double.faults.script(Status(500), path="search", times=9)
    listing = cloud.listed()
    assert not listing.items
    assert not listing.is_full


@st.composite
def page_trees(draw: st.DrawFn) -> list[tuple[int | None, tuple[str, ...], tuple[str, ...], bool]]:
    """Pages as (parent, people, groups, archived), each below one before it."""
    some = st.lists(st.sampled_from(["ann", "bob"]), unique=True, max_size=2).map(tuple)
    groups = st.lists(st.sampled_from(["staff", "hr"]), unique=True, max_size=2).map(tuple)
    pages: list[tuple[int | None, tuple[str, ...], tuple[str, ...], bool]] = []
    for n in range(draw(st.integers(1, 8))):
        parent = draw(st.none() | st.integers(0, n - 1)) if n else None
        pages.append((parent, draw(some), draw(groups), draw(st.booleans())))
    return pages


@pytest.mark.parametrize("kind", [ConfluenceCloud, ConfluenceDataCenter])
def test_whoever_reads_a_page_passes_every_restriction_above_it(kind: type[Double]) -> None:
    """Against a plain reading of the vendor's rule: the page and every ancestor, whatever their status."""
    wiki = Wiki(kind, cap=3)
    members = {"ann": {"staff", "hr"}, "bob": {"staff"}, "eve": set[str]()}

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(page_trees())
    def hold(tree: Sequence[tuple[int | None, tuple[str, ...], tuple[str, ...], bool]]) -> None:
        site = Site()
        site.people, site.groups = wiki.site.people, wiki.site.groups
        site.space("HR", readers=Readers(groups=["staff"]))
        wiki.double.site = site
        pages: list[Content] = []
        for number, (parent, people, groups, _) in enumerate(tree):
            above = None if parent is None else pages[parent].id
            pages.append(site.page("HR", f"Page {number}", parent=above))
            site.restrict(pages[-1].id, people, groups)
        for page, (_, _, _, archived) in zip(pages, tree, strict=True):
            if archived:
                site.archive(page.id)
        items = wiki.listed().items
        for page, (_, _, _, archived) in zip(pages, tree, strict=True):
            if archived:
                assert f"page/{page.id}" not in items
                continue
            rule = items[f"page/{page.id}"].access
            assert rule is not None
            chain = [*site.ancestors(page), page]
            for person, teams in members.items():
                expected = "staff" in teams and all(
                    one.readers is None or person in one.readers.people or teams & set(one.readers.groups)
                    for one in chain
                )
                held = {user(person), *map(group, teams), *([HR_SPACE] if "staff" in teams else [])}
                assert all(held & set(clause) for clause in rule.clauses) == bool(expected)

    with wiki.double:
        hold()
        wiki.close()


# Groups.


def test_groups_are_spaces_groups_and_accounts(cloud: Wiki) -> None:
    groups, failures, complete = cloud.groups()
    assert groups[HR_SPACE] == Group(principal=HR_SPACE, name="Human Resources", members=(group("staff"),))
    assert set(groups[f"space:{DIRECTORY}/IT"].members) == {user("eve"), EVERYONE}
    assert groups[group("staff")].members == (user("ann"), user("bob"))
    assert groups[user("ann")] == Group(principal=user("ann"), name="Ann", members=("user:ann@example.com",))
    assert groups[user("eve")].members == ("user:eve@example.com",), "only a space names her"
    assert not failures
    assert (complete.count, complete.full) == (len(groups), True)


def test_groups_of_data_center_have_addresses_by_a_template(data_center: Wiki) -> None:
    plain, _, _ = data_center.groups()
    assert plain[user("ann")].members == ()
    groups, _, complete = data_center.groups(email_template="{username}@corp.example.com")
    assert groups[user("ann")].members == ("user:ann@corp.example.com",)
    assert set(groups[f"space:{DIRECTORY}/IT"].members) == {user("eve"), EVERYONE}
    assert groups[HR_SPACE].members == (group("staff"),)
    assert complete.full


def test_addresses_can_be_left_out(cloud: Wiki) -> None:
    groups, _, _ = cloud.groups(emails="none")
    assert groups[user("ann")] == Group(principal=user("ann"), name="Ann")


def test_permissions_of_an_older_data_center_are_read_from_the_space(data_center: Wiki) -> None:
    data_center.double.removed.append("/permissions")
    groups, failures, _ = data_center.groups()
    assert groups[HR_SPACE].members == (group("staff"),)
    assert set(groups[f"space:{DIRECTORY}/IT"].members) == {user("eve"), EVERYONE}
    assert not failures


def test_cloud_without_v1_spaces_knows_all_but_the_anonymous(cloud: Wiki) -> None:
    cloud.double.removed.append("/rest/api/space/")
    groups, failures, _ = cloud.groups()
    assert groups[f"space:{DIRECTORY}/IT"].members == (user("eve"),)
    assert not failures


def test_a_space_whose_permissions_are_forbidden_keeps_the_members_it_had(wiki: Wiki) -> None:
    space = wiki.site.spaces["HR"]
    path = rf"/spaces/{space.id}/permissions|/space/HR/permissions"
    wiki.double.faults.script(Status(403), path=path, times=9)
    groups, failures, _ = wiki.groups()
    assert HR_SPACE not in groups
    assert [one.entity for one in failures] == [HR_SPACE]


def test_a_group_that_cannot_be_read_is_named_and_nothing_is_removed(wiki: Wiki) -> None:
    wiki.double.faults.script(Status(403), path="/group/hr/", times=9)
    groups, failures, complete = wiki.groups()
    assert group("hr") not in groups
    assert [one.entity for one in failures] == [group("hr")]
    assert not complete.full


def test_members_longer_than_one_answer_are_read_to_their_end(wiki: Wiki) -> None:
    people = [f"person{n}" for n in range(25)]
    for key in people:
        wiki.site.person(key, key)
    wiki.site.group("crowd", *people)
    wiki.double.cap = 10
    groups, _, complete = wiki.groups()
    assert set(groups[group("crowd")].members) == set(map(user, people))
    assert complete.full
