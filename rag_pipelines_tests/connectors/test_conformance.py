"""The promises that every connector keeps, on every world of the kit."""

from __future__ import annotations

import json
import os
from datetime import timedelta

import pytest

from rag_pipelines.connectors.base import Capabilities, Complete, Failure, Item, Window
from rag_pipelines.errors import DocumentError, ForbiddenEntityError, TransientError, UsageError
from rag_pipelines_tests.connectors.conformance import GROUP, Listing, Replica, World, listed
from rag_pipelines_tests.connectors.conftest import NOT_APPLICABLE
from rag_pipelines_tests.connectors.worlds import WORLDS

MANY = int(os.environ.get("RAG_CONFORMANCE_DOCUMENTS", "5000"))
"""How many documents a large source has here; set it to 50000 for the long run."""


def seed(world: World) -> None:
    """Three documents in two folders."""
    world.put("handbook/leave.md", "Thirty days of leave.")
    world.put("handbook/travel.md", "Second class by train.")
    world.put("legal/terms.md", "Terms of service.")


def declares(world: World, capability: str) -> None:
    """Skip unless the connector declares `capability`."""
    if not getattr(world.connector().capabilities, capability):
        pytest.skip(f"{NOT_APPLICABLE}: {world.name}: it does not declare {capability!r}")


def test_a_listing_names_every_document_once_and_ends_with_their_count(world: World) -> None:
    seed(world)
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    assert listing.complete is not None
    assert listing.complete.count == 3
    assert listing.is_full
    assert not listing.failures


def test_an_empty_source_is_a_full_listing_of_nothing(world: World) -> None:
    listing = listed(world)
    assert (listing.items, listing.failures) == ({}, [])
    assert listing.is_full


def test_tokens_are_the_same_in_every_listing(world: World) -> None:
    seed(world)
    assert listed(world).tokens() == listed(world).tokens()


def test_an_edit_changes_the_token_of_that_document_only(world: World) -> None:
    seed(world)
    before = listed(world).tokens()
    world.put("handbook/leave.md", "Forty days of leave!!")
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    changed = {identity for identity, token in listing.tokens().items() if before[identity] != token}
    assert changed == {world.id_of("handbook/leave.md")}


def test_a_new_document_appears_and_the_others_keep_their_tokens(world: World) -> None:
    seed(world)
    before = listed(world).tokens()
    world.put("legal/privacy.md", "We keep nothing.")
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    assert before.items() <= listing.tokens().items()


def test_a_renamed_document_is_listed_under_its_new_name_only(world: World) -> None:
    seed(world)
    world.rename("handbook/leave.md", "handbook/holidays.md")
    listing = listed(world)
    assert listing.is_full
    assert listing.texts(world.text_of) == world.expected()


def test_a_rename_keeps_the_token(world: World) -> None:
    seed(world)
    before = listed(world).tokens()[world.id_of("handbook/leave.md")]
    world.rename("handbook/leave.md", "handbook/holidays.md")
    assert listed(world).tokens()[world.id_of("handbook/holidays.md")] == before


def test_a_moved_document_is_listed_in_its_new_folder_only(world: World) -> None:
    seed(world)
    world.rename("handbook/leave.md", "legal/leave.md")
    assert listed(world).texts(world.text_of) == world.expected()


def test_a_deleted_document_is_not_listed(world: World) -> None:
    seed(world)
    world.delete("handbook/leave.md")
    listing = listed(world)
    assert listing.is_full
    assert listing.texts(world.text_of) == world.expected()


def test_a_restored_document_comes_back_with_its_content(world: World) -> None:
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    world.delete("handbook/leave.md")
    replica.list_from(world.connector())
    world.put("handbook/leave.md", "Thirty days of leave.")
    replica.list_from(world.connector())
    assert replica.texts == world.expected()


def test_a_deleted_folder_takes_its_documents_with_it(world: World) -> None:
    seed(world)
    world.delete_folder("handbook")
    listing = listed(world)
    assert listing.is_full
    assert (
        listing.texts(world.text_of)
        == world.expected()
        == {world.id_of("legal/terms.md"): "Terms of service."}
    )


