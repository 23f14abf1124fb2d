"""One pass over a site: sitemaps, links, and what was known before and is linked no more.

What belongs here: which address is read next, and what becomes of each answer. What does not: reading
(`reader`), judging a page (`pages`), what an answer adds to what was known (`known`), the contract
(`connector`).

An address that fails for now hides the pages that only it links, unless its links of last time are known;
one that is refused for good is a failed document and leads nowhere. The id of a document is its canonical
address.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import datetime
from functools import partial
from typing import NamedTuple

from rag_pipelines import logs
from rag_pipelines.connectors.base import Failure, Item
from rag_pipelines.connectors.web.addresses import Scope
from rag_pipelines.connectors.web.cache import PageCache
from rag_pipelines.connectors.web.known import KnownPages, base_of, canonical_of
from rag_pipelines.connectors.web.options import WebOptions
from rag_pipelines.connectors.web.pages import PageFacts
from rag_pipelines.connectors.web.reader import Answer, AwayError, PageReader
from rag_pipelines.connectors.web.sitemaps import MAX_BYTES, read_sitemap
from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    GoneError,
    MissingEntityError,
    RagError,
    TransientError,
    UnsupportedDocumentError,
    UsageError,
)

log = logs.get(__name__)

NESTED = 5
"""Indexes of sitemaps from the configured one down to a sitemap; the protocol wants one."""


class Visit(NamedTuple):
    """An address to read: how many links may follow from there, and what a sitemap claims of its time."""

    url: str
    depth: int
    modified_at: datetime | None = None


class Crawl:
    """One pass. `gone` holds the addresses that the site said are not there."""

    def __init__(self, options: WebOptions, scope: Scope, reader: PageReader, cache: PageCache) -> None:
        self._options = options
        self._scope = scope
        self._reader = reader
        self._known = KnownPages(options, scope, reader, cache)
        self._ahead: deque[Visit] = deque()
        self._seen: set[str] = set()
        self._documents: set[str] = set()
        self._canonical: dict[str, str] = {}
        self._copies: dict[str, Visit] = {}
        self._failed: dict[str, RagError] = {}
        self._unindexed: set[str] = set()
        self._begins: set[str] = set()
        self.gone: set[str] = set()

    def entries(self) -> Iterator[Item | Failure]:
        """Documents and failures, as they are read."""
        yield from self._read_sitemaps()
        for url in self._options.start:
            place = self._scope.place(url)
            if place is None:
                left_out = UsageError("a page to start from must pass include and exclude itself")
                yield Failure(error=left_out, entity=url)
                continue
            self._begins.add(place)
            self._plan(Visit(place, self._options.depth))
        yield from self._visit_all()
        if self._options.unlinked == "keep":
            for url in self._known.urls():
                if self._scope.place(url) == url:
                    self._plan(Visit(url, 0))
            yield from self._visit_all()
        yield from self._settle_copies()
        for path in sorted(self._scope.endless):
            most = self._options.max_variants
            error = FetchError(f"more than max_variants = {most:,} addresses differ behind '?'")
            yield Failure(error=error, entity=path, hides_documents=False)

    def reached(self, url: str) -> bool:
        """Whether a sitemap or a link led to `url`, or to what is listed in its place."""
        return url in self._seen

    def keep(self, answer: Answer) -> None:
        """Know a page that no sitemap and no link led to, so that the next pass looks at it.

        Raises what `why_no_page` says.
        """
        self._known.take(answer)

    def forget_the_gone(self) -> None:
        """After a pass that saw everything: keep nothing of what is not there any more."""
        for url in list(self._known.urls()):
            if url not in self._documents and url not in self._seen:
                self._known.drop(url)
        for url in self.gone - self._documents:
            self._known.drop(url)

    def _read_sitemaps(self) -> Iterator[Failure]:
        ahead = deque((url, 0) for url in self._options.sitemaps)
        read: set[str] = set()
        most = self._options.max_pages
        while ahead:
            url, above = ahead.popleft()
            if url in read:
                continue
            read.add(url)
            if above > NESTED:
                nested = UsageError(
                    f"it is named by an index in an index, {above} of them; {NESTED} are read"
                )
                yield Failure(error=nested, entity=url)
                continue
            if len(self._seen) > most:
                many = FetchError(f"sitemaps name more than max_pages = {most:,}; the others are not read")
                yield Failure(error=many, entity="sitemaps above max_pages")
                return
            try:
                found = read_sitemap(self._reader.read(url, max_bytes=MAX_BYTES).body)
            except CredentialError:
                raise
            except RagError as error:
                yield Failure(error=error, entity=url)
                continue
            ahead.extend((one, above + 1) for one in found.sitemaps)
            for one in found.pages:
                place = self._scope.place(one.url)
                if place is not None:
                    self._plan(Visit(place, 0, one.modified_at))

    def _plan(self, visit: Visit) -> None:
        if visit.url not in self._seen and self._scope.allows_variant(visit.url):
            self._seen.add(visit.url)
            self._ahead.append(visit)

    def _visit_all(self) -> Iterator[Item | Failure]:
        at_once = self._options.concurrent_loads
        under_way: dict[Future[Answer], Visit] = {}
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="crawl")
        try:
            while self._ahead or under_way:
                while self._ahead and len(under_way) < at_once:
                    if len(self._documents) + len(under_way) >= self._options.max_pages:
                        waiting = len(self._ahead)
                        self._ahead.clear()
                        most = self._options.max_pages
                        error = FetchError(f"max_pages = {most:,} are read, and {waiting:,} known ones wait")
                        yield Failure(error=error, entity="pages above max_pages")
                        break
                    visit = self._ahead.popleft()
                    task = partial(self._read, visit)
                    under_way[pool.submit(copy_context().run, task)] = visit
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from self._take(under_way.pop(future), future)
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, visit: Visit) -> Answer:
        """What is at an address; it is not asked where its sitemap is trusted. Runs in threads."""
        if self._known.need_not_ask(visit.url, visit.modified_at):
            return self._reader.unasked(visit.url)
        return self._reader.read(visit.url, self._known.conditions)

    def _take(self, visit: Visit, future: Future[Answer]) -> Iterator[Item | Failure]:
        """What becomes of one answer."""
        try:
            answer = future.result()
        except CredentialError:
            raise
        except (MissingEntityError, GoneError) as error:
            log.info("page not there", url=visit.url, reason=str(error))
            self._known.doubt(visit.url)
            self.gone.add(visit.url)
            if visit.url in self._begins:
                yield Failure(error=error, entity=f"links of {visit.url}")
            if (known := self._known.record(visit.url)) is not None:
                self._follow(visit, visit.url, known.facts)
        except AwayError as error:
            self._known.doubt(visit.url)
            if self._known.document(visit.url) is not None or visit.url in self._begins:
                yield from self._fail(visit, error)
            else:
                log.info("page elsewhere", url=visit.url, reason=str(error))
        except RagError as error:
            yield from self._fail(visit, error)
        else:
            yield from self._judge(visit, answer)

    def _fail(self, visit: Visit, error: RagError) -> Iterator[Failure]:
        self._failed[visit.url] = error
        self._known.doubt(visit.url)
        if visit.url not in self._documents:
            self._documents.add(visit.url)
            yield Failure(error=error, external_id=visit.url)
        known = self._known.record(visit.url)
        if known is not None:
            self._follow(visit, visit.url, known.facts)
        elif visit.depth and isinstance(error, TransientError):
            yield Failure(error=error, entity=f"links of {visit.url}")

    def _judge(self, visit: Visit, answer: Answer) -> Iterator[Item | Failure]:
        url = answer.url
        if answer.moved:
            self._known.doubt(visit.url)
            if self._scope.place(url) != url:
                yield from self._leave(visit, answer)
                return
            self._canonical[visit.url] = url
            if not answer.passing:
                self.gone.add(visit.url)
                self._seen.add(url)
        try:
            record = self._known.take(answer, None if answer.moved else visit.modified_at)
        except RagError as error:
            yield from self._fail(visit if answer.passing else visit._replace(url=url), error)
            return
        if answer.passing:
            self._seen.add(url)
            if self._known.stands(visit.url, None if record is None else record.digest):
                yield from self._fail(visit, AwayError(f"it is for now at {url}"))
            elif self._known.record(visit.url) is not None:
                self.gone.add(visit.url)
        if record is None:
            known = self._known.document(url)
            if known is not None:
                declared = answer.media_type or "nothing"
                kind = UnsupportedDocumentError(
                    f"it was {known.media_type}, and is declared as {declared} now"
                )
                yield from self._fail(visit._replace(url=url), kind)
            return
        facts = record.facts
        self._follow(visit, url, facts)
        if not (facts.indexed and record.media_type in self._options.media_types):
            self._unindexed.add(url)
            return
        other = canonical_of(self._scope, url, facts)
        if other is not None and self._end_of(other, url) != url:
            self._canonical[url] = other
            self._copies[url] = visit
            self._plan(visit._replace(url=other))
            return
        self._canonical.pop(url, None)
        self._copies.pop(url, None)
        if url not in self._documents:
            self._documents.add(url)
            moved_from = visit.url if answer.moved and not answer.passing else None
            yield self._known.item(url, record, visit.modified_at, moved_from)

    def _leave(self, visit: Visit, answer: Answer) -> Iterator[Failure]:
        """An address leads to a page that the options leave out."""
        error = UsageError(f"it is at {answer.url} now, which is not of this source")
        if answer.passing and self._known.document(visit.url) is not None:
            yield from self._fail(visit, error)
        elif not answer.passing:
            self.gone.add(visit.url)
        if visit.url in self._begins:
            yield Failure(error=error, entity=f"links of {visit.url}")

    def _end_of(self, step: str, stop: str) -> str:
        """Where canonical addresses and moves lead from `step`, or `stop` where they pass it."""
        for _ in range(len(self._canonical)):
            if step == stop or step not in self._canonical:
                break
            step = self._canonical[step]
        return step

    def _settle_copies(self) -> Iterator[Item | Failure]:
        """Copies go where the page that they name is read; one that names what is not there is a page."""
        for url, visit in self._copies.items():
            other = self._end_of(self._canonical[url], url)
            record = self._known.record(url)
            if url in self._documents or record is None:
                continue
            if (error := self._failed.get(other)) is not None:
                self._documents.add(url)
                yield Failure(error=error, external_id=url)
            elif other not in self._documents and other not in self._unindexed:
                self._documents.add(url)
                yield self._known.item(url, record, visit.modified_at)

    def _follow(self, visit: Visit, url: str, facts: PageFacts) -> None:
        if visit.depth and facts.followed:
            base = base_of(url, facts)
            for link in facts.links:
                if (place := self._scope.place(link, base)) is not None:
                    self._plan(Visit(place, visit.depth - 1))
