"""What was read of each page, kept between runs so that a page that did not change is not sent again.

What belongs here: one SQLite file a source. What does not: deciding anything by it. Losing it costs
requests, never documents.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from rag_pipelines.connectors.web.pages import PageFacts

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS page (url TEXT PRIMARY KEY, record BLOB NOT NULL, body BLOB NOT NULL);
"""


class PageRecord(msgspec.Struct, frozen=True):
    """A page as it was read last. `token` is that of its content, `digest` of its bytes."""

    token: str
    digest: bytes
    media_type: str
    size: int
    facts: PageFacts
    etag: str | None = None
    last_modified: str | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PageRecord).decode


class PageCache:
    """Records and bodies by address; safe between threads. Without a folder it is gone when it is closed."""

    def __init__(self, folder: Path | None, source: str) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        place = ":memory:" if folder is None else str(folder / f"{source}.sqlite")
        self._lock = threading.Lock()
        self._file = sqlite3.connect(place, check_same_thread=False, isolation_level=None)
        self._file.executescript(_TABLES)

    def record(self, url: str) -> PageRecord | None:
        """What is known of a page."""
        with self._lock:
            row = self._file.execute("SELECT record FROM page WHERE url = ?", (url,)).fetchone()
        return _decode(row[0]) if row else None

    def body(self, url: str) -> bytes | None:
        """The bytes of a page."""
        with self._lock:
            row = self._file.execute("SELECT body FROM page WHERE url = ?", (url,)).fetchone()
        return zlib.decompress(row[0]) if row else None

    def put(self, url: str, record: PageRecord, body: bytes | None = None) -> None:
        """Keep a page; without a `body` the one that is known stays."""
        with self._lock:
            if body is None:
                self._file.execute("UPDATE page SET record = ? WHERE url = ?", (_encode(record), url))
            else:
                row = (url, _encode(record), zlib.compress(body, 1))
                self._file.execute("INSERT OR REPLACE INTO page VALUES (?, ?, ?)", row)

    def drop(self, url: str) -> None:
        """Forget a page."""
        with self._lock:
            self._file.execute("DELETE FROM page WHERE url = ?", (url,))

    def urls(self) -> Iterator[str]:
        """Every address, in order."""
        after = ""
        while True:
            with self._lock:
                rows = self._file.execute(
                    "SELECT url FROM page WHERE url > ? ORDER BY url LIMIT 1000", (after,)
                ).fetchall()
            if not rows:
                return
            yield from (url for (url,) in rows)
            after = rows[-1][0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
