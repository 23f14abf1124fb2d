"""Collects what no document and no index version refers to any more, and purges expired tombstones.

What belongs here: the order of the deletions. What does not: dropping versions (`promotion`), and
purging one document by name, with proof (`purge`).

Runs and builds hold the catalogue together, a collection holds it alone, so nothing is collected that
somebody has just looked up and is about to refer to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from rag_pipelines import logs
from rag_pipelines.batching import blocks
from rag_pipelines.config.settings import Settings
from rag_pipelines.index.storage import forget
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import advisory_lock

log = logs.get(__name__)

PURGE_BATCH = 500


class Collected(msgspec.Struct):
    """How many of each were removed."""

    documents: int = 0
    chunk_sets: int = 0
    chunks: int = 0
    vectors: int = 0
    parses: int = 0
    blobs: int = 0
    sources: int = 0


def collect_garbage(database: Database, settings: Settings) -> Collected:
    """Purge tombstones past their grace, then everything unreferenced: rows, blobs, sources.

    Raises:
        UsageError: a run or a build is under way; collect when it has ended.
    """
    collected = Collected()
    with catalogue_alone(database) as connection:
        _purge_expired(connection, settings, collected)
        params = {"sources": list(settings.sources)}
        collected.sources = query(connection, "drop_sources", params).rowcount
        query(connection, "drop_hints", params)
        sweep(connection, BlobStore.of(settings), collected)
    log.info("garbage collected", **msgspec.structs.asdict(collected))
    return collected


@contextmanager
def catalogue_alone(database: Database) -> Iterator[Pg]:
    """A connection of its own that keeps runs and builds away. Raises `UsageError` while there are some."""
    busy = "a run, a build or another collection is under way; try again when it has ended"
    with database.connect() as connection, advisory_lock(connection, "rag.catalogue", busy=busy):
        yield connection


def storages(connection: Pg) -> list[int]:
    """The numbers of the physical tables that exist, whatever state their version is in."""
    return [row["storage"] for row in query(connection, "version_storages")]


def forget_documents(connection: Pg, ids: Sequence[int]) -> int:
    """Inside a transaction: remove documents from the catalogue and from every version, live or not.

    Returns the rows that left the versions. What the documents referred to is left to `sweep`.
    """
    rows = 0
    query(connection, "begin_purge", {"ids": list(ids)})
    for storage in storages(connection):
        rows += forget(connection, storage)
    query(connection, "purge_documents", {"ids": list(ids)})
    return rows


def sweep(connection: Pg, store: BlobStore, collected: Collected) -> None:
    """Remove what nothing refers to: chunk sets, chunks, vectors, parses, access rules, then blobs."""
    with connection.transaction():
        query(connection, "begin_references")
        query(connection, "add_catalogue_references")
        for storage in storages(connection):
            query(connection, "add_version_references", None, {"vectors": f"vectors_{storage}"})
        collected.chunk_sets = query(connection, "drop_chunk_sets").rowcount
        collected.chunks = query(connection, "drop_chunks").rowcount
        collected.vectors = query(connection, "drop_vectors").rowcount
        collected.parses = query(connection, "drop_parses").rowcount
        query(connection, "drop_access_rules")
    _drop_blobs(connection, store, collected)


def purge_subject(source: str, external_id: str) -> str:
    """How the audit names a purged document: by the digest of its id, which may say what the document did."""
    return f"{source}:sha256:{hashlib.sha256(external_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def audit_purge(
    connection: Pg, source: str, external_id: str, detail: Mapping[str, object], actor: str = ""
) -> None:
    """Leave the row that says that a document was purged; `detail` holds no text of it."""
    record_audit(connection, "purge", purge_subject(source, external_id), detail, actor)


def _purge_expired(connection: Pg, settings: Settings, collected: Collected) -> None:
    """Remove documents whose grace is over from the catalogue and from every version; one audit row each."""
    params = {
        "sources": list(settings.sources),
        "graces": [source.grace for source in settings.sources.values()],
        "limit": PURGE_BATCH,
    }
    while expired := query(connection, "expired_tombstones", params).fetchall():
        with connection.transaction():
            forget_documents(connection, [row["document_id"] for row in expired])
            for row in expired:
                detail = {"reason": "its grace was over", "evidence": {"raw": [row["raw"]]}}
                audit_purge(connection, row["source"], row["external_id"], detail)
        collected.documents += len(expired)


def _drop_blobs(connection: Pg, store: BlobStore, collected: Collected) -> None:
    known: dict[Kind, str] = {"raw": "known_raw", "blocks": "known_blocks"}
    for kind, name in known.items():
        for digests in blocks(store.digests(kind), 1_000):
            found = {bytes(row["digest"]) for row in query(connection, name, {"digests": digests})}
            for digest in digests:
                if digest not in found:
                    store.delete(kind, digest)
                    collected.blobs += 1
