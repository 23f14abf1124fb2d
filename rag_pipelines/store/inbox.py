"""The inbox: documents that systems send, kept as long as they are at their source.

What belongs here: taking a sending with its receipt, what became of it, and reading the inbox for the
connector. What does not: who may send (`serving.push`), and what a run makes of it (`connectors.push`).

A sending is taken in one transaction with its receipt, its audit row and a hint. Sendings to one source
follow each other, so that who has seen the newest has seen all. Their content goes into the blob store while
no collection can remove any, and nothing is kept of a sending that is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Connector
from rag_pipelines.connectors.push import PUSHED, PushConnector, Pushed, Sent
from rag_pipelines.errors import ConflictError
from rag_pipelines.fingerprint import fingerprint, sha256
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database, Pg, Row, mapped_errors, query
from rag_pipelines.store.hints import put_hints
from rag_pipelines.store.switches import refuse_read_only

PAGE = 500
"""Rows of the inbox read at once."""

RECEIPTS_KEPT = timedelta(days=30)
"""For which a key stands for what was sent with it."""

Action = Literal["put", "delete"]
State = Literal["waiting", "ok", "quarantined", "withheld", "deleted", "superseded", "purged"]


class Sending(msgspec.Struct, frozen=True):
    """One document as it was sent, or that it is gone: then `pushed` is None. `key` is its sender's."""

    key: str
    external_id: str
    pushed: Pushed | None = None
    content: bytes = b""

    @property
    def action(self) -> Action:
        """What is to happen."""
        return "delete" if self.pushed is None else "put"


class Receipt(msgspec.Struct, frozen=True):
    """That a sending was taken. `repeated`: it had been taken before, by the same key."""

    receipt: UUID
    key: str
    external_id: str
    action: Action
    received_at: datetime
    repeated: bool = False


class ReceiptState(msgspec.Struct, frozen=True):
    """What became of a sending; `reason` says why, where it is in quarantine or withheld."""

    receipt: UUID
    key: str
    external_id: str
    action: Action
    received_at: datetime
    state: State
    reason: str | None


class SentState(msgspec.Struct, frozen=True):
    """What became of the newest sending of a document; `bytes` is None where that was a deletion."""

    external_id: str
    sent_at: datetime
    bytes: int | None
    state: State
    reason: str | None


class _Known(NamedTuple):
    receipt: Receipt
    digest: UUID


def accept(
    database: Database, blobs: BlobStore, source: str, sender: str, sendings: Sequence[Sending]
) -> list[Receipt]:
    """Take all of `sendings`, whose keys differ, or none; their receipts in order.

    Raises:
        ConflictError: a key was used before for something else.
        SwitchedOffError: ingest is read-only.
        TransientError, DatabaseError: they cannot be kept; nothing was taken.
    """
    hashes = [None if one.pushed is None else sha256(one.content) for one in sendings]
    with database.transaction() as connection:
        refuse_read_only(connection, f"sending to source {source!r}")
        query(connection, "begin_sending", {"source": source})
        known = _known(connection, source, [one.key for one in sendings])
        for sending, raw in zip(sendings, hashes, strict=True):
            _refuse_used(sending, _digest(sending, raw), known)
        new = [one for one in sendings if one.key not in known]
        query(connection, "hold_removals")
        blobs.put_all("raw", [one.content for one in new if one.pushed is not None])
        receipts = [
            msgspec.structs.replace(known[one.key].receipt, repeated=True)
            if one.key in known
            else _take(connection, source, sender, one, raw)
            for one, raw in zip(sendings, hashes, strict=True)
        ]
        if new:
            put_hints(connection, [source], [None])
            record_audit(connection, "push", source, Counter(one.action for one in new), sender)
    return receipts


def state_of_receipt(database: Database, source: str, receipt: UUID) -> ReceiptState | None:
    """What became of a sending; None for a receipt that is not of this source, or too old."""
    with database.connection() as connection:
        row = query(connection, "state_of_receipt", {"source": source, "receipt": receipt}).fetchone()
    return ReceiptState(**row) if row else None


def state_of_document(database: Database, source: str, external_id: str) -> SentState | None:
    """What became of the newest sending of a document; None where there is none."""
    params = {"source": source, "external_id": external_id}
    with database.connection() as connection:
        row = query(connection, "state_of_sent", params).fetchone()
    return SentState(**row) if row else None


