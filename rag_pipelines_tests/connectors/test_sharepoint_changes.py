"""How SharePoint is followed: feeds and how they end badly, what still exists, and a bad day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rag_pipelines.errors import (
    GoneError,
    UsageError,
)
from rag_pipelines_tests.connectors.conformance import Listing, Replica
from rag_pipelines_tests.connectors.sharepoint_bench import Office, cursor_of, opened
from rag_pipelines_tests.doubles.faults import STORM, Drip, Hang, Status
from rag_pipelines_tests.doubles.sharepoint_feeds import RESYNC_APPLY, RESYNC_UPLOAD
from rag_pipelines_tests.doubles.sharepoint_state import USER, Grant

QUICK = tuple(one for one in STORM if not isinstance(one, Hang | Drip))
"""The faults of a bad day that do not wait for a time-out."""


@pytest.fixture
def office() -> Iterator[Office]:
    yield from opened()


def paths(listing: Listing) -> set[str]:
    return {item.path for item in listing.items.values()}


# Feeds.


def test_the_last_of_several_entries_counts(office: Office) -> None:
    file = office.tenant.file(office.library, "old.txt")
    office.tenant.rename(office.library, file, "new.txt")
    office.double.feeds.repeated.add(file.key)
    listing = office.listed()
    assert paths(listing) == {"Hr/Documents/new.txt"}
    assert listing.complete is not None
    assert listing.complete.count == 1


def test_what_a_feed_names_as_it_was_and_then_as_gone_is_gone(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    cursor = cursor_of(office.listed())
    office.tenant.delete(office.library, file)
    office.double.feeds.repeated.add(file.key)
    followed = office.followed(cursor)
    assert (followed.items, followed.removed) == ({}, [office.id(file)])


def test_children_may_come_before_their_folders(office: Office) -> None:
    tenant, library = office.tenant, office.library
    outer = tenant.folder(library, "outer")
    inner = tenant.folder(library, "inner", outer)
    tenant.file(library, "a.txt", parent=inner)
    office.double.feeds.children_first = True
    office.double.cap = 1
    assert paths(office.listed()) == {"Hr/Documents/outer/inner/a.txt"}


@pytest.mark.parametrize("code", [RESYNC_APPLY, RESYNC_UPLOAD])
@pytest.mark.parametrize("page", [1, 3])
def test_a_feed_whose_token_has_expired_asks_for_everything(office: Office, code: str, page: int) -> None:
    for n in range(6):
        office.tenant.file(office.library, f"{n}.txt")
    cursor = cursor_of(office.listed())
    for thing in list(office.library.things.values()):
        office.tenant.edit(office.library, thing, b"new")
    office.double.cap = 2
    office.double.before(page, lambda: office.double.feeds.expire(code), r"/root/delta")
    with pytest.raises(GoneError):
        office.followed(cursor)
    assert len(office.listed().items) == 6


def test_a_listing_whose_token_expires_in_the_middle_is_begun_again(office: Office) -> None:
    for n in range(6):
        office.tenant.file(office.library, f"{n}.txt")
    office.double.cap = 2
    office.double.before(3, office.double.feeds.expire, r"/root/delta")
    listing = office.listed()
    assert len(listing.items) == 6
    assert listing.is_full


def test_a_feed_that_never_lasts_is_a_failure(office: Office) -> None:
    office.tenant.file(office.library, "a.txt")
    office.double.faults.script(Status(410), path=r"/root/delta", times=100)
    listing = office.listed()
    assert isinstance(listing.failures[0].error, GoneError)
    assert not listing.is_full


def test_a_link_that_leads_elsewhere_is_not_followed(office: Office) -> None:
    office.tenant.file(office.library, "a.txt")
    body = '{"value": [], "@odata.nextLink": "https://evil.example/v1.0/drives/x/root/delta"}'
    office.double.faults.script(Status(200, body=body), path=r"/root/delta")
    listing = office.listed()
    assert isinstance(listing.failures[0].error, UsageError)
    assert not listing.is_full


def test_changes_name_what_was_written_and_what_is_gone_with_paths_and_scopes(office: Office) -> None:
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "2026")
    kept, gone, other = (tenant.file(library, f"{n}.txt", parent=folder) for n in "abc")
    tenant.share(library, folder, [Grant(who=(USER, office.ann.key))])
    full = office.listed()
    tenant.edit(library, kept, b"new")
    tenant.delete(library, gone)
    followed = office.followed(cursor_of(full))
    assert followed.items.keys() == {office.id(kept)}
    assert followed.removed == [office.id(gone)]
    item = followed.items[office.id(kept)]
    assert item.path == "Hr/Documents/2026/a.txt"
    assert item.access == full.items[office.id(other)].access
    assert not followed.is_full


def test_folders_that_a_feed_leaves_out_are_asked_for(office: Office) -> None:
    tenant, library = office.tenant, office.library
    outer = tenant.folder(library, "outer")
    inner = tenant.folder(library, "inner", outer)
    file = tenant.file(library, "a.txt", parent=inner)
    tenant.share(library, outer, [Grant(who=(USER, office.ann.key))])
    full = office.listed()
    tenant.edit(library, file, b"new")
    office.double.feeds.silent |= {outer.key, inner.key}
    item = office.followed(cursor_of(full)).items[office.id(file)]
    assert item.path == "Hr/Documents/outer/inner/a.txt"
    assert item.access == full.items[office.id(file)].access


def test_a_folder_that_gets_permissions_of_its_own_changes_what_is_below_it(office: Office) -> None:
    """The feed names the folder only; its documents would stay open to all visitors."""
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "closed")
    file = tenant.file(library, "a.txt", parent=folder)
    cursor = cursor_of(office.listed())
    tenant.share(library, folder, [Grant(who=(USER, office.ann.key))])
    followed = office.followed(cursor)
    rule = followed.items[office.id(file)].access
    assert rule is not None
    assert rule.clauses == ((f"group:graph/{library.key}/{folder.key}",),)
    tenant.share(library, folder, None)
    rule = office.followed(cursor_of(followed)).items[office.id(file)].access
    assert rule is not None
    assert rule.clauses == ((f"group:graph/{library.key}/root",),)


def test_a_file_that_is_only_shared_anew_is_named(office: Office) -> None:
    tenant, library = office.tenant, office.library
    file = tenant.file(library, "a.txt")
    full = office.listed()
    tenant.share(library, file, [Grant(who=(USER, office.ann.key))])
    item = office.followed(cursor_of(full)).items[office.id(file)]
    assert item.access != full.items[office.id(file)].access
    assert item.token == full.items[office.id(file)].token


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_feed_that_keeps_silent_about_sharing_opens_nothing(office: Office, kind: str) -> None:
    """Nothing promises that an entry without `shared` in a feed inherits now, where it did not before."""
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "closed")
    file = tenant.file(library, "a.txt", parent=folder)
    shared = file if kind == "file" else folder
    tenant.share(library, shared, [Grant(who=(USER, office.ann.key))])
    full = office.listed()
    office.double.feeds.reticent.add(shared.key)
    tenant.edit(library, file, b"new")
    followed = office.followed(cursor_of(full))
    assert followed.items[office.id(file)].access == full.items[office.id(file)].access


def test_a_renamed_folder_is_told_in_full_listings(office: Office) -> None:
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "2026")
    tenant.file(library, "a.txt", parent=folder)
    cursor = cursor_of(office.listed())
    tenant.rename(library, folder, "2027")
    assert office.followed(cursor).items == {}
    assert paths(office.listed()) == {"Hr/Documents/2027/a.txt"}


def test_a_new_library_is_listed_in_full_by_a_feed(office: Office) -> None:
    cursor = cursor_of(office.listed())
    library = office.tenant.library(office.site.key, "New")
    file = office.tenant.file(library, "a.txt")
    followed = office.followed(cursor)
    assert followed.items.keys() == {office.id(file, library)}
    assert office.followed(cursor_of(followed)).items == {}


def test_a_library_that_is_gone_asks_for_everything(office: Office) -> None:
    cursor = cursor_of(office.listed())
    office.tenant.delete_place(office.library.key)
    with pytest.raises(UsageError, match="list everything"):
        office.followed(cursor)


def test_a_library_that_fails_is_followed_from_where_it_was_read_last(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    cursor = cursor_of(office.listed())
    office.tenant.edit(office.library, file, b"new")
    office.double.in_batch.append((r"/root/delta", 403, {}))
    broken = office.followed(cursor)
    assert (broken.items, len(broken.failures)) == ({}, 1)
    assert office.followed(cursor_of(broken)).items.keys() == {office.id(file)}


# What still exists.


def test_what_is_deleted_or_not_chosen_does_not_exist_any_more(office: Office) -> None:
    tenant, library = office.tenant, office.library
    other = tenant.library(office.site.key, "Other")
    kept, gone, moved = (tenant.file(library, f"{n}.txt") for n in "abc")
    elsewhere = tenant.file(other, "d.txt")
    tenant.delete(library, gone)
    ids = [office.id(one) for one in (kept, gone, moved)] + [office.id(elsewhere, other), "no such id"]
    found = office.connector(libraries=["Documents"]).existing(ids)
    assert found == {office.id(kept), office.id(moved)}


def test_what_may_not_be_asked_for_counts_as_existing(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    office.double.in_batch.append((r"/items/", 403, {}))
    assert office.connector().existing([office.id(file)]) == {office.id(file)}


# A bad day.


def test_through_a_storm_everything_is_listed_at_most_twice_as_dearly(office: Office) -> None:
    tenant, library = office.tenant, office.library
    office.double.cap = 7
    folders = [tenant.folder(library, f"folder {n}") for n in range(5)]
    for n in range(60):
        file = tenant.file(library, f"{n}.txt", b"%d" % n, parent=folders[n % 5])
        if n % 6 == 0:
            tenant.share(library, file, [Grant(who=(USER, office.ann.key))])
    calm = office.listed()
    assert len(calm.texts()) == 60
    groups, _, _ = office.groups()
    before = len(office.double.log)
    office.double.faults.storm(0.2, seed=7, kinds=QUICK)
    office.double.before(4, office.double.feeds.expire, r"/root/delta")
    patient = {"retries": 8, "max_wait": 20.0}
    stormy = office.listed(**patient)
    texts = stormy.texts()
    again, failures, complete = office.groups(**patient)
    spent = len(office.double.log) - before
    assert office.double.faults.met, "there was no storm"
    assert stormy.items.keys() == calm.items.keys()
    assert stormy.tokens() == calm.tokens()
    assert stormy.is_full
    assert len(texts) == 60
    assert (again, failures, complete.full) == (groups, [], True)
    assert spent <= 2 * before


def test_a_feed_through_a_storm_removes_nothing_that_is_there(office: Office) -> None:
    tenant, library = office.tenant, office.library
    office.double.cap = 3
    files = [tenant.file(library, f"{n}.txt", b"%d" % n) for n in range(10)]
    replica = Replica()
    replica.list_from(office.connector())
    office.double.faults.storm(0.2, seed=3, kinds=QUICK)
    for n, file in enumerate(files):
        tenant.edit(library, file, b"new %d" % n)
        if n % 3 == 0:
            tenant.delete(library, file)
        if n % 4 == 0:
            office.double.before(2, office.double.feeds.expire, r"/root/delta")
        patient = office.connector(retries=8, max_wait=20.0)
        try:
            replica.follow(patient)
        except GoneError:
            replica.list_from(office.connector(retries=8, max_wait=20.0))
        alive = {office.id(one): one.data.decode() for one in library.things.values()}
        assert replica.texts == alive


def test_many_libraries_are_followed_in_few_requests(office: Office) -> None:
    """Without batches a tenant of thousands of libraries would cost as many requests for every poll."""
    for n in range(12):
        site = office.tenant.site(f"sites/{n}")
        for name in ("One", "Two"):
            office.tenant.file(office.tenant.library(site.key, name), "a.txt")
    cursor = cursor_of(office.listed())
    before = len(office.double.log)
    followed = office.followed(cursor)
    assert (followed.items, followed.failures) == ({}, [])
    assert len(office.double.log) - before <= 6, "token, sites, two batches of places, two of feeds"


def test_a_batch_that_fails_as_a_whole_is_a_failure_of_each_of_its_parts(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    cursor = cursor_of(office.listed())
    office.tenant.edit(office.library, file, b"new")
    faults = office.double.faults
    office.double.before(2, lambda: faults.script(Status(503), path="batch", times=9), "batch")
    broken = office.followed(cursor)
    assert (broken.items, broken.removed) == ({}, [])
    assert [one.entity for one in broken.failures] == [f"{office.url}/Documents"]
    faults.clear()
    assert office.followed(cursor_of(broken)).items.keys() == {office.id(file)}


def test_requests_are_few_for_many_files(office: Office) -> None:
    for n in range(100):
        office.tenant.file(office.library, f"{n}.txt")
    office.double.cap = 1000
    before = len(office.double.log)
    listing = office.listed()
    listed = len(office.double.log) - before
    assert listed <= 5, "token, sites, a batch of places, two pages"
    listing.texts()
    assert len(office.double.log) - before - listed == 100 + 100 // 20
