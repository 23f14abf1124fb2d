"""Who may read what of Google Drive: by single cases, and by histories against the oracle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.connectors.base import Complete, Failure
from rag_pipelines.connectors.google_drive.access import Policy
from rag_pipelines.connectors.google_drive.files import read_permission
from rag_pipelines.model import CLOSED
from rag_pipelines_tests.connectors.google_drive_bench import ADMIN, ANN, BOB, CAT, EVE, Bench, opened
from rag_pipelines_tests.connectors.google_drive_history import History
from rag_pipelines_tests.doubles.google_drive_items import Grant

HISTORIES = int(os.environ.get("GOOGLE_DRIVE_HISTORIES", "24"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path)


def test_a_shared_drive_is_read_by_its_members_and_a_folder_by_whom_it_is_shared_with(bench: Bench) -> None:
    drive = bench.drive("Team", Grant("user", ANN))
    plans = bench.site.folder(drive.id, "Plans", Grant("user", BOB))
    deep = bench.site.folder(plans.id, "Deep")
    bench.site.file(drive.id, "top")
    bench.site.file(deep.id, "deep")
    bench.site.file(drive.id, "own", "x", Grant("user", CAT))
    assert bench.visible(ANN) == {"top", "deep", "own"}
    assert bench.visible(BOB) == {"deep"}
    assert bench.visible(CAT) == {"own"}


def test_a_folder_that_is_shared_anew_touches_no_document(bench: Bench) -> None:
    drive = bench.drive("Team")
    plans = bench.site.folder(drive.id, "Plans", Grant("user", BOB))
    bench.site.file(plans.id, "plan")
    before = bench.listed().items
    bench.site.share(plans, Grant("user", ANN))
    after = bench.listed().items
    assert {id: item.access for id, item in before.items()} == {id: item.access for id, item in after.items()}
    assert bench.visible(ANN) == {"plan"}


def test_a_folder_with_limited_access_lets_in_managers_and_who_was_added_to_it(bench: Bench) -> None:
    drive = bench.drive("Team", Grant("user", ANN, "writer"), Grant("user", CAT, "organizer"))
    outer = bench.site.folder(drive.id, "Outer", Grant("user", EVE))
    closed = bench.site.folder(outer.id, "Closed", Grant("user", BOB), limited=True)
    inner = bench.site.folder(closed.id, "Inner")
    bench.site.file(inner.id, "secret")
    assert bench.visible(ADMIN) == bench.visible(CAT) == bench.visible(BOB) == {"secret"}
    assert bench.visible(ANN) == bench.visible(EVE) == set()


def test_a_folder_with_limited_access_that_we_may_not_look_into_is_told(bench: Bench) -> None:
    drive = bench.site.drive("Team", Grant("user", ANN, "organizer"), Grant("user", ADMIN, "writer"))
    bench.site.file(bench.site.folder(drive.id, "Closed", limited=True).id, "secret")
    listing = bench.listed()
    (failure,) = listing.failures
    assert failure.entity == "folder Closed"
    assert not failure.hides_documents
    assert "manager" in str(failure.error)
    assert not listing.items


def test_an_administrator_reads_each_drive_of_the_organisation_as_one_of_its_managers(bench: Bench) -> None:
    members = Grant("user", ANN, "writer"), Grant("user", CAT, "organizer"), Grant("user", EVE, "organizer")
    drive = bench.site.drive("Team", *members)
    bench.site.file(bench.site.folder(drive.id, "Closed", limited=True).id, "secret")
    bench.site.group("leads@example.com", BOB)
    other = bench.site.drive("Other", Grant("group", "leads@example.com", "organizer"))
    bench.site.file(other.id, "other")
    assert bench.names() == set(), "the administrator is a member of neither"
    assert bench.names(domain_admin=True) == {"secret", "other"}


def test_a_drive_without_anybody_of_the_organisation_is_a_failure(bench: Bench) -> None:
    bench.site.drive("Theirs", Grant("user", EVE, "organizer"))
    listing = bench.listed(domain_admin=True)
    assert not listing.is_full
    assert [one.entity for one in listing.failures] == ["shared drive Theirs"]


def test_groups_stand_for_their_members_through_any_number_of_groups(bench: Bench) -> None:
    bench.site.group("inner@example.com", ANN)
    bench.site.group("outer@example.com", "inner@example.com", EVE)
    drive = bench.drive("Team", Grant("group", "outer@example.com"))
    bench.site.file(drive.id, "plan")
    assert bench.visible(ANN) == bench.visible(EVE) == {"plan"}
    bench.site.group("inner@example.com")
    assert bench.visible(ANN) == set()


def test_a_suspended_account_reads_nothing_and_an_alias_stands_for_its_account(bench: Bench) -> None:
    drive = bench.drive("Team", Grant("user", ANN), Grant("user", "b.old@example.com"))
    bench.site.people[BOB].aliases = ("b.old@example.com",)
    bench.site.file(drive.id, "plan")
    assert bench.visible(ANN) == bench.visible(BOB) == {"plan"}
    bench.site.suspend(ANN)
    assert bench.visible(ANN) == set()


@pytest.mark.parametrize(
    ("links", "domain_reads", "stranger_reads"),
    [("closed", {"public"}, {"public"}), ("domain", {"public", "in"}, {"public"}),
     ("open", {"public", "in", "any"}, {"public", "any"})],
)  # fmt: skip
def test_a_link_lets_nobody_in_unless_the_policy_says_so(
    bench: Bench, links: str, domain_reads: set[str], stranger_reads: set[str]
) -> None:
    top = bench.site.roots[ANN]
    bench.site.file(top, "any", "x", Grant("anyone", "", discoverable=False))
    bench.site.file(top, "in", "x", Grant("domain", "example.com", discoverable=False))
    bench.site.file(top, "public", "x", Grant("anyone", ""))
    options = {"users": [ANN], "shared_drives": [], "link_sharing": links}
    assert bench.visible(BOB, **options) == domain_reads
    assert bench.visible(EVE, **options) == stranger_reads


def test_a_domain_that_may_search_reads_and_another_domain_does_not(bench: Bench) -> None:
    top = bench.site.roots[ANN]
    bench.site.file(top, "ours", "x", Grant("domain", "example.com"))
    bench.site.file(top, "theirs", "x", Grant("domain", "partner.example"))
    options = {"users": [ANN], "shared_drives": []}
    assert bench.visible(BOB, **options) == {"ours"}
    assert bench.visible(EVE, **options) == set()


def test_a_permission_that_ends_soon_does_not_read_any_more(bench: Bench) -> None:
    now = bench.site.now
    drive = bench.drive("Team")
    for name, hours in (("over", -1), ("soon", 3), ("later", 60)):
        bench.site.file(drive.id, name, "x", Grant("user", BOB, expires=now + timedelta(hours=hours)))
    folder = bench.site.folder(drive.id, "F", Grant("user", BOB, expires=now + timedelta(hours=3)))
    bench.site.file(folder.id, "inside")
    assert bench.visible(BOB) == {"later"}
    assert bench.visible(BOB, expiry_margin=0) == {"soon", "later", "inside"}


def test_the_permission_of_a_deleted_account_does_not_read(bench: Bench) -> None:
    drive = bench.drive("Team")
    bench.site.file(drive.id, "plan", "x", Grant("user", BOB, deleted=True))
    assert bench.visible(BOB) == set()


@pytest.mark.parametrize(
    "spoilt",
    [{"view": "metadata"}, {"view": "published"}, {"role": "publishedReader"}, {"deleted": True},
     {"emailAddress": None}, {"type": "robot"}, {"expirationTime": "2026-01-01T20:00:00Z"}],
)  # fmt: skip
def test_a_permission_that_is_not_for_the_file_itself_lets_nobody_in(spoilt: dict[str, Any]) -> None:
    policy = Policy("google", frozenset({"example.com"}), "open", datetime(2026, 1, 2, tzinfo=UTC))
    whole = {"type": "user", "role": "reader", "emailAddress": "Ann@Example.com"}
    assert policy.reader(read_permission(whole)) == "user:google/ann@example.com"
    assert policy.reader(read_permission({**whole, **spoilt})) is None


def test_what_is_kept_to_members_is_read_by_members_however_it_was_shared(bench: Bench) -> None:
    drive = bench.drive("Team", Grant("user", ANN))
    drive.members_only = True
    bench.site.file(drive.id, "plan", "x", Grant("user", BOB), Grant("anyone", ""))
    assert bench.visible(ANN) == {"plan"}
    assert bench.visible(BOB) == bench.visible(EVE) == set()


def test_a_file_of_my_drive_is_read_by_whom_its_own_permissions_name(bench: Bench) -> None:
    folder = bench.site.folder(bench.site.roots[ANN], "Plans", Grant("user", BOB), Grant("user", CAT))
    bench.site.file(folder.id, "plan")
    bench.site.withhold(bench.site.file(folder.id, "kept"), CAT)
    options = {"users": [ANN], "shared_drives": []}
    assert bench.visible(ANN, **options) == bench.visible(BOB, **options) == {"plan", "kept"}
    assert bench.visible(CAT, **options) == {"plan"}


def test_who_may_not_see_the_permissions_of_a_file_is_known_to_read_it(bench: Bench) -> None:
    """Somebody else's file, shared for reading, that a shortcut of ours leads to."""
    item = bench.site.file(bench.site.roots[EVE], "theirs", "x", Grant("user", ANN), Grant("user", CAT))
    bench.site.shortcut(bench.site.roots[ANN], item.id)
    options = {"users": [ANN], "shared_drives": []}
    assert bench.visible(ANN, **options) == bench.visible(EVE, **options) == {"theirs"}
    assert bench.visible(CAT, **options) == set(), "which Ann cannot know"


