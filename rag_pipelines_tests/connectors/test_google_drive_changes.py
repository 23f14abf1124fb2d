"""How the logs of Google Drive are followed, and what becomes of what goes wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.connectors.base import Failure, Item, Removed
from rag_pipelines.connectors.google_drive import feed
from rag_pipelines.errors import CredentialError, GoneError, TransientError, UsageError
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.google_drive_bench import ADMIN, ALWAYS, ANN, BOB, CAT, Bench, opened
from rag_pipelines_tests.connectors.google_drive_world import refusal
from rag_pipelines_tests.doubles.faults import STORM, Close, Hang, Status
from rag_pipelines_tests.doubles.google_drive_items import DOC, Grant


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path)


def named(listing: Listing) -> set[str]:
    return {item.name for item in listing.items.values()}


def test_the_changes_are_what_was_made_edited_shared_or_moved_since(bench: Bench) -> None:
    site = bench.site
    drive, other = bench.drive("One"), bench.drive("Two")
    for name in ("kept", "edited", "shared", "moved", "renamed", "away"):
        site.file(drive.id, name)
    items = {item.name: item for item in site.items.values()}
    before = bench.listed(users=["*"])
    site.tick()
    site.edit(items["edited"], "new")
    site.share(items["shared"], Grant("user", BOB))
    site.move(items["moved"], site.folder(drive.id, "Folder").id)
    site.rename(items["renamed"], "other name")
    site.move(items["away"], other.id)
    site.file(site.roots[ANN], "mine")
    listing = bench.followed(before, users=["*"])
    assert named(listing) == {"edited", "shared", "moved", "other name", "away", "mine"}
    assert listing.removed == []
    full = bench.listed(users=["*"]).items
    for id, item in listing.items.items():
        same = full[id]
        assert (item.token, item.path, item.access, item.url) == (
            same.token,
            same.path,
            same.access,
            same.url,
        )
        assert (item.metadata, item.modified_at) == (same.metadata, same.modified_at)
    after = bench.followed(listing, users=["*"])
    assert (after.items, after.removed) == ({}, [])
    assert after.complete is not None
    assert listing.complete is not None
    assert after.complete.cursor == listing.complete.cursor


def test_what_was_trashed_or_deleted_is_removed_with_its_comments(bench: Bench) -> None:
    drive = bench.drive("One")
    trashed, purged = bench.site.file(drive.id, "a"), bench.site.file(drive.id, "b")
    bench.site.file(drive.id, "c")
    before = bench.listed()
    bench.site.trash(trashed)
    bench.site.purge(purged)
    entries = list(bench.connector().changes(before.complete.cursor))  # type: ignore[union-attr, arg-type]
    removed = [one for one in entries if isinstance(one, Removed)]
    assert {one.external_id for one in removed} == {f"file/{trashed.id}", f"file/{purged.id}"}
    assert all(one.children for one in removed)


def test_what_lies_below_a_folder_that_changed_is_named_too(bench: Bench) -> None:
    site, drive = bench.site, bench.drive("One")
    gone, moved = site.folder(drive.id, "Gone"), site.folder(drive.id, "Moved")
    below = site.file(site.folder(gone.id, "Deep").id, "trashed")
    inside = site.file(site.folder(moved.id, "Deep").id, "moved")
    shared = site.folder(site.roots[ANN], "Shared", Grant("user", BOB))
    hers, his = site.file(shared.id, "hers"), site.file(shared.id, "his", owner=CAT)
    site.file(drive.id, "kept")
    before = bench.listed(users=["*"])
    site.trash(gone)
    site.move(moved, site.folder(drive.id, "Closed", limited=True).id)
    site.unshare(shared, BOB)
    listing = bench.followed(before, users=["*"])
    assert listing.removed == [f"file/{below.id}"]
    assert set(listing.items) == {f"file/{one.id}" for one in (inside, hers, his)}
    full = bench.listed(users=["*"]).items
    assert all(
        (one.access, one.path) == (full[id].access, full[id].path) for id, one in listing.items.items()
    )


def test_no_more_than_so_many_folders_are_looked_into(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_FOLDERS", 3)
    site, drive = bench.site, bench.drive("One")
    top = site.folder(drive.id, "Top")
    for n in range(9):
        site.file(site.folder(top.id, f"F{n}").id, f"{n}")
    before = bench.listed()
    site.rename(top, "Other")
    sent = len(bench.double.requests("in\\+parents"))
    assert len(bench.followed(before).items) == 2
    assert len(bench.double.requests("in\\+parents")) - sent == 3


def test_a_file_that_one_account_lost_and_another_holds_is_not_removed(bench: Bench) -> None:
    """Bob's file in a folder of Ann's, which he takes back: out of her log, alive in his."""
    site = bench.site
    folder = site.folder(site.roots[ANN], "Shared", Grant("user", BOB, "writer"))
    item = site.file(folder.id, "plan", owner=BOB)
    options: dict[str, Any] = {"users": ["*"], "shared_drives": []}
    before = bench.listed(**options)
    site.withhold(item, ANN)
    listing = bench.followed(before, **options)
    assert listing.removed == []
    assert item.external_id in listing.items if hasattr(item, "external_id") else True
    assert named(bench.listed(**options)) == {"plan"}


def test_a_file_whose_only_reader_lost_it_is_removed(bench: Bench) -> None:
    drive = bench.drive("One")
    item = bench.site.file(drive.id, "plan")
    before = bench.listed()
    theirs = bench.site.drive("Theirs", Grant("user", CAT, "organizer"))
    bench.site.move(item, theirs.id)
    assert bench.followed(before).removed == [f"file/{item.id}"]


def test_a_file_that_was_moved_between_drives_is_the_same_document(bench: Bench) -> None:
    drive, other = bench.drive("One"), bench.drive("Two")
    item = bench.site.file(other.id, "plan")
    before = bench.listed()
    bench.site.move(item, drive.id)
    listing = bench.followed(before)
    assert listing.removed == []
    assert listing.items[f"file/{item.id}"].path == "One/plan"


def test_nothing_changed_is_known_by_a_request_for_each_drive(bench: Bench) -> None:
    for name in ("One", "Two", "Three"):
        drive = bench.drive(name)
        for n in range(20):
            bench.site.file(drive.id, f"{n}")
    before = bench.listed()
    sent = len(bench.double.requests("/drive/v3/"))
    bench.followed(before)
    assert len(bench.double.requests("/drive/v3/")) - sent == 1 + 3


def test_a_drive_that_is_new_is_listed_and_then_followed(bench: Bench) -> None:
    before = bench.listed()
    drive = bench.drive("New")
    bench.site.file(drive.id, "first")
    listing = bench.followed(before)
    assert named(listing) == {"first"}
    bench.site.file(drive.id, "second")
    assert named(bench.followed(listing)) == {"second"}


def test_a_drive_that_is_gone_makes_everything_be_listed(bench: Bench) -> None:
    drive = bench.drive("One")
    bench.drive("Two")
    before = bench.listed()
    bench.site.delete_drive(drive)
    with pytest.raises(GoneError):
        bench.followed(before)


def test_a_drive_that_is_kept_to_members_from_now_on_makes_everything_be_listed(bench: Bench) -> None:
    drive = bench.drive("One")
    before = bench.listed()
    drive.members_only = True
    with pytest.raises(GoneError):
        bench.followed(before)


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_token_that_is_refused_makes_everything_be_listed(bench: Bench, status: int) -> None:
    drive = bench.drive("One")
    for n in range(4):
        bench.site.file(drive.id, f"{n}")
    before = bench.listed()
    for n in range(4):
        bench.site.file(drive.id, f"new {n}")
    bench.double.cap = 2
    bench.double.faults.script(Status(status), nth=2, path=r"/changes\?")
    with pytest.raises(GoneError):
        bench.followed(before)


def test_a_drive_whose_log_may_not_be_read_keeps_its_position_and_the_others_go_on(bench: Bench) -> None:
    drive, other = bench.drive("One"), bench.drive("Two")
    before = bench.listed()
    bench.site.file(drive.id, "late")
    bench.site.file(other.id, "now")
    bench.double.faults.script(
        refusal(403, "teamDriveMembershipRequired"), path=rf"changes\?.*{drive.id}", times=1
    )
    first = bench.followed(before)
    assert named(first) == {"now"}
    assert [one.entity for one in first.failures] == ["changes of One"]
    assert named(bench.followed(first)) == {"late"}


def test_a_drive_that_failed_in_the_listing_is_followed_from_its_beginning(bench: Bench) -> None:
    drive = bench.drive("One")
    bench.drive("Two")
    bench.site.file(drive.id, "plan")
    bench.double.faults.script(refusal(403, "forbidden"), path=rf"files\?.*{drive.id}", times=1)
    before = bench.listed()
    assert not before.is_full
    assert named(bench.followed(before)) == {"plan"}


def test_what_cannot_be_said_to_be_gone_is_asked_again_the_next_time(bench: Bench) -> None:
    drive = bench.drive("One")
    item = bench.site.file(drive.id, "plan")
    before = bench.listed()
    bench.site.purge(item)
    bench.double.faults.script(Status(503), path=rf"/files/{item.id}", times=4)
    listing = bench.followed(before)
    assert listing.removed == []
    assert listing.complete is not None
    assert listing.complete.cursor is None
    assert bench.followed(before).removed == [f"file/{item.id}"]


@pytest.mark.parametrize(
    "options",
    [{"folders": ["x"]}, {"docs_format": "html"}, {"link_sharing": "open"}, {"labels": {"x": "secret"}}],
)
def test_a_cursor_of_other_options_is_refused(bench: Bench, options: dict[str, Any]) -> None:
    before = bench.listed()
    with pytest.raises(UsageError, match="options"):
        bench.followed(before, **options)


def test_a_search_that_was_not_complete_makes_no_full_listing(bench: Bench) -> None:
    drive = bench.drive("One")
    bench.site.file(drive.id, "plan")
    bench.double.incomplete.add(drive.id)
    listing = bench.listed()
    assert not listing.is_full
    assert any("incompleteSearch" in str(one.error) for one in listing.failures)


def test_a_page_token_that_is_refused_begins_the_listing_anew(bench: Bench) -> None:
    drive = bench.drive("One")
    for n in range(6):
        bench.site.file(drive.id, f"{n}")
    bench.double.cap = 2
    bench.double.faults.script(Status(400), nth=1, path=r"files\?.*pageToken=.*", times=1)
    listing = bench.listed()
    assert named(listing) == {f"{n}" for n in range(6)}
    assert listing.is_full


def test_an_account_that_cannot_be_asked_fails_its_own_drive_only(bench: Bench) -> None:
    bench.site.file(bench.site.roots[ANN], "hers")
    bench.site.file(bench.site.roots[BOB], "his")
    bench.site.suspend(BOB)
    listing = bench.listed(users=[ANN, BOB], shared_drives=[])
    assert named(listing) == {"hers"}
    assert not listing.is_full
    assert [one.entity for one in listing.failures] == [BOB]


def test_a_login_that_is_refused_ends_the_listing(bench: Bench) -> None:
    bench.double.revoked = True
    with pytest.raises(CredentialError):
        bench.listed()


def test_every_token_that_expires_is_renewed_once(bench: Bench) -> None:
    drive = bench.drive("One")
    bench.site.file(drive.id, "plan", "text")
    connector = bench.connector()
    entries = connector.items()
    item = next(entries)
    assert isinstance(item, Item)
    bench.double.tokens.clear()
    assert item.load() == b"text"
    assert not [one for one in entries if isinstance(one, Failure)]


def test_what_exists_is_asked_of_every_account(bench: Bench) -> None:
    site = bench.site
    drive = bench.drive("One")
    alive, trashed = site.file(drive.id, "a"), site.file(drive.id, "b")
    hers, shared = site.file(site.roots[ANN], "c"), site.file(site.roots[CAT], "d", "x", Grant("user", ANN))
    folder = site.folder(drive.id, "F")
    below = site.file(folder.id, "e")
    site.trash(trashed)
    site.trash(folder)
    ids = [f"file/{one.id}" for one in (alive, trashed, hers, shared, below, folder)]
    connector = bench.connector(users=[ANN, BOB])
    assert connector.existing([*ids, "file/none", "none"]) == {f"file/{alive.id}", f"file/{hers.id}"}
    bench.double.faults.script(Status(503), path="/drive/v3/", times=ALWAYS)
    with pytest.raises(TransientError):
        bench.connector(users=[ANN]).existing(ids)


def test_a_storm_costs_requests_and_nothing_else(bench: Bench) -> None:
    """A fifth of all requests fail, and the tokens of pages and logins expire in the middle."""
    site, double = bench.site, bench.double
    for name in ("One", "Two", "Three"):
        drive = bench.drive(name, Grant("user", ANN))
        for n in range(6):
            folder = site.folder(drive.id, f"F{n}", Grant("user", BOB))
            for m in range(10):
                site.file(folder.id, f"{name} {n} {m}", f"text {n} {m}")
            site.file(folder.id, f"{name} doc {n}", "# Doc", Grant("user", CAT), mime=DOC)
    double.cap = 15
    calm = bench.listed()
    before = len(double.log)
    bench.listed().texts()
    quiet = len(double.log) - before
    kinds = [Close() if isinstance(one, Hang) else one for one in STORM]
    double.faults.storm(0.2, seed=5, kinds=[*kinds, refusal(403, "userRateLimitExceeded")])
    double.before(30, double.tokens.clear)
    double.faults.script(Status(400), nth=4, path=r"files\?.*pageToken=")
    before = len(double.log)
    listing = bench.listed(retries=12)
    assert listing.tokens() == calm.tokens()
    assert listing.is_full
    assert len(listing.texts()) == len(calm.items)
    assert len(double.log) - before <= 2 * quiet
    site.tick(timedelta(hours=1))
    gone = next(item for item in site.items.values() if item.name == "One 0 0")
    edited = next(item for item in site.items.values() if item.name == "Two 1 1")
    site.trash(gone)
    site.edit(edited, "other")
    changes = bench.followed(listing, retries=12)
    assert set(changes.items) == {f"file/{edited.id}"}
    assert changes.removed == [f"file/{gone.id}"]


def test_the_administrator_is_asked_like_anybody(bench: Bench) -> None:
    bench.site.file(bench.site.roots[ADMIN], "mine")
    assert bench.names(users=["me"], shared_drives=[]) == {"mine"}