def drop_answered(connection: Pg) -> None:
    """Forget deletions that are done, and receipts that are old."""
    query(connection, "drop_answered_deletions")
    query(connection, "drop_receipts", {"kept": RECEIPTS_KEPT})


def open_connector(settings: Settings, source: str, connection: Pg) -> Connector:
    """The connector of a source; one that is sent to reads its inbox through `connection`."""
    connector = settings.connector(source)
    if isinstance(connector, PushConnector) and connector.inbox is None:
        connector.inbox = StoredInbox(connection, BlobStore.of(settings), source)
    return connector


class StoredInbox:
    """The inbox of one source, as its connector reads it. For one thread, but for `content`."""

    def __init__(self, connection: Pg, blobs: BlobStore, source: str) -> None:
        self._connection = connection
        self._blobs = blobs
        self._source = {"source": source}

    def newest(self) -> int:
        """As `Inbox.newest`."""
        return int(self._rows("newest_sent")[0]["sequence"])

    def documents(self) -> Iterator[Sent]:
        """As `Inbox.documents`."""
        after = ""
        while rows := self._rows("sent_page", after=after, limit=PAGE):
            yield from map(_sent, rows)
            after = rows[-1]["external_id"]

    def since(self, after: int, upto: int) -> Iterator[Sent]:
        """As `Inbox.since`."""
        while rows := self._rows("sent_changes", after=after, upto=upto, limit=PAGE):
            yield from map(_sent, rows)
            after = rows[-1]["sequence"]

    def existing(self, ids: Sequence[str]) -> set[str]:
        """As `Inbox.existing`."""
        return {row["external_id"] for row in self._rows("sent_among", ids=list(ids))}

    def content(self, digest: bytes) -> bytes:
        """As `Inbox.content`; raises `MissingContentError` where it was lost."""
        return self._blobs.get("raw", digest)

    def _rows(self, name: str, **params: object) -> list[Row]:
        with mapped_errors():
            return query(self._connection, name, {**self._source, **params}).fetchall()


def _known(connection: Pg, source: str, keys: Sequence[str]) -> dict[str, _Known]:
    rows = query(connection, "known_receipts", {"source": source, "keys": list(keys)})
    return {row["key"]: _Known(_receipt(row), row["digest"]) for row in rows}


def _refuse_used(sending: Sending, digest: UUID, known: Mapping[str, _Known]) -> None:
    before = known.get(sending.key)
    if before is not None and before.digest != digest:
        raise ConflictError(
            f"the idempotency key {sending.key!r} was used at {before.receipt.received_at:%Y-%m-%d %H:%M:%S} "
            "UTC for another sending; valid: the same again, or a new key"
        )


def _take(connection: Pg, source: str, sender: str, sending: Sending, raw: bytes | None) -> Receipt:
    params = {"source": source, "external_id": sending.external_id}
    if sending.pushed is None:
        row = query(connection, "withdraw_sent", params).fetchone()
    else:
        item = Jsonb(PUSHED.encode(sending.pushed))
        content = {"item": item, "raw_sha256": raw, "raw_bytes": len(sending.content)}
        row = query(connection, "put_sent", {**params, **content}).fetchone()
    said = {
        **params,
        "key": sending.key,
        "action": sending.action,
        "digest": _digest(sending, raw),
        "sequence": row["sequence"] if row else 0,
        "sent_by": sender,
    }
    made = query(connection, "put_receipt", said).fetchone()
    assert made is not None
    return _receipt(made)


def _receipt(row: Row) -> Receipt:
    return Receipt(row["receipt"], row["key"], row["external_id"], row["action"], row["received_at"])


def _digest(sending: Sending, raw: bytes | None) -> UUID:
    """Equal for sendings that say the same."""
    pushed = sending.pushed and msgspec.to_builtins(sending.pushed)
    return UUID(fingerprint([sending.external_id, pushed, raw.hex() if raw else None])[:32])


def _sent(row: Row) -> Sent:
    return Sent(row["external_id"], row["item"], row["raw_sha256"], row["raw_bytes"], row["sent_at"])
