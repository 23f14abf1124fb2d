"""Rows of documents, access rules and quarantine.

What belongs here: writing and reading these rows in bulk on a connection the caller gives. What does
not: deciding what changed (`sync.diff`) or when to commit (`sync.listing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import logs, tracing
from rag_pipelines.connectors.base import Item
from rag_pipelines.errors import (
    DocumentError,
    ForbiddenEntityError,
    MissingContentError,
    PoisonDocumentError,
    RagError,
    ThrottledError,
    TransientError,
    UsageError,
)
from rag_pipelines.fingerprint import fingerprint, text_key
from rag_pipelines.model import AccessRule
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.text.canonical import clean, plain_metadata

log = logs.get(__name__)

RETRY_SECONDS = 300.0
"""The first wait before a failure that may not last is tried again; it doubles up to a day."""

STAGES = ("list", "fetch", "parse", "embed", "access", "groups")
"""Where something can fail, as the quarantine calls it."""


class Loaded(NamedTuple):
    """One listed item with its content stored: what `put_documents` writes."""

    item: Item
    tenant: str
    attributes: UUID
    access_id: int
    raw_sha256: bytes
    raw_bytes: int
    masked_by: str | None = None


class QuarantineEntry(NamedTuple):
    """One failure. Exactly one of `external_id` and `entity` is set.

    `content` tells the bytes that failed (their SHA-256, or the token of what was not loaded),
    `code_version` the code that failed on them: the same two again count as another attempt.
    """

    stage: str
    error: RagError
    external_id: str | None = None
    entity: str | None = None
    content: str | None = None
    code_version: str | None = None


class QuarantineFilter(NamedTuple):
    """The entries that fit all that is given. `older_than` counts from the first failure."""

    source: str | None = None
    stage: str | None = None
    status: str | None = None
    error_class: str | None = None
    older_than: timedelta | None = None
    ids: tuple[int, ...] = ()

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the queries."""
        return {**self._asdict(), "ids": list(self.ids) or None}


class AccessRules:
    """Access rules to their ids, each asked for once a run; they are few, being content-addressed."""

    def __init__(self, connection: Pg) -> None:
        self._connection = connection
        self._ids: dict[AccessRule, int] = {}

    def id_of(self, rule: AccessRule) -> int:
        """The id of `rule`, stored if it is new."""
        known = self._ids.get(rule)
        if known is None:
            normal = rule.normalised()
            value = msgspec.to_builtins(normal)
            row = query(
                self._connection,
                "ensure_access_rule",
                {
                    "digest": text_key(fingerprint(value)),
                    "clauses": Jsonb([list(map(clean, clause)) for clause in normal.clauses]),
                    "deny": list(map(clean, normal.deny)),
                },
            ).fetchone()
            assert row is not None
            known = self._ids[rule] = row["access_id"]
        return known


def hint_of(name: str, declared_type: str | None) -> str:
    """What beside the bytes decides a document's type: the suffix of its name and the declared type."""
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot >= 0 and len(name) - dot <= 12 else ""
    return clean(f"{suffix}|{declared_type or ''}")


def known_documents(connection: Pg, source_id: int, ids: Sequence[str]) -> dict[str, Row]:
    """The stored rows of `ids`, by external id."""
    rows = query(connection, "known_documents", {"source_id": source_id, "ids": list(ids)}, binary=True)
    return {row["external_id"]: row for row in rows}


def attribute_params(
    item: Item, tenant: str, attributes: UUID, access_id: int, masked_by: str | None = None
) -> dict[str, Any]:
    """The columns that come from the listing alone; `masked_by` stands for the masks in them."""
    name = item.name or item.external_id.rsplit("/", 1)[-1]
    return {
        "external_id": item.external_id,
        "tenant": tenant,
        "token": item.token,
        "name": clean(name),
        "path": clean(item.path or item.external_id),
        "hint": hint_of(name, item.media_type),
        "url": clean(item.url) if item.url else None,
        "given_title": clean(item.title) if item.title else None,
        "author": clean(item.author) if item.author else None,
        "declared_type": item.media_type,
        "masked_by": masked_by,
        "metadata": Jsonb(plain_metadata(dict(item.metadata))),
        "attributes_key": attributes,
        "access_id": access_id,
        "modified_at": item.modified_at,
    }


def tenants_of(connection: Pg, sources: Iterable[str]) -> list[str]:
    """The tenants that these sources have documents of."""
    return [row["tenant"] for row in query(connection, "tenants", {"sources": list(sources)})]


def put_documents(connection: Pg, source_id: int, loaded: Iterable[Loaded]) -> None:
    """Insert or update documents with new content."""
    rows = [
        {
            "source_id": source_id,
            "raw_sha256": one.raw_sha256,
            "raw_bytes": one.raw_bytes,
            **attribute_params(one.item, one.tenant, one.attributes, one.access_id, one.masked_by),
        }
        for one in loaded
    ]
    _many(connection, "put_document", rows)