def test_what_cannot_be_read_of_a_file_is_closed_and_reported(bench: Bench) -> None:
    drive = bench.drive("Team", Grant("user", ANN))
    item = bench.site.file(drive.id, "plan", "x", Grant("user", BOB))
    bench.double.refused.add(item.id)
    listing = bench.listed()
    assert listing.items[f"file/{item.id}"].access == CLOSED
    assert [(one.entity, one.hides_documents) for one in listing.failures] == [("access of plan", False)]
    assert listing.is_full


def test_permissions_are_asked_for_several_at_a_time(bench: Bench) -> None:
    drive = bench.drive("Team")
    for n in range(20):
        bench.site.file(drive.id, f"{n}", "x", Grant("user", ANN))
    bench.double.latency = 0.01
    assert len(bench.listed().items) == 20
    asked = bench.double.requests("/permissions")
    assert len(asked) == 20
    assert len({one.connection for one in asked}) > 1


def test_a_container_or_group_whose_members_cannot_be_read_keeps_those_it_had(bench: Bench) -> None:
    drive = bench.drive("Team")
    folder = bench.site.folder(drive.id, "Plans", Grant("user", BOB))
    bench.site.group("staff@example.com", ANN)
    bench.double.refused.update([folder.id, "staff@example.com"])
    entries = list(bench.connector().groups())
    failed = {one.entity for one in entries if isinstance(one, Failure)}
    assert failed == {f"group:google/folder/{folder.id}", "group:google/staff@example.com"}
    assert isinstance(entries[-1], Complete)
    assert entries[-1].full


def test_without_a_directory_people_are_named_by_address(bench: Bench) -> None:
    drive = bench.drive("Team", Grant("user", ANN))
    bench.site.file(drive.id, "plan")
    assert bench.visible(ANN, read_directory=False) == {"plan"}
    assert not bench.double.requests("/admin/")


def test_a_domain_that_the_options_do_not_name_is_reported(bench: Bench) -> None:
    bench.site.person("dan@second.example")
    failures = bench.failures_of_groups()
    assert ["second.example" in str(one.error) for one in failures] == [True]
    assert bench.failures_of_groups(domains=["example.com", "second.example"]) == []


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_after_every_sync_everybody_sees_what_the_oracle_says(bench: Bench, seed: int) -> None:
    History(bench, seed).run(follow=seed % 2 == 1)
