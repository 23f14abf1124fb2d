"""A web site: pages with what stands around them, sitemaps, robots.txt, redirects, validators.

What belongs here: how a site answers. What does not: what a test makes of it.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from rag_pipelines_tests.doubles.server import Answer, Request, Server, redirect


@dataclass
class Page:
    """One address. `body` is what is inside of ``main``; `head` goes into the head as it stands.

    `raw` is the whole answer, in place of a page made of the rest.
    """

    body: str
    head: str = ""
    modified_at: datetime | None = None
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    validators: bool = True
    around: str = "<p>All rights reserved.</p>"
    raw: bytes | None = None

    def render(self) -> bytes:
        """The bytes of the answer."""
        if self.raw is not None:
            return self.raw
        return (
            f"<!DOCTYPE html><html lang='en'><head><title>A page</title>{self.head}</head><body>"
            f"<nav><a href='/'>Home</a></nav><main>{self.body}</main><footer>{self.around}</footer>"
            "</body></html>"
        ).encode()


class WebSite(Server):
    """Answers every path by `pages` (path with query), `moved` and `robots`.

    `sent` names what was sent whole. `soft`: what is not there is answered with 200 and words.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pages: dict[str, Page] = {}
        self.moved: dict[str, tuple[str, int]] = {}
        self.robots: str | None = None
        self.soft = False
        self.sent: list[str] = []
        self.route("/{path*}", self._page)
        self.route("", self._page)

    def page(self, path: str, body: str, **options: Any) -> str:
        """Make or replace a page; returns its address."""
        self.pages[path] = Page(body, **options)
        return self.url + quote(path, safe="/?=&%")

    def sitemap(
        self,
        path: str,
        urls: list[str],
        *,
        index: bool = False,
        packed: bool = False,
        lastmod: str | None = None,
    ) -> str:
        """Make a sitemap of `urls`, all with the same `lastmod`; returns its address."""
        kind, entry = ("sitemapindex", "sitemap") if index else ("urlset", "url")
        told = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
        entries = "".join(f"<{entry}><loc>{url.replace('&', '&amp;')}</loc>{told}</{entry}>" for url in urls)
        xml = f"<{kind} xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>{entries}</{kind}>".encode()
        raw = gzip.compress(xml) if packed else xml
        self.pages[path] = Page("", raw=raw, headers={"Content-Type": "application/xml"})
        return self.url + path

    def _page(self, request: Request, path: str = "") -> Answer:
        query = urlsplit(request.target).query
        place = (request.path or "/") + (f"?{query}" if query else "")
        if place == "/robots.txt":
            status = 404 if self.robots is None else 200
            return Answer(status, (self.robots or "").encode(), {"Content-Type": "text/plain"})
        if place in self.moved:
            target, status = self.moved[place]
            return redirect(target, status)
        page = self.pages.get(place)
        if page is None:
            words = b"<html><head><title>Oops</title></head><body>Page not found.</body></html>"
            return Answer(200 if self.soft else 404, words, {"Content-Type": "text/html"})
        body = page.render()
        headers = {"Content-Type": "text/html; charset=utf-8", **page.headers}
        if page.validators:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if request.headers.get("If-None-Match") == headers["ETag"]:
                return Answer(304, b"", headers)
        if page.modified_at is not None:
            headers["Last-Modified"] = format_datetime(page.modified_at, usegmt=True)
        self.sent.append(place)
        return Answer(page.status, body, headers)