def set_attributes(connection: Pg, rows: Sequence[Mapping[str, Any]]) -> None:
    """Update attributes, access and token of stored documents; each row holds `document_id` too."""
    _many(connection, "set_attributes", rows)


def quarantine(connection: Pg, source_id: int, since: datetime, entries: Iterable[QuarantineEntry]) -> None:
    """Record failures; a repeated failure of the same content under the same code counts up.

    Args:
        since: documents that were purged then or later are left out.
    """
    for entry in entries:
        error = entry.error
        delay, free = _pause(entry)
        params: dict[str, Any] = {
            "source_id": source_id,
            "since": since,
            "external_id": entry.external_id,
            "entity": clean(entry.entity) if entry.entity else None,
            "stage": entry.stage,
            "status": error.status if isinstance(error, DocumentError) else "failed",
            "error_class": type(error).__name__,
            "message": clean(str(error))[:4000],
            "content": entry.content,
            "code_version": entry.code_version,
            "delay": delay,
            "free": free,
        }
        log.warning(
            "quarantined",
            stage=entry.stage,
            document=entry.external_id,
            entity=entry.entity,
            status=params["status"],
            error=params["error_class"],
            next_try_seconds=delay,
        )
        kind = "document" if entry.external_id is not None else "entity"
        query(connection, f"put_quarantine_{kind}", params)


def _pause(entry: QuarantineEntry) -> tuple[float | None, int]:
    """Seconds before the next try (None: not before content or code change), and attempts without a pause."""
    error = entry.error
    if isinstance(error, ThrottledError) and error.retry_after is not None:
        return error.retry_after, 0
    if entry.entity is not None or entry.stage == "list" or isinstance(error, MissingContentError):
        return 0.0, 0
    if entry.stage == "fetch":
        return RETRY_SECONDS, 1
    return (RETRY_SECONDS if isinstance(error, TransientError | PoisonDocumentError) else None), 0


_PASSING = [kind.__name__ for kind in (TransientError, ThrottledError, ForbiddenEntityError)]
"""Errors that may pass by themselves, however often they were met."""


def documents_not_due(
    connection: Pg, source_id: int, tokens: Mapping[str, str], *, code_version: str | None, max_attempts: int
) -> set[str]:
    """Which listed documents should not be loaded now, because loading them failed before and is not due.

    Args:
        tokens: the listed token of each external id; another token than the one that failed is always due.
        code_version: of the code that would load them; another than the one that failed is always due.
        max_attempts: how often a failure that does not pass by itself is tried.
    """
    params = {
        "source_id": source_id,
        "ids": list(tokens),
        "tokens": list(tokens.values()),
        "code_version": code_version,
        "max_attempts": max_attempts,
        "passing": _PASSING,
    }
    return {row["external_id"] for row in query(connection, "documents_not_due", params)}


def retry_is_due(connection: Pg, source_id: int, max_attempts: int) -> bool:
    """Whether a document of the source that could not be listed or loaded should be tried again now."""
    params = {"source_id": source_id, "max_attempts": max_attempts, "passing": _PASSING}
    row = query(connection, "retry_is_due", params).fetchone()
    return bool(row and row["due"])


def list_quarantine(
    connection: Pg, chosen: QuarantineFilter = QuarantineFilter(), limit: int | None = None
) -> list[Row]:
    """The entries that are meant, by source, the newest first. Raises `UsageError` for no stage of ours."""
    if chosen.stage is not None and chosen.stage not in STAGES:
        raise UsageError(f"there is no stage {chosen.stage!r}; valid: {', '.join(STAGES)}")
    return query(connection, "list_quarantine", {**chosen.params, "limit": limit}).fetchall()


def retry_quarantined(connection: Pg, chosen: QuarantineFilter) -> list[Row]:
    """Let the next run try entries again at once, whatever was tried before; returns them as they were.

    Raises:
        UsageError: an id that is meant is not there, or does not fit the rest.
    """
    rows = list_quarantine(connection, chosen)
    missing = set(chosen.ids) - {row["quarantine_id"] for row in rows}
    if missing:
        numbers = ", ".join(map(str, sorted(missing)))
        raise UsageError(f"there is no such quarantine entry: {numbers}; nothing was changed")
    query(connection, "retry_quarantine", {"ids": [row["quarantine_id"] for row in rows]})
    return rows


def server_time(connection: Pg) -> datetime:
    """The server's clock now; the one clock that row times are compared with."""
    row = connection.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None
    return row["now"]


def _many(connection: Pg, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    from rag_pipelines.store.sql import queries

    if rows:
        with tracing.statement(name), connection.cursor() as cursor:
            cursor.executemany(queries()[name], rows)
