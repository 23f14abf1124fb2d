"""The content of files and tickets, read when a document has changed.

What belongs here: loads, which run in threads. What does not: articles, which are listed with their text.

What was listed and is gone or refused when it is loaded is an error of that document.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from rag_pipelines.connectors.zendesk.site import Row, ZendeskSite
from rag_pipelines.errors import FetchError, GoneError, MissingEntityError, UsageError

_KEPT = 1000
"""Texts that wait for the second load of their ticket, at most."""


@dataclass(frozen=True)
class File:
    """Loads an attachment of an article, by the API's host: a help center may have a domain of its own."""

    site: ZendeskSite
    content_url: str
    max_bytes: int
    size: int | None

    def __call__(self) -> bytes:
        path = urlsplit(self.content_url).path
        with _as_document(path):
            return self.site.client.get_bytes(path, self.max_bytes, self.size)


class Comments:
    """The comments of tickets as text; loads run in threads.

    Public and private ones come in one answer: with `keep` it is kept for the second load of a ticket.
    """

    def __init__(self, site: ZendeskSite, *, keep: bool) -> None:
        self._site = site
        self._keep = keep
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, bool], bytes] = {}

    def text(self, ticket: int, public: bool) -> bytes:
        """The public or the private comments as HTML; empty without any. Comments that do not say which
        they are count as private."""
        with self._lock:
            kept = self._kept.pop((ticket, public), None)
        if kept is not None:
            return kept
        with _as_document(f"ticket/{ticket}"):
            rows = list(self._site.rows(f"tickets/{ticket}/comments", "comments"))
        said, other = (
            _html(row for row in rows if (row.get("public") is True) is side) for side in (public, not public)
        )
        with self._lock:
            if self._keep and len(self._kept) < _KEPT:
                self._kept[ticket, not public] = other
        return said


def _html(comments: Iterator[Row]) -> bytes:
    parts = []
    for row in comments:
        body = row.get("html_body") or html.escape(row.get("plain_body") or row.get("body") or "")
        parts.append(f"<div><p>{html.escape(str(row.get('created_at') or ''))}</p>{body}</div>")
    return "\n".join(parts).encode()


@contextmanager
def _as_document(what: str) -> Iterator[None]:
    try:
        yield
    except (MissingEntityError, GoneError, UsageError) as error:
        raise FetchError(f"{what} was listed and cannot be read: {error}") from error
