"""What changed in ServiceNow: edits, versions, ends of validity, deletions, blocks and attachments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rag_pipelines_tests.connectors.servicenow_bench import Bench, id_of, opened
from rag_pipelines_tests.doubles.faults import Close, Status, Truncate
from rag_pipelines_tests.doubles.servicenow_state import Row


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from opened()


@pytest.fixture
def base(bench: Bench) -> Row:
    return bench.instance.base("HR")


def cursor_of(bench: Bench, **options: Any) -> Any:
    """A position some time behind everything that was there."""
    complete = bench.listed(**options).complete
    assert complete is not None
    bench.instance.tick()
    return complete.cursor


def test_edits_and_new_articles_are_followed_and_nothing_else(bench: Bench, base: Row) -> None:
    site = bench.instance
    rows = [site.article(base, f"A {n}", "a") for n in range(3)]
    site.tick()
    last = site.article(base, "Last", "l")
    cursor = cursor_of(bench)
    site.edit(rows[1], text="b")
    new = site.article(base, "New", "n")
    listing = bench.changed(cursor)
    assert listing.removed == []
    assert set(listing.items) == {id_of(rows[1]), id_of(new), id_of(last)}


def test_a_new_version_takes_the_place_of_the_old_one(bench: Bench, base: Row) -> None:
    article = bench.instance.article(base, "A", "one")
    cursor = cursor_of(bench)
    bench.instance.new_version(article, text="two")
    listing = bench.changed(cursor)
    assert (listing.texts(), listing.removed) == ({id_of(article): "two"}, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"workflow_state": "retired"},
        {"active": "false"},
        {"valid_to": "2020-01-01"},
        {"kb_knowledge_base": ""},
    ],
)
def test_what_readers_no_longer_find_is_removed_with_what_stands_below_it(
    bench: Bench, base: Row, fields: Row
) -> None:
    article = bench.instance.article(base, "A", "a")
    cursor = cursor_of(bench)
    bench.instance.edit(article, **fields)
    connector = bench.connector()
    removed = [entry for entry in connector.changes(cursor) if getattr(entry, "children", False)]
    assert [entry.external_id for entry in removed] == [id_of(article)]  # type: ignore[union-attr]


def test_an_article_that_moves_to_a_base_out_of_scope_is_removed(bench: Bench, base: Row) -> None:
    other = bench.instance.base("IT")
    article = bench.instance.article(base, "A", "a")
    cursor = cursor_of(bench, bases=["HR"])
    bench.instance.edit(article, kb_knowledge_base=other["sys_id"])
    assert bench.changed(cursor, bases=["HR"]).removed == [id_of(article)]


def test_an_article_whose_validity_ended_is_removed_although_nobody_touched_it(
    bench: Bench, base: Row
) -> None:
    article = bench.instance.article(base, "A", "a", valid_to="2021-03-05")
    bench.instance.tick()
    bench.instance.article(base, "B", "b")
    cursor = {**cursor_of(bench), "day": "2021-03-05"}
    assert bench.changed(cursor).removed == [id_of(article)]
    later = {**cursor, "day": "2021-03-06"}
    assert bench.changed(later).removed == []


@pytest.mark.parametrize("readable", [True, False])
def test_a_deletion_is_followed_where_the_audit_can_be_read(bench: Bench, base: Row, readable: bool) -> None:
    article = bench.instance.article(base, "A", "a")
    cursor = cursor_of(bench)
    bench.instance.delete(article)
    if not readable:
        bench.instance.refused.add("sys_audit_delete")
    listing = bench.changed(cursor)
    assert listing.removed == ([id_of(article)] if readable else [])
    assert not listing.failures


def test_an_attachment_that_is_new_brings_its_article_again(bench: Bench, base: Row) -> None:
    site = bench.instance
    article = site.article(base, "A", "a")
    site.tick()
    site.article(base, "B", "b")
    cursor = cursor_of(bench)
    attachment = site.attach(article, "plan.txt", b"plan")
    identity = f"{id_of(article)}/attachment/{attachment['sys_id']}"
    assert {id_of(article), identity} <= set(bench.changed(cursor).items)


@pytest.mark.parametrize("change", ["edit", "use"])
def test_a_block_that_changes_or_is_used_anew_brings_its_articles_again(
    bench: Bench, base: Row, change: str
) -> None:
    site = bench.instance
    article, block = site.article(base, "A", "a"), site.block(base, "B", "b")
    site.use_block(article, block)
    site.tick()
    site.article(base, "Other", "o")
    cursor = cursor_of(bench)
    if change == "edit":
        site.edit(block, text="c")
    else:
        block = site.block(base, "C", "c")
        site.use_block(article, block)
    listing = bench.changed(cursor)
    assert listing.texts()[f"{id_of(article)}/block/{block['sys_id']}"] == "c"


def test_items_of_the_catalogue_are_followed(bench: Bench) -> None:
    site = bench.instance
    kept, gone = site.item("Kept", "k"), site.item("Gone", "g")
    site.base("HR")
    cursor = cursor_of(bench, catalogue=True)
    site.edit(kept, description="other")
    site.edit(gone, active="false")
    listing = bench.changed(cursor, catalogue=True)
    assert listing.texts() == {f"item/{kept['sys_id']}": "other"}
    assert listing.removed == [f"item/{gone['sys_id']}"]


def test_an_article_that_is_hidden_when_asked_for_again_is_not_taken_for_gone(
    bench: Bench, base: Row
) -> None:
    article = bench.instance.article(base, "A", "a")
    cursor = cursor_of(bench)
    bench.instance.edit(article, text="b")
    bench.instance.hidden.add(article["sys_id"])
    listing = bench.changed(cursor)
    assert listing.removed == []


def test_a_storm_over_the_feed_changes_nothing_in_what_it_says(bench: Bench, base: Row) -> None:
    site = bench.instance
    rows = [site.article(base, f"A {n}", "a") for n in range(60)]
    cursor = cursor_of(bench)
    for row in rows[:40]:
        site.edit(row, text="b")
    for row in rows[40:50]:
        site.delete(row)
    calm = bench.changed(cursor)
    bench.double.log.clear()
    bench.changed(cursor)
    requests = len(bench.double.log)
    bench.double.log.clear()
    bench.double.faults.storm(
        0.2, seed=7, kinds=[Status(429, retry_after=0), Status(502), Close(), Truncate()]
    )
    stormy = bench.changed(cursor, retries=9)
    assert (stormy.tokens(), stormy.removed) == (calm.tokens(), calm.removed)
    assert not stormy.failures
    assert requests < len(bench.double.log) < 2 * requests
    assert len(calm.removed) == 10


def test_an_interrupted_feed_keeps_its_position(bench: Bench, base: Row) -> None:
    article = bench.instance.article(base, "A", "a")
    cursor = cursor_of(bench)
    bench.instance.edit(article, text="b")
    bench.double.faults.script(Status(503), times=100, path="ORDERBYsys_updated_on")
    listing = bench.changed(cursor)
    assert listing.failures
    assert listing.complete is not None
    assert listing.complete.cursor is None


@pytest.mark.parametrize("table", ["sys_properties", "kb_knowledge.*ISNOTEMPTY", "kb_knowledge_base"])
def test_what_has_to_be_known_before_a_listing_fails_it_as_a_whole(
    bench: Bench, base: Row, table: str
) -> None:
    bench.instance.article(base, "A", "a")
    cursor = cursor_of(bench)
    bench.double.faults.script(Status(503), times=100, path=f"/table/{table}")
    for listing in (bench.listed(), bench.changed(cursor)):
        assert [failure.whole for failure in listing.failures] == [True]
        assert not listing.is_full


def test_no_address_is_longer_than_proxies_allow(bench: Bench, base: Row) -> None:
    site = bench.instance
    for n in range(120):
        site.base(f"B {n}")
    rows = [site.article(base, f"A {n}", "a") for n in range(400)]
    complete = bench.listed(page_size=1000).complete
    assert complete is not None
    bench.changed(complete.cursor, page_size=1000)
    bench.connector().existing([id_of(row) for row in rows])
    assert max(len(entry.path) + len(entry.query) for entry in bench.double.log) < 8000


def test_what_still_exists_is_told_apart_from_what_does_not(bench: Bench, base: Row) -> None:
    site = bench.instance
    article, retired = site.article(base, "A", "a"), site.article(base, "R", "r")
    attachment, dropped = site.attach(article, "a.txt", b"a"), site.attach(article, "b.txt", b"b")
    block, unused = site.block(base, "B", "b"), site.block(base, "U", "u")
    site.use_block(article, block)
    item = site.item("I", "i")
    site.edit(retired, workflow_state="retired")
    site.delete(dropped)
    kept = {
        id_of(article),
        f"{id_of(article)}/attachment/{attachment['sys_id']}",
        f"{id_of(article)}/block/{block['sys_id']}",
        f"item/{item['sys_id']}",
    }
    asked = {
        *kept,
        id_of(retired),
        f"{id_of(article)}/attachment/{dropped['sys_id']}",
        f"{id_of(article)}/block/{unused['sys_id']}",
        f"{id_of(retired)}/attachment/{attachment['sys_id']}",
        "item/none",
        "something",
    }
    assert bench.connector(catalogue=True).existing(sorted(asked)) == kept
    site.hidden.add(article["sys_id"])
    assert id_of(article) in bench.connector().existing([id_of(article)])
