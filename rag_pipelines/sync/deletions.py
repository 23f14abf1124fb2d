"""Deletions that wait for a person: listing them, approving, rejecting, and parking those of removed sources.

What belongs here: decisions of people, and the parking that no listing does. What does not: parking above
the guard (`settle`), purging what is tombstoned (`retention.garbage`).

A parked document is *missing*: served as before. Approved, it is tombstoned in every version at once and
purged after its source's grace; rejected, it is served on until the source lists it again. A source that
leaves the configuration always parks: no guard is above all of its documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import advisory_lock, lease_owner, source_lock


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about documents that a source no longer names: `waiting` are served, `hidden` tombstoned.

    `cause`: ``vanished`` (a full listing did not name them), ``removed`` (a change feed said so),
    ``source_removed`` (the source left the configuration), ``retention`` (they are too old). `known` is how
    many documents the source held.
    """

    deletion_id: int
    source: str
    cause: str
    state: str
    documents: int
    known: int
    waiting: int
    hidden: int
    parked_at: datetime
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """What waits and how to decide on it, for people who see the source's name beside it."""
        decide = (
            f"decide with `rag-pipelines deletes approve {self.deletion_id}` or `… reject {self.deletion_id}`"
        )
        documents = f"{self.waiting:,} document{'s' * (self.waiting != 1)}"
        if self.cause == "source_removed":
            return f"{documents} still served; {decide}"
        verb = "is" if self.waiting == 1 else "are"
        why = "past retention" if self.cause == "retention" else "gone at the source"
        return f"{documents} {verb} {why} and still served; {decide}"

    @property
    def subject(self) -> str:
        """The source, and that it is no longer configured where this is why its documents wait."""
        return f"{self.source} is no longer configured" if self.cause == "source_removed" else self.source


def waiting_deletions(connection: Pg, sources: Sequence[str] | None = None) -> list[Deletion]:
    """What nobody has decided on, of the given sources or of all, the newest first."""
    return [one for one in list_deletions(connection, sources=sources) if one.waiting]


def list_orphaned_sources(connection: Pg, settings: Settings) -> list[str]:
    """Sources that the configuration no longer names and whose documents are served all the same."""
    rows = query(connection, "served_without_source", {"configured": list(settings.sources)})
    return [row["name"] for row in rows]


def newest_deletion(connection: Pg) -> int:
    """The number of the newest decision, 0 before the first."""
    row = query(connection, "newest_deletion").fetchone()
    return row["deletion_id"] if row else 0


def list_deletions(
    connection: Pg, *, sources: Sequence[str] | None = None, states: Sequence[str] | None = ("parked",)
) -> list[Deletion]:
    """Decisions of the given sources and states (None: all), the newest first."""
    params = {
        "sources": None if sources is None else list(sources),
        "states": None if states is None else list(states),
        "ids": None,
    }
    return [Deletion(**row) for row in query(connection, "list_deletions", params)]


def find_deletion(connection: Pg, deletion_id: int) -> Deletion:
    """One decision. Raises `UsageError` where there is none of this id."""
    params = {"ids": [deletion_id], "sources": None, "states": None}
    row = query(connection, "list_deletions", params).fetchone()
    if row is None:
        raise UsageError(f"there is no deletion {deletion_id}; see `rag-pipelines deletes list --all`")
    return Deletion(**row)


def waiting_documents(connection: Pg, deletion_id: int, limit: int = 1000) -> list[dict[str, object]]:
    """The documents that wait under a decision: external id, path, title, URL, bytes, time of change."""
    return query(connection, "deletion_documents", {"deletion_id": deletion_id, "limit": limit}).fetchall()


def approve(database: Database, deletion_id: int, *, reason: str, actor: str | None = None) -> Deletion:
    """Tombstone what waits under a decision; hidden from the next query on, in every version.

    Raises:
        UsageError: there is no such decision, nothing waits under it, or its source is being synced.
    """
    with _deciding(database, deletion_id) as (connection, deletion):
        if not deletion.waiting:
            raise UsageError(
                f"deletion {deletion_id} is {deletion.state}, no document waits under it; nothing was changed"
            )
        query(connection, "withhold_parked", {"deletion_id": deletion_id})
        query(connection, "tombstone_parked", {"deletion_id": deletion_id})
        return _decide(connection, deletion_id, "approved", reason, actor)


def reject(database: Database, deletion_id: int, *, reason: str, actor: str | None = None) -> Deletion:
    """Serve on what waits under a decision, until its source lists it again.

    An approved decision can be taken back as long as the grace of its source has not purged the documents;
    those that an index version has left out since come back with its next build.

    Raises:
        UsageError: there is no such decision, all of it is purged or listed again, or its source is being
            synced.
    """
    with _deciding(database, deletion_id) as (connection, deletion):
        if not deletion.waiting and not deletion.hidden:
            raise UsageError(
                f"deletion {deletion_id} is {deletion.state}, its documents are purged or listed again; "
                "nothing was changed"
            )
        query(connection, "restore_approved", {"deletion_id": deletion_id})
        return _decide(connection, deletion_id, "rejected", reason, actor)


def park_removed_sources(database: Database, settings: Settings) -> list[Deletion]:
    """Park all documents of every source that the configuration no longer names; returns all that waits of
    such sources, also what was parked before."""
    with database.connect() as connection:
        configured = {"configured": list(settings.sources)}
        for row in query(connection, "unconfigured_sources", configured).fetchall():
            lock = advisory_lock(connection, source_lock(row["name"]), busy="it is being synced")
            with suppress(UsageError), lock:
                query(connection, "park_source", row)
        gone = list_orphaned_sources(connection, settings)
        return waiting_deletions(connection, gone) if gone else []


@contextmanager
def _deciding(database: Database, deletion_id: int) -> Iterator[tuple[Pg, Deletion]]:
    """A transaction with the decision, while no run works on its source."""
    with database.connect() as connection:
        deletion = find_deletion(connection, deletion_id)
        busy = f"source {deletion.source!r} is being synced; decide when that run has ended"
        with advisory_lock(connection, source_lock(deletion.source), busy=busy), connection.transaction():
            yield connection, deletion


def _decide(connection: Pg, deletion_id: int, state: str, reason: str, actor: str | None) -> Deletion:
    if not reason.strip():
        raise UsageError("a decision about deletions needs a reason; it is kept with your name")
    actor = actor or lease_owner()
    params = {"deletion_id": deletion_id, "state": state, "actor": actor, "reason": reason}
    query(connection, "decide_deletion", params)
    decided = find_deletion(connection, deletion_id)
    detail = {"source": decided.source, "documents": decided.waiting + decided.hidden, "reason": reason}
    record_audit(connection, f"deletion {state}", f"deletion {deletion_id}", detail, actor)
    return decided
