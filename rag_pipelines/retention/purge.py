"""Purges one document at once, from everything, and proves it, beside runs and builds that may be under way.

What belongs here: the order of the removals of one document that somebody names. What does not: deleting
what is at the source (a run does that), purging expired tombstones (`garbage`), removing what was made of the
document (`contents`), the search (`proof`).

What a run over its source is writing just then is waited for. In one transaction the document is noted as
forgotten, so that whatever a run that began before writes later passes over it, and leaves the catalogue and
every version at rest, together with what records of runs say of it; a version that is being built drops it at
its end. Then what it alone had goes, earlier contents too, and, as in a collection, what
nothing refers to; then the tables are vacuumed. What another document shares, or had and a version may still
show, stays, because it is that document's.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import TransientError, UsageError
from rag_pipelines.index.departed import Departure, forget_documents
from rag_pipelines.index.storage import TABLES
from rag_pipelines.retention.contents import Collected, erase
from rag_pipelines.retention.garbage import audit_purge, purge_subject
from rag_pipelines.retention.holds import refuse_held
from rag_pipelines.retention.proof import (
    Looker,
    Mentions,
    Proof,
    PurgeEvidence,
    Record,
    Speaks,
    Waiting,
    content_tables,
    gather,
    look,
    records,
)
from rag_pipelines.retention.sweep import sweep
from rag_pipelines.store.audit import AUDIT_DETAIL
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, Part, Pg, Row, query
from rag_pipelines.store.switches import refuse_read_only

EVIDENCE_KEPT = 1_000
"""Digests of each kind that the audit keeps, so that a proof can be repeated."""

PATIENCE = 50.0
"""Seconds in which what a run over the source is writing has to end; a batch takes a few."""

LOOKING = 5.0
"""Seconds in which transactions of ours that may still look at deleted rows have to end before the vacuum."""

READINGS = 5
"""How often records are read at most, where runs write into them meanwhile."""

NOT_REMOVED = ("sources", "held")
"""Counts of a collection that say nothing of one document."""

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
    make_room: bool = True,
    actor: str = "",
) -> Purged:
    """Remove one document from the catalogue, every version, the caches, the blob store and the records.

    Args:
        reason: kept in the audit; names and passages of the document are taken out of it.
        verify: look for what is left, in every table and every blob.
        even_if_present: purge what its source still lists; the next full listing brings it back.
        rewrite: rewrite the tables touched (each is locked meanwhile), so that no page holds old bytes;
            otherwise they are vacuumed, and old bytes go when their space is used again.
        make_room: vacuum at all; who purges many documents does so once, after the last.

    Raises:
        UsageError: it is unknown, it is still at its source, or it is held.
        TransientError: a run over its source, or an applied plan, has been writing for too long; or a table
            that was to be rewritten is in use, and the document is purged.
    """
    store = BlobStore.of(settings)
    told: Counter[str] = Counter()
    with database.connect() as connection:
        refuse_read_only(connection, f"the purge of {source}:{external_id}")
        with connection.transaction():
            document, unloaded = _stop_runs(connection, source, external_id, even_if_present=even_if_present)
            if document is not None:
                query(connection, "take_storages")
                refuse_held(connection, source, external_id)
                evidence, contents, quotes = gather(connection, document)
                mentions = Mentions(source, external_id, _names(document), quotes)
                left = forget_documents(connection, [document["document_id"]])
                query(connection, "drop_sent", {"source": source, "external_id": external_id})
                told = forget_records(connection, mentions)
                removed = {"rows in versions": left.rows, "records": sum(told.values())}
                detail = {"reason": mentions.without(reason, mentions.label), "removed": removed}
                kept = msgspec.to_builtins(evidence.sample(EVIDENCE_KEPT))
                audit_purge(connection, source, external_id, {**detail, "evidence": kept}, actor)
        if document is None:
            return _purge_again(
                connection, store, source, external_id, unloaded, verify=verify, rewrite=rewrite
            )
        collected = Collected(documents=1)
        number = erase(connection, store, contents, collected)
        sweep(connection, store, collected)
        waiting = vacuum(connection, source, told, left, number, rewrite=rewrite) if make_room else Waiting()
        proof = look(connection, store, evidence, mentions, waiting, whole_blobs=True) if verify else None
    counts = {kind: n for kind, n in msgspec.structs.asdict(collected).items() if kind not in NOT_REMOVED}
    return Purged(source, external_id, {**counts, "rows in versions": left.rows}, dict(told), None, proof)


def _stop_runs(
    connection: Pg, source: str, external_id: str, *, even_if_present: bool
) -> tuple[Row | None, bool]:
    """Inside a transaction: no run writes to the source before it ends, and none that began before now writes
    anything of the document after. Its row, if there is one, and whether it was listed and not loaded yet.

    Raises `UsageError` where it is still at its source.
    """
    names = {"source": source, "external_id": external_id}
    connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{PATIENCE:.0f}s",))
    try:
        stopped = query(connection, "stop_writers", names).fetchone()
        if stopped:
            query(connection, "stop_shards", stopped)
    except psycopg.errors.LockNotAvailable as error:
        raise TransientError(
            f"source {source!r} is being written to in one piece, by a plan that is made or applied, for "
            f"more than {PATIENCE:.0f} seconds: nothing was purged; try again when it has ended"
        ) from error
    document = query(connection, "purge_document", names).fetchone()
    dropped = query(connection, "drop_wanted", {**stopped, "ids": [external_id]}) if stopped else None
    unloaded = dropped is not None and dropped.rowcount > 0
    if document is None or document["state"] == "tombstoned":
        sent = query(connection, "sent_among", {"source": source, "ids": [external_id]}).fetchone()
        unloaded = unloaded or sent is not None
    state = "not loaded yet" if unloaded else document and document["state"]
    if state not in (None, "tombstoned") and not even_if_present:
        raise UsageError(
            f"{source}:{external_id} is still at its source ({state}), so a run would "
            f"bring it back; delete it there and run `rag-pipelines ingest {source}`, or pass "
            "--even-if-present"
        )
    if stopped:
        query(connection, "put_forgotten", {**stopped, "digest": _digest(external_id)})
    return document, unloaded


def _purge_again(
    connection: Pg,
    store: BlobStore,
    source: str,
    external_id: str,
    unloaded: bool,
    *,
    verify: bool,
    rewrite: bool,
) -> Purged:
    """Finish and prove what was purged before; a document that only failed, or was listed and never loaded
    (`unloaded`), leaves its records here."""
    subject = {"subject": purge_subject(source, external_id)}
    trail = query(connection, "purge_trail", subject).fetchone()
    mentions = Mentions(source, external_id)
    if trail is None and not unloaded and next(records(connection, mentions), None) is None:
        raise UsageError(f"no document {source}:{external_id} is stored, and none was purged under that id")
    detail = AUDIT_DETAIL.decode(trail["detail"]) if trail else {}
    evidence = msgspec.convert(detail.get("evidence", {}), PurgeEvidence)
    collected = Collected()
    with connection.transaction():
        left = forget_documents(connection, [evidence.document_id])
        query(connection, "drop_sent", {"source": source, "external_id": external_id})
        told = forget_records(connection, mentions)
        if trail is None:
            audit_purge(connection, source, external_id, {"removed": {"records": sum(told.values())}})
    number = erase(connection, store, evidence.contents, collected)
    sweep(connection, store, collected)
    waiting = vacuum(connection, source, told, left, number, rewrite=rewrite)
    proof = look(connection, store, evidence, mentions, waiting, whole_blobs=False) if verify else None
    counts = {kind: n for kind, n in msgspec.structs.asdict(collected).items() if kind not in NOT_REMOVED}
    earlier = f"{trail['at']:%Y-%m-%d %H:%M} by {trail['actor']}" if trail else None
    return Purged(source, external_id, counts, dict(told), earlier, proof)


def _names(document: Row) -> list[str]:
    return [document[name] for name in ("path", "url") if document[name]]


def _digest(external_id: str) -> bytes:
    return hashlib.sha256(external_id.encode("utf-8", "surrogatepass")).digest()


def forget_records(
    connection: Pg, mentions: Speaks, changes: Callable[[Record], bool] = lambda _: True
) -> Counter[str]:
    """Take a document, or a person, out of what runs and people left; returns the values changed by table.

    Args:
        changes: which records may be changed.

    A value that somebody changes meanwhile is read again, a few times.
    """
    told: Counter[str] = Counter()
    query(connection, "redacting", {"reason": "purge"})
    for _ in range(READINGS):
        missed = False
        for record in filter(changes, records(connection, mentions)):
            place = {"place": record.row, "old": record.stored}
            parts: dict[str, Part] = {"table": record.table, "column": sql.Identifier(record.column)}
            if record.column in NAMING:
                changed = query(connection, "delete_record", place, parts).rowcount
            else:
                value = mentions.without(record.value, mentions.label)
                stored = Jsonb(value) if record.is_json else value
                changed = query(connection, "replace_value", {**place, "value": stored}, parts).rowcount
            told[record.table] += changed
            missed = missed or not changed
        if not missed:
            break
    return told


def vacuum(
    connection: Pg, source: str | None, told: Iterable[str], left: Departure, number: str, *, rewrite: bool
) -> Waiting:
    """Make room of rows deleted up to the transaction `number`, and forget statistics that quote them."""
    lookers = _lookers(connection, number)
    query(connection, "flush_counters")
    busy = {f"{kind}_{build.storage}" for build in left.builds for kind in TABLES}
    in_use: list[str] = []
    if rewrite:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOOKING:.0f}s",))
    for table in (*content_tables(connection), *told, "audit"):
        if table in busy:
            continue
        try:
            query(connection, "rewrite_table" if rewrite else "vacuum_table", None, {"table": table})
        except psycopg.errors.LockNotAvailable:
            in_use.append(table)
        except psycopg.errors.UndefinedTable:  # A version was dropped meanwhile.
            continue
    query(connection, "vacuum_statistics")
    if in_use:
        raise TransientError(
            f"the document is purged, but {', '.join(in_use)} could not be rewritten, because others use "
            "them; run the command again with --rewrite when builds have ended"
        )
    running = source and query(connection, "is_running", {"source": source}).fetchone()
    return Waiting(left.builds, lookers, source if running else None)


def _lookers(connection: Pg, number: str) -> list[Looker]:
    """Who keeps the vacuum from removing rows; transactions of ours are waited for, but not builds."""
    given_up = time.monotonic() + LOOKING
    while True:
        found = [Looker(**row) for row in query(connection, "lookers", {"number": number})]
        if time.monotonic() > given_up or not any(one.passes for one in found):
            return found
        time.sleep(0.02)
