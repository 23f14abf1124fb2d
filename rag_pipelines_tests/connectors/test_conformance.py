"""The promises that every connector keeps, on every world of the kit.

What belongs here: what a connector says. What does not: what the engine makes of it
(`test_conformance_engine`), and anything that is true of one system only.
"""

from __future__ import annotations

import gc
import json
import tracemalloc
from datetime import timedelta
from functools import partial
from itertools import islice

import msgspec
import pytest

from rag_pipelines.connectors.base import Capabilities, Complete, Entry, Failure, Group, Item, Window
from rag_pipelines.connectors.registry import connector_class
from rag_pipelines.errors import (
    CredentialError,
    DocumentError,
    ForbiddenEntityError,
    TransientError,
    UsageError,
)
from rag_pipelines_tests.connectors import test_conformance_engine
from rag_pipelines_tests.connectors.conformance import (
    GROUP,
    NOT_APPLICABLE,
    Case,
    Listing,
    Replica,
    World,
    declares,
    listed,
    seed,
)
from rag_pipelines_tests.connectors.worlds import WORLDS

MANY = 12_500
"""More than any system gives in one answer: 10,000 rows of ServiceNow are the most."""
MOST_ALIVE = 11_000
"""Items that a listing may hold at once: those of one answer."""
TRACED = 1_000
BYTES_PER_ID = 2_000
"""What a listing may hold of each document: its id, and its place among the others. What it reads ahead is
counted in."""


@pytest.mark.case(Case.PROTOCOL)
def test_a_listing_names_every_document_once_and_ends_with_their_count(world: World) -> None:
    seed(world)
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    assert listing.complete is not None
    assert listing.complete.count == len(world.expected())
    assert listing.is_full
    assert not listing.failures


@pytest.mark.case(Case.PROTOCOL)
def test_what_a_reference_stands_for_is_the_same_in_another_process(world: World) -> None:
    seed(world)
    items = [entry for entry in world.connector().items() if isinstance(entry, Item)]
    named = [item for item in items if item.reference is not None]
    if not named:
        pytest.skip(f"{NOT_APPLICABLE}: the connector loads content while it lists")
    other = world.connector()
    references = [json.loads(json.dumps(item.reference, allow_nan=False)) for item in named]
    loads = [
        msgspec.structs.replace(item, load=partial(other.load, reference))
        for item, reference in zip(named, references, strict=True)
    ]

    assert other.concurrent_loads >= 1
    alone = [item.load() for item in loads]
    other.prefetch(loads)

    assert alone == [item.load() for item in loads] == [item.load() for item in named]


@pytest.mark.case(Case.EMPTY_SOURCE)
def test_an_empty_source_is_a_full_listing_of_nothing(world: World) -> None:
    listing = listed(world)
    assert listing.texts(world.text_of) == world.own()
    assert listing.failures == []
    assert listing.is_full


@pytest.mark.case(Case.PROTOCOL)
def test_tokens_are_the_same_in_every_listing(world: World) -> None:
    seed(world)
    assert listed(world).tokens() == listed(world).tokens()


@pytest.mark.case(Case.EDIT)
def test_an_edit_changes_the_token_of_that_document_only(world: World) -> None:
    seed(world)
    before = listed(world).tokens()
    world.put("handbook/leave.md", "Forty days of leave!!")
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    changed = {identity for identity, token in listing.tokens().items() if before[identity] != token}
    assert changed == {world.id_of("handbook/leave.md")}


@pytest.mark.case(Case.CREATE)
def test_a_new_document_appears_and_the_others_keep_their_tokens(world: World) -> None:
    seed(world)
    before = listed(world).tokens()
    world.put("legal/privacy.md", "We keep nothing.")
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    assert before.items() <= listing.tokens().items()


@pytest.mark.case(Case.RENAME)
def test_a_renamed_document_is_listed_under_its_new_name_only(world: World) -> None:
    seed(world)
    world.rename("handbook/leave.md", "handbook/holidays.md")
    listing = listed(world)
    assert listing.is_full
    assert listing.texts(world.text_of) == world.expected()


