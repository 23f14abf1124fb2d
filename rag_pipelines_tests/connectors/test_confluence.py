"""Confluence, Cloud and Data Center, against doubles of their REST interfaces over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_pipelines.connectors.base import Complete, Connector, Failure, Group, Item
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    FetchError,
    ForbiddenEntityError,
    GoneError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.model import CLOSED, EVERYONE, AccessRule
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.confluence import Double
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.confluence_state import Content, Readers, Site
from rag_pipelines_tests.doubles.faults import Status, Truncate, html_page

TOKEN = "secret-token"
DIRECTORY = "wiki.example.com"
HR_SPACE = f"space:{DIRECTORY}/HR"
STORAGE = "application/vnd.atlassian.confluence.storage+xml"


def user(key: str) -> str:
    return f"user:{DIRECTORY}/{key}"


def group(key: str) -> str:
    return f"group:{DIRECTORY}/{key}"


class Wiki:
    """A site with two spaces behind a double, and connectors to it."""

    def __init__(self, kind: type[Double], **double: Any) -> None:
        self.site = Site()
        self.double = kind(self.site, logins={f"Bearer {TOKEN}": "sync"}, **double)
        self.is_cloud = kind is ConfluenceCloud
        for key in ("ann", "bob", "eve"):
            self.site.person(key, key.title(), f"{key}@example.com")
        self.site.group("staff", "ann", "bob")
        self.site.group("hr", "ann")
        self.site.space("HR", "Human Resources", Readers(groups=["staff"]))
        self.site.space("IT", "Computers", Readers(people=["eve"], anonymous=True))
        self._open: list[Connector] = []

    def connector(self, **options: Any) -> Any:
        login = "oauth_token" if self.is_cloud else "personal_access_token"
        given = {
            "url": self.double.url,
            "deployment": "cloud" if self.is_cloud else "data_center",
            login: TOKEN,
            "directory": DIRECTORY,
            "retries": 1,
            "retry_delay": 0.01,
            **options,
        }
        connector = make_connector("wiki", "confluence", given)
        self._open.append(connector)
        return connector

    def listed(self, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.items(), connector)

    def rule(self, id: int, **options: Any) -> AccessRule | None:
        return self.listed(**options).items[f"page/{id}"].access

    def followed(self, cursor: Any, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.changes(cursor), connector)

    def groups(self, **options: Any) -> tuple[dict[str, Group], list[Failure], Complete]:
        *entries, complete = self.connector(**options).groups()
        groups = [one for one in entries if isinstance(one, Group)]
        assert isinstance(complete, Complete)
        assert len({one.principal for one in groups}) == len(groups)
        return (
            {one.principal: one for one in groups},
            [one for one in entries if isinstance(one, Failure)],
            complete,
        )

    def requests(self, path: str) -> int:
        return len(self.double.requests(path))

    def close(self) -> None:
        for connector in self._open:
            connector.close()
        self.double.stop()


@pytest.fixture(params=[ConfluenceCloud, ConfluenceDataCenter], ids=["cloud", "data-center"])
def wiki(request: pytest.FixtureRequest) -> Iterator[Wiki]:
    made = Wiki(request.param)
    made.double.start()
    yield made
    made.close()


@pytest.fixture
def cloud() -> Iterator[Wiki]:
    made = Wiki(ConfluenceCloud)
    made.double.start()
    yield made
    made.close()


@pytest.fixture
def data_center() -> Iterator[Wiki]:
    made = Wiki(ConfluenceDataCenter)
    made.double.start()
    yield made
    made.close()


def whole_cursor(listing: Listing) -> Any:
    assert listing.complete is not None
    assert listing.complete.cursor is not None
    return listing.complete.cursor


# What is listed.


def test_a_page_says_where_it_is_and_what_it_is(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Handbook")
    page = wiki.site.page("HR", "Leave", "<p>Thirty days.</p>", parent=top.id)
    wiki.site.label(page.id, "policy", "leave")
    wiki.site.edit(page.id, "<p>Forty days.</p>")
    listing = wiki.listed()
    item = listing.items[f"page/{page.id}"]
    assert (item.title, item.path) == ("Leave", "Human Resources/Handbook/Leave")
    assert item.media_type == STORAGE
    assert item.url == f"{wiki.double.url}/spaces/HR/pages/{page.id}/Leave"
    assert item.author == "Ann Author"
    assert item.modified_at == wiki.site.now
    assert item.metadata == {
        "type": "page",
        "space": "HR",
        "status": "current",
        "version": 2,
        "labels": ["leave", "policy"],
        "ancestors": ["Handbook"],
    }
    assert item.load() == b"<p>Forty days.</p>"
    assert listing.is_full


def test_posts_comments_and_attachments_are_documents_of_their_own(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    post = wiki.site.blog_post("HR", "News", "<p>News</p>")
    footer = wiki.site.comment(page.id, "<p>Why?</p>")
    reply = wiki.site.comment(page.id, "<p>Because.</p>", reply_to=footer.id)
    inline = wiki.site.comment(post.id, "<p>Typo</p>", location="inline")
    file = wiki.site.attach(page.id, "plan.pdf", b"%PDF-1.4", "application/pdf")
    listing = wiki.listed()
    assert set(listing.items) == {
        f"page/{page.id}",
        f"blogpost/{post.id}",
        f"comment/{footer.id}",
        f"comment/{reply.id}",
        f"comment/{inline.id}",
        f"attachment/att{file.id}",
    }
    comment = listing.items[f"comment/{footer.id}"]
    assert comment.title == "Comment on Leave"
    assert comment.path == f"Human Resources/Leave/Comment {footer.id}"
    assert comment.metadata["container"] == f"page/{page.id}"
    attachment = listing.items[f"attachment/att{file.id}"]
    assert (attachment.name, attachment.media_type, attachment.size) == ("plan.pdf", "application/pdf", 8)
    assert (attachment.title, attachment.path) == (None, "Human Resources/Leave/plan.pdf")
    loaded = listing.texts()
    assert loaded[f"comment/{reply.id}"] == "<p>Because.</p>"
    assert loaded[f"comment/{inline.id}"] == "<p>Typo</p>"
    assert loaded[f"attachment/att{file.id}"] == "%PDF-1.4"


def test_each_kind_can_be_left_out(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    post = wiki.site.blog_post("HR", "News")
    wiki.site.comment(page.id, "<p>Why?</p>")
    wiki.site.comment(post.id, "<p>Why?</p>")
    wiki.site.attach(page.id, "plan.pdf", b"%PDF-1.4", "application/pdf")
    listing = wiki.listed(blog_posts=False, comments=False, attachments=False)
    assert set(listing.items) == {f"page/{page.id}"}
    with_comments = wiki.listed(blog_posts=False, attachments=False)
    assert len(with_comments.items) == 2, "what is on a post goes with the post"


def test_an_attachment_above_the_limit_fails_alone(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    file = wiki.site.attach(page.id, "film.mp4", b"x" * 2000, "video/mp4")
    listing = wiki.listed(max_bytes=1000)
    assert [one.external_id for one in listing.failures] == [f"attachment/att{file.id}"]
    assert isinstance(listing.failures[0].error, TooLargeDocumentError)
    assert listing.is_full


def test_an_attachment_that_grew_after_the_listing_is_not_read_to_its_end(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    file = wiki.site.attach(page.id, "film.mp4", b"x" * 500, "video/mp4")
    item = wiki.listed(max_bytes=1000).items[f"attachment/att{file.id}"]
    wiki.site.edit(file.id, b"x" * 2000)
    with pytest.raises(TooLargeDocumentError):
        item.load()


def test_an_attachment_that_breaks_off_is_read_again(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    file = wiki.site.attach(page.id, "plan.pdf", b"%PDF-1.4" * 100, "application/pdf")
    item = wiki.listed().items[f"attachment/att{file.id}"]
    wiki.double.faults.script(Truncate(framing="close"), path="/media/|/download/attachments")
    assert item.load() == b"%PDF-1.4" * 100


def test_archived_pages_and_drafts_are_listed_by_setting_only(wiki: Wiki) -> None:
    current = wiki.site.page("HR", "Now")
    archived = wiki.site.archive(wiki.site.page("HR", "Then", "<p>old</p>").id)
    draft = wiki.site.page("HR", "Soon", "<p>new</p>", status="draft")
    assert set(wiki.listed().items) == {f"page/{current.id}"}
    everything = wiki.listed(archived=True, drafts=True)
    assert set(everything.items) == {f"page/{one.id}" for one in (current, archived, draft)}
    assert everything.items[f"page/{draft.id}"].metadata["status"] == "draft"
    assert set(everything.texts().values()) == {"", "<p>old</p>", "<p>new</p>"}


def test_archived_spaces_are_listed_by_setting_only(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    wiki.site.spaces["HR"].status = "archived"
    wiki.site.refresh()
    assert not wiki.listed().items
    assert set(wiki.listed(archived=True).items) == {f"page/{page.id}"}
    assert wiki.connector().existing([f"page/{page.id}"]) == set()
    assert wiki.connector(archived=True).existing([f"page/{page.id}"]) == {f"page/{page.id}"}


def test_spaces_are_chosen_by_key(wiki: Wiki) -> None:
    hr, it = wiki.site.page("HR", "Leave"), wiki.site.page("IT", "Keys")
    wiki.site.comment(it.id, "<p>Where?</p>")
    assert set(wiki.listed(spaces=["HR"]).items) == {f"page/{hr.id}"}
    assert set(wiki.listed(exclude_spaces=["IT"]).items) == {f"page/{hr.id}"}


def test_a_personal_space_is_a_space(wiki: Wiki) -> None:
    key = "~712020ee2049b23ac64da1b06405e83e96830f"
    wiki.site.space(key, "Ann", Readers(people=["ann"]))
    page = wiki.site.page(key, "Notes")
    file = wiki.site.attach(page.id, "a & b?.txt", b"text", "text/plain")
    listing = wiki.listed(spaces=[key])
    assert set(listing.texts()) == {f"page/{page.id}", f"attachment/att{file.id}"}
    assert set(wiki.followed(whole_cursor(listing), spaces=[key]).items) == set(listing.items)
    assert wiki.groups(spaces=[key])[0][f"space:{DIRECTORY}/{key}"].members == (user("ann"),)


def test_a_chosen_space_that_cannot_be_seen_is_said_and_deletes_nothing(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    listing = wiki.listed(spaces=["HR", "GONE"])
    assert set(listing.items) == {f"page/{page.id}"}
    assert [one.entity for one in listing.failures] == ["space GONE"]
    assert not listing.is_full


def test_roots_choose_a_page_with_all_below_it(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Handbook")
    middle = wiki.site.archive(wiki.site.page("HR", "Archived chapter", parent=top.id).id)
    page = wiki.site.page("HR", "Leave", parent=middle.id)
    wiki.site.page("HR", "Elsewhere")
    wiki.site.blog_post("HR", "News")
    note = wiki.site.comment(page.id, "<p>Why?</p>")
    expected = {f"page/{top.id}", f"page/{page.id}", f"comment/{note.id}"}
    assert set(wiki.listed(roots=[str(top.id)]).items) == expected
    ids = set(wiki.connector(roots=[str(top.id)]).ids())
    assert {one for one in ids if isinstance(one, str)} == expected


def test_labels_choose_pages_with_what_is_on_them(wiki: Wiki) -> None:
    public, secret, plain = (wiki.site.page("HR", title) for title in ("Public", "Secret", "Plain"))
    wiki.site.label(public.id, "publish")
    wiki.site.label(secret.id, "publish", "secret")
    note = wiki.site.comment(public.id, "<p>Why?</p>")
    wiki.site.comment(secret.id, "<p>Hush</p>")
    chosen = {"labels": ["publish"], "exclude_labels": ["secret"]}
    assert set(wiki.listed(**chosen).items) == {f"page/{public.id}", f"comment/{note.id}"}
    ids = [f"page/{one.id}" for one in (public, secret, plain)]
    assert wiki.connector(**chosen).existing(ids) == {f"page/{public.id}"}


def test_a_page_in_a_folder_is_below_it(cloud: Wiki) -> None:
    folder = cloud.site.folder("HR", "Policies")
    page = cloud.site.page("HR", "Leave", parent=folder.id)
    cloud.site.restrict(folder.id, groups=("hr",))
    item = cloud.listed().items[f"page/{page.id}"]
    assert item.path == "Human Resources/Policies/Leave"
    assert item.access == AccessRule(((group("hr"),), (HR_SPACE,)))
    assert f"folder/{folder.id}" not in cloud.listed().items


# What stays the same when something changes.


def test_a_rename_is_the_same_document_with_the_same_bytes(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave", "<p>Thirty days.</p>")
    before = wiki.listed().items[f"page/{page.id}"]
    was = before.load()
    wiki.site.edit(page.id, title="Holidays")
    after = wiki.listed().items[f"page/{page.id}"]
    assert (after.title, after.path) == ("Holidays", "Human Resources/Holidays")
    assert after.load() == was


def test_a_move_changes_place_and_access_but_not_the_token(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    child = wiki.site.page("HR", "Sick leave", parent=page.id)
    before = wiki.listed().items
    wiki.site.move(page.id, space="IT")
    after = wiki.listed().items
    assert after.keys() == before.keys()
    identity = f"page/{child.id}"
    assert after[identity].token == before[identity].token
    assert after[identity].path == "Computers/Leave/Sick leave"
    assert after[identity].access == AccessRule(((f"space:{DIRECTORY}/IT",),))


def test_a_restored_page_keeps_its_id_and_token(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    before = wiki.listed().tokens()
    wiki.site.trash(page.id)
    assert wiki.listed().items == {}
    wiki.site.restore(page.id)
    assert wiki.listed().tokens() == before


def test_what_is_on_a_trashed_page_goes_with_it(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    note = wiki.site.comment(page.id, "<p>Why?</p>")
    file = wiki.site.attach(page.id, "plan.pdf", b"%PDF", "application/pdf")
    ids = [f"page/{page.id}", f"comment/{note.id}", f"attachment/att{file.id}"]
    assert wiki.connector().existing(ids) == set(ids)
    wiki.site.trash(page.id)
    assert wiki.listed().items == {}
    assert wiki.connector().existing(ids) == set()


def test_pages_below_a_trashed_page_move_up(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Handbook")
    page = wiki.site.page("HR", "Leave", parent=top.id)
    wiki.site.restrict(top.id, people=("ann",))
    wiki.site.trash(top.id)
    assert wiki.listed().items[f"page/{page.id}"].path == "Human Resources/Leave"
    assert wiki.rule(page.id) == AccessRule(((HR_SPACE,),))


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


# Following the changes.


def test_the_changes_are_what_was_edited_since(wiki: Wiki) -> None:
    old = wiki.site.page("HR", "Old")
    edited = wiki.site.page("HR", "Leave")
    wiki.site.tick(timedelta(days=3))
    newest = wiki.site.page("HR", "Newest")
    cursor = whole_cursor(wiki.listed())
    wiki.site.tick(timedelta(days=3))
    wiki.site.edit(edited.id, "<p>Forty</p>")
    page = wiki.site.page("IT", "Keys")
    note = wiki.site.comment(old.id, "<p>Why?</p>")
    file = wiki.site.attach(old.id, "plan.pdf", b"%PDF", "application/pdf")
    wiki.site.restrict(old.id, people=("ann",))
    listing = wiki.followed(cursor)
    full = wiki.listed().items
    assert set(listing.items) == {
        f"page/{newest.id}",
        f"page/{edited.id}",
        f"page/{page.id}",
        f"comment/{note.id}",
        f"attachment/att{file.id}",
    }
    for identity, item in listing.items.items():
        same = full[identity]
        assert (item.token, item.title, item.path, item.url) == (same.token, same.title, same.path, same.url)
        assert (item.author, item.access, item.metadata) == (same.author, same.access, same.metadata)
        assert (item.modified_at, item.size) == (same.modified_at, same.size)
    assert listing.complete is not None
    assert not listing.complete.full


def test_nothing_changed_is_known_by_one_search_a_space(wiki: Wiki) -> None:
    for n in range(50):
        wiki.site.page("HR", f"Page {n}")
    listing = wiki.listed()
    wiki.site.tick(timedelta(days=3))
    wiki.site.edit(wiki.site.page("HR", "News").id, "<p>new</p>")
    cursor = whole_cursor(wiki.followed(whole_cursor(listing)))
    before = len(wiki.double.log)
    again = wiki.followed(cursor)
    assert len(wiki.double.log) - before <= 1 + 3 * len(wiki.site.spaces)
    assert len(again.items) == 1, "what is inside of the overlap comes again"
    assert whole_cursor(again) == cursor


@pytest.mark.parametrize("hours", [-12, -8, 0, 5.5, 14])
def test_an_edit_is_found_in_every_time_zone_of_the_server(wiki: Wiki, hours: float) -> None:
    wiki.site.zone = timezone(timedelta(hours=hours))
    page = wiki.site.page("HR", "Leave")
    cursor = whole_cursor(wiki.listed())
    wiki.site.tick(timedelta(seconds=20))
    wiki.site.edit(page.id, "<p>Forty</p>")
    listing = wiki.followed(cursor, overlap=0)
    assert listing.items[f"page/{page.id}"].token == "2"


def test_an_edit_that_is_indexed_late_is_found_within_the_overlap(wiki: Wiki) -> None:
    late, early = wiki.site.page("HR", "Late"), wiki.site.page("HR", "Early")
    cursor = whole_cursor(wiki.listed())
    wiki.site.tick()
    wiki.site.lagging = True
    wiki.site.edit(late.id, "<p>late</p>")
    wiki.site.lagging = False
    wiki.site.tick(timedelta(minutes=40))
    wiki.site.edit(early.id, "<p>early</p>")
    first = wiki.followed(cursor)
    assert first.tokens()[f"page/{early.id}"] == "2"
    wiki.site.reindex()
    assert wiki.followed(whole_cursor(first)).tokens()[f"page/{late.id}"] == "2"


def test_a_space_that_fails_keeps_its_position_and_the_others_go_on(wiki: Wiki) -> None:
    hr, it = wiki.site.page("HR", "Leave"), wiki.site.page("IT", "Keys")
    cursor = whole_cursor(wiki.listed())
    wiki.site.tick(timedelta(days=3))
    wiki.site.edit(hr.id, "<p>1</p>")
    wiki.site.edit(it.id, "<p>1</p>")
    wiki.double.faults.script(Status(403), path="search.*HR", times=1)
    first = wiki.followed(cursor)
    assert set(first.items) == {f"page/{it.id}"}
    assert [one.entity for one in first.failures] == ["changes of space HR"]
    after = whole_cursor(first)
    assert after["positions"]["HR"] == cursor["positions"]["HR"]
    assert after["positions"]["IT"] > cursor["positions"]["IT"]
    assert f"page/{hr.id}" in wiki.followed(after).items


def test_a_space_that_failed_in_the_listing_is_followed_from_its_beginning(wiki: Wiki) -> None:
    hr = wiki.site.page("HR", "Leave")
    wiki.site.page("IT", "Keys")
    space = wiki.site.spaces["HR"]
    wiki.double.faults.script(Status(403), path=rf"/spaces/{space.id}/pages|/content\?.*spaceKey=HR")
    first = wiki.listed(comments=False, attachments=False)
    assert not first.is_full
    cursor = whole_cursor(first)
    assert set(cursor["positions"]) == {"IT"}
    wiki.site.tick(timedelta(days=3))
    assert f"page/{hr.id}" in wiki.followed(cursor, comments=False, attachments=False).items


def test_a_space_that_is_new_is_followed_from_its_beginning(wiki: Wiki) -> None:
    cursor = whole_cursor(wiki.listed())
    wiki.site.space("NEW")
    page = wiki.site.page("NEW", "First")
    assert set(wiki.followed(cursor).items) == {f"page/{page.id}"}


def test_changes_of_what_the_options_leave_out_are_left_out(wiki: Wiki) -> None:
    options = {"labels": ["publish"]}
    wiki.site.label(wiki.site.page("HR", "Public").id, "publish")
    cursor = whole_cursor(wiki.listed(**options))
    wiki.site.tick()
    secret = wiki.site.page("HR", "Secret")
    wiki.site.comment(secret.id, "<p>Hush</p>")
    page = wiki.site.page("HR", "News")
    wiki.site.label(page.id, "publish")
    assert f"page/{page.id}" in wiki.followed(cursor, **options).items
    assert not {f"page/{secret.id}"} & wiki.followed(cursor, **options).items.keys()


@pytest.mark.parametrize("options", [{"spaces": ["HR"]}, {"archived": True}, {"max_bytes": 5}])
def test_a_cursor_of_other_options_is_refused(wiki: Wiki, options: dict[str, Any]) -> None:
    wiki.site.page("HR", "Leave")
    cursor = whole_cursor(wiki.listed())
    with pytest.raises(UsageError, match="options"):
        wiki.followed(cursor, **options)


def test_another_login_or_time_out_keeps_the_cursor(wiki: Wiki) -> None:
    cursor = whole_cursor(wiki.listed())
    assert wiki.followed(cursor, read_timeout=5, retries=3, page_size=10).complete is not None


# What goes wrong.


def test_a_cursor_that_expires_begins_the_range_again(wiki: Wiki) -> None:
    wiki.double.cap = 2
    pages = [wiki.site.page("HR", f"Page {n}") for n in range(5)]
    path = r"/spaces/\d+/pages.*cursor=|/content\?.*start=[1-9]"
    wiki.double.faults.script(Status(410), nth=2, path=path)
    listing = wiki.listed()
    assert set(listing.items) == {f"page/{one.id}" for one in pages}
    assert listing.is_full


def test_a_page_that_two_answers_name_is_listed_once(wiki: Wiki) -> None:
    wiki.double.cap = 2
    pages = [wiki.site.page("HR", f"Page {n}") for n in range(5)]
    wiki.double.repeated.update(one.id for one in pages)
    listing = wiki.listed()
    assert set(listing.items) == {f"page/{one.id}" for one in pages}
    assert listing.is_full


def test_a_space_that_is_forbidden_hides_documents_and_the_rest_is_listed(wiki: Wiki) -> None:
    wiki.site.page("HR", "Leave")
    page = wiki.site.page("IT", "Keys")
    space = wiki.site.spaces["HR"]
    wiki.double.faults.script(Status(403), path=rf"/spaces/{space.id}/pages|/content\?.*spaceKey=HR")
    listing = wiki.listed()
    assert set(listing.items) == {f"page/{page.id}"}
    assert [(one.entity, one.hides_documents) for one in listing.failures] == [("space HR", True)]
    assert not listing.is_full


def test_a_listing_that_breaks_off_yields_what_it_saw(wiki: Wiki) -> None:
    wiki.double.cap = 2
    pages = [wiki.site.page("HR", f"Page {n}") for n in range(5)]
    path = r"/spaces/\d+/pages.*cursor=|/content\?.*start=[1-9]"
    wiki.double.faults.script(Status(500), path=path, times=9)
    listing = wiki.listed()
    assert set(listing.items) == {f"page/{one.id}" for one in pages[:2]}
    assert isinstance(listing.failures[0].error, TransientError)
    assert not listing.is_full


def test_a_page_described_without_its_version_fails_alone(wiki: Wiki) -> None:
    broken, page = wiki.site.page("HR", "Leave"), wiki.site.page("HR", "Travel")
    wiki.double.malformed.add(broken.id)
    wiki.double.repeated.add(broken.id)
    wiki.double.cap = 1
    listing = wiki.listed()
    assert [one.external_id for one in listing.failures] == [f"page/{broken.id}"]
    assert set(listing.items) == {f"page/{page.id}"}
    assert listing.is_full


@pytest.mark.parametrize("gone", ["trash", "purge"])
def test_a_page_that_vanishes_before_it_is_read_fails_alone(wiki: Wiki, gone: str) -> None:
    page, other = wiki.site.page("HR", "Leave"), wiki.site.page("HR", "Travel", "<p>Train</p>")
    listing = wiki.listed()
    getattr(wiki.site, gone)(page.id)
    assert listing.connector is not None
    listing.connector.prefetch(list(listing.items.values()))
    with pytest.raises(FetchError):
        listing.items[f"page/{page.id}"].load()
    assert listing.items[f"page/{other.id}"].load() == b"<p>Train</p>"


def test_a_rejected_token_stops_the_source(wiki: Wiki) -> None:
    cursor = whole_cursor(wiki.listed())
    wiki.double.logins = {}
    for call in (wiki.listed, lambda: wiki.followed(cursor), wiki.groups):
        with pytest.raises(CredentialError):
            call()
    with pytest.raises(CredentialError):
        wiki.connector().existing(["page/1"])


def test_a_login_page_in_place_of_an_answer_stops_the_source(wiki: Wiki) -> None:
    wiki.double.faults.script(html_page(), times=99)
    with pytest.raises(CredentialError):
        wiki.listed()


# Which documents exist.


def test_what_was_trashed_purged_or_never_there_does_not_exist(wiki: Wiki) -> None:
    kept, trashed, purged = (wiki.site.page("HR", title) for title in ("Kept", "Trashed", "Purged"))
    post = wiki.site.blog_post("HR", "News")
    wiki.site.trash(trashed.id)
    wiki.site.purge(purged.id)
    ids = [f"page/{one.id}" for one in (kept, trashed, purged)]
    ids += [
        f"blogpost/{post.id}",
        "page/999999",
        "attachment/att999999",
        "comment/999999",
        "nonsense",
        "page/x",
    ]
    assert wiki.connector().existing(ids) == {f"page/{kept.id}", f"blogpost/{post.id}"}


def test_what_is_forbidden_counts_as_existing(wiki: Wiki) -> None:
    wiki.double.faults.script(Status(403), path="/(pages|content)/4711")
    assert wiki.connector().existing(["page/4711"]) == {"page/4711"}


def test_nothing_is_said_to_be_gone_when_nothing_can_be_asked(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    wiki.double.faults.script(Status(503), times=99)
    with pytest.raises(TransientError):
        wiki.connector().existing([f"page/{page.id}"])


def test_what_the_options_no_longer_choose_does_not_exist(wiki: Wiki) -> None:
    hr, it = wiki.site.page("HR", "Leave"), wiki.site.page("IT", "Keys")
    old = wiki.site.archive(wiki.site.page("HR", "Old").id)
    note = wiki.site.comment(it.id, "<p>Where?</p>")
    ids = [f"page/{hr.id}", f"page/{it.id}", f"page/{old.id}", f"comment/{note.id}"]
    assert wiki.connector().existing(ids) == {ids[0], ids[1], ids[3]}
    assert wiki.connector(spaces=["HR"]).existing(ids) == {ids[0]}
    assert wiki.connector(roots=[str(it.id)]).existing(ids) == {ids[1], ids[3]}
    assert wiki.connector(comments=False).existing(ids) == {ids[0], ids[1]}


def test_pages_that_the_search_does_not_know_exist(wiki: Wiki) -> None:
    wiki.site.lagging = True
    page = wiki.site.page("HR", "Leave")
    note = wiki.site.comment(page.id, "<p>Why?</p>")
    ids = {f"page/{page.id}", f"comment/{note.id}"}
    assert wiki.connector().existing(sorted(ids)) == ids


# How much is asked.


def test_a_listing_of_five_thousand_pages_takes_tens_of_requests_and_no_bodies(wiki: Wiki) -> None:
    wiki.double.cap = 250
    for n in range(5000):
        wiki.site.page("HR", f"Page {n}", "<p>body</p>")
    listing = wiki.listed()
    assert len(listing.items) == 5000
    assert len(wiki.double.log) < 60
    assert not wiki.double.requests("body")


def test_ids_are_listed_without_asking_who_may_read_them(wiki: Wiki) -> None:
    pages = [wiki.site.page("HR", f"Page {n}") for n in range(300)]
    *ids, complete = wiki.connector().ids()
    assert set(ids) == {f"page/{one.id}" for one in pages}
    assert complete == Complete(300)
    assert not wiki.double.requests("restriction")


def test_bodies_are_read_in_bulk_and_once(wiki: Wiki) -> None:
    pages = [wiki.site.page("HR", f"Page {n}", f"<p>{n}</p>") for n in range(120)]
    notes = [wiki.site.comment(pages[0].id, f"<p>note {n}</p>") for n in range(20)]
    listing = wiki.listed()
    before = len(wiki.double.log)
    texts = listing.texts()
    assert len(wiki.double.log) - before <= 4
    assert texts[f"page/{pages[7].id}"] == "<p>7</p>"
    assert texts[f"comment/{notes[7].id}"] == "<p>note 7</p>"


def test_a_body_that_bulk_reading_missed_is_read_alone(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave", "<p>Thirty</p>")
    listing = wiki.listed()
    wiki.double.faults.script(Status(500), path="id=|search", times=2)
    assert listing.texts() == {f"page/{page.id}": "<p>Thirty</p>"}


def test_people_who_are_mentioned_have_names(wiki: Wiki) -> None:
    key = "ri:account-id" if wiki.is_cloud else "ri:userkey"
    wiki.site.person("oh", 'Eve "O\'Hara" <CEO>')
    body = f'<p><ac:link><ri:user {key}="ann"/></ac:link><ri:user {key}="oh" /><ri:user {key}="nobody"/></p>'
    page = wiki.site.page("HR", "Leave", body)
    expected = body.replace(f'{key}="ann"', f'{key}="ann" ri:display-name="Ann"').replace(
        f'{key}="oh"', f'{key}="oh" ri:display-name="Eve &quot;O&#x27;Hara&quot; &lt;CEO&gt;"'
    )
    listing = wiki.listed()
    assert listing.texts() == {f"page/{page.id}": expected}, "in bulk"
    assert listing.items[f"page/{page.id}"].load().decode() == expected, "alone"


def test_a_mention_in_code_is_text(wiki: Wiki) -> None:
    mention = '<ri:user ri:account-id="ann" ri:userkey="ann"/>'
    body = f"<p>{mention}</p><ac:plain-text-body><![CDATA[{mention}]]></ac:plain-text-body><p>{mention}</p>"
    wiki.site.page("HR", "Leave", body)
    (text,) = wiki.listed().texts().values()
    assert text.count("ri:display-name") == 2
    assert f"<![CDATA[{mention}]]>" in text


def test_hostile_bodies_are_searched_in_little_time(wiki: Wiki) -> None:
    for body in ("<ri:user " * 200_000, "<![CDATA[" * 200_000, '<ri:user ri:userkey="' * 100_000):
        wiki.site.page("HR", "Hostile", body)
    began = time.monotonic()
    assert len(wiki.listed().texts()) == 3
    assert time.monotonic() - began < 10


# Settings and the check.


def test_the_check_says_who_we_are_and_what_we_see(wiki: Wiki) -> None:
    connector = wiki.connector(email_template="{username}@example.com")
    findings = {one.name: one for one in connector.check()}
    assert all(one.ok for one in findings.values())
    assert "Sync Account" in findings["login"].detail
    assert "2 to list: HR, IT" in findings["spaces"].detail
    assert {"permissions", "search"} <= findings.keys()


def test_the_check_says_what_is_wrong(wiki: Wiki) -> None:
    gone = {one.name: one for one in wiki.connector(spaces=["HR", "GONE"]).check()}
    assert not gone["space GONE"].ok
    wiki.double.removed.append("/content/search")
    search = {one.name: one for one in wiki.connector().check()}["search"]
    assert not search.ok
    assert "410" in search.detail
    wiki.double.logins = {}
    (login,) = wiki.connector().check()
    assert not login.ok
    assert TOKEN not in login.detail


def test_the_check_survives_a_token_that_may_not_list_spaces(wiki: Wiki) -> None:
    """A token of OAuth without the scope of an endpoint is answered 401 there, and only there."""
    wiki.double.faults.script(Status(401), path=r"/spaces?\?", times=9)
    findings = {one.name: one.ok for one in wiki.connector().check()}
    assert findings == {"login": True, "spaces": False}


def test_the_check_warns_where_nobody_has_an_address(data_center: Wiki) -> None:
    people = {one.name: one for one in data_center.connector().check()}["people"]
    assert not people.ok
    assert "email_template" in people.detail


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"roots": ["Handbook"]}, "not the id of a page"),
        ({"spaces": ['a" or 1=1']}, "not the key of a space"),
        ({"email_template": "ann@example.com"}, "{username}"),
        ({"space": ["HR"]}, "not an option"),
    ],
)
def test_wrong_settings_are_explained(cloud: Wiki, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cloud.connector(**options)
    assert problem in str(caught.value)


def test_times_have_a_zone_whatever_the_server_writes(wiki: Wiki) -> None:
    wiki.double.moment = lambda when: when.astimezone(timezone(timedelta(hours=2))).isoformat()  # type: ignore[method-assign]
    page = wiki.site.page("HR", "Leave")
    assert wiki.listed().items[f"page/{page.id}"].modified_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_an_item_needs_no_listing_to_be_loaded(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave", "<p>Thirty</p>")
    file = wiki.site.attach(page.id, "plan.txt", b"plan", "text/plain")
    connector = wiki.connector()
    items = [one for one in connector.items() if isinstance(one, Item)]
    assert {one.external_id: one.load() for one in items} == {
        f"page/{page.id}": b"<p>Thirty</p>",
        f"attachment/att{file.id}": b"plan",
    }
