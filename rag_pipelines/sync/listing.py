"""Brings the catalogue in line with the source: list, compare, load what changed.

What belongs here: the first half of a run, up to stored raw bytes and document rows. What does not:
moves, deletions and the cursor at its end (`settle`), parsing and what follows (`advance`), and any
decision on one document alone (`diff`) or on who may see it (`access`).

Order is the safety: what is known is counted before the listing, each batch commits documents and
quarantine together, and only then is it settled what the listing did not name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import tracing
from rag_pipelines.batching import blocks
from rag_pipelines.connectors.base import (
    Complete,
    Failure,
    Item,
    Removed,
    source_failure,
)
from rag_pipelines.model import AccessRule
from rag_pipelines.store.database import Row, query
from rag_pipelines.store.documents import (
    QuarantineEntry,
    attribute_params,
    known_documents,
    set_attributes,
)
from rag_pipelines.sync.access import ListedRules
from rag_pipelines.sync.diff import DocumentChange, attributes_key, compare
from rag_pipelines.sync.loading import Loading, Wanted
from rag_pipelines.sync.origin import Listed, Restarted, SourceOrigin
from rag_pipelines.sync.restrictions import restricted, stored_rule
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.screening import Masking
from rag_pipelines.sync.settle import Settlement
from rag_pipelines.sync.wanted import drop_wanted, has_wanted, put_wanted
from rag_pipelines.sync.withholding import Withholding

BLOCK = 500
"""Entries compared with the catalogue at once."""

NAMED = 3
"""Places that could not be listed, named in the report; quarantine has them all."""


class ListingBlock(NamedTuple):
    """Entries of a listing by what they are; of two items with one id the later counts.

    `named` holds the ids that are named and not removed after that.
    `restarted` says that everything listed before was in vain.
    """

    items: dict[str, Item]
    failures: list[Failure]
    removed: list[Removed]
    named: set[str]
    complete: Complete | None
    restarted: Restarted | None

    @property
    def seen(self) -> dict[str, Any]:
        """What the query `add_seen` takes."""
        failed = [failure.external_id for failure in self.failures if failure.external_id is not None]
        return {"named": Jsonb(list(self.items)), "failed": Jsonb(failed)}


def sort_block(entries: Iterable[Listed], source: str, scope: Scope) -> ListingBlock:
    """A block of a listing of `source`, without the items outside of the window.

    Raises what `source_failure` says when nothing of the source can be listed.
    """
    items: dict[str, Item] = {}
    failures: list[Failure] = []
    removed: list[Removed] = []
    named: set[str] = set()
    complete: Complete | None = None
    restarted: Restarted | None = None
    for entry in entries:
        match entry:
            case Restarted():
                items, failures, removed, named, complete, restarted = {}, [], [], set(), None, entry
            case Item():
                if scope.window.holds(entry.modified_at):
                    items[entry.external_id] = entry
                    named.add(entry.external_id)
            case Failure():
                if entry.whole:
                    raise source_failure(source, entry)
                failures.append(entry)
                if entry.external_id is not None:
                    named.add(entry.external_id)
            case Removed():
                removed.append(entry)
                named = without(named, [entry])
            case Complete():
                complete = entry
    return ListingBlock(items, failures, removed, named, complete, restarted)


def without(ids: set[str], removed: Sequence[Removed]) -> set[str]:
    """Those of `ids` that are neither `removed` nor went with what is above them."""
    gone = {one.external_id for one in removed}
    above = tuple(f"{one.external_id}/" for one in removed if one.children)
    return {one for one in ids if one not in gone and not one.startswith(above)}


def claimed_moves(items: Mapping[str, Item]) -> dict[str, Item]:
    """The items that the connector says have moved, by the ids that they had."""
    return {item.moved_from: item for item in items.values() if item.moved_from}


def free_moves(moves: Mapping[str, Item], items: Mapping[str, Item], taken: Set[str]) -> dict[str, Item]:
    """Those `moves` to an id that no stored row has (`taken`), from one that is not listed any more."""
    return {
        old_id: item
        for old_id, item in moves.items()
        if item.external_id not in taken and old_id not in items
    }


class SourceListing:
    """One listing of one source. `run()` is the whole story; the rest are its chapters.

    Args:
        loading: called before content is loaded.
        defer: leave content to others to load (`wanted`), where it can be.
    """

    def __init__(
        self,
        run: SourceRun,
        origin: SourceOrigin,
        scope: Scope = Scope(),
        *,
        loading: Callable[[], None] | None = None,
        defer: bool = False,
    ) -> None:
        self._run = run
        self._origin = origin
        self._scope = scope
        self._defers = defer
        self._wanted = defer or has_wanted(run)
        self._loading = Loading(run, origin, loading)
        self._rules = ListedRules(run)
        self._withholding = Withholding(run)
        self._privacy = run.settings.privacy(run.name)
        self._masking = Masking(run.settings, run.name)
        self._feed = False
        self._named = False
        self._open_ends = True
        self._removed: list[Removed] = []
        self._back: set[str] = set()
        self._unlisted: list[Failure] = []
        self._complete: Complete | None = None

    def run(self) -> None:
        """List, apply, and settle deletions and the cursor. Failures of documents end in quarantine.

        Raises:
            CredentialError: the source refused the credentials; nothing was deleted.
            UnlistableError, TransientError: nothing of the source can be listed; nothing was changed.
            EmptyListingError: the listing was empty and the source was not; nothing was deleted.
        """
        connection = self._run.connection
        query(connection, "make_seen")
        query(connection, "clear_seen")
        source = query(connection, "source_by_name", {"name": self._run.name}).fetchone()
        assert source is not None
        # Mostly there are none, and then an unchanged document costs no statement of its own.
        open_ends = query(connection, "listing_open_ends", {"source_id": self._run.source_id}).fetchone()
        self._open_ends = open_ends is None or bool(open_ends["any"])
        listed = self._origin.entries()
        self._feed, self._named = listed.feed, listed.named
        with closing(listed.entries) as entries:
            for block in tracing.each("list", blocks(entries, BLOCK)):
                self._apply(sort_block(block, self._run.name, self._scope))
        self._settle(source["settled_at"])

    def _begin_anew(self, restarted: Restarted) -> None:
        """What a change feed named stays written; what it would have settled is left to the listing."""
        query(self._run.connection, "clear_seen")
        self._feed, self._open_ends = False, True
        self._removed, self._back, self._unlisted, self._complete = [], set(), [], None
        self._run.report.listed = 0
        self._run.report.notes.append(restarted.reason)

    def _settle(self, settled_at: datetime | None) -> None:
        """Moves, deletions and the cursor, as far as the listing allows."""
        report, complete = self._run.report, self._complete
        for failure in self._unlisted[:NAMED]:
            report.miss(f"{failure.entity} could not be listed: {failure.error}")
        if more := len(self._unlisted[NAMED:]):
            report.miss(f"and {more:,} more; see `rag-pipelines quarantine list --stage list`")
        if self._scope.window:
            report.outcome = "partial"
        elif self._named:
            report.outcome = "partial"
            self._tell_gone()
        elif complete is None or not (complete.full or self._feed):
            report.outcome = "partial"
            report.miss("the listing was incomplete: nothing was deleted, the next run lists again")
        else:
            settlement = Settlement(self._run, self._origin, allow_deletes=self._scope.allow_deletes)
            if complete.full:
                settlement.listing(complete, settled_at)
            else:
                settlement.feed(complete, self._removed, self._back)

    def _tell_gone(self) -> None:
        """What a hint named and is gone stays until a listing does not name it."""
        ids = [one.external_id for one in self._removed]
        known = known_documents(self._run.connection, self._run.source_id, ids)
        held = sorted(one for one in known if known[one]["state"] != "tombstoned")
        if held:
            self._run.report.notes.append(
                f"{len(held)} documents that events named are gone, such as {held[0]}: the next listing of "
                "the whole source removes them"
            )

    def _apply(self, block: ListingBlock) -> None:
        """Compare one block with the catalogue and write what it means."""
        report, connection = self._run.report, self._run.connection
        items, failures = block.items, block.failures
        if block.restarted:
            self._begin_anew(block.restarted)
        self._removed += block.removed
        if self._removed:
            self._back = without(self._back, block.removed) | block.named
        self._complete = block.complete or self._complete
        query(connection, "add_seen", block.seen)
        report.listed += len(items)
        with self._run.timed("list"):
            if failures:
                self._record(failures)
            items = self._withholding.take(items)
            self._write(items, self._follow_moves(items))
        self._run.progress("list", report.listed, None)

    def _record(self, failures: list[Failure]) -> None:
        self._unlisted += [one for one in failures if one.entity is not None and one.hides_documents]
        self._open_ends = True
        for failure in failures:
            error = type(failure.error).__name__
            self._run.decide(DocumentChange.FAILED, failure.external_id or failure.entity or "?", error)
        with self._run.writing():
            self._run.quarantine(
                QuarantineEntry("list", one.error, one.external_id, one.entity, content=one.token)
                for one in failures
            )

    def _follow_moves(self, items: dict[str, Item]) -> set[str]:
        """Give stored rows the ids that the connector says they moved to; returns these."""
        moved: set[str] = set()
        moves = claimed_moves(items)
        if not moves:
            return moved
        connection, source_id = self._run.connection, self._run.source_id
        taken = known_documents(connection, source_id, [item.external_id for item in moves.values()])
        origins = known_documents(connection, source_id, list(moves))
        with self._run.writing():
            for old_id, item in free_moves(moves, items, taken.keys()).items():
                place = {"source_id": source_id, "old_id": old_id, "external_id": item.external_id}
                if (origin := origins.get(old_id)) is not None:
                    query(connection, "rename_document", {**place, "document_id": origin["document_id"]})
                    self._run.decide(DocumentChange.MOVED, item.external_id, old_id)
                    moved.add(item.external_id)
                query(connection, "rename_quarantined", place)
            if self._wanted:
                drop_wanted(self._run, list(moves))
        return moved

    def _write(self, items: dict[str, Item], moved: set[str]) -> None:
        run = self._run
        wanted = self._described(items, resolve=self._open_ends)
        stored = self._differing(wanted)
        attributes: list[dict[str, Any]] = []
        access: list[dict[str, Any]] = []
        to_load: list[Wanted] = []
        deferred: list[Wanted] = []
        held: list[str] = []
        owned: list[dict[str, Any]] = []
        for identity, listed in wanted.items():
            one = self._as_restricted(listed, stored.get(identity), owned)
            if identity not in stored or (one is not listed and self._is_stored(one, stored[identity])):
                held.append(identity)
                if identity not in moved:
                    run.decide(DocumentChange.UNCHANGED, identity)
                continue
            row = stored[identity]
            change = compare(one.item, one.attributes, one.access_id, row, full=self._scope.full)
            if change in (DocumentChange.ADDED, DocumentChange.CHANGED):
                late = self._defers and one.item.reference is not None
                (deferred if late else to_load).append(one._replace(known=row))
                if row is not None and (row["access_id"], row["attributes_key"]) != (
                    one.access_id,
                    one.attributes,
                ):
                    access.append(
                        {
                            "document_id": row["document_id"],
                            "tenant": one.tenant,
                            "access_id": one.access_id,
                        }
                    )
                continue
            held.append(identity)
            if identity not in moved:
                about = (one.item.token, one.attributes.hex, msgspec.to_builtins(one.rule))
                run.decide(change, identity, about)
            assert row is not None
            params = attribute_params(one.item, one.tenant, one.attributes, one.access_id, one.masked_by)
            attributes.append({"document_id": row["document_id"], **params})
        left = deferred if self._scope.full else self._loading.due(deferred)
        if attributes or access or owned or left or self._wanted or self._open_ends:
            with run.writing() as connection:
                if self._wanted:
                    drop_wanted(run, [*held, *(one.item.external_id for one in to_load)])
                    put_wanted(run, left)
                    access += self._access_of_new(left, owned)
                set_attributes(connection, attributes)
                for each in access:
                    query(connection, "set_access", each)
                for each in owned:
                    query(connection, "set_own_access", each)
                params = {"source_id": run.source_id, "ids": held}
                query(connection, "trust_content", params)
                query(connection, "resolve_listing_failures", params)
        run.report.wanted += len(left)
        self._loading.load(to_load, full=self._scope.full)

    def _described(self, items: dict[str, Item], *, resolve: bool) -> dict[str, Wanted]:
        """What each item is to be stored as; `resolve` closes failures of rules that fit now."""
        rules = self._rules.fit({identity: item.access for identity, item in items.items()}, resolve=resolve)
        wanted: dict[str, Wanted] = {}
        for identity, item in items.items():
            tenant, rule = item.tenant or self._run.source.tenant, rules[identity]
            item, masked_by = self._masking.apply(item)
            key = attributes_key(item, tenant, masked_by)
            wanted[identity] = Wanted(item, tenant, key, rule, self._rules.id_of(rule), None, masked_by)
        return wanted

    def _as_restricted(self, one: Wanted, row: Row | None, owned: list[dict[str, Any]]) -> Wanted:
        """What a document is to be stored as, where its stored row is restricted because of what it holds;
        a rule of the source that is new is added to `owned`."""
        if row is None or row["own_access"] is None or one.rule is None:
            return one
        readers = self._privacy.readers if self._privacy is not None else ()
        rule = restricted(one.rule, readers) if readers else one.rule
        effective = one._replace(rule=rule, access_id=self._rules.id_of(rule))
        if msgspec.convert(row["own_access"], AccessRule) != one.rule.normalised():
            owned.append(
                {
                    "document_id": row["document_id"],
                    "access_id": effective.access_id,
                    "own_access": stored_rule(one.rule) if readers else None,
                }
            )
        return effective

    def _is_stored(self, one: Wanted, row: Row | None) -> bool:
        """Whether nothing of a document has changed but what it was found to hold."""
        change = compare(one.item, one.attributes, one.access_id, row, full=self._scope.full)
        return change is DocumentChange.UNCHANGED

    def _differing(self, wanted: Mapping[str, Wanted]) -> dict[str, Row | None]:
        """Those that are not stored as they are listed, with their stored row."""
        listed = [
            {
                "external_id": identity,
                "token": one.item.token,
                "attributes_key": str(one.attributes),
                "access_id": one.access_id,
            }
            for identity, one in wanted.items()
        ]
        params = {"source_id": self._run.source_id, "listed": Jsonb(listed), "full": self._scope.full}
        rows = query(self._run.connection, "differing_documents", params, binary=True)
        return {row["external_id"]: row if row["document_id"] else None for row in rows}

    def _access_of_new(self, wanted: Sequence[Wanted], owned: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Who may see documents that shards have stored since this block was compared with the catalogue."""
        new = {one.item.external_id: one for one in wanted if one.known is None}
        known = known_documents(self._run.connection, self._run.source_id, list(new)) if new else {}
        return [
            {
                "document_id": row["document_id"],
                "tenant": new[one].tenant,
                "access_id": self._as_restricted(new[one], row, owned).access_id,
            }
            for one, row in known.items()
        ]
