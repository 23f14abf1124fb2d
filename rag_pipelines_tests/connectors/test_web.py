"""The web connector on a site with traps: what is listed, what is left, what is said."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from rag_pipelines.connectors.base import Complete, Failure, Item
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.connectors.web.addresses import normalise
from rag_pipelines.connectors.web.connector import WebConnector
from rag_pipelines.connectors.web.guard import is_public
from rag_pipelines.connectors.web.reader import ROBOTS_BYTES
from rag_pipelines.errors import (
    ConfigError,
    CorruptDocumentError,
    ForbiddenEntityError,
    TooLargeDocumentError,
    TransientError,
    UnlistableError,
    UnsupportedDocumentError,
)
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.faults import LOGIN_PAGE, Status
from rag_pipelines_tests.doubles.server import Server
from rag_pipelines_tests.doubles.web_site import WebSite

LONG = "<p>" + "A sentence of a page that has something to say. " * 12 + "</p>"


@pytest.fixture
def site() -> Iterator[WebSite]:
    with WebSite() as site:
        yield site


class Reader:
    """A source on a site, made anew for each listing, with its cache between them."""

    def __init__(self, site: WebSite, folder: Path) -> None:
        self.site = site
        self.options: dict[str, Any] = {
            "start": [site.url + "/"],
            "private_addresses": True,
            "retries": 1,
            "retry_delay": 0.01,
            "cache_dir": str(folder / "cache"),
        }
        self._made: list[WebConnector] = []

    def connector(self, **options: Any) -> WebConnector:
        connector = make_connector("docs", "web", {**self.options, **options})
        assert isinstance(connector, WebConnector)
        self._made.append(connector)
        return connector

    def list(self, **options: Any) -> Listing:
        return Listing.of(self.connector(**options).items())

    def paths(self, **options: Any) -> set[str]:
        """What is listed, without the site's address."""
        return {one.removeprefix(self.site.url) for one in self.list(**options).items}

    def failures(self, **options: Any) -> dict[str, Exception]:
        """What failed, by its path, and why."""
        return {
            (one.external_id or one.entity or "").replace(self.site.url, ""): one.error
            for one in self.list(**options).failures
        }

    def close(self) -> None:
        for connector in self._made:
            connector.close()


