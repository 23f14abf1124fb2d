"""Purges one document at once, from everything, and proves it.

What belongs here: the order of the removals of one document that somebody names. What does not: deleting
what is at the source (a run does that), purging expired tombstones (`garbage`), the search (`proof`).

A document leaves the catalogue and every version in one transaction, together with what records of runs say
of it; then everything that nothing refers to any more is swept, which takes along contents that the document
had before; then the tables are vacuumed. What another document shares stays, because it is that document's.
"""

from __future__ import annotations

import hashlib
from collections import Counter

import msgspec
from psycopg import sql
from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.retention.garbage import (
    Collected,
    audit_purge,
    catalogue_alone,
    forget_documents,
    purge_subject,
    sweep,
)
from rag_pipelines.retention.proof import (
    Mentions,
    Proof,
    PurgeEvidence,
    content_tables,
    gather,
    look,
    records,
)
from rag_pipelines.store.audit import AUDIT_DETAIL
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, Pg, Row, query

EVIDENCE_KEPT = 1_000
"""Digests of each kind that the audit keeps, so that a proof can be repeated."""

NAMING = ("external_id", "entity")
"""A record that names the document here is about it and goes; elsewhere its words are taken out."""


class Purged(msgspec.Struct, frozen=True):
    """What a purge removed: rows and blobs by kind, and mentions in records by table.

    `earlier` says when the document had been purged before, if there was nothing left but to look for it.
    """

    source: str
    external_id: str
    removed: dict[str, int]
    mentions: dict[str, int]
    earlier: str | None = None
    proof: Proof | None = None


def purge_document(
    database: Database,
    settings: Settings,
    source: str,
    external_id: str,
    *,
    reason: str = "",
    verify: bool = False,
    even_if_present: bool = False,
    rewrite: bool = False,
    actor: str = "",
) -> Purged:
    """Remove one document from the catalogue, every version, the caches, the blob store and the records.

    Args:
        reason: kept in the audit; names and passages of the document are taken out of it.
        verify: look for what is left, in every table and every blob.
        even_if_present: purge what its source still lists; the next full listing brings it back.
        rewrite: rewrite the tables touched (each is locked meanwhile), so that no page holds old bytes;
            otherwise they are vacuumed, and old bytes go when their space is used again.

    Raises:
        UsageError: it is unknown, it is still at its source, or a run or a build is under way.
    """
    store = BlobStore.of(settings)
    with catalogue_alone(database) as connection:
        names = {"source": source, "external_id": external_id}
        document = query(connection, "purge_document", names).fetchone()
        if document is None:
            return _purge_again(connection, store, source, external_id, verify=verify)
        if document["state"] != "tombstoned" and not even_if_present:
            raise UsageError(
                f"{source}:{external_id} is still at its source ({document['state']}), so a run would bring "
                f"it back; delete it there and run `rag-pipelines ingest {source}`, or pass --even-if-present"
            )
        evidence, quotes = gather(connection, document)
        mentions = Mentions(source, external_id, _names(document), quotes)
        collected = Collected(documents=1)
        with connection.transaction():
            rows = forget_documents(connection, [document["document_id"]])
            told = _forget_records(connection, mentions)
            removed = {"rows in versions": rows, "records": sum(told.values())}
            detail = {"reason": mentions.without(reason, _label(external_id)), "removed": removed}
            kept = msgspec.to_builtins(evidence.sample(EVIDENCE_KEPT))
            audit_purge(connection, source, external_id, {**detail, "evidence": kept}, actor)
        sweep(connection, store, collected)
        _vacuum(connection, told, rewrite=rewrite)
        proof = look(connection, store, evidence, mentions, whole_blobs=True) if verify else None
    counts = {kind: n for kind, n in msgspec.structs.asdict(collected).items() if kind != "sources"}
    return Purged(source, external_id, {**counts, "rows in versions": rows}, dict(told), None, proof)


def _purge_again(connection: Pg, store: BlobStore, source: str, external_id: str, *, verify: bool) -> Purged:
    """Finish and prove what was purged before; a document that only failed leaves its records here."""
    subject = {"subject": purge_subject(source, external_id)}
    trail = query(connection, "purge_trail", subject).fetchone()
    mentions = Mentions(source, external_id)
    if trail is None and next(records(connection, mentions), None) is None:
        raise UsageError(f"no document {source}:{external_id} is stored, and none was purged under that id")
    detail = AUDIT_DETAIL.decode(trail["detail"]) if trail else {}
    evidence = msgspec.convert(detail.get("evidence", {}), PurgeEvidence)
    collected = Collected()
    with connection.transaction():
        told = _forget_records(connection, mentions)
        if trail is None:
            audit_purge(connection, source, external_id, {"removed": {"records": sum(told.values())}})
    sweep(connection, store, collected)
    _vacuum(connection, told, rewrite=False)
    proof = look(connection, store, evidence, mentions, whole_blobs=False) if verify else None
    counts = {kind: n for kind, n in msgspec.structs.asdict(collected).items() if kind != "sources"}
    earlier = f"{trail['at']:%Y-%m-%d %H:%M} by {trail['actor']}" if trail else None
    return Purged(source, external_id, counts, dict(told), earlier, proof)


def _names(document: Row) -> list[str]:
    return [document[name] for name in ("path", "url") if document[name]]


def _label(external_id: str) -> str:
    digest = hashlib.sha256(external_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"(purged, sha256 {digest[:16]})"


def _forget_records(connection: Pg, mentions: Mentions) -> Counter[str]:
    """Take the document out of what runs and people left; returns the values changed by table."""
    told: Counter[str] = Counter()
    for record in records(connection, mentions):
        told[record.table] += 1
        place, table = {"place": record.row}, {"table": record.table}
        if record.column in NAMING:
            query(connection, "delete_record", place, table)
            continue
        value = mentions.without(record.value, _label(mentions.external_id))
        stored = Jsonb(value) if record.is_json else value
        column = {"column": sql.Identifier(record.column)}
        query(connection, "replace_value", {**place, "value": stored}, {**table, **column})
    return told


def _vacuum(connection: Pg, told: Counter[str], *, rewrite: bool) -> None:
    """Make room of deleted rows and forget statistics that quote them."""
    query(connection, "flush_counters")
    for table in (*content_tables(connection), *told, "audit"):
        query(connection, "rewrite_table" if rewrite else "vacuum_table", None, {"table": table})
    query(connection, "vacuum_statistics")
