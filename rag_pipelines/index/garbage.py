"""Collects what no document and no index version refers to any more, and purges expired tombstones.

What belongs here: the order of the deletions. What does not: dropping versions (`promotion`).

Runs and builds hold the catalogue together, a collection holds it alone, so nothing is collected that
somebody has just looked up and is about to refer to.
"""

from __future__ import annotations

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.batching import blocks
from rag_pipelines.config.settings import Settings
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import advisory_lock, lease_owner

PURGE_BATCH = 500


class Collected(msgspec.Struct):
    """How many of each were removed."""

    documents: int = 0
    chunk_sets: int = 0
    chunks: int = 0
    vectors: int = 0
    parses: int = 0
    blobs: int = 0


def collect_garbage(database: Database, settings: Settings) -> Collected:
    """Purge tombstones past their grace, then everything unreferenced: rows and blobs.

    Raises:
        UsageError: a run or a build is under way; collect when it has ended.
    """
    collected = Collected()
    busy = "a run, a build or another collection is under way; collect garbage when it has ended"
    with database.connect() as connection, advisory_lock(connection, "rag.catalogue", busy=busy):
        _purge(connection, settings, collected)
        with connection.transaction():
            query(connection, "begin_references")
            query(connection, "add_catalogue_references")
            for storage in _storages(connection):
                query(connection, "add_version_references", None, {"vectors": f"vectors_{storage}"})
            collected.chunk_sets = query(connection, "drop_chunk_sets").rowcount
            collected.chunks = query(connection, "drop_chunks").rowcount
            collected.vectors = query(connection, "drop_vectors").rowcount
            collected.parses = query(connection, "drop_parses").rowcount
            query(connection, "drop_access_rules")
        _drop_blobs(connection, BlobStore(settings.blobs_url), collected)
    return collected


def _storages(connection: Pg) -> list[int]:
    return [row["storage"] for row in query(connection, "storages_in_use")]


def _purge(connection: Pg, settings: Settings, collected: Collected) -> None:
    """Remove documents whose grace is over from the catalogue and from every version; one audit row each."""
    params = {
        "sources": list(settings.sources),
        "graces": [source.grace for source in settings.sources.values()],
        "limit": PURGE_BATCH,
    }
    while expired := query(connection, "expired_tombstones", params).fetchall():
        ids = {"ids": [row["document_id"] for row in expired]}
        with connection.transaction():
            for storage in _storages(connection):
                for table in ("vectors", "lexical"):
                    query(connection, "purge_from_version", ids, {"table": f"{table}_{storage}"})
            query(connection, "purge_documents", ids)
            for row in expired:
                subject = f"{row['source']}:{row['external_id']}"
                audit = {"actor": lease_owner(), "action": "purge", "subject": subject, "detail": Jsonb({})}
                query(connection, "put_audit", audit)
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