@pytest.fixture
def reader(site: WebSite, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(site, tmp_path)
    yield reader
    reader.close()


def links(*targets: str) -> str:
    return LONG + " ".join(f"<a href='{target}'>on</a>" for target in targets)


class TestLinks:
    """Which pages are found."""

    def test_links_are_followed_as_deep_as_the_options_say(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", links("b"))
        site.page("/b", links("/c"))
        site.page("/c", LONG)
        assert reader.paths() == {"/", "/a", "/b", "/c"}
        assert reader.paths(depth=1, unlinked="drop") == {"/", "/a"}
        assert reader.paths(depth=0, unlinked="drop") == {"/"}

    def test_one_page_under_many_addresses_is_one(self, site: WebSite, reader: Reader) -> None:
        site.page(
            "/", links("/a#top", "/a?utm_source=mail", "./a", "/x/../a", "HTTP://" + site.url[7:] + "/a")
        )
        site.page("/a", LONG)
        assert reader.paths() == {"/", "/a"}

    def test_other_hosts_and_other_schemes_are_left(self, site: WebSite, reader: Reader) -> None:
        site.page(
            "/",
            links("https://example.com/", "mailto:ann@example.com", "javascript:void(0)", "//h.example/x"),
        )
        assert reader.paths() == {"/"}

    def test_patterns_choose_paths(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/docs/a", "/docs/old/b", "/blog/c"))
        for path in ("/docs/a", "/docs/old/b", "/blog/c"):
            site.page(path, LONG)
        options = {"start": [site.url + "/docs/a", site.url + "/"]}
        assert reader.paths(**options, exclude=["docs/old/", "blog/"]) == {"/", "/docs/a"}

    @pytest.mark.parametrize("pattern", ["/größe/", "/gr%C3%B6%c3%9fe/"])
    def test_patterns_are_compared_with_paths_as_people_read_them(
        self, site: WebSite, reader: Reader, pattern: str
    ) -> None:
        site.page("/", links("/größe/a", "/größe%2fb", "/c"))
        for path in ("/größe/a", "/größe/b", "/c"):
            site.page(path, LONG)
        assert reader.paths(exclude=[pattern]) == {"/", "/gr%C3%B6%C3%9Fe%2Fb", "/c"}
        options = {"include": [pattern], "start": [site.url + "/größe/a"]}
        assert reader.paths(**options, unlinked="drop") == {"/gr%C3%B6%C3%9Fe/a"}

    def test_links_are_relative_to_the_base_of_a_page(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("a"), head="<base href='/deep/'>")
        site.page("/deep/a", LONG)
        assert reader.paths() == {"/", "/deep/a"}

    def test_the_base_of_a_page_need_not_be_a_page_of_the_source(self, site: WebSite, reader: Reader) -> None:
        site.page("/docs/", links("docs/a"), head="<base href='/'><link rel='canonical' href='docs/'>")
        site.page("/docs/a", LONG)
        options = {"start": [site.url + "/docs/"], "include": ["docs/"]}
        assert reader.paths(**options) == {"/docs/", "/docs/a"}
        assert reader.connector(**options).existing([site.url + "/docs/"]) == {site.url + "/docs/"}

    def test_a_character_set_that_nobody_knows_hides_no_links(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"), headers={"Content-Type": "text/html; charset=utf8mb4"})
        site.page("/a", LONG)
        assert reader.paths() == {"/", "/a"}

    def test_tags_that_nobody_closed_hide_no_links(self, site: WebSite, reader: Reader) -> None:
        site.page("/", "<div>" * 400 + links("/a"))
        site.page("/a", LONG)
        assert reader.paths() == {"/", "/a"}

    def test_a_page_that_cannot_be_read_to_its_end_is_a_failed_document(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/deep"))
        deep = site.page("/deep", "<div>" * 2_500 + LONG)
        assert "nested too deeply" in str(reader.failures()["/deep"])
        assert reader.connector().existing([deep]) == {deep}

    def test_a_page_that_sends_its_readers_on_at_once_is_not_the_document(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", "Moved.", head="<meta http-equiv='Refresh' content='0; URL=en/'>")
        site.page("/en/", links("/slow"))
        site.page("/slow", LONG, head="<meta http-equiv='refresh' content='300; url=/slow'>")
        assert reader.paths() == {"/en/", "/slow"}

    def test_where_readers_without_scripts_are_sent_does_not_count(
        self, site: WebSite, reader: Reader
    ) -> None:
        head = "<noscript><meta http-equiv='refresh' content='0; url=/plain'></noscript>"
        site.page("/", LONG, head=head)
        site.page("/plain", LONG)
        assert reader.paths() == {"/"}

    @pytest.mark.parametrize("options", [{"include": ["docs/"]}, {"exclude": ["/*"]}])
    def test_a_start_page_that_the_patterns_leave_out_is_said(
        self, site: WebSite, reader: Reader, options: dict[str, Any]
    ) -> None:
        site.page("/start", links("/docs/a"))
        listing = reader.list(start=[site.url + "/start"], **options)
        assert not listing.is_full
        assert "must pass include and exclude" in str(listing.failures[0].error)

    def test_a_path_that_leads_ever_deeper_into_itself_ends(self, site: WebSite, reader: Reader) -> None:
        path = "/"
        for _ in range(9):
            site.page(path, links("more/"))
            path += "more/"
        assert reader.paths() == {"/", "/more/", "/more/more/", "/more/more/more/"}

    def test_a_calendar_without_end_is_cut_off_and_said(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/day?n=0"))
        for n in range(30):
            site.page(f"/day?n={n}", links(f"/day?n={n + 1}"))
        listing = reader.list(max_variants=5)
        assert len(listing.items) == 6
        assert listing.is_full
        assert "max_variants = 5" in str(listing.failures[0].error)

    def test_addresses_that_differ_behind_the_question_mark_can_be_one(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a?view=1", "/a?view=2"))
        site.page("/a", LONG)
        assert reader.paths(query="drop") == {"/", "/a"}

    def test_more_pages_than_allowed_make_the_listing_incomplete(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links(*(f"/p{n}" for n in range(20))))
        for n in range(20):
            site.page(f"/p{n}", LONG)
        listing = reader.list(max_pages=10)
        assert not listing.is_full
        assert len(listing.items) <= 10
        assert "max_pages = 10" in str(listing.failures[-1].error)

    def test_a_pdf_whose_type_is_not_declared_is_one(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a", "/b"))
        site.page("/a", "", raw=b"%PDF-1.4", headers={"Content-Type": "application/octet-stream"})
        site.page("/b", "", raw=b"PK", headers={"Content-Type": "application/octet-stream"})
        assert reader.list().items[site.url + "/a"].media_type == "application/pdf"
        assert reader.paths() == {"/", "/a"}

    def test_a_type_that_is_not_wanted_any_more_goes(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a.pdf"))
        pdf = site.page("/a.pdf", "", raw=b"%PDF-1.4", headers={"Content-Type": "application/pdf"})
        assert reader.paths() == {"/", "/a.pdf"}
        connector = reader.connector(media_types=["text/html"])
        assert set(Listing.of(connector.items()).items) == {site.url + "/"}
        assert connector.existing([pdf]) == set()

    @pytest.mark.parametrize("declared", ["text/plain", ""])
    def test_a_page_that_is_declared_as_something_else_is_no_deletion(
        self, site: WebSite, reader: Reader, declared: str
    ) -> None:
        site.page("/", links("/hub"))
        site.page("/hub", links("/a"))
        site.page("/a", LONG)
        reader.list(unlinked="drop")
        site.page("/hub", links("/a"), headers={"Content-Type": declared}, validators=False)
        connector = reader.connector(unlinked="drop")
        listing = Listing.of(connector.items())
        assert [one.external_id for one in listing.failures] == [site.url + "/hub"]
        assert site.url + "/a" in listing.items
        assert connector.existing([site.url + "/hub"]) == {site.url + "/hub"}

    def test_files_of_the_chosen_types_are_documents_and_others_are_left(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a.pdf", "/b.zip", "/c.txt"))
        site.page("/a.pdf", "", raw=b"%PDF-1.4", headers={"Content-Type": "application/pdf"})
        site.page("/b.zip", "", raw=b"PK", headers={"Content-Type": "application/zip"})
        site.page("/c.txt", "", raw=b"text", headers={"Content-Type": "text/plain; charset=utf-8"})
        assert reader.paths() == {"/", "/a.pdf"}
        assert reader.paths(media_types=["text/plain"]) == {"/c.txt"}


class TestWhatAPageSays:
    """Robots, canonical addresses, language."""

    @pytest.mark.parametrize(
        "page",
        [
            {"head": "<meta name='robots' content='noindex'>"},
            {"head": "<meta name='ROBOTS' content='NONE'>"},
            {"head": "<meta name='rag-pipelines' content='noindex'>"},
            {"headers": {"X-Robots-Tag": "noindex, nofollow"}},
            {"headers": {"X-Robots-Tag": "otherbot: nofollow, rag-pipelines: noindex"}},
        ],
    )
    def test_a_page_that_asks_not_to_be_indexed_is_not(
        self, site: WebSite, reader: Reader, page: dict[str, Any]
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG, **page)
        assert reader.paths() == {"/"}
        assert reader.connector().existing([site.url + "/a"]) == set()

    @pytest.mark.parametrize(
        "page",
        [
            {"head": "<meta name='googlebot' content='noindex'>"},
            {"headers": {"X-Robots-Tag": "otherbot: noindex"}},
            {"headers": {"X-Robots-Tag": "max-snippet:20"}},
        ],
    )
    def test_what_others_are_asked_does_not_concern_us(
        self, site: WebSite, reader: Reader, page: dict[str, Any]
    ) -> None:
        site.page("/", LONG, **page)
        assert reader.paths() == {"/"}

    def test_links_that_are_not_to_be_followed_are_not(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG + "<a rel='nofollow' href='/a'>a</a><a href='/b'>b</a>")
        site.page("/a", LONG)
        site.page("/b", links("/c"), head="<meta name='robots' content='nofollow'>")
        site.page("/c", LONG)
        assert reader.paths() == {"/", "/b"}

    def test_a_copy_is_listed_under_its_canonical_address(self, site: WebSite, reader: Reader) -> None:
        canonical = "<link rel='canonical' href='/a'>"
        site.page("/", links("/print/a", "/b?sort=up"))
        site.page("/print/a", LONG, head=canonical)
        site.page("/b?sort=up", LONG, head="<link rel='canonical' href='/b'>")
        site.page("/a", LONG, head=canonical)
        site.page("/b", LONG)
        assert reader.paths() == {"/", "/a", "/b"}

    def test_pages_that_call_each_other_canonical_are_not_lost(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG, head="<link rel='canonical' href='/b'>")
        site.page("/b", LONG, head="<link rel='canonical' href='/a'>")
        assert len(reader.paths()) == 2

    @pytest.mark.parametrize("first", ["/", "/http"])
    def test_a_canonical_address_that_leads_back_is_the_page_itself(
        self, site: WebSite, reader: Reader, first: str
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG, head="<link rel='canonical' href='/http'>")
        site.moved["/http"] = ("/a", 301)
        options = {"start": [site.url + first, site.url + "/"]}
        for _ in range(2):
            assert reader.paths(**options) == {"/", "/a"}
        site.sent.clear()
        reader.list(**options)
        assert "/" not in site.sent
        assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}

    @pytest.mark.parametrize("linked", [["/a", "/none"], ["/none", "/a"]])
    def test_a_page_whose_canonical_address_is_not_there_is_listed_itself(
        self, site: WebSite, reader: Reader, linked: list[str]
    ) -> None:
        site.page("/", links(*linked))
        site.page("/a", LONG, head="<link rel='canonical' href='/none'>")
        assert reader.paths() == {"/", "/a"}
        assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}

    def test_a_copy_of_a_page_that_cannot_be_had_is_no_deletion(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG, head="<link rel='canonical' href='/b'>")
        site.faults.script(Status(500), path="/b", times=9)
        assert set(reader.failures()) >= {"/a", "/b"}

    def test_a_copy_of_a_page_that_is_not_to_be_indexed_is_not(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG, head="<link rel='canonical' href='/b'>")
        site.page("/b", LONG, head="<meta name='robots' content='noindex'>")
        assert reader.paths() == {"/"}

    def test_a_canonical_address_elsewhere_is_not_followed(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG, head="<link rel='canonical' href='https://example.com/'>")
        assert reader.paths() == {"/"}

    def test_the_language_and_the_site_are_metadata(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG)
        (item,) = reader.list().items.values()
        assert item.metadata == {"site": site.url.removeprefix("http://"), "language": "en"}


class TestRobots:
    """robots.txt."""

    def test_what_is_not_allowed_is_not_asked_for(self, site: WebSite, reader: Reader) -> None:
        site.robots = "User-agent: *\nDisallow: /private/\n"
        site.page("/", links("/private/a", "/b"))
        site.page("/private/a", LONG)
        site.page("/b", LONG)
        assert reader.paths() == {"/", "/b"}
        assert site.requests("/private/") == []
        assert reader.paths(robots="ignore") == {"/", "/b", "/private/a"}

    def test_a_host_that_does_not_say_is_closed_for_now(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG)
        site.faults.script(Status(503), path="/robots.txt", times=9)
        listing = reader.list()
        assert not listing.is_full
        assert any(one.whole and isinstance(one.error, TransientError) for one in listing.failures)

    def test_of_rules_without_end_the_first_half_megabyte_counts(self, site: WebSite, reader: Reader) -> None:
        rules = "User-agent: *\nDisallow: /private/\n"
        last = "\nDisallow: /"  # the end of what is read falls behind this slash
        filler = "#" * (ROBOTS_BYTES - len(rules) - len(last))
        site.robots = rules + filler + last + "b/\n" + "# more\n" * 700_000
        site.page("/", links("/private/a", "/b/"))
        site.page("/private/a", LONG)
        site.page("/b/", LONG)
        assert reader.paths() == {"/", "/b/"}

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_a_host_without_rules_allows_everything(self, site: WebSite, reader: Reader, status: int) -> None:
        site.page("/", LONG)
        site.faults.script(Status(status), path="/robots.txt", times=9)
        assert reader.paths() == {"/"}


class TestRedirects:
    """Moves, for good and for now."""

    @pytest.mark.parametrize("status", [301, 308])
    def test_a_page_that_moved_for_good_is_listed_where_it_is(
        self, site: WebSite, reader: Reader, status: int
    ) -> None:
        site.page("/", links("/old"))
        site.moved["/old"] = ("/new", status)
        site.page("/new", LONG)
        listing = reader.list()
        assert listing.items[site.url + "/new"].moved_from == site.url + "/old"
        assert site.url + "/old" not in listing.items
        assert reader.connector().existing([site.url + "/old"]) == set()

    @pytest.mark.parametrize("status", [302, 303, 307])
    @pytest.mark.parametrize("linked", [["/old"], ["/old", "/now"], ["/now", "/old"]])
    def test_a_page_that_is_elsewhere_for_now_is_listed_there_and_sent_once(
        self, site: WebSite, reader: Reader, status: int, linked: list[str]
    ) -> None:
        site.page("/", links(*linked))
        site.moved["/old"] = ("/now", status)
        site.page("/now", LONG)
        listing = reader.list()
        assert set(listing.items) == {site.url + "/", site.url + "/now"}
        assert listing.items[site.url + "/now"].moved_from is None
        assert listing.failures == []
        site.sent.clear()
        assert reader.paths() == {"/", "/now"}
        assert site.sent == []

    def test_a_page_that_leads_to_another_for_now_is_kept_as_it_was(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        site.moved["/a"] = ("/now", 302)
        site.page("/now", LONG + "<p>Something else.</p>")
        for _ in range(2):
            listing = reader.list()
            assert set(listing.items) == {site.url + "/", site.url + "/now"}
            assert [(one.external_id, str(one.error)) for one in listing.failures] == [
                (site.url + "/a", f"it is for now at {site.url}/now")
            ]
            assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}
        assert reader.connector(cache_dir=None).existing([site.url + "/a"]) == {site.url + "/a"}

    def test_a_page_whose_content_is_at_another_place_for_now_is_not_kept_beside_it(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        site.moved["/a"] = ("/now", 302)
        site.page("/now", LONG)
        connector = reader.connector()
        listing = Listing.of(connector.items())
        assert (set(listing.items), listing.failures) == ({site.url + "/", site.url + "/now"}, [])
        assert connector.existing([site.url + "/a"]) == set()

    def test_a_page_that_leads_for_now_to_what_robots_may_not_read_is_kept(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.robots = "User-agent: *\nDisallow: /busy"
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        site.moved["/a"] = ("/busy", 302)
        assert set(reader.failures()) == {"/a"}
        assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}
        site.moved["/a"] = ("/busy", 301)
        assert reader.failures() == {}
        assert reader.connector().existing([site.url + "/a"]) == set()

    def test_a_page_that_leads_for_now_to_what_the_patterns_leave_out_is_kept(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list(exclude=["busy"])
        site.moved["/a"] = ("/busy", 302)
        site.page("/busy", LONG + "<p>Something else.</p>")
        assert set(reader.failures(exclude=["busy"])) == {"/a"}
        assert reader.connector(exclude=["busy"]).existing([site.url + "/a"]) == {site.url + "/a"}

    def test_a_move_out_of_the_site_is_the_end_of_a_page(self, site: WebSite, reader: Reader) -> None:
        with Server() as other:
            site.page("/", links("/old"))
            site.moved["/old"] = (other.url + "/page", 301)
            listing = reader.list()
            assert (set(listing.items), listing.failures) == ({site.url + "/"}, [])
            assert other.log == [], "another host is not asked"

    def test_a_page_that_is_out_of_the_site_for_now_is_kept(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a", "/partner"))
        site.page("/a", LONG)
        site.moved["/partner"] = ("https://partner.example.com/", 302)
        assert reader.paths() == {"/", "/a"}
        site.moved["/a"] = ("https://status.example.net/maintenance", 302)
        assert set(reader.failures()) == {"/a"}
        assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}

    def test_a_page_that_moved_is_not_asked_for_at_its_old_address_any_more(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        site.page("/", links("/b"))
        site.page("/b", LONG)
        site.moved["/a"] = ("/b", 301)
        reader.list()
        before = len(site.requests("/a"))
        reader.list()
        assert len(site.requests("/a")) == before

    def test_a_circle_of_redirects_is_a_failed_document(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.moved |= {"/a": ("/b", 301), "/b": ("/a", 301)}
        assert "redirected more than 5 times" in str(reader.failures()["/a"])

    def test_a_redirect_to_a_login_is_no_deletion(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        del site.pages["/a"]
        site.moved["/a"] = ("https://id.example.com/login?back=a", 302)
        assert isinstance(reader.failures()["/a"], ForbiddenEntityError)
        assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}


class TestWhatIsNoPage:
    """Answers with status 200 that are no page."""

    def test_a_page_that_says_that_it_is_not_there_is_no_document_and_no_deletion(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a", "/b"))
        site.page("/a", LONG)
        site.soft = True
        failures = reader.failures()
        assert set(failures) == {"/b"}
        assert "says in words that there is no such page" in str(failures["/b"])

    def test_a_long_page_about_errors_is_a_page(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG + "<h1>404: what a page not found means</h1>")
        assert reader.paths() == {"/"}

    def test_a_login_in_place_of_a_page_is_no_deletion(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", "", raw=LOGIN_PAGE.encode())
        assert isinstance(reader.failures()["/a"], ForbiddenEntityError)

    def test_a_page_that_is_empty_without_scripts_is_said_to_be(self, site: WebSite, reader: Reader) -> None:
        raw = b"<html><head><script src='app.js'></script></head><body><div id='root'></div></body></html>"
        site.page("/", links("/app"))
        site.page("/app", "", raw=raw)
        error = reader.failures()["/app"]
        assert isinstance(error, UnsupportedDocumentError)
        assert "nothing without scripts" in str(error)

    @pytest.mark.parametrize("page", [{"status": 204, "raw": b""}, {"raw": b""}])
    def test_an_answer_without_content_is_no_page_and_no_deletion(
        self, site: WebSite, reader: Reader, page: dict[str, Any]
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", "", **page)
        assert "with nothing in it" in str(reader.failures()["/a"])
        assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}

    @pytest.mark.parametrize("words", ["We will be back soon!", "Wegen Wartungsarbeiten geschlossen"])
    def test_a_site_that_is_closed_for_now_keeps_its_pages(
        self, site: WebSite, reader: Reader, words: str
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        site.page("/closed", f"<p>{words}</p>")
        site.moved["/a"] = ("/closed", 302)
        assert "closed for now" in str(reader.failures()["/a"])
        assert "/a" not in reader.paths()
        assert reader.connector().existing([site.url + "/a"]) == {site.url + "/a"}

    @pytest.mark.parametrize("words", ["Page not found.", "We are back soon.", LOGIN_PAGE])
    def test_what_is_shown_in_place_of_a_page_leaves_the_links_it_had(
        self, site: WebSite, reader: Reader, words: str
    ) -> None:
        site.page("/", links("/hub"))
        site.page("/hub", links("/a"))
        site.page("/a", LONG)
        reader.list(unlinked="drop")
        site.page("/hub", "", raw=words.encode())
        for _ in range(2):
            listing = reader.list(unlinked="drop")
            assert site.url + "/a" in listing.items
            assert [one.external_id for one in listing.failures] == [site.url + "/hub"]

    def test_unchanged_is_no_answer_to_who_knows_nothing(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.faults.script(Status(304), path="/a", times=9)
        assert "304" in str(reader.failures()["/a"])

    def test_a_page_that_wants_a_login_costs_itself_only(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/admin", "/a"))
        site.page("/a", LONG)
        site.faults.script(Status(401), path="/admin", times=9)
        listing = reader.list()
        assert set(listing.items) == {site.url + "/", site.url + "/a"}
        assert isinstance(listing.failures[0].error, ForbiddenEntityError)

    def test_times_that_are_none_are_left_out(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG, headers={"Last-Modified": "1 Jan 99999999999999999999 00:00:00"})
        assert reader.list().items[site.url + "/"].modified_at is None

    def test_a_page_that_cannot_be_had_keeps_the_links_it_had(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/hub"))
        site.page("/hub", links("/a"))
        site.page("/a", LONG)
        assert reader.list(unlinked="drop").is_full
        site.faults.script(Status(500), path="/hub", times=9)
        listing = reader.list(unlinked="drop")
        assert site.url + "/a" in listing.items
        assert listing.is_full
        assert [one.external_id for one in listing.failures] == [site.url + "/hub"]

    def test_one_that_was_never_read_may_hide_what_it_links(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/hub"))
        site.page("/hub", LONG)
        site.faults.script(Status(500), path="/hub", times=9)
        assert not reader.list().is_full

    def test_one_that_is_refused_leads_nowhere_and_hides_nothing(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/hub"))
        site.faults.script(Status(403), path="/hub", times=9)
        listing = reader.list()
        assert listing.is_full
        assert isinstance(listing.failures[0].error, ForbiddenEntityError)


class TestTokens:
    """What counts as a change, and what is sent again."""

    def test_an_unchanged_page_is_not_sent_again(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        before = reader.list().tokens()
        site.sent.clear()
        assert reader.list().tokens() == before
        assert site.sent == []

    @pytest.mark.parametrize(
        "page",
        [
            {"head": "<meta name='robots' content='noindex'>"},
            {"headers": {"X-Robots-Tag": "noindex"}},
            {"head": "<link rel='canonical' href='/b'>"},
        ],
    )
    def test_what_is_no_document_is_not_sent_again_either(
        self, site: WebSite, reader: Reader, page: dict[str, Any]
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", links("/b"), **page)
        site.page("/b", LONG)
        before = reader.list().tokens()
        site.sent.clear()
        for _ in range(2):
            assert reader.list().tokens() == before
        assert site.sent == []
        site.faults.script(Status(500), path="/a", times=9)
        assert reader.list().is_full
        assert "/b" in reader.paths(), "the links that it had are known"

    def test_a_change_around_the_content_is_none(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG, around="<p>Served at 10:01</p>")
        before = reader.list().tokens()
        site.page("/", LONG, around="<p>Served at 10:02</p>")
        assert reader.list().tokens() == before

    def test_a_change_of_the_content_is_one(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG)
        before = reader.list().tokens()
        site.page("/", LONG + "<p>More.</p>")
        assert reader.list().tokens() != before

    def test_a_site_without_validators_is_compared_by_content(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG, validators=False)
        assert reader.list().tokens() == reader.list().tokens()
        assert site.sent == ["/", "/"]

    def test_without_its_cache_the_tokens_are_the_same(
        self, site: WebSite, reader: Reader, tmp_path: Path
    ) -> None:
        site.page("/", LONG)
        before = reader.list().tokens()
        assert reader.list(cache_dir=str(tmp_path / "other")).tokens() == before

    def test_what_was_listed_is_what_is_loaded(self, site: WebSite, reader: Reader) -> None:
        site.page("/", LONG)
        (item,) = reader.list().items.values()
        site.page("/", "<p>Something else.</p>")
        assert b"something to say" in item.load()


class TestCache:
    """A cache that is of no use costs requests."""

    @pytest.mark.parametrize("content", [b"no database at all, but a text of some length", None])
    def test_a_damaged_file_is_begun_anew(
        self, site: WebSite, reader: Reader, tmp_path: Path, content: bytes | None
    ) -> None:
        site.page("/", LONG)
        before = reader.list().tokens()
        reader.close()
        (file,) = (tmp_path / "cache").glob("*.sqlite")
        if content is None:
            with closing(sqlite3.connect(file)) as database:
                database.executescript("DROP TABLE page; CREATE TABLE page (address TEXT)")
        else:
            file.write_bytes(content)
        assert reader.list().tokens() == before
        site.sent.clear()
        assert reader.list().tokens() == before
        assert site.sent == []

    def test_records_of_another_version_are_read_anew(
        self, site: WebSite, reader: Reader, tmp_path: Path
    ) -> None:
        site.page("/", LONG)
        before = reader.list().tokens()
        reader.close()
        (file,) = (tmp_path / "cache").glob("*.sqlite")
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE page SET record = ?, body = ?", (b"\xc1", b"odd"))
        assert reader.list().tokens() == before

    def test_a_body_that_cannot_be_unpacked_is_asked_for(
        self, site: WebSite, reader: Reader, tmp_path: Path
    ) -> None:
        site.page("/", LONG)
        reader.list()
        (file,) = (tmp_path / "cache").glob("*.sqlite")
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE page SET body = ?", (b"odd",))
        assert b"something to say" in reader.list().items[site.url + "/"].load()

    def test_a_file_that_cannot_be_opened_says_which(
        self, site: WebSite, reader: Reader, tmp_path: Path
    ) -> None:
        (tmp_path / "cache" / "docs.sqlite").mkdir(parents=True)
        with pytest.raises(TransientError, match=r"docs\.sqlite cannot be used"):
            reader.list()

    def test_pages_that_are_read_for_their_links_only_are_not_sent_again(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a.pdf"))
        site.page("/a.pdf", "", raw=b"%PDF-1.4", headers={"Content-Type": "application/pdf"})
        assert reader.paths(media_types=["application/pdf"]) == {"/a.pdf"}
        site.sent.clear()
        assert reader.paths(media_types=["application/pdf"]) == {"/a.pdf"}
        assert site.sent == []


class TestGoing:
    """What becomes of pages that are not there, or not linked, any more."""

    def test_a_page_that_nothing_links_stays_as_long_as_it_answers(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        site.page("/", LONG)
        assert reader.paths() == {"/", "/a"}
        assert reader.paths(unlinked="drop") == {"/"}

    def test_what_nothing_leads_to_does_not_exist_where_it_is_to_be_dropped(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/a"))
        unlinked = site.page("/b", LONG)
        connector = reader.connector(unlinked="drop")
        Listing.of(connector.items())
        assert connector.existing([unlinked, site.url + "/a"]) == set()
        site.page("/a", LONG)
        assert connector.existing([unlinked, site.url + "/a"]) == {site.url + "/a"}

    def test_what_was_found_at_the_second_look_is_looked_at_by_the_next_pass(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", LONG)
        unlinked = site.page("/b", LONG)
        connector = reader.connector()
        Listing.of(connector.items())
        assert connector.existing([unlinked]) == {unlinked}
        assert reader.paths() == {"/", "/b"}

    def test_what_a_page_that_is_gone_had_linked_is_looked_at_once_more(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", links("/hub"))
        site.page("/hub", links("/a"))
        site.page("/a", LONG)
        reader.list(unlinked="drop")
        del site.pages["/hub"]
        assert reader.paths(unlinked="drop") == {"/", "/a"}
        assert reader.paths(unlinked="drop") == {"/"}

    @pytest.mark.parametrize("moved", [None, ("https://elsewhere.example.com/", 301)])
    @pytest.mark.parametrize("unlinked", ["keep", "drop"])
    def test_a_start_page_that_is_gone_makes_the_listing_incomplete(
        self, site: WebSite, reader: Reader, moved: tuple[str, int] | None, unlinked: str
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        del site.pages["/"]
        if moved:
            site.moved["/"] = moved
        assert not reader.list(unlinked=unlinked).is_full

    @pytest.mark.parametrize("status", [404, 410])
    def test_a_page_that_is_gone_is_not_listed_and_does_not_exist(
        self, site: WebSite, reader: Reader, status: int
    ) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        reader.list()
        site.faults.script(Status(status), path="/a", times=9)
        listing = reader.list()
        assert (set(listing.items), listing.is_full) == ({site.url + "/"}, True)
        assert reader.connector().existing([site.url + "/a"]) == set()

    def test_it_may_be_back_at_the_second_look(self, site: WebSite, reader: Reader) -> None:
        site.page("/", links("/a"))
        site.page("/a", LONG)
        site.faults.script(Status(404), path="/a")
        connector = reader.connector()
        assert site.url + "/a" not in Listing.of(connector.items()).items
        assert connector.existing([site.url + "/a"]) == {site.url + "/a"}

    def test_a_site_of_which_nothing_can_be_read_is_a_source_that_failed(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.faults.script(Status(403), times=9)
        whole = [one for one in reader.list(robots="ignore").failures if one.whole]
        assert isinstance(whole[0].error, UnlistableError)


class TestSitemaps:
    """Sitemaps in all their forms."""

    def test_an_index_of_packed_and_plain_sitemaps_and_of_lines(self, site: WebSite, reader: Reader) -> None:
        urls = [site.page(f"/p{n}", LONG) for n in range(6)]
        lines = "\ufeff" + "\n".join(urls[4:]) + "\n"
        site.pages["/lines.txt"] = site.pages["/p0"].__class__("", raw=lines.encode())
        index = site.sitemap(
            "/index.xml",
            [
                site.sitemap("/one.xml", urls[:2]),
                site.sitemap("/two.xml.gz", urls[2:4], packed=True),
                site.url + "/lines.txt",
            ],
            index=True,
        )
        assert reader.paths(start=[], sitemaps=[index]) == {f"/p{n}" for n in range(6)}

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_a_byte_order_mark_is_no_content(self, site: WebSite, reader: Reader, encoding: str) -> None:
        url = site.page("/a", LONG)
        site.page("/s.xml", "", raw=f"<urlset><url><loc>{url}</loc></url></urlset>".encode(encoding))
        assert reader.paths(start=[], sitemaps=[site.url + "/s.xml"]) == {"/a"}

    def test_one_that_lists_itself_ends_and_may_be_larger_than_a_page(
        self, site: WebSite, reader: Reader
    ) -> None:
        url = site.page("/a", LONG)
        leaf = site.sitemap("/leaf.xml", [url, *(f"https://example.com/{n}" for n in range(2_000))])
        index = site.sitemap("/s.xml", [site.url + "/s.xml", leaf], index=True)
        assert reader.paths(start=[], sitemaps=[index], max_bytes=10_000) == {"/a"}

    def test_no_more_of_them_are_read_than_pages_may_be(self, site: WebSite, reader: Reader) -> None:
        maps = [
            site.sitemap(f"/s{n}.xml", [site.page(f"/p{n}-{k}", LONG) for k in range(4)]) for n in range(9)
        ]
        index = site.sitemap("/index.xml", maps, index=True)
        listing = reader.list(start=[], sitemaps=[index], max_pages=6)
        assert not listing.is_full
        assert "max_pages = 6" in str(listing.failures[0].error)
        assert len(site.requests(r"/s\d")) == 2

    def test_their_pages_are_not_followed(self, site: WebSite, reader: Reader) -> None:
        site.page("/b", LONG)
        index = site.sitemap("/s.xml", [site.page("/a", links("/b"))])
        assert reader.paths(start=[], sitemaps=[index]) == {"/a"}

    @pytest.mark.parametrize(
        ("raw", "error"),
        [
            (b"<urlset><url><loc>http://x/", CorruptDocumentError),
            (b"hello", CorruptDocumentError),
            (b"<html><body>No such page</body></html>", CorruptDocumentError),
            (b"\x1f\x8b\x08broken", CorruptDocumentError),
        ],
    )
    def test_one_that_cannot_be_read_makes_the_listing_incomplete(
        self, site: WebSite, reader: Reader, raw: bytes, error: type[Exception]
    ) -> None:
        site.page("/s.xml", "", raw=raw)
        site.page("/", LONG)
        listing = reader.list(sitemaps=[site.url + "/s.xml"])
        assert not listing.is_full
        assert isinstance(listing.failures[0].error, error)

    def test_addresses_of_other_hosts_in_them_are_left(self, site: WebSite, reader: Reader) -> None:
        index = site.sitemap("/s.xml", [site.page("/a", LONG), "https://example.com/x"])
        assert reader.paths(start=[], sitemaps=[index]) == {"/a"}


class TestGuard:
    """Where the reader may go."""

    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
            "::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::",
            "224.0.0.1",
        ],
    )  # fmt: skip
    def test_private_addresses_are_told_in_every_form(self, address: str) -> None:
        assert not is_public(address)

    @pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
    def test_public_addresses_are_public(self, address: str) -> None:
        assert is_public(address)

    def test_a_private_host_is_not_read_unless_the_options_say_so(
        self, site: WebSite, reader: Reader
    ) -> None:
        site.page("/", LONG)
        error = reader.failures(private_addresses=False)["/"]
        assert "not a public address" in str(error)
        assert "private_addresses: true" in str(error)
        assert site.log == [], "no request was sent"


def test_a_large_page_is_a_failed_document(site: WebSite, reader: Reader) -> None:
    site.page("/", links("/a"))
    site.page("/a", LONG * 100)
    assert isinstance(reader.failures(max_bytes=20_000)["/a"], TooLargeDocumentError)


def test_the_check_says_what_it_found(site: WebSite, reader: Reader) -> None:
    site.page("/", links("/a"))
    index = site.sitemap("/s.xml", [site.url + "/a"])
    findings = reader.connector(sitemaps=[index, site.url + "/none.xml"]).check()
    assert [finding.ok for finding in findings] == [True, False, True]
    assert "names 1 pages" in findings[0].detail
    assert "2 links" in findings[2].detail


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "nothing says where the site begins"),
        ({"start": ["docs.example.com"]}, "not an address like https://"),
        ({"start": ["https://ann:pw@docs.example.com/"]}, "not an address like https://"),
        ({"start": ["https://docs.example.com/"], "exclude": ["!x"]}, "not a path pattern"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_connector("docs", "web", options)


@pytest.mark.parametrize(
    ("url", "one"),
    [
        ("HTTPS://Docs.Example.com:443/a/../b?b=2&a=1#x", "https://docs.example.com/b?a=1&b=2"),
        ("https://h.example/a b", "https://h.example/a%20b"),
        ("https://h.example/%7Eann", "https://h.example/~ann"),
        ("https://h.example?utm_source=x&page=2", "https://h.example/?page=2"),
        ("https://h.example/a;JSESSIONID=0F/b;v=1?PHPSESSID=x&id=2", "https://h.example/a/b;v=1?id=2"),
        ("https://h.example:8443/", "https://h.example:8443/"),
        ("http://[FD00::1]:8080/a", "http://[fd00::1]:8080/a"),
        ("https://[fd00::1]:443/a", "https://[fd00::1]/a"),
        ("https://Bücher.example/", "https://xn--bcher-kva.example/"),
        ("mailto:ann@h.example", None),
        ("https://[broken", None),
        ("https://h.example/" + "x" * 3_000, None),
    ],
)
def test_every_address_has_one_form(url: str, one: str | None) -> None:
    assert normalise(url) == one


def test_what_a_listing_yields_ends_with_its_count(site: WebSite, reader: Reader) -> None:
    site.page("/", links("/a", "/none"))
    site.page("/a", LONG)
    entries = list(reader.connector().items())
    assert isinstance(entries[-1], Complete)
    assert entries[-1].count == sum(isinstance(one, Item) for one in entries)
    assert not any(isinstance(one, Failure) for one in entries)


@pytest.mark.parametrize(("corpus", "at_least"), [("unstructured-docs", 13), ("feedbackqa", 265)])
def test_every_page_of_a_real_tree_is_found_and_is_what_it_was(
    site: WebSite, reader: Reader, data_set: Callable[[str], Path], corpus: str, at_least: int
) -> None:
    root = data_set(corpus)
    files = {"/" + quote(file.relative_to(root).as_posix()): file for file in sorted(root.rglob("*.htm*"))}
    site.page("/", links(*files))
    for path, file in files.items():
        site.page(unquote(path), "", raw=file.read_bytes(), headers={"Content-Type": "text/html"})
    listing = reader.list(depth=1)
    listed = {one.removeprefix(site.url) for one in listing.items}
    failed = {(one.external_id or "").removeprefix(site.url): str(one.error) for one in listing.failures}
    said_elsewhere = files.keys() - listed - failed.keys()
    assert len(files) >= at_least
    assert listing.is_full
    assert len(listed) + len(failed) + len(said_elsewhere) == len(files) + 1
    for path in listed - {"/"}:
        assert listing.items[site.url + path].load() == files[path].read_bytes()
    assert {path: why for path, why in failed.items() if "scripts" not in why} == {}
    for path in said_elsewhere:
        assert re.search(rb"noindex|rel=[\"']?canonical", files[path].read_bytes(), re.IGNORECASE), path
