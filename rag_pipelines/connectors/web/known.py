"""What is known of pages: what each answer adds to it, and what need not be asked again.

What belongs here: records of pages, their tokens, the documents that they are. What does not: the order of a
pass (`crawl`), keeping records (`cache`), judging a page (`pages`).

A sitemap says when each page was changed last (``lastmod``). Many sites put the time of the sitemap there, or
nothing that means anything, so it is believed by setting only (`trust_lastmod`): a page is not asked for as
long as its lastmod is the one that stood there when the site was asked last, that is not too long ago, and
the page had been left alone for a while by then, because a lastmod may be a day without its hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import unquote, urlsplit

from msgspec import structs

from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.web.addresses import Scope, normalise
from rag_pipelines.connectors.web.cache import PageCache, PageRecord
from rag_pipelines.connectors.web.options import PAGES, WebOptions
from rag_pipelines.connectors.web.pages import PageFacts, content_of, facts_of, why_no_page
from rag_pipelines.connectors.web.reader import Answer, PageReader
from rag_pipelines.fingerprint import sha256

_PARSED_TO_COMPARE = 1_000_000
"""Bytes of a page up to which a change of bytes is looked at for a change of content."""

SETTLED = timedelta(days=2)
"""A day in any time zone is over by then."""


class KnownPages:
    """What is known of the pages of one source. `conditions`, `record` and `need_not_ask` run in threads."""

    def __init__(self, options: WebOptions, scope: Scope, reader: PageReader, cache: PageCache) -> None:
        self._options = options
        self._scope = scope
        self._reader = reader
        self._cache = cache
        self._trusted = timedelta(days=options.trust_lastmod)

    def record(self, url: str) -> PageRecord | None:
        """The record of a page."""
        return self._cache.record(url)

    def urls(self) -> Iterator[str]:
        """The addresses of all records."""
        return self._cache.urls()

    def drop(self, url: str) -> None:
        """Know nothing of a page any more."""
        self._cache.drop(url)

    def need_not_ask(self, url: str, lastmod: datetime | None) -> bool:
        """Whether a page is as it was by the word of its sitemap, which is trusted so far."""
        if not self._trusted or lastmod is None:
            return False
        known = self._cache.record(url)
        if known is None or known.asked_at is None or known.lastmod != lastmod:
            return False
        return known.asked_at - lastmod >= SETTLED and now() - known.asked_at < self._trusted

    def doubt(self, url: str) -> None:
        """The site said something else of a page, or could not say: it is asked the next time."""
        known = self._cache.record(url) if self._trusted else None
        if known is not None and known.asked_at is not None:
            self._cache.put(url, structs.replace(known, asked_at=None))

    def conditions(self, url: str) -> dict[str, str]:
        """Headers that ask for a page only if it is not the known one (RFC 9110, 13.1)."""
        known = self._cache.record(url)
        if known is None:
            return {}
        asked = {
            "If-None-Match": known.etag,
            "If-Modified-Since": None if known.etag else known.last_modified,
        }
        return {name: value for name, value in asked.items() if value}

    def take(self, answer: Answer, lastmod: datetime | None = None) -> PageRecord | None:
        """The record of a page as it is now, kept; None for what is neither a document nor has links.

        `lastmod` is what a sitemap says of it.

        Raises what `why_no_page` says, and keeps what was known.
        """
        url = answer.url
        before = self._cache.record(url)
        if answer.unchanged:
            return before if before is None or answer.unasked else self._confirm(url, before, lastmod)
        media_type, body = answer.media_type, answer.body
        if media_type not in self._options.media_types and media_type not in PAGES:
            return None
        digest = sha256(body)
        facts = facts_of_answer(answer, self._options.user_agent)
        if media_type in PAGES and (error := why_no_page(facts)) is not None:
            raise error
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
            lastmod=lastmod,
            asked_at=now(),
        )
        self._cache.put(url, record, body)
        return record

    def _confirm(self, url: str, known: PageRecord, lastmod: datetime | None) -> PageRecord:
        """The site said that a page is as it was. That is written where somebody will ask for it."""
        if self._trusted and lastmod is not None:
            self._cache.put(url, structs.replace(known, lastmod=lastmod, asked_at=now()))
        return known

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

    def document(self, url: str) -> PageRecord | None:
        """What was known of a document before this pass; None of an address that was none."""
        known = self._cache.record(url)
        if known is None or not known.facts.indexed or canonical_of(self._scope, url, known.facts):
            return None
        return known if known.media_type in self._options.media_types else None

    def stands(self, url: str, digest: bytes | None) -> bool:
        """Whether the document at `url` is another one than what is shown in its place for now."""
        known = self.document(url)
        return known is not None and known.digest != digest

    def item(
        self, url: str, record: PageRecord, lastmod: datetime | None, moved_from: str | None = None
    ) -> Item:
        """The document that a page is."""
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
            modified_at=_moment(record.last_modified) or lastmod,
            metadata=metadata,
            moved_from=None if moved_from == url else moved_from,
        )

    def _load(self, url: str) -> bytes:
        body = self._cache.body(url)
        return self._reader.read(url).body if body is None else body


def facts_of_answer(answer: Answer, agent: str) -> PageFacts:
    """What an answer says about itself: a page in its head, a file in its headers only."""
    if answer.media_type in PAGES:
        return facts_of(answer.body, answer.headers, agent)
    return PageFacts(indexed="noindex" not in answer.headers.get("X-Robots-Tag", "").lower())


def base_of(url: str, facts: PageFacts) -> str:
    """What the links of a page are relative to."""
    return normalise(facts.base, url) or url if facts.base else url


def canonical_of(scope: Scope, url: str, facts: PageFacts) -> str | None:
    """The canonical address of a page, where that is another one of this source."""
    other = scope.place(facts.canonical, base_of(url, facts)) if facts.canonical else None
    return None if other == url else other


def now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
