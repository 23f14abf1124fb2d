"""What a listing of Zendesk names: articles, translations, files, tickets, and what becomes of faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rag_pipelines.connectors.base import Item, Window
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.connectors.zendesk.help_center import HelpCenter
from rag_pipelines.errors import ConfigError, CredentialError, FetchError, TooLargeDocumentError
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.zendesk_bench import LOGIN, Bench, opened
from rag_pipelines_tests.doubles.faults import STORM, Hang, Status
from rag_pipelines_tests.doubles.zendesk import Zendesk, too_many

TICKETS = {"articles": False, "tickets": True}


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from opened()


def test_an_article_is_a_document_with_its_place_labels_and_address(bench: Bench) -> None:
    desk = bench.desk
    below = desk.section("Parents/Carers", desk.category("Other"), parent=bench.section)
    row = desk.article(below, "Leave", "<p>Thirty days.</p>", label_names=["hr"])
    listing = bench.listed()
    (item,) = listing.items.values()
    assert item.external_id == f"article/{row['id']}"
    assert (item.title, item.path) == ("Leave", "HR/Leave/Parents∕Carers/Leave")
    assert item.metadata == {"type": "article", "locale": "en-us", "labels": ["hr"]}
    assert item.url == f"{bench.double.url}/hc/en-us/articles/{row['id']}"
    assert listing.texts() == {item.external_id: "<p>Thirty days.</p>"}
    assert listing.is_full


def test_translations_stand_below_their_article_and_drafts_are_no_documents(bench: Bench) -> None:
    row = bench.article("Leave", "leave")
    bench.desk.translate(row, "de", "Urlaub", "Urlaub")
    bench.desk.translate(row, "fr", "Congés", "brouillon", draft=True)
    one = f"article/{row['id']}"
    listing = bench.listed()
    assert listing.texts() == {one: "leave", f"{one}/translation/de": "Urlaub"}
    assert listing.items[f"{one}/translation/de"].metadata["parent"] == one
    assert bench.listed(locales=["DE"]).texts() == {f"{one}/translation/de": "Urlaub"}
    bench.desk.translate(row, "en-us", draft=True)
    assert bench.listed().texts() == {f"{one}/translation/de": "Urlaub"}


def test_files_stand_below_their_article_and_images_of_the_text_do_not_count(bench: Bench) -> None:
    row = bench.article()
    bench.desk.show_to(row, [bench.desk.staff])
    file = bench.desk.attach(row, "plan.txt", b"plan")
    bench.desk.attach(row, "inline.png", b"x", inline=True)
    one, two = f"article/{row['id']}", f"article/{row['id']}/attachment/{file['id']}"
    listing = bench.listed()
    assert listing.texts() == {one: "a", two: "plan"}
    assert listing.items[two].access == listing.items[one].access
    assert listing.items[two].media_type == "text/plain"
    assert bench.listed(attachments=False).texts() == {one: "a"}
    bench.desk.translate(row, "en-us", draft=True)
    assert bench.listed().items == {}


def test_files_of_several_articles_are_asked_for_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for title in "abc":
        bench.desk.attach(bench.article(title), f"{title}.txt", b"a plan")
    three, asked = threading.Barrier(3, timeout=30), HelpCenter._attachments

    def meet(center: HelpCenter, article: int, parent: Item) -> Iterator[Any]:
        three.wait()
        return asked(center, article, parent)

    monkeypatch.setattr(HelpCenter, "_attachments", meet)
    names = [item.name for item in bench.listed(concurrent_loads=3).items.values()]
    assert names == ["a", "a.txt", "b", "b.txt", "c", "c.txt"]


def test_a_file_that_is_too_large_fails_without_being_read(bench: Bench) -> None:
    row = bench.article()
    file = bench.desk.attach(row, "plan.txt", b"plan" * 10)
    listing = bench.listed(max_bytes=39)
    (failure,) = listing.failures
    assert failure.external_id == f"article/{row['id']}/attachment/{file['id']}"
    assert isinstance(failure.error, TooLargeDocumentError)
    assert not bench.double.requests("/hc/article_attachments")


def test_what_is_gone_between_listing_and_loading_is_an_error_of_that_document(bench: Bench) -> None:
    desk = bench.desk
    file = desk.attach(bench.article(), "plan.txt", b"plan")
    ticket = desk.ticket("Help", desk.user("bob"))
    desk.tick()
    items = bench.listed(tickets=True).items
    bench.double.lost.add(file["id"])
    desk.delete_ticket(ticket)
    for identity in (f"article/{file['article_id']}/attachment/{file['id']}", f"ticket/{ticket['id']}"):
        with pytest.raises(FetchError):
            items[identity].load()


def test_every_brand_is_read_at_its_own_address(bench: Bench) -> None:
    desk = bench.desk
    first = bench.article()
    second = desk.article(desk.section("S", desk.category("C", brand="shop")), "B", "b")
    with Zendesk(desk, brand="shop", logins={LOGIN: "sync"}) as shop:
        listing = bench.listed(brands=[bench.double.url, shop.url])
        assert set(listing.items) == {f"article/{first['id']}", f"article/{second['id']}"}
        ids = [*listing.items, "article/7"]
        assert bench.connector(brands=[bench.double.url, shop.url]).existing(ids) == set(listing.items)
        assert set(bench.listed(brands=[shop.url]).items) == {f"article/{second['id']}"}
        shop.faults.script(Status(403), times=99)
        listing = bench.listed(brands=[bench.double.url, shop.url])
        assert set(listing.items) == {f"article/{first['id']}"}
        assert not listing.is_full


def test_public_comments_are_the_text_of_a_ticket(bench: Bench) -> None:
    desk = bench.desk
    bob, ann = desk.user("bob"), desk.user("ann", "agent")
    ticket = desk.ticket(
        "Fire & smoke", bob, (bob, "it burns", True), (ann, "really?", False), (ann, "water!", True)
    )
    desk.ticket("Internal", bob, (ann, "secret", False))
    gone = desk.ticket("Gone", bob)
    desk.delete_ticket(gone)
    desk.tick()
    listing = bench.listed(**TICKETS)
    (item,) = listing.items.values()
    assert (item.external_id, item.title) == (f"ticket/{ticket['id']}", "Fire & smoke")
    text = listing.texts()[item.external_id]
    assert text.index("it burns") < text.index("water!")
    assert "really" not in text
    assert listing.removed == []


def test_comments_are_read_once_for_both_documents_of_a_ticket(bench: Bench) -> None:
    desk = bench.desk
    bob = desk.user("bob")
    desk.ticket("Help", bob, *[(bob, f"word{n}", n % 2 == 0) for n in range(7)])
    desk.tick()
    listing = bench.listed(**TICKETS, private_comments="agents")
    assert "word1" in "".join(listing.texts().values())
    assert len(bench.double.requests("/comments")) == 3, "as many as there are pages"


def test_a_ticket_without_private_comments_has_an_empty_document_for_them(bench: Bench) -> None:
    ticket = bench.desk.ticket("Help", bench.desk.user("bob"))
    bench.desk.tick()
    texts = bench.listed(**TICKETS, private_comments="agents").texts()
    assert texts[f"ticket/{ticket['id']}/notes/private"] == ""


def test_what_a_window_leaves_out_is_not_taken_for_gone(bench: Bench) -> None:
    bench.article("Old", "old")
    bench.desk.tick()
    since = bench.desk.now
    new = bench.article("New", "new")
    listing = Listing.of(bench.connector().items(Window(since=since)))
    assert set(listing.items) == {f"article/{new['id']}"}
    assert not listing.is_full


@pytest.mark.parametrize(
    "login", [{"oauth_token": "given"}, {"client_id": "client", "client_secret": "secret"}]
)
def test_both_kinds_of_bearer_tokens_log_in(bench: Bench, login: dict[str, str]) -> None:
    row = bench.article()
    assert set(bench.listed(**login).items) == {f"article/{row['id']}"}


def test_a_refused_login_ends_the_listing(bench: Bench) -> None:
    with pytest.raises(CredentialError):
        bench.listed(api_token="wrong")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give exactly one login"),
        ({"email": "a@b.c"}, "received email"),
        ({"oauth_token": "x", "email": "a@b.c", "api_token": "y"}, "give exactly one login"),
        ({"oauth_token": "x", "articles": False}, "neither articles nor tickets"),
        ({"oauth_token": "x", "private_comments": "agents"}, "needs tickets: true"),
        ({"oauth_token": "x", "url": "http://acme.zendesk.com"}, "https only"),
        ({"oauth_token": "x", "brands": ["https://acme.zendesk.com/hc/en-us"]}, "without a path"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_connector("help", "zendesk", {"url": "https://acme.zendesk.com", **options})


def test_a_slow_down_is_waited_for(bench: Bench) -> None:
    row = bench.article()
    bench.double.faults.script(too_many(), times=2)
    assert set(bench.listed(retries=5).items) == {f"article/{row['id']}"}


def test_a_storm_costs_less_than_twice_the_requests_and_loses_nothing(bench: Bench) -> None:
    desk = bench.desk
    for n in range(25):
        row = bench.article(f"A{n}", f"a{n}")
        desk.attach(row, "a.txt", b"a")
        desk.ticket(f"T{n}", desk.user(f"u{n}"))
    desk.tick()
    bench.double.export_pages = 4
    calm = bench.listed(tickets=True)
    calm_requests = len(bench.double.log)
    bench.double.log.clear()
    bench.double.faults.storm(0.2, seed=7, kinds=[fault for fault in STORM if not isinstance(fault, Hang)])
    stormy = bench.listed(tickets=True, retries=9)
    assert (stormy.tokens(), stormy.failures) == (calm.tokens(), [])
    assert stormy.is_full
    assert len(bench.double.log) < 2 * calm_requests


def test_the_check_names_what_an_agent_may_not_read(bench: Bench) -> None:
    good = bench.connector(tickets=True).check()
    assert all(finding.ok for finding in good), good
    bench.double.refused.update({"users", "user_segments", "tickets"})
    bench.double.role = "agent"
    bad = [finding for finding in bench.connector(tickets=True).check() if not finding.ok]
    assert [finding.name for finding in bad] == ["account", "user segments", "users", "tickets"]
    assert all("admin" in finding.detail for finding in bad)


def test_the_listing_of_somebody_who_may_not_see_everything_is_not_complete(bench: Bench) -> None:
    row = bench.article()
    bench.double.role = "agent"
    listing = bench.listed()
    assert set(listing.items) == {f"article/{row['id']}"}
    assert [failure.entity for failure in listing.failures] == ["what the login may not see"]
    assert not listing.is_full


def test_what_is_gone_or_no_longer_chosen_does_not_exist(bench: Bench) -> None:
    desk = bench.desk
    kept, gone = bench.article(), bench.article()
    desk.translate(kept, "de", "D", "d")
    desk.translate(kept, "fr", "F", "f", draft=True)
    file, taken = desk.attach(kept, "a.txt", b"a"), desk.attach(kept, "b.txt", b"b")
    desk.archive(gone)
    desk.detach(taken)
    bob = desk.user("bob")
    ticket, deleted = desk.ticket("T", bob), desk.ticket("D", bob)
    desk.delete_ticket(deleted)
    one = f"article/{kept['id']}"
    there = {one, f"{one}/translation/de", f"{one}/attachment/{file['id']}", f"ticket/{ticket['id']}"}
    ids = [
        *there,
        f"{one}/translation/fr",
        f"article/{gone['id']}",
        f"{one}/attachment/{taken['id']}",
        f"ticket/{deleted['id']}",
        f"ticket/{ticket['id']}/notes/private",
    ]
    assert bench.connector(tickets=True).existing(ids) == there
    assert bench.connector(locales=["de"], attachments=False).existing(ids) == {f"{one}/translation/de"}
