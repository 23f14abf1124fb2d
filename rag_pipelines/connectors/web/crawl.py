"""One pass over a site: sitemaps, links, and what was known before and is linked no more.

What belongs here: which address is read next, and what becomes of each answer. What does not: reading
(`reader`), judging a page (`pages`), the contract (`connector`).

An address that fails for now hides the pages that only it links, unless its links of last time are known;
one that is refused for good is a failed document and leads nowhere. The id of a document is its canonical
address.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from rag_pipelines import logs
from rag_pipelines.connectors.base import Failure, Item
from rag_pipelines.connectors.web.addresses import Scope
from rag_pipelines.connectors.web.cache import PageCache, PageRecord
from rag_pipelines.connectors.web.options import PAGES, WebOptions
from rag_pipelines.connectors.web.pages import PageFacts, content_of, facts_of, why_no_page
from rag_pipelines.connectors.web.reader import Answer, PageReader
from rag_pipelines.connectors.web.sitemaps import read_sitemap
from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    GoneError,
    MissingEntityError,
    RagError,
    TransientError,
)
from rag_pipelines.fingerprint import sha256

log = logs.get(__name__)

_PARSED_TO_COMPARE = 1_000_000
"""Bytes of a page up to which a change of bytes is looked at for a change of content."""


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
        self._cache = cache
        self._ahead: deque[Visit] = deque()
        self._seen: set[str] = set()
        self._documents: set[str] = set()
        self._canonical: dict[str, str] = {}
        self.gone: set[str] = set()

    def entries(self) -> Iterator[Item | Failure]:
        """Documents and failures, as they are read."""
        failed: list[Failure] = []
        for failure in self._read_sitemaps():
            failed.append(failure)
            yield failure
        for url in self._options.start:
            if (place := self._scope.place(url)) is not None:
                self._plan(Visit(place, self._options.depth))
        yield from self._visit_all()
        if self._options.unlinked == "keep":
            for url in self._cache.urls():
                if self._scope.place(url) == url:
                    self._plan(Visit(url, 0))
            yield from self._visit_all()
        for path in sorted(self._scope.endless):
            most = self._options.max_variants
            error = FetchError(f"more than max_variants = {most:,} addresses differ behind '?'")
            yield Failure(error=error, entity=path, hides_documents=False)

    def forget_the_gone(self) -> None:
        """After a pass that saw everything: keep nothing of what is not there any more."""
        for url in list(self._cache.urls()):
            if url not in self._documents and url not in self._seen:
                self._cache.drop(url)
        for url in self.gone:
            self._cache.drop(url)

    def _read_sitemaps(self) -> Iterator[Failure]:
        ahead = deque(self._options.sitemaps)
        read: set[str] = set()
        while ahead:
            url = ahead.popleft()
            if url in read:
                continue
            read.add(url)
            try:
                found = read_sitemap(self._reader.read(url).body)
            except CredentialError:
                raise
            except RagError as error:
                yield Failure(error=error, entity=url)
                continue
            ahead.extend(found.sitemaps)
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
                    known = self._cache.record(visit.url)
                    task = partial(self._reader.read, visit.url, _conditions(known))
                    under_way[pool.submit(copy_context().run, task)] = visit
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from self._take(under_way.pop(future), future)
        finally:
            pool.shutdown(cancel_futures=True)

    def _take(self, visit: Visit, future: Future[Answer]) -> Iterator[Item | Failure]:
        """What becomes of one answer."""
        try:
            answer = future.result()
        except CredentialError:
            raise
        except (MissingEntityError, GoneError) as error:
            log.info("page not there", url=visit.url, reason=str(error))
            self.gone.add(visit.url)
        except RagError as error:
            yield from self._fail(visit, error)
        else:
            yield from self._judge(visit, answer)

    def _fail(self, visit: Visit, error: RagError) -> Iterator[Failure]:
        if visit.url not in self._documents:
            self._documents.add(visit.url)
            yield Failure(error=error, external_id=visit.url)
        known = self._cache.record(visit.url)
        if known is not None:
            self._follow(visit, visit.url, known.facts)
        elif visit.depth and isinstance(error, TransientError):
            yield Failure(error=error, entity=f"links of {visit.url}")

    def _judge(self, visit: Visit, answer: Answer) -> Iterator[Item | Failure]:
        url = answer.url
        if answer.moved:
            if self._scope.place(url) != url:
                self.gone.add(visit.url)
                return
            self._seen.add(url)
        record = self._record(url, answer)
        if record is None:
            return
        facts = record.facts
        if record.media_type in PAGES and (error := why_no_page(facts)) is not None:
            yield from self._fail(Visit(url, 0), error)
            return
        self._follow(visit, url, facts)
        if not (facts.indexed and record.media_type in self._options.media_types):
            self.gone.add(url)
            return
        if (other := self._elsewhere(url, facts)) is not None:
            self._canonical[url] = other
            self._plan(visit._replace(url=other))
            self.gone.add(url)
            return
        if url not in self._documents:
            self._documents.add(url)
            yield self._item(visit, url, record, moved=answer.moved)

    def _elsewhere(self, url: str, facts: PageFacts) -> str | None:
        """The canonical address of a page, where that is another, of this source, and does not lead back."""
        if facts.canonical is None:
            return None
        other = self._scope.place(facts.canonical, self._base(url, facts))
        step = other
        for _ in range(len(self._canonical) + 1):
            if step is None or step == url:
                return None
            if step not in self._canonical:
                break
            step = self._canonical[step]
        return None if other in self.gone else other

    def _follow(self, visit: Visit, url: str, facts: PageFacts) -> None:
        if visit.depth and facts.followed:
            base = self._base(url, facts)
            for link in facts.links:
                if (place := self._scope.place(link, base)) is not None:
                    self._plan(Visit(place, visit.depth - 1))

    def _base(self, url: str, facts: PageFacts) -> str:
        return self._scope.place(facts.base, url) or url if facts.base else url

    def _record(self, url: str, answer: Answer) -> PageRecord | None:
        """The record of a page as it is now, kept; None for what is neither a document nor has links."""
        before = self._cache.record(url)
        if answer.unchanged:
            return before
        media_type, body = answer.media_type, answer.body
        if media_type not in self._options.media_types and media_type not in PAGES:
            return None
        digest = sha256(body)
        facts = PageFacts()
        if media_type in PAGES:
            facts = facts_of(body, answer.headers, self._options.user_agent)
        elif "noindex" in answer.headers.get("X-Robots-Tag", "").lower():
            facts = PageFacts(indexed=False)
        token = digest.hex()
        if before is not None and before.media_type == media_type:
            token = self._token(url, before, digest, body)
        record = PageRecord(
            token=token,
            digest=digest,
            media_type=media_type,
            size=len(body),
            facts=facts,
            etag=answer.headers.get("ETag"),
            last_modified=answer.headers.get("Last-Modified"),
        )
        self._cache.put(url, record, body)
        return record

    def _token(self, url: str, before: PageRecord, digest: bytes, body: bytes) -> str:
        """The token of a page that was sent again: that of before as long as its content is."""
        if digest == before.digest:
            return before.token
        small = max(len(body), before.size) <= _PARSED_TO_COMPARE
        if before.media_type in PAGES and small:
            earlier = self._cache.body(url) or b""
            if content_of(earlier, before.media_type) == content_of(body, before.media_type):
                return before.token
        return digest.hex()

    def _item(self, visit: Visit, url: str, record: PageRecord, *, moved: bool) -> Item:
        parts = urlsplit(url)
        name = unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.netloc
        metadata = {"site": parts.netloc}
        if record.facts.language:
            metadata["language"] = record.facts.language
        return Item(
            external_id=url,
            token=record.token,
            load=partial(self._load, url),
            name=name,
            path=parts.netloc + unquote(parts.path) + (f"?{parts.query}" if parts.query else ""),
            url=url,
            media_type=record.media_type,
            size=record.size,
            modified_at=_moment(record.last_modified) or visit.modified_at,
            metadata=metadata,
            moved_from=visit.url if moved and visit.url != url else None,
        )

    def _load(self, url: str) -> bytes:
        body = self._cache.body(url)
        return self._reader.read(url).body if body is None else body


def _conditions(known: PageRecord | None) -> dict[str, str]:
    """Headers that ask for a page only if it is not the known one (RFC 9110, 13.1)."""
    if known is None:
        return {}
    asked = {"If-None-Match": known.etag, "If-Modified-Since": None if known.etag else known.last_modified}
    return {name: value for name, value in asked.items() if value}


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