@pytest.mark.case(Case.RENAME)
def test_a_rename_keeps_the_token(world: World) -> None:
    seed(world)
    before = listed(world).tokens()[world.id_of("handbook/leave.md")]
    world.rename("handbook/leave.md", "handbook/holidays.md")
    assert listed(world).tokens()[world.id_of("handbook/holidays.md")] == before


@pytest.mark.case(Case.MOVE)
def test_a_moved_document_is_listed_in_its_new_folder_only(world: World) -> None:
    seed(world)
    world.rename("handbook/leave.md", "legal/leave.md")
    assert listed(world).texts(world.text_of) == world.expected()


@pytest.mark.case(Case.DELETE)
def test_a_deleted_document_is_not_listed(world: World) -> None:
    seed(world)
    world.delete("handbook/leave.md")
    listing = listed(world)
    assert listing.is_full
    assert listing.texts(world.text_of) == world.expected()


@pytest.mark.case(Case.RESTORE)
def test_a_restored_document_comes_back_with_its_content(world: World) -> None:
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    world.delete("handbook/leave.md")
    replica.list_from(world.connector())
    assert replica.texts == world.expected()
    world.restore("handbook/leave.md", "Thirty days of leave.")
    replica.list_from(world.connector())
    assert replica.texts == world.expected()


@pytest.mark.case(Case.DELETE_PARENT)
def test_a_deleted_folder_takes_its_documents_with_it(world: World) -> None:
    seed(world)
    world.delete_folder("handbook")
    listing = listed(world)
    assert listing.is_full
    assert listing.texts(world.text_of) == world.expected()
    assert "handbook/leave.md" not in world.documents


@pytest.mark.case(Case.ACCESS_CHANGE)
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
    world.release("handbook/leave.md")
    assert listed(world).items[identity].access == before.items[identity].access


@pytest.mark.case(Case.DUPLICATE_IDS)
def test_a_document_that_is_named_twice_is_listed_once(world: World) -> None:
    seed(world)
    world.duplicate("handbook/leave.md")
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    assert listing.is_full


@pytest.mark.case(Case.DUPLICATE_IDS)
def test_a_second_document_of_one_id_is_reported_and_the_first_counts(world: World) -> None:
    seed(world)
    world.duplicate("handbook/leave.md")
    listing = listed(world)
    assert listing.texts(world.text_of) == world.expected()
    assert [failure.hides_documents for failure in listing.failures] == [False]


@pytest.mark.case(Case.ITEM_FAILURE)
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


@pytest.mark.case(Case.PAGE_FAILURE)
def test_a_part_that_cannot_be_listed_makes_the_listing_incomplete(world: World) -> None:
    seed(world)
    world.break_part("handbook")
    listing = listed(world)
    assert not listing.is_full
    assert any(failure.entity is not None and failure.hides_documents for failure in listing.failures)
    assert world.id_of("legal/terms.md") in listing.items, "the rest is listed all the same"


@pytest.mark.case(Case.INCOMPLETE_LISTING)
def test_what_a_listing_that_was_cut_short_left_out_is_not_taken_for_deleted(world: World) -> None:
    seed(world)
    world.cut_short()
    connector = world.connector()
    listing = Listing.of(connector.items())
    left_out = world.expected().keys() - listing.items.keys()
    assert left_out, "the world did not cut the listing short"
    assert not listing.is_full or connector.existing(sorted(left_out)) == left_out


@pytest.mark.case(Case.PROTOCOL)
def test_a_source_that_cannot_be_listed_deletes_nothing(world: World) -> None:
    seed(world)
    replica = Replica(world.text_of)
    replica.list_from(world.connector())
    before = dict(replica.texts)
    world.break_source()
    listing = replica.list_from(world.connector())
    assert not listing.is_full
    assert any(failure.whole for failure in listing.failures), "it is the source itself that failed"
    assert replica.texts == before


