"""The web connector: what the contract of a connector asks for, put together from the parts beside it.

What belongs here: listing, looking up, the check. What does not: the pass over a site (`crawl`).

The external id is the canonical address of a page. The token is that of its content: a page whose banner or
footer changed keeps it. There is no change feed: every run goes over the site, and asks for each page only if
it changed. A page that nothing links any more stays as long as it answers (`unlinked`); one that is not found
is asked for a second time before it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from rag_pipelines.connectors.ahead import read_ahead
from rag_pipelines.connectors.base import Capabilities, Complete, Connector, Entry, Failure, Finding, Window
from rag_pipelines.connectors.tally import Tally
from rag_pipelines.connectors.web.addresses import Scope
from rag_pipelines.connectors.web.cache import PageCache
from rag_pipelines.connectors.web.crawl import Crawl
from rag_pipelines.connectors.web.known import canonical_of, facts_of_answer
from rag_pipelines.connectors.web.options import PAGES, WebOptions
from rag_pipelines.connectors.web.pages import PageFacts, facts_of
from rag_pipelines.connectors.web.reader import Answer, PageReader
from rag_pipelines.connectors.web.sitemaps import read_sitemap
from rag_pipelines.errors import (
    CredentialError,
    GoneError,
    MissingEntityError,
    RagError,
    TransientError,
    UnlistableError,
)
from rag_pipelines.fingerprint import sha256


class WebConnector(Connector):
    """Lists the pages of a site that sitemaps and links lead to."""

    kind = "web"
    capabilities = Capabilities(lookup=True, moves=True)
    options_type = WebOptions
    options: WebOptions

    _crawl: Crawl | None = None

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        crawl = self._crawl = Crawl(self.options, Scope(self.options), self._reader, self._cache)
        tally = Tally()
        failures: list[Failure] = []
        listed = False
        for entry in crawl.entries():
            if isinstance(entry, Failure):
                failures.append(entry)
            elif not window.holds(entry.modified_at):
                continue
            else:
                listed = True
            tally.add(entry)
            yield entry
        if failures and not listed and not window:
            first = failures[0]
            error = UnlistableError(
                f"no page could be read; {first.entity or first.external_id}: {first.error}"
            )
            passing = isinstance(first.error, TransientError)
            nothing = Failure(error=first.error if passing else error, entity=self.source, whole=True)
            tally.add(nothing)
            yield nothing
        if tally.whole and not window:
            crawl.forget_the_gone()
        yield Complete(tally.count, full=tally.whole and not window)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Each is asked for: it is gone where the site says so, or sends us to another page instead.

        With ``unlinked: drop`` it is gone too where nothing led to it.
        """
        scope, crawl = Scope(self.options), self._crawl
        if crawl is not None and self.options.unlinked == "drop":
            ids = [url for url in ids if crawl.reached(url)]
        answers = read_ahead(lambda url: self._is_there(url, scope), ids, self.options.concurrent_loads)
        return {url for url, there in zip(ids, answers, strict=True) if there}

    def check(self) -> list[Finding]:
        findings = []
        for url in self.options.sitemaps:
            try:
                found = read_sitemap(self._reader.read(url).body)
                named = f"{len(found.pages):,} pages and {len(found.sitemaps):,} further sitemaps"
                findings.append(
                    Finding("sitemap", bool(found.pages or found.sitemaps), f"{url} names {named}")
                )
            except RagError as error:
                findings.append(Finding("sitemap", False, f"{url}: {error}"))
        for url in self.options.start:
            try:
                answer = self._reader.read(url)
                facts = facts_of(answer.body, answer.headers, self.options.user_agent)
                detail = f"{url} has {facts.words:,} words and {len(facts.links):,} links"
                findings.append(Finding("start", answer.media_type in PAGES, detail))
            except RagError as error:
                findings.append(Finding("start", False, f"{url}: {error}"))
        return findings

    def close(self) -> None:
        for part in ("_reader", "_cache"):
            if part in vars(self):
                getattr(self, part).close()

    def _is_there(self, url: str, scope: Scope) -> bool:
        if scope.place(url) != url:
            return False
        try:
            answer = self._reader.read(url)
            if answer.passing:
                return self._is_away(url, answer)
            if answer.moved or not self._is_wanted(url, answer):
                return False
            facts = facts_of_answer(answer, self.options.user_agent)
            if not facts.indexed or self._is_copy(scope, url, facts):
                return False
            if self._crawl is not None:
                self._crawl.keep(answer)
        except (MissingEntityError, GoneError):
            return False
        except CredentialError:
            raise
        except TransientError as error:
            raise TransientError(f"whether {url} still exists cannot be asked: {error}") from error
        except RagError:
            return True
        return True

    def _is_away(self, url: str, answer: Answer) -> bool:
        """Whether a page stays that leads to another one for now: not if that is what was listed as it."""
        known = self._cache.record(url)
        if known is None:
            return self._crawl is None or url not in self._crawl.gone
        return known.digest != sha256(answer.body)

    def _is_wanted(self, url: str, answer: Answer) -> bool:
        """Whether an answer is of a wanted type; one that was, and is declared as another, is kept."""
        wanted = self.options.media_types
        if answer.media_type in wanted:
            return True
        known = self._cache.record(url)
        return answer.media_type not in PAGES if known is None else known.media_type in wanted

    def _is_copy(self, scope: Scope, url: str, facts: PageFacts) -> bool:
        """Whether the page says that it is a copy of another one, and that is there."""
        other = canonical_of(scope, url, facts)
        if other is None:
            return False
        try:
            return self._reader.read(other).url != url
        except (MissingEntityError, GoneError):
            return False

    @cached_property
    def _reader(self) -> PageReader:
        return PageReader(self.options, Scope(self.options))

    @cached_property
    def _cache(self) -> PageCache:
        return PageCache(self.options.cache_dir, self.source)
