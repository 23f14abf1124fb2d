"""Which documents of Confluence exist, the settings of a source, and its check."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rag_pipelines.connectors.base import Item
from rag_pipelines.errors import (
    ConfigError,
    TransientError,
)
from rag_pipelines_tests.connectors.confluence_bench import (
    TOKEN,
    Wiki,
    opened,
)
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.faults import Status


@pytest.fixture(params=[ConfluenceCloud, ConfluenceDataCenter], ids=["cloud", "data-center"])
def wiki(request: pytest.FixtureRequest) -> Iterator[Wiki]:
    yield from opened(request.param)


@pytest.fixture
def cloud() -> Iterator[Wiki]:
    yield from opened(ConfluenceCloud)


@pytest.fixture
def data_center() -> Iterator[Wiki]:
    yield from opened(ConfluenceDataCenter)


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
