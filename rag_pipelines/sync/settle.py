"""What a finished listing means for the documents that it did not name: moves, deletions, the cursor.

What belongs here: the second half of a listing's safety. What does not: comparing and loading what was
named (`listing`), and what people decide about parked deletions (`deletions`).

A document goes only when a listing that ended with its completeness marker and the right count did not
name it, when the source says on a second question that it is gone, and when not too many go at once: above
the guard they are parked for a person. Then moves, deletions and the cursor are one transaction, so the
cursor never passes something that is neither stored nor in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime

from psycopg.types.json import Jsonb

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.base import Complete, Removed
from rag_pipelines.errors import EmptyListingError, TransientError
from rag_pipelines.store.database import Row, query
from rag_pipelines.store.documents import known_documents
from rag_pipelines.store.lease import lease_owner
from rag_pipelines.sync.diff import DocumentChange
from rag_pipelines.sync.expiry import Expiry
from rag_pipelines.sync.origin import SourceOrigin
from rag_pipelines.sync.restrictions import restrict
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.wanted import drop_wanted

LOOKED_UP = 200
"""Ids in one question whether documents still exist."""


class Settlement:
    """Settles one listing, whose names stand in the temporary table ``seen``.

    Args:
        allow_deletes: apply deletions above the guard, and an empty listing.
    """

    def __init__(self, run: SourceRun, origin: SourceOrigin, *, allow_deletes: bool = False) -> None:
        self._run = run
        self._origin = origin
        self._began = origin.began
        self._allow_deletes = allow_deletes

    def listing(self, complete: Complete, settled_at: datetime | None) -> None:
        """After a full listing: match moves, delete what vanished, save the cursor.

        A listing that skipped what still exists may have skipped what is new: the next run lists again.

        Raises:
            EmptyListingError: it named nothing and the source held documents; nothing was deleted.
        """
        run = self._run
        spared = self.spare(complete)
        if spared is None or spared:
            run.report.outcome = "partial"
        if spared is None:
            return
        with run.writing():
            query(run.connection, "drop_unlisted_wanted", {"source_id": run.source_id})
            counts = self._count()
            if counts["gone"]:
                self._match_moves(settled_at)
                counts = self._count()
            if counts["vanished"]:
                self._delete_vanished(counts["vanished"], counts["known"])
            self._delete_expired()
            self._close_decisions()
            params = {"source_id": run.source_id, "before": self._began}
            query(run.connection, "drop_unlisted_withheld", params)
            query(run.connection, "close_resolved", params)
            query(run.connection, "resolve_entities", params)
            if not spared:
                self._save_cursor(complete, listed=True)

    def spare(self, complete: Complete) -> list[str] | None:
        """What a full listing did not name although it still exists; None: nothing may be deleted.

        Asks the source, and changes nothing but the table ``seen``. Raises `EmptyListingError` as `listing`.
        """
        return self._check_existing() if self._agrees(complete) else None

    def feed(self, complete: Complete, removed: Sequence[Removed], back: Set[str]) -> None:
        """After a change feed: delete what it says is gone and not `back` again, save the cursor."""
        with self._run.writing():
            if removed:
                gone = [one for one in self._with_children(removed) if one not in back]
                self._drop_wanted(removed, gone, back)
                query(self._run.connection, "drop_withheld", {"source_id": self._run.source_id, "ids": gone})
                self._delete_removed(gone)
            self._delete_expired()
            self._close_decisions()
            self._save_cursor(complete, listed=self._origin.capabilities.feed_tells_all)

    def _with_children(self, removed: Sequence[Removed]) -> list[str]:
        """The ids of what was removed, and of what went with it; each once."""
        above = [one.external_id for one in removed if one.children]
        params = {"source_id": self._run.source_id, "ids": above}
        below = query(self._run.connection, "children_of", params).fetchall() if above else []
        ids = [one.external_id for one in removed] + [row["external_id"] for row in below]
        return list(dict.fromkeys(ids))

    def _drop_wanted(self, removed: Sequence[Removed], gone: Sequence[str], back: Set[str]) -> None:
        """What is gone need not be loaded any more, nor what went with it."""
        drop_wanted(self._run, gone)
        above = [one.external_id for one in removed if one.children]
        if above:
            params = {"source_id": self._run.source_id, "ids": above, "back": list(back)}
            query(self._run.connection, "drop_wanted_below", params)

    def _close_decisions(self) -> None:
        """Close the decisions about deletions that need nobody any more."""
        params = {"source_id": self._run.source_id, "actor": lease_owner()}
        query(self._run.connection, "unpark_seen", params)
        query(self._run.connection, "settle_deletions", params)

    def _agrees(self, complete: Complete) -> bool:
        """Whether the listing is what its own marker says."""
        run, counts = self._run, self._count()
        if counts["seen"] != complete.count:
            run.report.miss(
                f"the listing said {complete.count} documents and named {counts['seen']}: nothing was deleted"
            )
            return False
        if not counts["seen"] and counts["known"] and not self._allow_deletes:
            raise EmptyListingError(
                f"source {run.name!r} listed nothing but holds {counts['known']} documents; if it really is "
                "empty now, run `rag-pipelines ingest --allow-deletes` for it"
            )
        return True

    def _check_existing(self) -> list[str] | None:
        """What was not named and still exists, as far as the source can be asked; it counts as named.

        What moves while a listing by offsets is read can be skipped by it; that is no deletion. None: the
        source could not be asked, so nothing may be deleted.
        """
        spared: list[str] = []
        if not self._origin.capabilities.lookup:
            return spared
        run = self._run
        try:
            for ids in blocks(self._find_vanished(), LOOKED_UP):
                spared += sorted(self._origin.existing(ids) & set(ids))
        except TransientError as error:
            run.report.miss(
                "documents were not listed and the source could not be asked whether they are gone: nothing "
                f"was deleted, the next run lists again ({error})"
            )
            return None
        if spared:
            query(run.connection, "add_seen", {"named": Jsonb(spared), "failed": Jsonb([])})
            run.report.miss(
                f"{len(spared)} documents were not listed although they still exist, such as "
                f"{', '.join(spared[:3])}: they were kept, the next run lists again"
            )
        return spared

    def _find_vanished(self) -> Iterator[str]:
        """The ids of stored documents that were not named and that nobody has decided on, in order."""
        params = {"source_id": self._run.source_id, "parked": self._allow_deletes, "limit": LOOKED_UP}
        after = ""
        while rows := query(
            self._run.connection, "vanished_documents", {**params, "after": after}
        ).fetchall():
            yield from (row["external_id"] for row in rows)
            after = rows[-1]["external_id"]

    def _count(self) -> Row:
        params = {"source_id": self._run.source_id, "before": self._began, "parked": self._allow_deletes}
        counts = query(self._run.connection, "count_vanished", params).fetchone()
        assert counts is not None
        return counts

    def _match_moves(self, settled_at: datetime | None) -> None:
        """Recognise documents that only changed their place, by their content."""
        since = settled_at or datetime.min.replace(tzinfo=self._began.tzinfo)
        run = self._run
        query(run.connection, "begin_moves")
        params = {"source_id": run.source_id, "since": since}
        rows = query(run.connection, "merge_moves", params).fetchall()
        restrictions = query(run.connection, "access_of_documents", {"ids": [row["old_id"] for row in rows]})
        held = {row["document_id"] for row in restrictions if row["own_access"] is not None}
        for row in rows:
            row["metadata"] = Jsonb(row["metadata"])
            query(run.connection, "apply_move", row)
            moved = {"old_id": row["old_external_id"], "external_id": row["external_id"]}
            query(run.connection, "rename_quarantined", {"source_id": run.source_id, **moved})
            run.redecide(DocumentChange.ADDED, DocumentChange.MOVED, row["external_id"])
        profile = run.settings.privacy(run.name)
        if profile is not None and profile.readers:
            restrict(run.connection, held, set(), profile.readers)

    def _delete_vanished(self, vanished: int, known: int) -> None:
        run = self._run
        params = {"source_id": run.source_id, "documents": vanished, "known": known, "cause": "vanished"}
        if self._is_guarded(vanished, known):
            query(run.connection, "park_vanished", params)
            return
        for external_id in self._find_vanished():
            run.decide(DocumentChange.DELETED, external_id)
        query(run.connection, "tombstone_vanished", {**params, "parked": self._allow_deletes})

    def _delete_removed(self, removed: Sequence[str]) -> None:
        """What is not held, or gone already, counts for nothing; what waits for a person goes on waiting."""
        run, known = self._run, self._count()["known"]
        rows = known_documents(run.connection, run.source_id, removed)
        states = {one: rows[one]["state"] for one in removed if one in rows}
        held = [one for one, state in states.items() if state == "present"]
        ids = [one for one in removed if states.get(one) != "missing"]
        params = {"source_id": run.source_id, "ids": ids, "documents": len(held), "known": known}
        if self._is_guarded(len(held), known):
            query(run.connection, "park_ids", {**params, "cause": "removed"})
            return
        query(run.connection, "tombstone_ids", params)
        query(run.connection, "resolve_quarantine", params)
        for external_id in held:
            run.decide(DocumentChange.DELETED, external_id)

    def _delete_expired(self) -> None:
        """Delete what is past its retention, or have a person decide."""
        run, expiry = self._run, Expiry(self._run, allow_deletes=self._allow_deletes)
        ids = expiry.due()
        if not ids:
            return
        known = self._count()["known"]
        if self._is_guarded(len(ids), known, "past their retention"):
            params = {"source_id": run.source_id, "ids": ids, "documents": len(ids), "known": known}
            query(run.connection, "park_ids", {**params, "cause": "retention"})
        else:
            expiry.delete(ids)

    def _is_guarded(self, deletions: int, known: int, why: str = "gone at the source") -> bool:
        """Whether the delete guard holds these deletions back; says so in the report."""
        guard, report = self._run.source.delete_guard, self._run.report
        if self._allow_deletes or deletions < guard.documents or deletions <= guard.share * known:
            return False
        report.parked_deletes += deletions
        report.notes.append(
            f"{deletions} of {known} documents are {why}, above the guard of {guard.share:.0%}: "
            "they are still served. Decide with `rag-pipelines deletes list`, `… approve` or `… reject`"
        )
        return True

    def _save_cursor(self, complete: Complete, *, listed: bool) -> None:
        params = {
            "source_id": self._run.source_id,
            "cursor": Jsonb(dict(complete.cursor)) if complete.cursor is not None else None,
            "listed_at": self._began if listed else None,
            "policy": self._run.source.policy_key,
        }
        query(self._run.connection, "save_cursor", params)
