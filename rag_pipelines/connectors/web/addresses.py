"""Addresses of pages: one form of each, and which of them belong to a source.

What belongs here: pure functions of URLs. What does not: reading anything.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import lru_cache
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from w3lib.url import canonicalize_url, safe_url_string, url_query_cleaner

from rag_pipelines.connectors.paths import PathFilter
from rag_pipelines.connectors.web.options import WebOptions

_TRACKING = (
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "gclid", "fbclid", "msclkid",
    "mc_cid", "mc_eid", "_ga", "_hsenc", "_hsmi",
)  # fmt: skip
"""Parameters that say where a visitor comes from, and change no page."""

_SESSIONS = ("PHPSESSID", "JSESSIONID", "jsessionid")
"""Parameters that name a visitor's session; a visitor without one is given another."""
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/;]*", re.I)
"""How a servlet writes it (Jakarta Servlet 6.0, 7.1.3)."""

_MOST_REPEATED = 3
"""Times that one name may stand in a path: more is a link that leads ever deeper into itself."""

_REMEMBERED = 20_000
"""Addresses of which it is known what they are: the menus of a site name the same ones on every page."""

_LONGEST = 2_000
"""Characters of an address; browsers and servers stop about there."""


def normalise(url: str, base: str = "") -> str | None:
    """The one form of `url`, taken relative to `base`; None for what is no address of a page.

    Host in lower case, percent-encoding uniform; default port, fragment, login, and parameters that name a
    session or where a visitor comes from are gone.
    """
    try:
        parts = urlsplit(urljoin(base, url.strip()))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        default = {"http": 80, "https": 443}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        if parts.port not in (None, default):
            host += f":{parts.port}"
        path = _SESSION_IN_PATH.sub("", parts.path) or "/"
        plain = urlunsplit((parts.scheme, host, path, parts.query, ""))
        visitor = (*_TRACKING, *_SESSIONS)
        cleaned = url_query_cleaner(plain, visitor, remove=True, unique=False) if parts.query else plain
        one = canonicalize_url(safe_url_string(cleaned))
    except (ValueError, UnicodeError):
        return None
    return one if len(one) <= _LONGEST else None


def host_of(url: str) -> str:
    """Host and port of an address."""
    return urlsplit(url).netloc.lower()


def _readable(path: str) -> str:
    """A path or pattern as people write it: decoded, but for slashes within a name."""
    return unquote(re.sub("%2f", "%252F", path, flags=re.I))


class Scope:
    """Which addresses belong to a source."""

    def __init__(self, options: WebOptions) -> None:
        begins = [one for url in (*options.sitemaps, *options.start) if (one := normalise(url))]
        further = [one for host in options.hosts if (one := normalise(f"https://{host}"))]
        self.hosts = {*map(host_of, begins), *map(host_of, further)}
        self._drops_query = options.query == "drop"
        include, exclude = ([_readable(one) for one in some] for some in (options.include, options.exclude))
        self._filter = PathFilter(include, exclude, hidden=True)
        self._most = options.max_variants
        self._known = lru_cache(_REMEMBERED)(self._place)
        self._variants: defaultdict[str, set[str]] = defaultdict(set)
        self.endless: set[str] = set()
        """Paths with more variants behind '?' than are read."""

    def place(self, url: str, base: str = "") -> str | None:
        """The form of `url` under which it is read; None where it is not of this source."""
        try:
            whole = urljoin(base, url.strip())
        except ValueError:
            return None
        return self._known(whole) if len(whole) <= _LONGEST else self._place(whole)

    def _place(self, url: str) -> str | None:
        one = normalise(url)
        if one is None or host_of(one) not in self.hosts:
            return None
        if self._drops_query:
            one = one.partition("?")[0]
        path = urlsplit(one).path
        names = [name for name in path.split("/") if name]
        if names and Counter(names).most_common(1)[0][1] > _MOST_REPEATED:
            return None
        return one if self._filter.wants(_readable(path).lstrip("/")) else None

    def allows_variant(self, url: str) -> bool:
        """Whether one more address of its path may be read."""
        path, mark, query = url.partition("?")
        if not mark:
            return True
        known = self._variants[path]
        if len(known) >= self._most and query not in known:
            self.endless.add(path)
            return False
        known.add(query)
        return True
