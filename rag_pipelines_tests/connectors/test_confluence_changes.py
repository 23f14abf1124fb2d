"""How the changes of Confluence are followed, and what becomes of what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta, timezone
from typing import Any

import pytest

from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    TransientError,
    UsageError,
)
from rag_pipelines_tests.connectors.confluence_bench import (
    Wiki,
    opened,
    whole_cursor,
)
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.faults import Status, html_page


@pytest.fixture(params=[ConfluenceCloud, ConfluenceDataCenter], ids=["cloud", "data-center"])
def wiki(request: pytest.FixtureRequest) -> Iterator[Wiki]:
    yield from opened(request.param)


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
