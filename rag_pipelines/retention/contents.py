"""Takes away content: chunk sets with their chunks, vectors, parses, access rules and blobs.

What belongs here: what may go, and under which locks. What does not: which documents go (`garbage`, `purge`),
and what versions hold of them (`index.departed`).

Runs and builds work meanwhile. Whoever writes a reference to content locks it in the same transaction, or
makes it anew; so content is locked here first, looked at again by the next statement, and then removed. What
others have locked is passed over: it is being referred to.

`sweep` takes what nothing refers to. A build refers to what was in its snapshot, and a run to what it has
stored and not committed a reference to, so unreferenced content is marked first, and goes when the mark is
older than the oldest living run or build. `erase` takes what purged documents alone had, at once: no run
and no build needs it, because they drop the documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import psycopg

from rag_pipelines.batching import blocks
from rag_pipelines.index.departed import storages
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.documents import server_time

PAGE = 1_000
"""Rows or objects that are removed in one transaction."""

VECTORS_PAGE = 50_000
"""The same of vectors: to look whether any chunk has one reads all chunks."""

BLOBS_PAGE = 100
"""The same of blobs: a run that has just named some waits for it."""

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between looks at what others have locked when it was to be erased."""

NEVER = datetime.max.replace(tzinfo=UTC)

_KNOWN: dict[Kind, str] = {"raw": "known_raw", "blocks": "known_blocks"}
_WANTED: dict[Kind, str] = {"raw": "known_raw", "blocks": "wanted_blocks"}


class Collected(msgspec.Struct):
    """How many of each were removed."""

    documents: int = 0
    chunk_sets: int = 0
    chunks: int = 0
    vectors: int = 0
    parses: int = 0
    blobs: int = 0
    sources: int = 0


class Contents(NamedTuple):
    """What was made of a document: digests of bytes and blocks, and the numbers or keys of rows."""

    raw: list[bytes]
    blocks: list[bytes]
    sets: list[int]
    inputs: list[UUID]
    rules: list[UUID]


def sweep(connection: Pg, store: BlobStore, collected: Collected) -> None:
    """Remove what nothing refers to, and did not when the oldest living run or build began."""
    sweeping = _Sweep(connection, store, collected)
    try:
        sweeping.run()
    finally:
        with suppress(psycopg.OperationalError):
            query(connection, "drop_idle")


class _Sweep:
    """One pass over all content; `idle` is a temporary table of what a look finds unreferenced."""

    def __init__(self, connection: Pg, store: BlobStore, collected: Collected) -> None:
        self._connection = connection
        self._store = store
        self._collected = collected
        self._began = server_time(connection)
        self._first = self._oldest_lease()

    def run(self) -> None:
        """Each kind after what refers to it."""
        self._sweep_sets()
        self._sweep_marked("vector", "add_idle_vectors", self._drop_vectors, VECTORS_PAGE)
        self._sweep_parses()
        self._sweep_marked("access rule", "add_idle_rules", self._drop_rules)
        for kind in _KNOWN:
            self._sweep_blobs(kind)
        query(self._connection, "drop_forgotten", {"before": self._horizon()})

    def _sweep_sets(self) -> None:
        connection = self._connection
        query(connection, "begin_idle")
        query(connection, "add_catalogue_references")
        for storage in storages(connection):
            with suppress(psycopg.errors.UndefinedTable):  # The version was dropped meanwhile.
                query(connection, "add_version_references", None, {"vectors": f"vectors_{storage}"})
        query(connection, "add_idle_sets")
        query(connection, "unmark_others", {"kind": "chunk set"})
        for keys in self._pages():
            with connection.transaction():
                query(connection, "mark_sets", {"ids": self._locked_sets(keys)})
        self._drop_overdue("chunk set", self._drop_sets)

    def _locked_sets(self, keys: Sequence[str]) -> list[int]:
        rows = query(self._connection, "lock_idle_sets", {"ids": [int(key) for key in keys]})
        return [row["chunk_set_id"] for row in rows]

    def _sweep_marked(
        self, kind: str, look: str, drop: Callable[[Sequence[str]], None], size: int = PAGE
    ) -> None:
        query(self._connection, "begin_idle")
        query(self._connection, look)
        self._mark(kind)
        self._drop_overdue(kind, drop, size)

    def _sweep_parses(self) -> None:
        """Of a parse that is unreferenced no run knows: it would be by the document that has its bytes."""
        query(self._connection, "begin_idle")
        query(self._connection, "add_idle_parses")
        for keys in self._pages():
            with self._connection.transaction():
                rows = query(self._connection, "lock_idle_parses", {"ids": [int(key) for key in keys]})
                ids = [row["parse_id"] for row in rows]
                self._collected.parses += query(self._connection, "drop_idle_parses", {"ids": ids}).rowcount

    def _sweep_blobs(self, kind: Kind) -> None:
        query(self._connection, "begin_idle")
        for digests in blocks(self._store.digests(kind), PAGE):
            known = _named(self._connection, _WANTED[kind], digests)
            keys = [digest.hex() for digest in digests if digest not in known]
            query(self._connection, "add_idle_blobs", {"keys": keys})
        self._mark(kind)
        query(self._connection, "ensure_removal")

        def drop(keys: Sequence[str]) -> None:
            query(self._connection, "begin_removal")
            digests = [bytes.fromhex(key) for key in keys]
            self._collected.blobs += _drop_blobs(self._connection, self._store, kind, digests)

        self._drop_overdue(kind, drop, BLOBS_PAGE)

    def _mark(self, kind: str) -> None:
        query(self._connection, "unmark_others", {"kind": kind})
        query(self._connection, "mark_idle", {"kind": kind})

    def _drop_overdue(self, kind: str, drop: Callable[[Sequence[str]], None], size: int = PAGE) -> None:
        """Hand what was marked early enough to `drop`, page by page, in transactions that hold the marks."""
        before = self._horizon()
        for keys in self._pages(size):
            with self._connection.transaction():
                params = {"kind": kind, "keys": keys, "before": before}
                due = [row["key"] for row in query(self._connection, "overdue", params)]
                if due:
                    drop(due)
                    query(self._connection, "unmark", {"kind": kind, "keys": due})

    def _drop_sets(self, keys: Sequence[str]) -> None:
        sets, chunks = _drop_sets(self._connection, self._locked_sets(keys))
        self._collected.chunk_sets += sets
        self._collected.chunks += chunks

    def _drop_vectors(self, keys: Sequence[str]) -> None:
        self._collected.vectors += _drop_vectors(self._connection, [UUID(key) for key in keys])

    def _drop_rules(self, keys: Sequence[str]) -> None:
        _drop_rules(self._connection, [UUID(key) for key in keys])

    def _pages(self, size: int = PAGE) -> Iterator[list[str]]:
        after = ""
        while True:
            rows = query(self._connection, "idle_page", {"after": after, "limit": size}).fetchall()
            if not rows:
                return
            yield [row["key"] for row in rows]
            after = rows[-1]["key"]

    def _horizon(self) -> datetime:
        """Since when the oldest run or build works, of those that lived at any time since the sweep began."""
        return min(self._first, self._oldest_lease())

    def _oldest_lease(self) -> datetime:
        row = query(self._connection, "oldest_lease", {"began": self._began}).fetchone()
        assert row is not None
        return row["since"] or NEVER