def test_a_change_of_access_shows_without_a_new_token(world: World) -> None:
    declares(world, "permissions")
    seed(world)
    before = listed(world)
    world.restrict("handbook/leave.md", GROUP)
    after = listed(world)
    identity = world.id_of("handbook/leave.md")
    rule = after.items[identity].access
    assert rule is not None
    assert (world.principal_of(GROUP),) in rule.clauses
    assert before.items[identity].access != rule
    assert after.tokens() == before.tokens()


def test_a_second_document_of_one_id_is_reported_and_the_first_counts(world: World) -> None:
    seed(world)
    world.duplicate("handbook/leave.md")
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    assert listing.is_full
    assert [failure.hides_documents for failure in listing.failures] == [False]


def test_a_document_that_cannot_be_listed_is_a_failure_and_stays_alive(world: World) -> None:
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    world.break_document("handbook/leave.md")
    listing = replica.list_from(world.connector())
    identity = world.id_of("handbook/leave.md")
    assert listing.is_full
    assert [failure.external_id for failure in listing.failures] == [identity]
    assert identity not in listing.items
    assert replica.texts[identity] == "Thirty days of leave."


def test_a_part_that_cannot_be_listed_makes_the_listing_incomplete(world: World) -> None:
    seed(world)
    world.break_part("handbook")
    listing = listed(world)
    assert not listing.is_full
    assert any(failure.entity is not None and failure.hides_documents for failure in listing.failures)
    assert world.id_of("legal/terms.md") in listing.items, "the rest is listed all the same"


def test_a_source_that_cannot_be_listed_deletes_nothing(world: World) -> None:
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    before = dict(replica.texts)
    world.break_source()
    listing = replica.list_from(world.connector())
    assert not listing.is_full
    assert listing.failures
    assert replica.texts == before


def test_a_source_that_cannot_be_listed_fails_its_check(world: World) -> None:
    seed(world)
    assert all(finding.ok for finding in world.connector().check())
    world.break_source()
    findings = world.connector().check()
    assert any(not finding.ok and finding.detail for finding in findings)


def test_ids_agree_with_items(world: World) -> None:
    seed(world)
    world.break_document("legal/terms.md")
    connector = world.connector()
    entries = list(connector.ids())
    ids = {entry for entry in entries if isinstance(entry, str)}
    failed = {entry.external_id for entry in entries if isinstance(entry, Failure)}
    assert ids | failed == {world.id_of(name) for name in world.documents}
    last = entries[-1]
    assert isinstance(last, Complete)
    assert (last.count, last.full) == (3, True)


def test_a_window_leaves_out_what_was_changed_outside_it(world: World) -> None:
    world.put("handbook/old.md", "old")
    middle = world.put("handbook/middle.md", "middle")
    last = world.put("handbook/new.md", "new")
    since = listed(world, Window(since=middle))
    until = listed(world, Window(until=last))
    both = listed(world, Window(since=middle, until=last))
    assert set(since.items) == {world.id_of("handbook/middle.md"), world.id_of("handbook/new.md")}
    assert set(until.items) == {world.id_of("handbook/old.md"), world.id_of("handbook/middle.md")}
    assert set(both.items) == {world.id_of("handbook/middle.md")}
    assert not any(listing.is_full for listing in (since, until, both))
    assert all(listing.complete and listing.complete.cursor is None for listing in (since, until, both))


def test_content_that_vanished_after_the_listing_fails_that_document_only(world: World) -> None:
    seed(world)
    listing = listed(world)
    world.vanish("handbook/leave.md")
    with pytest.raises((DocumentError, ForbiddenEntityError, TransientError)):
        listing.items[world.id_of("handbook/leave.md")].load()
    assert listing.items[world.id_of("handbook/travel.md")].load() == b"Second class by train."


def test_a_listing_that_was_broken_off_can_be_begun_again(world: World) -> None:
    seed(world)
    complete = listed(world)
    connector = world.connector()
    entries = connector.items()
    assert isinstance(next(entries), Item)
    entries.close()  # type: ignore[attr-defined]
    connector.close()
    again = listed(world)
    assert again.tokens() == complete.tokens()
    assert again.is_full


