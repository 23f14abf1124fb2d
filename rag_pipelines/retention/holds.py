"""Legal holds: what they name is not removed until they are released or over.

What belongs here: placing, listing and releasing holds, and refusing what would remove something held. What
does not: what a hold matches and the last line against deletions (`sql/objects/12_holds.sql`).

A hold keeps content, it does not keep a document in an index: what is deleted at its source leaves every
search as before, and its bytes stay until the hold ends.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import lease_owner


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One hold. It keeps what fits all that it names: a source, a path (with ``*`` and ``?``), a label (any
    value of the metadata), one document's id. `documents` are kept by it, of which `deleted` are gone at
    their source.

    `state`: ``in force``, ``over`` (`until` has passed) or ``released``.
    """

    hold_id: int
    source: str | None
    path: str | None
    label: str | None
    document: str | None
    reason: str
    placed_by: str
    placed_at: datetime
    until: datetime | None
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None
    state: str
    documents: int
    deleted: int


def add_hold(
    database: Database,
    *,
    reason: str,
    source: str | None = None,
    path: str | None = None,
    label: str | None = None,
    document: str | None = None,
    until: datetime | None = None,
    actor: str | None = None,
) -> Hold:
    """Place a hold; who is removing something just then is waited for.

    Raises:
        UsageError: it names nothing, has no reason, or is over already.
    """
    _check_reason(reason)
    named = {"source": source, "path": path, "label": label, "document": document}
    if not any(named.values()):
        raise UsageError("a hold names what it keeps: a source, a path, a label or a document")
    if document and not source:
        raise UsageError("a hold on a document names its source too")
    if until is not None and until <= datetime.now(UTC):
        raise UsageError(f"the hold would be over already: until is {until:%Y-%m-%d}, which has passed")
    actor = actor or lease_owner()
    with database.connect() as connection, connection.transaction():
        query(connection, "take_storages")
        params = {**named, "reason": reason, "placed_by": actor, "until": until}
        row = query(connection, "put_hold", params).fetchone()
        assert row is not None
        detail = {**{name: value for name, value in named.items() if value}, "reason": reason}
        if until is not None:
            detail["until"] = until.isoformat()
        record_audit(connection, "hold", f"hold {row['hold_id']}", detail, actor)
        return find_hold(connection, row["hold_id"])


def list_holds(connection: Pg, *, every: bool = False) -> list[Hold]:
    """Holds in force, or all that there ever were, the newest first."""
    return [Hold(**row) for row in query(connection, "list_holds", {"hold_id": None, "every": every})]


def find_hold(connection: Pg, hold_id: int) -> Hold:
    """One hold. Raises `UsageError` where there is none of this number."""
    row = query(connection, "list_holds", {"hold_id": hold_id, "every": True}).fetchone()
    if row is None:
        raise UsageError(f"there is no hold {hold_id}; see `rag-pipelines hold list --all`")
    return Hold(**row)


def release_hold(database: Database, hold_id: int, *, reason: str, actor: str | None = None) -> Hold:
    """End a hold: what it alone kept goes by the rules that hold for it, with the next collection.

    Raises:
        UsageError: there is no such hold, it is released, or there is no reason.
    """
    _check_reason(reason)
    actor = actor or lease_owner()
    with database.connect() as connection, connection.transaction():
        query(connection, "take_storages")
        found = find_hold(connection, hold_id)
        if found.state == "released":
            raise UsageError(
                f"hold {hold_id} was released {found.released_at:%Y-%m-%d} by {found.released_by}"
            )
        params = {"hold_id": hold_id, "released_by": actor, "reason": reason}
        query(connection, "release_hold", params)
        detail = {"reason": reason, "documents": found.documents, "deleted": found.deleted}
        record_audit(connection, "hold released", f"hold {hold_id}", detail, actor)
        return find_hold(connection, hold_id)


def refuse_held(connection: Pg, source: str, external_id: str) -> None:
    """Inside a transaction that removes documents: raise `UsageError` where this one is held."""
    names = {"source": source, "external_id": external_id}
    row = query(connection, "hold_on_document", names).fetchone()
    if row is not None:
        until = f" until {row['until']:%Y-%m-%d}" if row["until"] else ""
        raise UsageError(
            f"{source}:{external_id} is held{until} by hold {row['hold_id']} of {row['placed_by']} "
            f"({row['reason']}); nothing was removed. A hold is ended with `rag-pipelines hold release "
            f"{row['hold_id']}`"
        )


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("a hold, and its end, need a reason; it is kept with your name")
