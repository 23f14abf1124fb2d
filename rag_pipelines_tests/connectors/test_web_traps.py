"""One site with every trap that a crawler meets, read in two passes.

What belongs here: that each trap comes to what `web_traps` says. What does not: single rules of the
connector, each with its neighbours (`test_web`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.connectors.web import guard
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.html.parse import parse
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.web_traps import MOST, PRIVATE, TRAPS, Trap, build
from rag_pipelines_tests.doubles.web_site import WebSite


@dataclass
class Pass:
    """What one pass over the site gave, by path."""

    site: WebSite
    listing: Listing
    asked: list[str]
    sent: list[str]

    @property
    def documents(self) -> set[str]:
        return {one.removeprefix(self.site.url) for one in self.listing.items}

    @property
    def failed(self) -> dict[str, str]:
        return {
            (one.external_id or one.entity or "").replace(self.site.url, ""): str(one.error)
            for one in self.listing.failures
        }


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pass]]:
    """Two passes over the site, which does not change."""
    folder = tmp_path_factory.mktemp("web")
    with WebSite() as site, pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "is_public", lambda address: address == "127.0.0.1")
        build(site)
        options = {
            "start": [site.url + "/"],
            "sitemaps": [site.url + "/sitemap.xml"],
            "hosts": [site.url.replace("127.0.0.1", PRIVATE).removeprefix("http://")],
            "max_bytes": MOST,
            "max_variants": 5,
            "retries": 1,
            "retry_delay": 0.01,
            "cache_dir": str(folder),
        }
        found = []
        for _ in range(2):
            connector = make_connector("docs", "web", options)
            listing = Listing.of(connector.items(), connector)
            contents = {url: item.load() for url, item in listing.items.items()}
            assert all(contents.values())
            asked = [f"{one.path}?{one.query}" if one.query else one.path for one in site.log]
            found.append(Pass(site, listing, asked, list(site.sent)))
            connector.close()
            site.log.clear()
            site.sent.clear()
        yield found


@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("one", TRAPS, ids=lambda one: one.name)
def test_every_trap_comes_to_what_it_should(passes: list[Pass], one: Trap, which: int) -> None:
    found = passes[which]
    assert one.documents <= found.documents
    for path, words in one.failed.items():
        assert words in found.failed[path]
    assert not one.unasked & set(found.asked)


@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
def test_nothing_else_is_listed_and_nothing_else_failed(passes: list[Pass], which: int) -> None:
    assert passes[which].documents == {"/"}.union(*(one.documents for one in TRAPS))
    assert passes[which].failed.keys() == set().union(*(one.failed for one in TRAPS))


def test_every_document_is_what_the_site_sent(passes: list[Pass]) -> None:
    first = passes[0]
    for url, item in first.listing.items.items():
        assert item.url == url
    latin = first.listing.items[first.site.url + "/latin"]
    document = parse(ParseRequest(first.site.pages["/latin"].render(), declared_type=latin.media_type))
    assert "Straße" in document.text


def test_in_a_second_pass_only_what_was_no_page_is_sent(passes: list[Pass]) -> None:
    first, second = passes
    assert second.listing.tokens() == first.listing.tokens()
    expected = {path for one in TRAPS for path in one.failed}
    assert {path for path in second.sent if not path.endswith((".xml", ".gz"))} <= expected | {"/notes"}
