"""Takes away content: chunk sets with their chunks, vectors, parses, access rules and blobs.

What belongs here: what may go, and under which locks, and what purged documents alone had. What does not:
which documents go (`garbage`, `purge`), what versions hold of them (`index.departed`), and what nothing
refers to any more (`sweep`).

Runs and builds work meanwhile. Whoever writes a reference to content locks it in the same transaction, or
makes it anew; so content is locked here first, looked at again by the next statement, and then removed. What
others have locked is passed over: it is being referred to. What purged documents alone had goes at once: no
run and no build needs it, because they drop the documents.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Pg, Row, compose_query, query

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between looks at what others have locked when it was to be erased."""

KNOWN: dict[Kind, str] = {"raw": "known_raw", "blocks": "known_blocks"}
"""The queries that say which of some digests rows name."""


class Collected(msgspec.Struct):
    """How many of each were removed, and how many documents stay."""

    documents: int = 0
    chunk_sets: int = 0
    chunks: int = 0
    vectors: int = 0
    parses: int = 0
    blobs: int = 0
    sources: int = 0
    held: int = 0
    """Documents that stay, although their grace is over, because they are held."""


class Contents(NamedTuple):
    """What was made of a document: digests of bytes and blocks, and the numbers or keys of rows."""

    raw: list[bytes]
    blocks: list[bytes]
    sets: list[int]
    inputs: list[UUID]
    rules: list[UUID]


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
    collected.parses += query(
        connection, "drop_idle_parses", {"ids": parses}, {"usable": compose_query("usable_parse")}
    ).rowcount
    locked = [row["chunk_set_id"] for row in query(connection, "lock_sets_of", params)]
    alone = [row["chunk_set_id"] for row in query(connection, "sets_of_nobody", {"ids": locked})]
    sets, chunks = drop_sets(connection, alone)
    collected.chunk_sets += sets
    collected.chunks += chunks
    collected.vectors += drop_vectors(connection, contents.inputs)[0]
    drop_rules(connection, contents.rules)
    collected.blobs += drop_blobs(connection, store, "raw", contents.raw)
    collected.blobs += drop_blobs(connection, store, "blocks", contents.blocks)
    row = query(connection, "left_of", params).fetchone()
    assert row is not None
    return row


def drop_sets(connection: Pg, locked: Sequence[int]) -> tuple[int, int]:
    """Chunk sets that no document has, of those that are locked, with their chunks; how many of each."""
    gone = [row["chunk_set_id"] for row in query(connection, "drop_idle_sets", {"ids": list(locked)})]
    chunks = query(connection, "drop_chunks", {"ids": gone}).rowcount if gone else 0
    query(connection, "unmark", {"kind": "chunk set", "keys": list(map(str, gone))})
    return len(gone), chunks


def drop_vectors(connection: Pg, inputs: Sequence[UUID]) -> tuple[int, set[UUID]]:
    """Vectors that no chunk has; how many, and which inputs' are left because others have them locked."""
    locked = {row["input_key"] for row in query(connection, "lock_idle_vectors", {"keys": list(inputs)})}
    dropped = query(connection, "drop_idle_vectors", {"keys": list(locked)}).rowcount if locked else 0
    rest = {"keys": [one for one in inputs if one not in locked]}
    return dropped, {row["input_key"] for row in query(connection, "stored_vectors", rest)}


def drop_rules(connection: Pg, digests: Sequence[UUID]) -> None:
    """Access rules that nothing has; those that others have locked are about to be referred to."""
    ids = [row["access_id"] for row in query(connection, "lock_idle_rules", {"keys": list(digests)})]
    query(connection, "drop_idle_rules", {"ids": ids})


def drop_blobs(connection: Pg, store: BlobStore, kind: Kind, digests: Sequence[bytes]) -> int:
    """Objects that no row names; the last of a transaction, because they do not come back with it."""
    unknown = set(digests) - named(connection, KNOWN[kind], digests)
    for digest in unknown:
        store.delete(kind, digest)
    if unknown:
        query(connection, "end_removal")
    query(connection, "unmark", {"kind": kind, "keys": [digest.hex() for digest in unknown]})
    after = {"raw": "drop_former_bytes", "blocks": "drop_sketches"}[kind]
    query(connection, after, {"digests": list(unknown)})
    return len(unknown)


def named(connection: Pg, name: str, digests: Sequence[bytes]) -> set[bytes]:
    """Which of these digests some row names, by one of the queries of `KNOWN` or like them."""
    return {bytes(row["digest"]) for row in query(connection, name, {"digests": list(digests)})}
