"""Pages that are not asked for, because their sitemap is trusted to say when they change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from rag_pipelines.connectors.web import known
from rag_pipelines.connectors.web.options import WebOptions
from rag_pipelines_tests.connectors.test_web import LONG, Reader
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.web_site import WebSite

NOON = datetime(2024, 6, 10, 12, tzinfo=UTC)


class Trusting(Reader):
    """A source that trusts the sitemap of a site for a week, at a time of its own."""

    def __init__(self, site: WebSite, folder: Path) -> None:
        super().__init__(site, folder)
        self.now = NOON
        self.tell("2024-06-01")
        self.options |= {"start": [], "sitemaps": [site.url + "/sitemap.xml"], "trust_lastmod": 7}

    def tell(self, lastmod: str | None) -> None:
        """Write the sitemap anew."""
        self.site.sitemap("/sitemap.xml", [self.site.url + one for one in ("/a", "/b")], lastmod=lastmod)

    def asked(self) -> set[str]:
        """The pages that one listing asks for."""
        before = len(self.site.log)
        assert self.paths() == {"/a", "/b"}
        return {one.path for one in self.site.log[before:]} - {"/robots.txt", "/sitemap.xml"}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trusting]:
    with WebSite() as site:
        site.page("/a", LONG)
        site.page("/b", LONG + "<p>b</p>")
        reader = Trusting(site, tmp_path)
        monkeypatch.setattr(known, "now", lambda: reader.now)
        yield reader
        reader.close()


def test_a_page_whose_lastmod_stands_is_listed_without_being_asked_for(reader: Trusting) -> None:
    assert reader.asked() == {"/a", "/b"}
    first = reader.list()
    assert reader.asked() == set()
    again = reader.list()
    assert again.tokens() == first.tokens()
    assert again.is_full


def test_without_the_option_every_page_is_asked_for(reader: Trusting) -> None:
    reader.options["trust_lastmod"] = 0
    assert reader.asked() == {"/a", "/b"}
    assert reader.asked() == {"/a", "/b"}


def test_a_page_is_asked_for_again_when_its_lastmod_changes(reader: Trusting) -> None:
    reader.asked()
    before = reader.list().tokens()
    reader.site.page("/a", LONG + "<p>more</p>")
    reader.tell("2024-06-05")
    assert reader.asked() == {"/a", "/b"}
    assert reader.list().tokens() != before


@pytest.mark.parametrize("told", [None, "2024-06-09", "2024-06-10T11:00:00Z", "2025-01-01", "yesterday"])
def test_a_lastmod_that_may_still_cover_a_later_change_is_no_word_to_trust(
    reader: Trusting, told: str | None
) -> None:
    """A day without its hour holds every change of that day; a sitemap may be written before the page is."""
    reader.tell(told)
    assert reader.asked() == {"/a", "/b"}
    assert reader.asked() == {"/a", "/b"}


def test_a_page_that_was_changed_lately_is_trusted_from_the_next_answer_on(reader: Trusting) -> None:
    reader.tell("2024-06-10")
    reader.asked()
    reader.now += timedelta(days=3)
    assert reader.asked() == {"/a", "/b"}
    assert reader.asked() == set()


def test_every_page_is_asked_for_when_its_time_is_over(reader: Trusting) -> None:
    reader.asked()
    reader.now += timedelta(days=6)
    assert reader.asked() == set()
    reader.now += timedelta(days=1)
    assert reader.asked() == {"/a", "/b"}
    assert reader.asked() == set()


def test_a_page_that_failed_is_asked_for_the_next_time(reader: Trusting) -> None:
    reader.asked()
    reader.now += timedelta(days=7)
    reader.site.faults.script(Status(503), path="/a", times=9)
    assert set(reader.failures()) == {"/a"}
    reader.site.faults.clear()
    assert reader.asked() == {"/a"}


def test_a_page_that_robots_may_not_read_any_more_is_not_listed(reader: Trusting) -> None:
    reader.asked()
    reader.site.robots = "User-agent: *\nDisallow: /a"
    assert reader.paths() == {"/b"}


def test_what_it_needs_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="trust_lastmod needs sitemaps"):
        WebOptions(start=("https://docs.example.com/",), trust_lastmod=1, cache_dir=tmp_path)
