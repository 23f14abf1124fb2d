"""Removes what nothing refers to: of what lost a reference since the last collection, or of everything.

What belongs here: finding and marking unreferenced content, and removing it in time. What does not: the locks
under which content is removed, and what purged documents alone had (`contents`); when to look at everything
(`garbage`).

A build refers to what was in its snapshot, and a run to what it has stored and not committed a reference to.
So unreferenced content is marked first, and goes when the mark is older than the oldest living run or build.

Whoever takes a reference away leaves a note (`rag.released`). A sweep looks at what notes name. A whole one
looks at everything, so also at what never had a reference, because the run died that had stored it. A chunk
set that only versions show keeps its note, and is looked at again by the next sweep.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import psycopg

from rag_pipelines.batching import blocks
from rag_pipelines.index.departed import storages
from rag_pipelines.retention.contents import (
    KNOWN,
    Collected,
    drop_blobs,
    drop_rules,
    drop_sets,
    drop_vectors,
    named,
)
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Pg, compose_query, query
from rag_pipelines.store.documents import server_time

PAGE = 1_000
"""Rows or objects that are looked at, or removed, in one transaction."""

BLOBS_PAGE = 100
"""The same where blobs are removed: a run that has just named some waits for it."""

NEVER = datetime.max.replace(tzinfo=UTC)


def sweep(connection: Pg, store: BlobStore, collected: Collected, *, whole: bool = False) -> None:
    """Remove what nothing refers to, and did not when the oldest living run or build began.

    Args:
        whole: look at all content, and not only at what lost a reference.
    """
    sweeping = _Sweep(connection)
    # Each kind after what refers to it.
    kinds: tuple[_Content, ...] = (
        _Sets(connection, collected),
        _Vectors(connection, collected),
        _Parses(connection, collected),
        _Rules(connection),
        _Blobs(connection, store, "raw", collected),
        _Blobs(connection, store, "blocks", collected),
    )
    try:
        for kind in kinds:
            sweeping.follow(kind)
            if whole:
                sweeping.look_at_all(kind)
            sweeping.drop_overdue(kind)
    finally:
        with suppress(psycopg.OperationalError):
            query(connection, "drop_idle")
    query(connection, "drop_forgotten", {"before": sweeping.horizon()})


class _Content(Protocol):
    """One kind of content, named by keys. Everything but `look` happens inside a transaction."""

    name: str
    page: int

    def look(self) -> None:
        """Put the keys of all that nothing refers to into the temporary table ``idle``."""

    def take(self, keys: Sequence[str]) -> None:
        """Mark those that nothing refers to."""

    def drop(self, keys: Sequence[str]) -> Collection[str]:
        """Remove those that nothing refers to; returns all but those that others have locked."""


class _Sweep:
    """What is common to all kinds; the horizon is of the time since it was made."""

    def __init__(self, connection: Pg) -> None:
        self._connection = connection
        self._began = server_time(connection)
        self._first = self._oldest_lease()

    def follow(self, kind: _Content) -> None:
        """Look at what lost a reference. Its notes go with the look, or they stay for the next."""
        row = query(self._connection, "newest_released").fetchone()
        assert row is not None
        params = {"kind": kind.name, "upto": row["upto"], "limit": PAGE}
        after = 0
        while True:
            with self._connection.transaction():
                rows = query(self._connection, "take_released", {**params, "after": after}).fetchall()
                if not rows:
                    return
                after = max(row["released_id"] for row in rows)
                kind.take(sorted({row["key"] for row in rows}))

    def look_at_all(self, kind: _Content) -> None:
        """Look at everything; what is referred to again, or gone, loses its mark."""
        query(self._connection, "begin_idle")
        kind.look()
        query(self._connection, "unmark_others", {"kind": kind.name})
        after = ""
        while rows := query(self._connection, "idle_page", {"after": after, "limit": PAGE}).fetchall():
            keys = [row["key"] for row in rows]
            with self._connection.transaction():
                kind.take(keys)
            after = keys[-1]

    def drop_overdue(self, kind: _Content) -> None:
        """Remove what was marked early enough, page by page, in transactions that hold the marks."""
        params = {"kind": kind.name, "before": self.horizon(), "limit": kind.page}
        after = ""
        while True:
            with self._connection.transaction():
                rows = query(self._connection, "overdue", {**params, "after": after}).fetchall()
                if not rows:
                    return
                keys = [row["key"] for row in rows]
                query(self._connection, "unmark", {"kind": kind.name, "keys": list(kind.drop(keys))})
            after = keys[-1]

    def horizon(self) -> datetime:
        """Since when the oldest run or build works, of those that lived at any time since the sweep began."""
        return min(self._first, self._oldest_lease())

    def _oldest_lease(self) -> datetime:
        row = query(self._connection, "oldest_lease", {"began": self._began}).fetchone()
        assert row is not None
        return row["since"] or NEVER


class _Sets:
    """Chunk sets: documents refer to them, and versions, which lock nothing."""

    name, page = "chunk set", PAGE

    def __init__(self, connection: Pg, collected: Collected) -> None:
        self._connection = connection
        self._collected = collected

    def look(self) -> None:
        query(self._connection, "add_idle_sets")

    def take(self, keys: Sequence[str]) -> None:
        """What it alone refers to is looked at with it, so that its time counts from now too."""
        ids, locked = self._lock(keys)
        free = self._unmapped(locked)
        held = self._held_by_versions(free)
        query(self._connection, "mark_sets", {"ids": sorted(free - held)})
        self._note(held | self._busy(ids, locked))

    def drop(self, keys: Sequence[str]) -> Collection[str]:
        """A build that was under way when they were marked may have ended, and its version shows them."""
        ids, locked = self._lock(keys)
        held = self._held_by_versions(locked)
        sets, chunks = drop_sets(self._connection, sorted(locked - held))
        self._collected.chunk_sets += sets
        self._collected.chunks += chunks
        self._note(held)
        return [str(one) for one in ids - self._busy(ids, locked)]

    def _lock(self, keys: Sequence[str]) -> tuple[set[int], set[int]]:
        ids = {int(key) for key in keys}
        rows = query(self._connection, "lock_idle_sets", {"ids": list(ids)})
        return ids, {row["chunk_set_id"] for row in rows}

    def _busy(self, ids: set[int], locked: set[int]) -> set[int]:
        """Those that others have locked: they refer to them, or are about to."""
        rows = query(self._connection, "stored_sets", {"ids": list(ids - locked)})
        return {row["chunk_set_id"] for row in rows}

    def _unmapped(self, ids: set[int]) -> set[int]:
        return {row["chunk_set_id"] for row in query(self._connection, "unmapped_sets", {"ids": list(ids)})}

    def _held_by_versions(self, ids: set[int]) -> set[int]:
        held: set[int] = set()
        for storage in storages(self._connection) if ids else ():
            parts = {"vectors": f"vectors_{storage}"}
            # The version may have been dropped meanwhile.
            with suppress(psycopg.errors.UndefinedTable), self._connection.transaction():
                rows = query(self._connection, "sets_in_version", {"ids": list(ids - held)}, parts)
                held.update(row["chunk_set_id"] for row in rows)
        return held

    def _note(self, ids: set[int]) -> None:
        query(self._connection, "note_released", {"kind": self.name, "keys": [str(one) for one in ids]})


class _Vectors:
    """Vectors: chunks with their input refer to them."""

    name, page = "vector", PAGE

    def __init__(self, connection: Pg, collected: Collected) -> None:
        self._connection = connection
        self._collected = collected

    def look(self) -> None:
        query(self._connection, "add_idle_vectors")

    def take(self, keys: Sequence[str]) -> None:
        query(self._connection, "mark_vectors", {"keys": list(keys)})

    def drop(self, keys: Sequence[str]) -> Collection[str]:
        dropped, busy = drop_vectors(self._connection, [UUID(key) for key in keys])
        self._collected.vectors += dropped
        return set(keys) - {str(key) for key in busy}


class _Parses:
    """Parses: no run knows of one that nothing refers to, so it goes at once."""

    name, page = "parse", PAGE

    def __init__(self, connection: Pg, collected: Collected) -> None:
        self._connection = connection
        self._collected = collected

    def look(self) -> None:
        query(self._connection, "add_idle_parses", parts={"usable": compose_query("usable_parse")})

    def take(self, keys: Sequence[str]) -> None:
        rows = query(self._connection, "lock_idle_parses", {"ids": [int(key) for key in keys]})
        ids = [row["parse_id"] for row in rows]
        parts = {"usable": compose_query("usable_parse")}
        self._collected.parses += query(self._connection, "drop_idle_parses", {"ids": ids}, parts).rowcount

    def drop(self, keys: Sequence[str]) -> Collection[str]:
        return keys


class _Rules:
    """Access rules: documents refer to them, and text that documents had."""

    name, page = "access rule", PAGE

    def __init__(self, connection: Pg) -> None:
        self._connection = connection

    def look(self) -> None:
        query(self._connection, "add_idle_rules")

    def take(self, keys: Sequence[str]) -> None:
        query(self._connection, "mark_rules", {"keys": list(keys)})

    def drop(self, keys: Sequence[str]) -> Collection[str]:
        drop_rules(self._connection, [UUID(key) for key in keys])
        return keys


class _Blobs:
    """Objects of the blob store: rows that name their digest refer to them."""

    page = BLOBS_PAGE

    def __init__(self, connection: Pg, store: BlobStore, kind: Kind, collected: Collected) -> None:
        self.name: str = kind
        self._connection = connection
        self._store = store
        self._kind = kind
        self._collected = collected
        self._wanted = {"raw": KNOWN["raw"], "blocks": "wanted_blocks"}[kind]
        query(connection, "ensure_removal")

    def look(self) -> None:
        for digests in blocks(self._store.digests(self._kind), PAGE):
            unknown = set(digests) - named(self._connection, self._wanted, digests)
            query(self._connection, "add_idle_blobs", {"keys": [digest.hex() for digest in unknown]})

    def take(self, keys: Sequence[str]) -> None:
        digests = [bytes.fromhex(key) for key in keys]
        unknown = set(digests) - named(self._connection, self._wanted, digests)
        there = [one.hex() for one in unknown if self._store.holds(self._kind, one)]
        query(self._connection, "mark", {"kind": self.name, "keys": there})

    def drop(self, keys: Sequence[str]) -> Collection[str]:
        query(self._connection, "begin_removal")
        digests = [bytes.fromhex(key) for key in keys]
        self._collected.blobs += drop_blobs(self._connection, self._store, self._kind, digests)
        return keys
