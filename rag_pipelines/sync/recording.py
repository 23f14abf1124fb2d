"""A source read once, outside any transaction, so that a transaction can go over what it said.

What belongs here: reading ahead everything that a listing will ask of its source, keeping it in a temporary
file, and answering from there. What does not: what the answers mean (`groups`, `listing`, `loading`,
`settle`): that is found by running them over the recording.

A plan would otherwise hold a snapshot of the database and its locks for as long as its source takes. What a
listing will ask is foreseen with its own means; what could not be foreseen, because the catalogue changed
meanwhile, is an error that may pass, never a guess.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

from msgspec import structs

from rag_pipelines.batching import batches, blocks
from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Failure,
    Group,
    Item,
)
from rag_pipelines.errors import RagError, TransientError
from rag_pipelines.store.database import query
from rag_pipelines.store.documents import known_documents
from rag_pipelines.store.inbox import open_connector
from rag_pipelines.sync.diff import needs_content
from rag_pipelines.sync.groups import due_groups, listed_groups
from rag_pipelines.sync.listing import BLOCK, claimed_moves, free_moves, sort_block
from rag_pipelines.sync.origin import Entries, Fetched, Listed, LiveOrigin
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.settle import Settlement
from rag_pipelines.sync.spool import Spool
from rag_pipelines.sync.withholding import Withholding

_LATE = "late"
_GONE = "gone"


class RecordedOrigin:
    """The source as it was when it was recorded; asking it again gives the same. An `SourceOrigin`."""

    def __init__(self, spool: Spool, source: str, began: datetime, capabilities: Capabilities) -> None:
        self._spool = spool
        self._source = source
        self.began = began
        self.capabilities = capabilities
        self.feed = False

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """As `SourceOrigin.groups`."""
        return self._spool.read("group")

    def entries(self) -> Entries:
        """As `SourceOrigin.entries`."""
        return Entries(self._spool.read("entry"), self.feed)

    def late(self, items: Sequence[Item]) -> set[str]:
        """As `SourceOrigin.late`."""
        return {item.external_id for item in items if self._content(item) == _LATE}

    def fetch(self, batches: Iterable[Sequence[Item]]) -> Generator[list[Fetched | RagError]]:
        """As `SourceOrigin.fetch`; nothing is stored that is not yet.

        Raises `TransientError` for an item that nothing called for when it was listed.
        """
        yield from map(self._answers, batches)

    def _answers(self, items: Sequence[Item]) -> list[Fetched | RagError]:
        answers = [self._content(item) for item in items]
        if None in answers:
            raise TransientError(
                f"the catalogue changed while source {self._source!r} was read: nothing was changed, run the "
                f"command again (content of {items[answers.index(None)].external_id!r} is needed now)"
            )
        return answers

    def existing(self, ids: Sequence[str]) -> set[str]:
        """As `SourceOrigin.existing`; what was not asked of the source cannot be said."""
        answers = {one: self._spool.ask(("exists", one)) for one in ids}
        for answer in answers.values():
            if isinstance(answer, RagError):
                raise answer
        if None in answers.values():
            raise TransientError("the catalogue changed while the source was read")
        return {one for one, exists in answers.items() if exists}

    def _content(self, item: Item) -> Any:
        return self._spool.ask(("content", item.external_id, item.token))


@contextmanager
def recorded_source(run: SourceRun, scope: Scope = Scope()) -> Iterator[RecordedOrigin]:
    """Read the source of `run`: what it lists, and of that the content that is new or changed.

    Nothing is written but content, into the run's blob store, and no transaction is opened.

    Raises:
        CredentialError, UnlistableError, EmptyListingError, TransientError: as the listing would.
    """
    with closing(Spool()) as spool:
        opened = closing(open_connector(run.settings, run.name, run.connection))
        with opened as connector, run.stage("read the source"):
            recorder = _Recorder(run, _AskedOrigin(run, connector, scope, spool), scope, spool)
            recorder.run()
        yield recorder.recorded


class _Recorder:
    """One reading of one source."""

    def __init__(self, run: SourceRun, live: LiveOrigin, scope: Scope, spool: Spool) -> None:
        self._run = run
        self._live = live
        self._scope = scope
        self._spool = spool
        self._withholding = Withholding(run)
        self._complete: Complete | None = None
        self._listed = 0
        self.recorded = RecordedOrigin(spool, run.name, live.began, live.capabilities)

    def run(self) -> None:
        """Groups where they are due, then documents, then what the listing did not name."""
        self._record_groups()
        listed = self._live.entries()
        self.recorded.feed = listed.feed
        query(self._run.connection, "make_seen")
        query(self._run.connection, "clear_seen")
        with closing(listed.entries) as entries:
            for block in blocks(entries, BLOCK):
                self._record(block)
        self._ask_about_vanished()

    def _record_groups(self) -> None:
        due = due_groups(self._run, self._live, self._scope) is not None
        self.recorded.capabilities = structs.replace(self._live.capabilities, groups=due)
        if due:
            with self._run.timed("groups"):
                for entry in listed_groups(self._live):
                    self._spool.append("group", [entry])

    def _record(self, entries: list[Listed]) -> None:
        block = sort_block(entries, self._run.name, self._scope)
        if block.restarted:
            query(self._run.connection, "clear_seen")
            self._complete, self._listed = None, 0
        self._complete = block.complete or self._complete
        query(self._run.connection, "add_seen", block.seen)
        with self._run.timed("list"):
            self._fetch(self._wanted(self._withholding.split(block.items).kept))
            self._spool.append("entry", map(_without_load, entries))
        self._listed += len(block.items)
        self._run.progress("list", self._listed, None)

    def _wanted(self, items: Mapping[str, Item]) -> list[Item]:
        """Those of a block whose content the listing will ask for, so far as can be foreseen."""
        moves = claimed_moves(items)
        tokens = self._tokens([*items, *moves])
        for old_id, item in free_moves(moves, items, tokens.keys()).items():
            if old_id in tokens:
                tokens[item.external_id] = tokens[old_id]
                self._spool.answer(("token", item.external_id), tokens[old_id])
                self._spool.answer(("token", old_id), _GONE)
        return [
            item
            for item in items.values()
            if needs_content(item, tokens.get(item.external_id), full=self._scope.full)
        ]

    def _tokens(self, ids: Sequence[str]) -> dict[str, str]:
        """The tokens of stored rows, as the listing will find them after what it wrote before."""
        run = self._run
        known = known_documents(run.connection, run.source_id, ids)
        tokens = {external_id: row["token"] for external_id, row in known.items()}
        for external_id in ids:
            later = self._spool.ask(("token", external_id))
            if later == _GONE:
                tokens.pop(external_id, None)
            elif later is not None:
                tokens[external_id] = later
        return tokens

    def _fetch(self, wanted: Sequence[Item]) -> None:
        """Load what is due, or all of it, and keep how that went."""
        late = set() if self._scope.full else self._live.late(wanted)
        due = [item for item in wanted if item.external_id not in late]
        for item in wanted:
            if item.external_id in late:
                self._spool.answer(("content", item.external_id, item.token), _LATE)
        limits = self._run.settings.limits
        made = list(batches(due, limits.batch_documents, limits.batch_bytes, lambda item: item.size or 0))
        with closing(self._live.fetch(made)) as fetched:
            for item, answer in zip(chain.from_iterable(made), chain.from_iterable(fetched), strict=True):
                self._spool.answer(("content", item.external_id, item.token), answer)
                if isinstance(answer, Fetched):
                    self._spool.answer(("token", item.external_id), item.token)

    def _ask_about_vanished(self) -> None:
        """Ask the source about what a full listing did not name, as its settlement will."""
        if self._complete is None or not self._complete.full or self._scope.window:
            return
        unreported = replace(self._run, report=SyncReport(self._run.name))
        allow_deletes = self._scope.allow_deletes
        Settlement(unreported, self._live, allow_deletes=allow_deletes).spare(self._complete)


class _AskedOrigin(LiveOrigin):
    """A live origin; what it says about ids is kept."""

    def __init__(self, run: SourceRun, connector: Connector, scope: Scope, spool: Spool) -> None:
        super().__init__(run, connector, scope)
        self._spool = spool

    def existing(self, ids: Sequence[str]) -> set[str]:
        """As `SourceOrigin.existing`."""
        try:
            found = super().existing(ids)
        except TransientError as error:
            for one in ids:
                self._spool.answer(("exists", one), error)
            raise
        for one in ids:
            self._spool.answer(("exists", one), one in found)
        return found


def _without_load(entry: Listed) -> Listed:
    """`entry` without what only the running connector can do."""
    return structs.replace(entry, load=_unreadable) if isinstance(entry, Item) else entry


def _unreadable() -> bytes:
    raise RuntimeError("a recorded item has no content of its own")
