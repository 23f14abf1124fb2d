"""What was read of each page, kept between runs so that a page that did not change is not sent again.

What belongs here: one SQLite file a source. What does not: deciding anything by it. Losing it costs
requests, never documents.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from rag_pipelines import logs
from rag_pipelines.connectors.web.pages import PageFacts
from rag_pipelines.errors import TransientError

log = logs.get(__name__)

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS page (url TEXT PRIMARY KEY, record BLOB NOT NULL, body BLOB NOT NULL);
"""

_DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""What SQLite says of a file that is no database, a broken one, or one of other tables."""


class PageRecord(msgspec.Struct, frozen=True):
    """A page as it was read last. `token` is that of its content, `digest` of its bytes.

    `lastmod` is what a sitemap said of it when the site was asked last, at `asked_at`; None: ask it.
    """

    token: str
    digest: bytes
    media_type: str
    size: int
    facts: PageFacts
    etag: str | None = None
    last_modified: str | None = None
    lastmod: datetime | None = None
    asked_at: datetime | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PageRecord).decode


class PageCache:
    """Records and bodies by address; safe between threads. Without a folder it is gone when it is closed.

    A damaged file is begun anew. Raises `TransientError` where the file cannot be used for another reason.
    """

    def __init__(self, folder: Path | None, source: str) -> None:
        self._place = None if folder is None else folder / f"{source}.sqlite"
        self._lock = threading.Lock()
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._file = self._open()
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._unusable(error) from error
        with suppress(sqlite3.DatabaseError):
            self._file.executescript(_TABLES)
        self._run("SELECT url, record, body FROM page LIMIT 0")

    def record(self, url: str) -> PageRecord | None:
        """What is known of a page; None also for what another version wrote."""
        rows = self._run("SELECT record FROM page WHERE url = ?", (url,))
        try:
            return _decode(rows[0][0]) if rows else None
        except msgspec.MsgspecError:
            return None

    def body(self, url: str) -> bytes | None:
        """The bytes of a page."""
        rows = self._run("SELECT body FROM page WHERE url = ?", (url,))
        try:
            return zlib.decompress(rows[0][0]) if rows else None
        except zlib.error:
            return None

    def put(self, url: str, record: PageRecord, body: bytes | None = None) -> None:
        """Keep a page; without a `body` the one that is known stays."""
        if body is None:
            self._run("UPDATE page SET record = ? WHERE url = ?", (_encode(record), url))
        else:
            row = (url, _encode(record), zlib.compress(body, 1))
            self._run("INSERT OR REPLACE INTO page (url, record, body) VALUES (?, ?, ?)", row)

    def drop(self, url: str) -> None:
        """Forget a page."""
        self._run("DELETE FROM page WHERE url = ?", (url,))

    def urls(self) -> Iterator[str]:
        """Every address, in order."""
        after = ""
        while rows := self._run("SELECT url FROM page WHERE url > ? ORDER BY url LIMIT 1000", (after,)):
            yield from (url for (url,) in rows)
            after = rows[-1][0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> sqlite3.Connection:
        place = ":memory:" if self._place is None else str(self._place)
        return sqlite3.connect(place, check_same_thread=False, isolation_level=None, timeout=60)

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """The rows of a statement, from a new file where this one is damaged."""
        with self._lock:
            try:
                try:
                    return self._file.execute(statement, values).fetchall()
                except sqlite3.DatabaseError as error:
                    if self._place is None or error.sqlite_errorcode & 0xFF not in _DAMAGED:
                        raise
                    log.warning("page cache begun anew", file=str(self._place), reason=str(error))
                    self._file.close()
                    for ending in ("", "-wal", "-shm"):
                        self._place.with_name(self._place.name + ending).unlink(missing_ok=True)
                    self._file = self._open()
                    self._file.executescript(_TABLES)
                    return self._file.execute(statement, values).fetchall()
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> TransientError:
        return TransientError(f"the cache {self._place} cannot be used: {error}")