def erase(connection: Pg, store: BlobStore, contents: Contents, collected: Collected) -> str:
    """Remove those `contents` that nothing else refers to; returns the number of the last transaction.

    What others have locked is looked at again for some seconds: mostly they are about to refer to it. A run
    that has just named a blob puts it back where it had to go (`sync.run.SourceRun.purged_beside`).
    """
    query(connection, "ensure_removal")
    for pause in (*PAUSES, None):
        with connection.transaction():
            query(connection, "begin_removal")
            row = _erase_once(connection, store, contents, collected)
        if not row["left"] or pause is None:
            break
        time.sleep(pause)
    return str(row["transaction"])


def _erase_once(connection: Pg, store: BlobStore, contents: Contents, collected: Collected) -> Row:
    """The number of this transaction, and how many rows are left because others have locked them."""
    params = {name: list(value) for name, value in contents._asdict().items()}
    parses = [row["parse_id"] for row in query(connection, "lock_parses_of", params)]
    collected.parses += query(connection, "drop_idle_parses", {"ids": parses}).rowcount
    locked = [row["chunk_set_id"] for row in query(connection, "lock_sets_of", params)]
    alone = [row["chunk_set_id"] for row in query(connection, "sets_of_nobody", {"ids": locked})]
    sets, chunks = _drop_sets(connection, alone)
    collected.chunk_sets += sets
    collected.chunks += chunks
    collected.vectors += _drop_vectors(connection, contents.inputs)
    _drop_rules(connection, contents.rules)
    collected.blobs += _drop_blobs(connection, store, "raw", contents.raw)
    collected.blobs += _drop_blobs(connection, store, "blocks", contents.blocks)
    row = query(connection, "left_of", params).fetchone()
    assert row is not None
    return row


def _drop_sets(connection: Pg, locked: Sequence[int]) -> tuple[int, int]:
    """Chunk sets that no document has, of those that are locked, with their chunks; how many of each."""
    gone = [row["chunk_set_id"] for row in query(connection, "drop_idle_sets", {"ids": list(locked)})]
    chunks = query(connection, "drop_chunks", {"ids": gone}).rowcount if gone else 0
    query(connection, "unmark", {"kind": "chunk set", "keys": list(map(str, gone))})
    return len(gone), chunks


def _drop_vectors(connection: Pg, inputs: Sequence[UUID]) -> int:
    rows = query(connection, "lock_idle_vectors", {"keys": list(inputs)})
    keys = list({row["input_key"] for row in rows})
    return query(connection, "drop_idle_vectors", {"keys": keys}).rowcount if keys else 0


def _drop_rules(connection: Pg, digests: Sequence[UUID]) -> None:
    ids = [row["access_id"] for row in query(connection, "lock_idle_rules", {"keys": list(digests)})]
    query(connection, "drop_idle_rules", {"ids": ids})


def _drop_blobs(connection: Pg, store: BlobStore, kind: Kind, digests: Sequence[bytes]) -> int:
    """Objects that no row names; the last of a transaction, because they do not come back with it."""
    unknown = set(digests) - _named(connection, _KNOWN[kind], digests)
    for digest in unknown:
        store.delete(kind, digest)
    if unknown:
        query(connection, "end_removal")
    query(connection, "unmark", {"kind": kind, "keys": [digest.hex() for digest in unknown]})
    if kind == "raw":
        query(connection, "drop_former_bytes", {"digests": list(unknown)})
    return len(unknown)


def _named(connection: Pg, name: str, digests: Sequence[bytes]) -> set[bytes]:
    return {bytes(row["digest"]) for row in query(connection, name, {"digests": list(digests)})}
