"""Brings the catalogue in line with the source: list, compare, load what changed, delete safely.

What belongs here: the first half of a run, up to stored raw bytes and document rows. What does not:
parsing and what follows (`advance`), and any decision on one document alone (`diff`).

Order is the safety: what is known is counted before the listing; each batch commits documents and
quarantine together; deletions come last, only behind a completeness marker whose count agrees, and only
below the guard; the connector's cursor moves in the same transaction as the deletions, so it never
passes something that is neither stored nor in quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from rag_pipelines.batching import batches, blocks
from rag_pipelines.connectors.base import Complete, Connector, Cursor, Entry, Failure, Item, Removed, Window
from rag_pipelines.errors import (
    CredentialError,
    DocumentError,
    EmptyListingError,
    FetchError,
    ForbiddenEntityError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.store.database import Row, query
from rag_pipelines.store.documents import (
    AccessRules,
    Loaded,
    QuarantineEntry,
    attribute_params,
    known_documents,
    put_documents,
    quarantine,
    server_time,
    set_attributes,
)
from rag_pipelines.sync.diff import Change, attributes_key, compare, compare_attributes
from rag_pipelines.sync.run import SourceRun

BLOCK = 500
"""Entries compared with the catalogue at once."""


class _Wanted(NamedTuple):
    """A listed item whose content has to be loaded, beside the row that is stored of it."""

    item: Item
    tenant: str
    attributes: UUID
    access_id: int
    known: Row | None


class Listing:
    """One listing of one source. `run()` is the whole story; the rest are its chapters."""

    def __init__(
        self,
        run: SourceRun,
        connector: Connector,
        *,
        full: bool = False,
        window: Window = Window(),
        allow_deletes: bool = False,
        loading: Callable[[], None] | None = None,
    ) -> None:
        self._run = run
        self._connector = connector
        self._full = full
        self._window = window
        self._allow_deletes = allow_deletes
        self._loading = loading
        self._rules = AccessRules(run.connection)
        self._began = server_time(run.connection)
        self._feed = False
        self._removed: list[str] = []
        self._complete: Complete | None = None

    def run(self) -> None:
        """List, apply, and settle deletions and the cursor. Failures of documents end in quarantine.

        Raises:
            CredentialError: the source refused the credentials; nothing was deleted.
            EmptyListingError: the listing was empty and the source was not; nothing was deleted.
        """
        connection = self._run.connection
        query(connection, "make_seen")
        query(connection, "clear_seen")
        source = query(connection, "source_by_name", {"name": self._run.name}).fetchone()
        assert source is not None
        with closing(self._entries(source)) as entries:
            for block in blocks(entries, BLOCK):
                self._apply(block)
        self._settle(source["settled_at"])

    def _entries(self, source: Row) -> Generator[Entry]:
        """The change feed where there is one and it can continue, else everything."""
        cursor: Cursor | None = source["cursor"]
        if cursor is not None and self._may_follow(source["listed_at"]):
            try:
                changes = iter(self._connector.changes(cursor))
                first = next(changes, None)
            except UsageError as error:
                self._run.report.notes.append(
                    f"the stored cursor cannot be continued, listing everything: {error}"
                )
            else:
                self._feed = True
                if first is not None:
                    yield first
                yield from changes
                return
        yield from self._connector.items(self._window)

    def _may_follow(self, listed_at: datetime | None) -> bool:
        """Whether the change feed is enough: it names deletions, or everything was listed not long ago."""
        able = self._connector.capabilities
        if not able.changes or self._full or self._window or self._allow_deletes:
            return False
        recent = listed_at is not None and self._began - listed_at < self._run.source.full_listing
        return able.removals or recent

    def _apply(self, block: list[Entry]) -> None:
        """Compare one block with the catalogue and write what it means."""
        report = self._run.report
        items: dict[str, Item] = {}
        failures: list[Failure] = []
        for entry in block:
            match entry:
                case Item():
                    if self._window.holds(entry.modified_at):
                        items[entry.external_id] = entry
                case Failure():
                    failures.append(entry)
                case Removed():
                    self._removed.append(entry.external_id)
                case Complete():
                    self._complete = entry
        connection = self._run.connection
        failed = [failure.external_id for failure in failures if failure.external_id is not None]
        ids = [*items, *failed]
        query(
            connection,
            "add_seen",
            {"ids": ids, "failed": [False] * len(items) + [True] * len(failed)},
        )
        report.listed += len(items)
        with self._run.timed("list"):
            if failures:
                self._record(failures)
            self._follow_moves(items)
            known = known_documents(connection, self._run.source_id, list(items))
            self._write(items, known)
        self._run.progress("list", report.listed, None)

    def _record(self, failures: list[Failure]) -> None:
        for failure in failures:
            self._run.report.count(Change.FAILED, failure.external_id or failure.entity or "?")
        with self._run.writing() as connection:
            quarantine(
                connection,
                self._run.source_id,
                [
                    QuarantineEntry("list", one.error, one.external_id, one.entity, content=one.token)
                    for one in failures
                ],
            )

    def _follow_moves(self, items: dict[str, Item]) -> None:
        """Give stored rows the ids that the connector says they moved to; the rest is a diff."""
        moves = {item.moved_from: item for item in items.values() if item.moved_from}
        if not moves:
            return
        connection, source_id = self._run.connection, self._run.source_id
        taken = known_documents(connection, source_id, [item.external_id for item in moves.values()])
        origins = known_documents(connection, source_id, list(moves))
        with self._run.writing():
            for old_id, item in moves.items():
                origin = origins.get(old_id)
                if origin is None or item.external_id in taken or old_id in items:
                    continue
                query(
                    connection,
                    "rename_document",
                    {"document_id": origin["document_id"], "external_id": item.external_id},
                )
                self._run.report.count(Change.MOVED, f"{old_id} → {item.external_id}")

    def _write(self, items: dict[str, Item], known: dict[str, Row]) -> None:
        report, source = self._run.report, self._run.source
        attributes: list[dict[str, Any]] = []
        to_load: list[_Wanted] = []
        for item in items.values():
            tenant = item.tenant or source.tenant
            key = attributes_key(item, tenant)
            access_id = self._rules.id_of(source.access if item.access is None else item.access)
            row = known.get(item.external_id)
            change = compare(item, key, access_id, row, full=self._full)
            if change in (Change.ADDED, Change.CHANGED):
                to_load.append(_Wanted(item, tenant, key, access_id, row))
                continue
            report.count(change, item.external_id)
            if change is not Change.UNCHANGED:
                assert row is not None
                attributes.append(
                    {"document_id": row["document_id"], **attribute_params(item, tenant, key, access_id)}
                )
        if attributes:
            with self._run.writing() as connection:
                set_attributes(connection, attributes)
        limits = self._run.settings.limits
        for batch in batches(
            to_load, limits.batch_documents, limits.batch_bytes, lambda one: one.item.size or 0
        ):
            self._load(batch)

    def _load(self, batch: list[_Wanted]) -> None:
        """Load, store and commit one batch of new or changed content."""
        if self._loading:
            self._loading()
        report = self._run.report
        loaded: list[Loaded] = []
        same: list[dict[str, Any]] = []
        failures: list[QuarantineEntry] = []
        counts: list[tuple[Change, str]] = []
        contents: list[tuple[_Wanted, bytes]] = []
        for one in batch:
            try:
                data = self._content(one.item)
            except (DocumentError, ForbiddenEntityError, TransientError) as error:
                failures.append(QuarantineEntry("fetch", error, one.item.external_id, content=one.item.token))
                counts.append((Change.FAILED, one.item.external_id))
                continue
            report.bytes_loaded += len(data)
            contents.append((one, data))
        digests = self._run.blobs.put_all("raw", [data for _, data in contents])
        for (one, data), digest in zip(contents, digests, strict=True):
            row, item = one.known, one.item
            if row is not None and bytes(row["raw_sha256"]) == digest:
                counts.append((compare_attributes(one.attributes, one.access_id, row), item.external_id))
                params = attribute_params(item, one.tenant, one.attributes, one.access_id)
                same.append({"document_id": row["document_id"], **params})
            else:
                counts.append((Change.ADDED if row is None else Change.CHANGED, item.external_id))
                loaded.append(Loaded(item, one.tenant, one.attributes, one.access_id, digest, len(data)))
        with self._run.writing() as connection:
            put_documents(connection, self._run.source_id, loaded)
            set_attributes(connection, same)
            quarantine(connection, self._run.source_id, failures)
            fetched = [one.item.external_id for one in loaded] + [one["external_id"] for one in same]
            query(connection, "resolve_listing_failures", {"source_id": self._run.source_id, "ids": fetched})
        for change, external_id in counts:
            report.count(change, external_id)

    def _content(self, item: Item) -> bytes:
        """The item's bytes; anything unforeseen that its connector raises costs this item alone."""
        limit = self._run.settings.limits.parse.max_bytes
        if item.size is not None and item.size > limit:
            raise TooLargeDocumentError(
                f"{item.size:,} bytes, the limit is {limit:,}; raise limits.parse.max_bytes to accept it"
            )
        try:
            return item.load()
        except (DocumentError, ForbiddenEntityError, TransientError, CredentialError):
            raise
        except Exception as error:
            raise FetchError(f"loading failed: {type(error).__name__}: {error}") from error

    def _settle(self, settled_at: datetime | None) -> None:
        """Moves, deletions and the cursor, in one transaction, as far as the listing allows."""
        report, complete, run = self._run.report, self._complete, self._run
        if self._window:
            report.outcome = "partial"
            return
        if complete is None or not (complete.full or self._feed):
            report.outcome = "partial"
            report.notes.append(
                "the listing did not see everything: nothing was deleted, the next run lists again"
            )
            return
        with run.writing() as connection:
            if not complete.full:
                self._delete_removed()
                self._save_cursor(complete, listed=self._connector.capabilities.removals)
            elif self._reconcile(complete, settled_at):
                self._save_cursor(complete, listed=True)
                query(connection, "resolve_entities", {"source_id": run.source_id, "before": self._began})

    def _save_cursor(self, complete: Complete, *, listed: bool) -> None:
        cursor = Jsonb(dict(complete.cursor)) if complete.cursor is not None else None
        params = {
            "source_id": self._run.source_id,
            "cursor": cursor,
            "listed_at": self._began if listed else None,
        }
        query(self._run.connection, "save_cursor", params)

    def _reconcile(self, complete: Complete, settled_at: datetime | None) -> bool:
        """Match moves and delete what vanished. False when the listing contradicts its own marker."""
        run, report = self._run, self._run.report
        params = {"source_id": run.source_id, "before": self._began}
        seen = query(run.connection, "count_seen").fetchone()
        counts = query(run.connection, "count_vanished", params).fetchone()
        assert seen is not None
        assert counts is not None
        if seen["seen"] != complete.count:
            report.outcome = "partial"
            report.notes.append(
                f"the listing said {complete.count} documents and named {seen['seen']}: nothing was deleted"
            )
            return False
        if not seen["seen"] and counts["known"] and not self._allow_deletes:
            raise EmptyListingError(
                f"source {run.name!r} listed nothing but holds {counts['known']} documents; if it really is "
                "empty now, run `rag-pipelines ingest --allow-deletes` for it"
            )
        if counts["vanished"]:
            self._match_moves(settled_at)
            counts = query(run.connection, "count_vanished", params).fetchone()
            assert counts is not None
        if counts["vanished"]:
            self._delete_vanished(counts["vanished"], counts["known"])
        query(run.connection, "unpark_seen", {"source_id": run.source_id})
        query(run.connection, "close_resolved", {"source_id": run.source_id})
        return True

    def _match_moves(self, settled_at: datetime | None) -> None:
        """Recognise documents that only changed their place, by their content."""
        since = settled_at or datetime.min.replace(tzinfo=self._began.tzinfo)
        connection, report = self._run.connection, self._run.report
        params = {"source_id": self._run.source_id, "since": since}
        for row in query(connection, "merge_moves", params).fetchall():
            row["metadata"] = Jsonb(row["metadata"])
            query(connection, "apply_move", row)
            report.recount(Change.ADDED, Change.MOVED, row["external_id"])

    def _delete_vanished(self, vanished: int, known: int) -> None:
        run, report = self._run, self._run.report
        samples = [
            row["external_id"]
            for row in query(run.connection, "vanished_samples", {"source_id": run.source_id})
        ]
        if self._guarded(vanished, known):
            query(run.connection, "park_vanished", {"source_id": run.source_id})
            return
        query(run.connection, "tombstone_vanished", {"source_id": run.source_id})
        for external_id in samples:
            report.count(Change.DELETED, external_id)
        if vanished > len(samples):
            report.count(Change.DELETED, "…", vanished - len(samples))

    def _delete_removed(self) -> None:
        run, report = self._run, self._run.report
        if not self._removed:
            return
        known = query(run.connection, "count_documents", {"source_id": run.source_id}).fetchone()
        assert known is not None
        params = {"source_id": run.source_id, "ids": self._removed}
        if self._guarded(len(self._removed), known["documents"]):
            query(run.connection, "park_ids", params)
            return
        query(run.connection, "tombstone_ids", params)
        query(run.connection, "resolve_quarantine", params)
        for external_id in self._removed:
            report.count(Change.DELETED, external_id)

    def _guarded(self, deletions: int, known: int) -> bool:
        """Whether the delete guard holds these deletions back; says so in the report."""
        guard, report = self._run.source.delete_guard, self._run.report
        if self._allow_deletes or deletions < guard.documents or deletions <= guard.share * known:
            return False
        report.parked_deletes = deletions
        report.notes.append(
            f"{deletions} of {known} documents are gone at the source, above the guard of {guard.share:.0%}: "
            "they are still served. If this is right, run `rag-pipelines ingest --allow-deletes`"
        )
        return True