def test_a_large_source_is_listed_in_full(world: World) -> None:
    world.put_many({f"folder-{n % 50}/document-{n}.md": f"text {n}" for n in range(MANY)})
    connector = world.connector()
    ids = set()
    for entry in connector.items():
        if isinstance(entry, Item):
            ids.add(entry.external_id)
    assert ids == {world.id_of(name) for name in world.documents}
    assert isinstance(entry, Complete)
    assert (entry.count, entry.full) == (MANY, True)
    connector.close()


def test_every_value_can_be_stored(world: World) -> None:
    """Postgres refuses NUL and lone surrogates; JSON refuses NaN; a time without zone is ambiguous."""
    seed(world)
    for item in listed(world).items.values():
        for value in (item.external_id, item.token, item.name, item.path, item.url, item.title, item.author):
            assert value is None or "\0" not in value.encode().decode()
        json.dumps(dict(item.metadata), allow_nan=False)
        assert item.modified_at is not None
        assert item.modified_at.utcoffset() == timedelta(0)
        assert item.size == len(item.load())


def test_following_the_changes_gives_what_a_full_listing_gives(world: World) -> None:
    declares(world, "changes")
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    world.put("handbook/leave.md", "Forty days of leave!!")
    world.put("legal/privacy.md", "We keep nothing.")
    world.rename("handbook/travel.md", "legal/travel.md")
    world.delete("legal/terms.md")
    replica.follow(world.connector())
    if not world.connector().capabilities.removals:
        assert replica.texts.items() >= world.expected().items()
        replica.list_from(world.connector())
    assert replica.texts == world.expected()


def test_following_an_unchanged_source_loads_nothing(world: World) -> None:
    declares(world, "changes")
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    loads, cursor = replica.loads, replica.cursor
    listing = replica.follow(world.connector())
    assert not listing.is_full
    assert listing.complete is not None
    assert replica.loads == loads
    assert replica.cursor == cursor


def test_a_move_in_the_changes_names_the_place_before(world: World) -> None:
    declares(world, "moves")
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    loads = replica.loads
    world.rename("handbook/travel.md", "legal/travel.md")
    listing = replica.follow(world.connector())
    assert listing.items[world.id_of("legal/travel.md")].moved_from == world.id_of("handbook/travel.md")
    assert replica.texts == world.expected()
    assert replica.loads == loads, "a pure move loads nothing"


@pytest.mark.parametrize("cursor", [{}, {"nonsense": 1}, {"commit": "0" * 40, "options": ""}])
def test_a_cursor_that_cannot_be_used_asks_for_a_full_listing(world: World, cursor: dict) -> None:
    declares(world, "changes")
    seed(world)
    with pytest.raises(UsageError):
        Listing.of(world.connector().changes(cursor))


def test_a_cursor_of_other_options_asks_for_a_full_listing(world: World) -> None:
    """A position says nothing about documents that the options of that time left out."""
    declares(world, "changes")
    seed(world)
    connector = world.connector()
    complete = Listing.of(connector.items()).complete
    assert complete is not None
    assert complete.cursor is not None
    with pytest.raises(UsageError, match="options"):
        Listing.of(connector.changes({**complete.cursor, "options": "others"}))


@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
def test_what_is_not_applicable_names_a_promise_and_a_reason(kind: type[World]) -> None:
    promises = {name for name in globals() if name.startswith("test_")}
    assert set(kind.not_applicable) <= promises
    assert all(kind.not_applicable.values())


def test_every_capability_is_declared_by_some_world(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Else a promise about it would be skipped everywhere, unseen."""
    offline = [kind for kind in WORLDS if kind.build.__func__ is World.build.__func__]  # type: ignore[attr-defined]
    declared = [kind(tmp_path_factory.mktemp(kind.name)).connector().capabilities for kind in offline]
    for capability in Capabilities.__struct_fields__:
        assert any(getattr(one, capability) for one in declared), capability
