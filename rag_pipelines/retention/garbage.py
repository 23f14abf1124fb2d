"""Collects what no document and no index version refers to any more, and purges expired tombstones.

What belongs here: the order of a collection. What does not: dropping versions (`index.promotion`), what may
go beside running runs and builds (`contents`), and purging one document by name, with proof (`purge`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from rag_pipelines import logs
from rag_pipelines.config.settings import Settings
from rag_pipelines.index.departed import drop_all_departed, forget_documents
from rag_pipelines.retention.contents import Collected, Contents, erase
from rag_pipelines.retention.sweep import sweep
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.inbox import drop_answered
from rag_pipelines.store.switches import refuse_read_only

log = logs.get(__name__)

PURGE_BATCH = 500


def collect_garbage(database: Database, settings: Settings, *, whole: bool = False) -> Collected:
    """Purge tombstones past their grace, then everything unreferenced: rows, blobs, sources.

    Runs and builds may be under way: what has become unreferenced since the oldest of them began stays until
    a later collection.

    Args:
        whole: look at all content, as every `garbage.whole_every`, and not only at what lost a reference.
    """
    collected = Collected()
    with database.connect() as connection:
        refuse_read_only(connection, "collecting garbage")
        whole = whole or _whole_is_due(connection, settings)
        store = BlobStore.of(settings)
        _purge_expired(connection, store, settings, collected)
        params = {"sources": list(settings.sources)}
        collected.sources = query(connection, "drop_sources", params).rowcount
        query(connection, "drop_hints", params)
        drop_answered(connection)
        drop_all_departed(connection)
        sweep(connection, store, collected, whole=whole)
        if whole:
            query(connection, "note_whole_collection")
    log.info("garbage collected", whole=whole, **msgspec.structs.asdict(collected))
    return collected


def _whole_is_due(connection: Pg, settings: Settings) -> bool:
    row = query(connection, "last_whole_collection", {"every": settings.garbage.whole_every}).fetchone()
    return row is None or not row["recent"]


def purge_subject(source: str, external_id: str) -> str:
    """How the audit names a purged document: by the digest of its id, which may say what the document did."""
    return f"{source}:sha256:{hashlib.sha256(external_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def audit_purge(
    connection: Pg, source: str, external_id: str, detail: Mapping[str, object], actor: str = ""
) -> None:
    """Leave the row that says that a document was purged; `detail` holds no text of it."""
    record_audit(connection, "purge", purge_subject(source, external_id), detail, actor)


def _purge_expired(connection: Pg, store: BlobStore, settings: Settings, collected: Collected) -> None:
    """Remove documents whose grace is over and that nobody holds, and what they alone had; each is audited.

    Their vectors are left to the sweep: to look whether any chunk has one reads all chunks.
    """
    params = {
        "sources": list(settings.sources),
        "graces": [source.grace for source in settings.sources.values()],
        "limit": PURGE_BATCH,
    }
    while True:
        with connection.transaction():
            query(connection, "take_storages")
            expired = query(connection, "expired_tombstones", params).fetchall()
            if not expired:
                row = query(connection, "held_tombstones", params).fetchone()
                collected.held = row["held"] if row else 0
                return
            forget_documents(connection, [row["document_id"] for row in expired])
            for row in expired:
                evidence = {"raw": row["raw"], "blocks": row["blocks"]}
                detail = {"reason": "its grace was over", "evidence": evidence}
                audit_purge(connection, row["source"], row["external_id"], detail)
        collected.documents += len(expired)
        raw = [bytes.fromhex(one) for row in expired for one in row["raw"]]
        blocks = [bytes.fromhex(one) for row in expired for one in row["blocks"]]
        contents = Contents(raw, blocks, [], [], [])
        erase(connection, store, contents, collected)