@pytest.mark.case(Case.PROTOCOL)
def test_a_source_that_cannot_be_listed_fails_its_check(world: World) -> None:
    seed(world)
    assert all(finding.ok for finding in world.connector().check())
    world.break_source()
    findings = world.connector().check()
    assert any(not finding.ok and finding.detail for finding in findings)


@pytest.mark.case(Case.PROTOCOL)
def test_ids_agree_with_items(world: World) -> None:
    seed(world)
    world.break_document("legal/terms.md")
    connector = world.connector()
    entries = list(connector.ids())
    ids = {entry for entry in entries if isinstance(entry, str)}
    failed = {entry.external_id for entry in entries if isinstance(entry, Failure)}
    assert ids | failed == world.expected().keys()
    last = entries[-1]
    assert isinstance(last, Complete)
    assert (last.count, last.full) == (len(world.expected()), True)


@pytest.mark.case(Case.PROTOCOL)
def test_what_still_exists_can_be_asked_apart_from_a_listing(world: World) -> None:
    declares(world, "lookup")
    seed(world)
    world.delete("handbook/leave.md")
    world.rename("handbook/travel.md", "legal/travel.md")
    names = ("handbook/leave.md", "legal/travel.md", "legal/terms.md")
    asked = [*(world.id_of(name) for name in names), "no such id"]
    assert world.connector().existing(asked) == {
        world.id_of("legal/travel.md"),
        world.id_of("legal/terms.md"),
    }


@pytest.mark.case(Case.PROTOCOL)
def test_a_source_that_cannot_be_asked_says_so_instead_of_naming_nothing(world: World) -> None:
    declares(world, "lookup")
    seed(world)
    connector = world.connector()
    world.break_source()
    world.publish()
    with pytest.raises((TransientError, CredentialError)):
        connector.existing([world.id_of("handbook/leave.md")])


@pytest.mark.case(Case.GROUP_CHANGE)
def test_the_members_of_a_group_are_listed_apart_from_documents(world: World) -> None:
    seed(world)
    principal, hr = world.caller("ann")[0], world.principal_of(GROUP)
    world.restrict("handbook/leave.md", GROUP)
    assert principal not in members(world, hr)
    world.add_member("ann")
    tokens = listed(world).tokens()
    assert principal in members(world, hr)
    world.remove_member("ann")
    assert principal not in members(world, hr)
    assert listed(world).tokens() == tokens


@pytest.mark.case(Case.PROTOCOL)
def test_a_window_leaves_out_what_was_changed_outside_it(world: World) -> None:
    world.put("handbook/old.md", "old")
    middle = world.put("handbook/middle.md", "middle")
    last = world.put("handbook/new.md", "new")
    since = listed(world, Window(since=middle))
    until = listed(world, Window(until=last))
    both = listed(world, Window(since=middle, until=last))
    own = world.own().keys()
    assert since.items.keys() - own == {world.id_of("handbook/middle.md"), world.id_of("handbook/new.md")}
    assert until.items.keys() - own == {world.id_of("handbook/old.md"), world.id_of("handbook/middle.md")}
    assert both.items.keys() - own == {world.id_of("handbook/middle.md")}
    assert not any(listing.is_full for listing in (since, until, both))
    assert all(listing.complete and listing.complete.cursor is None for listing in (since, until, both))


@pytest.mark.case(Case.ITEM_FAILURE)
def test_content_that_vanished_after_the_listing_fails_that_document_only(world: World) -> None:
    seed(world)
    listing = listed(world)
    world.vanish("handbook/leave.md")
    with pytest.raises((DocumentError, ForbiddenEntityError, TransientError)):
        listing.items[world.id_of("handbook/leave.md")].load()
    other = listing.items[world.id_of("handbook/travel.md")]
    assert world.text_of(other.load()) == "Second class by train."


