"""What changed in Zendesk: edits, drafts, archived articles, tickets, and cursors that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rag_pipelines.errors import GoneError, UsageError
from rag_pipelines_tests.connectors.zendesk_bench import Bench, opened
from rag_pipelines_tests.doubles.faults import Status

TICKETS = {"articles": False, "tickets": True}


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from opened()


def cursor_of(bench: Bench, **options: Any) -> Any:
    """A position some time behind everything that was there."""
    bench.desk.tick()
    complete = bench.listed(**options).complete
    assert complete is not None
    assert complete.cursor is not None
    bench.desk.tick()
    return complete.cursor


def test_edits_and_new_articles_are_followed_and_nothing_else(bench: Bench) -> None:
    old, last = bench.article("Old", "o"), bench.article("Last", "l")
    bench.desk.tick()
    bench.desk.edit(last, position=3)
    cursor = cursor_of(bench)
    bench.desk.translate(old, "en-us", body="changed")
    new = bench.article("New", "n")
    listing = bench.changed(cursor)
    assert set(listing.items) == {f"article/{row['id']}" for row in (old, new, last)}
    bench.desk.tick()
    assert listing.complete is not None
    assert not listing.complete.full
    assert last["id"] not in {
        int(one.partition("/")[2]) for one in bench.changed(listing.complete.cursor).items
    }


def test_a_vote_or_a_move_changes_no_token(bench: Bench) -> None:
    row = bench.article()
    before = bench.listed().tokens()
    cursor = cursor_of(bench)
    other = bench.desk.section("Other", bench.desk.category("IT"))
    bench.desk.edit(row, vote_sum=5, section_id=other["id"])
    listing = bench.changed(cursor)
    assert listing.tokens() == before
    assert [item.path for item in listing.items.values()] == ["IT/Other/A"]


def test_a_translation_that_becomes_a_draft_is_removed(bench: Bench) -> None:
    row = bench.article()
    bench.desk.translate(row, "de", "D", "d")
    cursor = cursor_of(bench)
    bench.desk.translate(row, "de", draft=True)
    assert bench.changed(cursor).removed == [f"article/{row['id']}/translation/de"]


def test_an_article_with_drafts_only_is_removed_with_what_stands_below_it(bench: Bench) -> None:
    row = bench.article()
    cursor = cursor_of(bench)
    bench.desk.translate(row, "en-us", draft=True)
    removed = [entry for entry in bench.connector().changes(cursor) if getattr(entry, "children", False)]
    assert [entry.external_id for entry in removed] == [f"article/{row['id']}"]  # type: ignore[union-attr]


def test_an_article_that_is_archived_while_changes_are_read_is_removed(bench: Bench) -> None:
    row = bench.article()
    cursor = cursor_of(bench)
    bench.desk.edit(row, vote_sum=1)
    bench.double.before(1, lambda: bench.desk.archive(row), "/translations")
    assert bench.changed(cursor).removed == [f"article/{row['id']}"]


def test_a_new_page_of_changes_begins_where_the_last_one_ended(bench: Bench) -> None:
    cursor = cursor_of(bench)
    rows = []
    for _ in range(7):
        rows.append(bench.article())
        bench.desk.tick()
    bench.double.export_pages = 2
    assert set(bench.changed(cursor).items) == {f"article/{row['id']}" for row in rows}


def test_more_changes_in_one_second_than_a_page_holds_ask_for_a_full_listing(bench: Bench) -> None:
    cursor = cursor_of(bench)
    for _ in range(3):
        bench.article()
    bench.double.export_pages = 2
    with pytest.raises(GoneError):
        bench.changed(cursor)


def test_tickets_are_followed_with_their_deletions(bench: Bench) -> None:
    desk = bench.desk
    bob = desk.user("bob")
    kept, gone, said = desk.ticket("Kept", bob), desk.ticket("Gone", bob), desk.ticket("Said", bob)
    cursor = cursor_of(bench, **TICKETS)
    desk.delete_ticket(gone)
    desk.comment(said, bob, "more")
    new = desk.ticket("New", bob)
    desk.tick()
    listing = bench.changed(cursor, **TICKETS)
    assert set(listing.items) == {f"ticket/{row['id']}" for row in (said, new)}
    assert listing.removed == [f"ticket/{gone['id']}"]
    assert "more" in listing.texts()[f"ticket/{said['id']}"]
    assert f"ticket/{kept['id']}" not in listing.items


def test_a_ticket_that_changes_while_pages_are_read_is_seen_by_the_next_run(bench: Bench) -> None:
    desk = bench.desk
    bob = desk.user("bob")
    rows = []
    for n in range(6):
        rows.append(desk.ticket(f"T{n}", bob))
        desk.tick()
    bench.double.export_pages = 2

    def change() -> None:
        desk.update(rows[0], subject="Changed")
        desk.tick()

    bench.double.before(3, change, "/incremental/tickets")
    listing = bench.listed(**TICKETS)
    assert listing.is_full
    assert len(listing.items) == 6
    assert listing.complete is not None
    later = bench.changed(listing.complete.cursor, **TICKETS)
    assert later.items[f"ticket/{rows[0]['id']}"].title == "Changed"


def test_a_cursor_of_tickets_that_is_refused_asks_for_a_full_listing(bench: Bench) -> None:
    cursor = cursor_of(bench, **TICKETS)
    bench.double.expired = True
    with pytest.raises(GoneError):
        bench.changed(cursor, **TICKETS)


def test_a_cursor_that_expires_between_pages_asks_for_a_full_listing(bench: Bench) -> None:
    bob = bench.desk.user("bob")
    cursor = cursor_of(bench, **TICKETS)
    for _ in range(3):
        bench.desk.ticket("T", bob)
    bench.desk.tick()
    bench.double.export_pages = 2
    bench.double.before(2, lambda: setattr(bench.double, "expired", True), "/incremental/tickets")
    with pytest.raises(GoneError):
        bench.changed(cursor, **TICKETS)


def test_an_interrupted_run_keeps_the_old_position(bench: Bench) -> None:
    row = bench.article()
    cursor = cursor_of(bench)
    bench.desk.translate(row, "en-us", body="changed")
    bench.double.faults.script(Status(503), path="/translations", times=9)
    listing = bench.changed(cursor)
    assert listing.complete is not None
    assert listing.complete.cursor is None
    assert [failure.entity for failure in listing.failures] == [f"article/{row['id']}"]


def test_other_options_ask_for_a_full_listing(bench: Bench) -> None:
    cursor = cursor_of(bench)
    with pytest.raises(UsageError):
        bench.changed(cursor, locales=["de"])