@pytest.mark.case(Case.CRASH_AND_RESUME)
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


@pytest.mark.case(Case.MANY_IDS)
def test_a_large_source_is_listed_in_full_in_little_memory(world: World) -> None:
    """Memory is traced up to the first entry and along some thousands, because tracing is slow. What the
    connector imports is there before. Items are counted: so small a thing would pass for an id."""
    listed(world)
    world.put_many({f"folder-{n % 50}/document-{n}.md": f"text {n}" for n in range(MANY)})
    entries = world.connector().items()
    missing = {world.id_of(name) for name in world.documents}

    def read(limit: int | None) -> Entry:
        for entry in islice(entries, limit):
            if isinstance(entry, Item):
                missing.discard(entry.external_id)
        return entry

    tracemalloc.start()
    read(1)
    begun, ahead = tracemalloc.get_traced_memory()
    read(TRACED)
    held = tracemalloc.get_traced_memory()[0] - begun
    tracemalloc.stop()
    alive = items_alive()
    last = read(None)
    assert not missing
    assert isinstance(last, Complete)
    assert (last.count, last.full) == (MANY + len(world.own()), True)
    assert ahead + held / TRACED * MANY < MANY * BYTES_PER_ID
    assert max(alive, items_alive()) < MOST_ALIVE


def items_alive() -> int:
    """Items that somebody still holds."""
    return sum(isinstance(one, Item) for one in gc.get_objects())


@pytest.mark.case(Case.PROTOCOL)
def test_every_value_can_be_stored(world: World) -> None:
    """Postgres refuses NUL and lone surrogates; JSON refuses NaN; a time without zone is ambiguous."""
    seed(world)
    for item in listed(world).items.values():
        for value in (item.external_id, item.token, item.name, item.path, item.url, item.title, item.author):
            assert value is None or "\0" not in value.encode().decode()
        json.dumps(dict(item.metadata), allow_nan=False)
        assert item.modified_at is not None
        assert item.modified_at.utcoffset() == timedelta(0)
        assert item.size is None or item.size == len(item.load())


@pytest.mark.case(Case.PROTOCOL)
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


@pytest.mark.case(Case.PROTOCOL)
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


@pytest.mark.case(Case.MOVE)
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


@pytest.mark.case(Case.PROTOCOL)
@pytest.mark.parametrize("cursor", [{}, {"nonsense": 1}, {"commit": "0" * 40, "options": ""}])
def test_a_cursor_that_cannot_be_used_asks_for_a_full_listing(world: World, cursor: dict) -> None:
    declares(world, "changes")
    seed(world)
    with pytest.raises(UsageError):
        Listing.of(world.connector().changes(cursor))


@pytest.mark.case(Case.PROTOCOL)
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


def members(world: World, principal: str) -> set[str]:
    """Everybody who stands behind a principal, through any number of groups."""
    entries = list(world.connector().groups())
    last = entries[-1]
    assert isinstance(last, Complete)
    groups = {one.principal: one.members for one in entries if isinstance(one, Group)}
    assert (last.count, last.full) == (len(groups), True)
    found: set[str] = set()
    open_ = [principal]
    while open_:
        inner = set(groups.get(open_.pop(), ())) - found
        found |= inner
        open_ += inner
    return found


@pytest.mark.parametrize("kind", WORLDS, ids=lambda kind: kind.name)
def test_what_is_not_applicable_names_a_promise_and_a_reason(kind: type[World]) -> None:
    promises = {*vars(test_conformance_engine), *globals()}
    assert set(kind.not_applicable) <= {*Case, *promises}
    assert all(kind.not_applicable.values())


def test_every_capability_is_declared_by_some_connector() -> None:
    """Else a promise about it would be skipped everywhere, unseen."""
    declared = [connector_class(kind.kind).capabilities for kind in WORLDS]
    for capability in Capabilities.__struct_fields__:
        assert any(getattr(one, capability) for one in declared), capability
